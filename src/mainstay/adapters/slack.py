"""Slack: pages with buttons, and a war room for each incident that deserves one (`slack_room`).

Talks to the Web API through slack_sdk. All questions of one message together end before the sender's lease does; a
method that answered 429 is not asked again before its time, whichever message wants to.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from mainstay.adapters.notifiers import retry_after, secret_of
from mainstay.adapters.slack_blocks import Block, answer_text, answered_blocks, approval_blocks, page_blocks
from mainstay.kernel.channels import TOGETHER, SlackChannel
from mainstay.kernel.errors import MissingExtra, NotDelivered
from mainstay.kernel.journal import Data
from mainstay.kernel.people import Notice

_PASSING = frozenset({"ratelimited", "rate_limited", "internal_error", "fatal_error", "service_unavailable",
                      "request_timeout", "team_added_to_org"})
"""Errors after which the same question may be answered; all others say that it never will."""

_GONE = frozenset({"message_not_found", "cant_update_message", "channel_not_found", "is_archived",
                   "edit_window_closed"})
"""A message that cannot be changed any more: whoever deleted it needs no update."""


class SlackError(NotDelivered):
    """Slack answered with an error; `error` is Slack's own word for it."""

    def __init__(self, method: str, error: str, *, after: float | None = None) -> None:
        super().__init__(f"Slack refused {method}: {error}", _WAYS_OUT.get(error, "see Slack's page of the method"),
                         retry_after=after, for_good=error not in _PASSING)
        self.error = error


_WAYS_OUT = {
    "invalid_auth": "check the token", "not_authed": "check the token", "token_revoked": "install the app again",
    "account_inactive": "install the app again", "missing_scope": "give the app the scopes that the guide lists",
    "channel_not_found": "check the channel's name, and invite the app where it is private",
    "not_in_channel": "invite the app to the channel", "is_archived": "take another channel",
}


class SlackApi:
    """Questions to a workspace.

    Args:
        declared: the token, the address, the time-out.
        environ: where secrets named by environment variables are.
        monotonic: seconds that never jump.
    Raises:
        MissingExtra: slack_sdk is not installed.
    """

    def __init__(self, declared: SlackChannel, environ: Mapping[str, str] = os.environ,
                 monotonic: Callable[[], float] = time.monotonic) -> None:
        try:
            import slack_sdk  # noqa: PLC0415  (a lazy start: only those who use Slack have it)
        except ImportError:
            raise MissingExtra("Slack", "slack") from None
        self._declared, self._environ, self.monotonic = declared, environ, monotonic
        self._client, self._error = slack_sdk.WebClient, slack_sdk.errors.SlackApiError
        self._request_error = slack_sdk.errors.SlackClientError
        self._lock = threading.Lock()
        self._closed: dict[str, float] = {}
        """Method → when it may be asked again."""

    def ask(self, method: str, until: float, /, **fields: Any) -> dict[str, Any]:
        """What a method answers; `until` is when the whole message must be done, by the monotonic clock.

        Raises:
            SlackError: the answer is an error.
            NotDelivered: there was none, or there is no time left to wait for it.
        """
        now = self.monotonic()
        with self._lock:
            wait = self._closed.get(method, now) - now
        if wait > 0:
            raise SlackError(method, "ratelimited", after=wait)
        if now >= until:
            raise NotDelivered("Slack answers too slowly for all that this message needs", "it is tried again")
        client = self._client(
            token=secret_of(self._declared.token, self._environ, "slack"), base_url=self._declared.base_url,
            timeout=max(1, int(min(self._declared.timeout.total_seconds(), until - now))), retry_handlers=[])
        try:
            answer = client.api_call(method, json=fields) if method in _AS_JSON \
                else client.api_call(method, params=fields)
        except self._error as error:
            raise self._refused(method, error) from error
        except (self._request_error, OSError, ValueError) as error:
            # The text of these may hold the whole request; the type says enough.
            raise NotDelivered(f"Slack did not answer {method}: {type(error).__name__}",
                               "check that this machine reaches Slack") from error
        found: dict[str, Any] = answer.data if isinstance(answer.data, dict) else {}
        return found

    def _refused(self, method: str, error: Any) -> NotDelivered:
        answer = error.response
        headers = {name.lower(): value for name, value in (getattr(answer, "headers", None) or {}).items()}
        status = int(getattr(answer, "status_code", 0) or 0)
        after = retry_after(str(headers.get("retry-after", "")), datetime.now(UTC))
        if status == 429 or answer.get("error") == "ratelimited":
            with self._lock:
                self._closed[method] = self.monotonic() + (after if after is not None else 1.0)
            return SlackError(method, "ratelimited", after=after)
        if status >= 500:
            return SlackError(method, "service_unavailable", after=after)
        return SlackError(method, str(answer.get("error") or f"status {status}"))


_AS_JSON = frozenset({"chat.postMessage", "chat.update", "chat.postEphemeral"})
"""Methods that carry blocks; Slack takes JSON for those and forms for all."""


class SlackNotifier:
    """Pages as direct messages and in channels, war rooms, and answers to whoever pressed a button.

    Args:
        declared: the workspace. Buttons are shown where its signing secret is declared, since without it nobody could
            tell that a press comes from Slack.
        environ: where secrets named by environment variables are.
        monotonic: seconds that never jump.
    """

    def __init__(self, declared: SlackChannel, environ: Mapping[str, str] = os.environ,
                 monotonic: Callable[[], float] = time.monotonic) -> None:
        self._api = SlackApi(declared, environ, monotonic)
        self._buttons = declared.signing_secret.named

    def send(self, notice: Notice) -> Data | None:
        """Return when Slack accepted it: the channel and time stamp of the message, or the room as it is now.

        Raises:
            NotDelivered: it did not.
        """
        until = self._api.monotonic() + TOGETHER.total_seconds()
        match notice.data.get("what"):
            case "room":
                from mainstay.adapters.slack_room import keep_room  # noqa: PLC0415  (a lazy start: few need it)

                return keep_room(self._api, notice.data, until, buttons=self._buttons)
            case "answer":
                self._take_buttons_away(notice.data, until)
                return None
            case "reply":
                self._api.ask("chat.postEphemeral", until, channel=notice.data["channel"], user=notice.target,
                              text=notice.body)
                return None
            case "approval":
                return self._post(notice, until, approval_blocks(notice, buttons=self._buttons))
            case _:
                return self._post(notice, until, page_blocks(notice, buttons=self._buttons))

    def _post(self, notice: Notice, until: float, blocks: Sequence[Block]) -> Data:
        answer = self._api.ask(
            "chat.postMessage", until, channel=notice.target, text=notice.subject, unfurl_links=False,
            blocks=blocks, metadata=key_metadata(notice.key))
        return {"channel": str(answer.get("channel", "")), "ts": str(answer.get("ts", ""))}

    def _take_buttons_away(self, data: Data, until: float) -> None:
        for told in data["receipts"]:
            try:
                self._api.ask("chat.update", until, channel=told["channel"], ts=told["ts"], text=answer_text(data),
                              blocks=answered_blocks(data))
            except SlackError as error:
                if error.error not in _GONE:
                    raise


def key_metadata(key: str) -> dict[str, Any]:
    """What marks a message as the one of that key; people do not see it, programs can look for it."""
    return {"event_type": "mainstay_notice", "event_payload": {"key": key}}
