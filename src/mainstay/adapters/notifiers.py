"""People: a webhook that takes JSON, and the terminal."""

from __future__ import annotations

import sys
from typing import TextIO

import httpx

from mainstay.kernel.errors import InvalidInput, SourceUnavailable
from mainstay.kernel.ports import Notice


class TerminalNotifier:
    """Writes each notice as a line; what `serve` and the demo use when no webhook is named."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr

    def send(self, notice: Notice) -> None:
        """Write it and flush."""
        self._stream.write(_one_line(f"notice for {notice.target}: {notice.subject}") + "\n")
        self._stream.flush()


def _one_line(text: str) -> str:
    """The text without line ends and control signs, so that nothing in a catalog can forge a line of the log."""
    return "".join(sign if sign.isprintable() else " " for sign in text)


class WebhookNotifier:
    """Posts each notice as JSON `{target, subject, body, key}`; the key lets the receiver drop a repeat.

    Args:
        url: where to post; only 2xx means accepted. Redirects are not followed.
        timeout: seconds until a silent receiver is given up.
    Raises:
        InvalidInput: the address is none; it is not in the message, it may hold a secret.
    """

    def __init__(self, url: str, timeout: float = 10.0) -> None:
        try:
            parsed = httpx.URL(url)
        except httpx.InvalidURL:
            parsed = httpx.URL()
        if parsed.scheme not in ("http", "https") or not parsed.host:
            raise InvalidInput("the webhook's address is not one", "write https://HOST/PATH in MAINSTAY_NOTIFY_URL")
        self._url = url
        self._client = httpx.Client(timeout=timeout)

    def send(self, notice: Notice) -> None:
        """Return when the receiver accepted it.

        Raises:
            SourceUnavailable: it did not; the address is not in the message, it may hold a secret.
        """
        try:
            answer = self._client.post(self._url, json={"target": notice.target, "subject": notice.subject,
                                                        "body": notice.body, "key": notice.key},
                                       headers={"Idempotency-Key": notice.key})
        except httpx.HTTPError as error:
            raise SourceUnavailable(f"the webhook did not answer: {type(error).__name__}",
                                    "check MAINSTAY_NOTIFY_URL") from error
        if not answer.is_success:
            raise SourceUnavailable(f"the webhook answered {answer.status_code}", "check MAINSTAY_NOTIFY_URL")
