"""People: a webhook that takes JSON, and the terminal; and what all channels over HTTP have in common."""

from __future__ import annotations

import hashlib
import hmac
import os
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import Any, TextIO

import httpx
import msgspec

from mainstay.adapters.secrets import Secret
from mainstay.kernel.channels import SecretAt, WebhookChannel
from mainstay.kernel.errors import InvalidInput, NotDelivered
from mainstay.kernel.people import Notice


class TerminalNotifier:
    """Writes each notice as a line; what `serve` and the demo use when no webhook is named."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr

    def send(self, notice: Notice) -> None:
        """Write it and flush."""
        line = f"notice for {notice.target}: {notice.subject}"
        incident = notice.data.get("incident")
        if incident:
            line += f" · mainstay incident ack {incident}"
        self._stream.write(one_line(line) + "\n")
        self._stream.flush()


def one_line(text: str) -> str:
    """The text without line ends and control signs, so that nothing in a catalog can forge a line of the log."""
    return "".join(sign if sign.isprintable() else " " for sign in text)


class NotDeclared:
    """A channel that no Channels document declares: it refuses everything for good, so that the next way is tried."""

    def __init__(self, channel: str) -> None:
        self._channel = channel

    def send(self, notice: Notice) -> None:  # noqa: ARG002  (the port's parameter)
        """Never returns.

        Raises:
            NotDelivered: always.
        """
        raise NotDelivered(f"no Channels document declares {self._channel}",
                           f"declare {self._channel} in a Channels document of the catalog", for_good=True)


def secret_of(at: SecretAt, environ: Mapping[str, str], what: str) -> str:
    """The secret, read anew for every message, so that a rotated one is taken up.

    Raises:
        NotDelivered: it is not there; trying again would find no other, so the next way is tried.
    """
    try:
        return Secret(at.env, at.file).read(environ)
    except InvalidInput as error:
        raise NotDelivered(f"{what}: {error.message}", error.way_out, for_good=True) from error


def retry_after(written: str, now: datetime) -> float | None:
    """Seconds that a Retry-After header asks to wait; it holds seconds or a date (RFC 9110, 10.2.3)."""
    text = written.strip()
    if text.isdigit():
        return float(text)
    try:
        return max(0.0, (parsedate_to_datetime(text) - now).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return None


def refused(what: str, status: int, headers: Mapping[str, str], way_out: str) -> NotDelivered:
    """What an answer that is not 2xx means: 408, 429 and 5xx pass, every other 4xx and a redirect is for good."""
    passes = status in (408, 429) or status >= 500
    return NotDelivered(f"{what} answered {status}", way_out, for_good=not passes,
                        retry_after=retry_after(headers.get("retry-after", ""), datetime.now(UTC)) if passes else None)


# -- webhooks -----------------------------------------------------------------------------------------------------


def signature(secret: str, at: int, body: bytes) -> str:
    """`t=1767000000,v1=…`: HMAC-SHA256 over the time, a dot and the body, so that neither can be exchanged."""
    digest = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"


def _is_address(url: str) -> bool:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        return False
    return parsed.scheme in ("http", "https") and bool(parsed.host)


def _body_of(notice: Notice) -> dict[str, Any]:
    body: dict[str, Any] = {"target": notice.target, "subject": notice.subject, "body": notice.body, "key": notice.key}
    # The address may hold a secret, and whoever reads the body has it already.
    about = {name: value for name, value in notice.data.items() if name not in ("address", "receipts", "tried")}
    return {**body, "about": about} if about else body


def _post(client: httpx.Client, url: str, notice: Notice, secret: str) -> None:
    """Post the notice; the address is in no message, it may hold a secret."""
    body = msgspec.json.encode(_body_of(notice))
    headers = {"Content-Type": "application/json", "Idempotency-Key": notice.key}
    if secret:
        headers["X-Mainstay-Signature"] = signature(secret, int(time.time()), body)
    try:
        # Only the status matters: what a receiver says beyond it is not read, however long it is.
        with client.stream("POST", url, content=body, headers=headers) as answer:
            status, said = answer.status_code, dict(answer.headers)
    except httpx.HTTPError as error:
        raise NotDelivered(f"the webhook did not answer: {type(error).__name__}", "check its address") from error
    if not 200 <= status < 300:
        raise refused("the webhook", status, said, "check its address")


class WebhookNotifier:
    """Posts each notice as JSON `{target, subject, body, key}` to one address; the key lets it drop a repeat.

    Args:
        url: where to post; only 2xx means accepted. Redirects are not followed.
        timeout: seconds until a silent receiver is given up.
    Raises:
        InvalidInput: the address is none; it is not in the message, it may hold a secret.
    """

    def __init__(self, url: str, timeout: float = 10.0) -> None:
        if not _is_address(url):
            raise InvalidInput("the webhook's address is not one", "write https://HOST/PATH in MAINSTAY_NOTIFY_URL")
        self._url = url
        self._client = httpx.Client(timeout=timeout)

    def send(self, notice: Notice) -> None:
        """Return when the receiver accepted it.

        Raises:
            NotDelivered: it did not.
        """
        _post(self._client, self._url, notice, "")


class HookNotifier:
    """Posts pages to the address of whoever is paged, or to the declared hook of that name, signed.

    Args:
        declared: the hooks, the secret that signs, the time-out.
        environ: where secrets named by environment variables are.
    """

    def __init__(self, declared: WebhookChannel, environ: Mapping[str, str] = os.environ) -> None:
        self._declared, self._environ = declared, environ

    @cached_property
    def _client(self) -> httpx.Client:
        # Made for the first page that goes this way: it reads every authority that certificates may be of.
        return httpx.Client(timeout=self._declared.timeout.total_seconds())

    def send(self, notice: Notice) -> None:
        """Return when the receiver accepted it.

        Raises:
            NotDelivered: it did not.
        """
        hook = self._declared.hooks.get(notice.target)
        url = notice.target if hook is None else secret_of(hook, self._environ, f"webhook {notice.target}")
        if not _is_address(url):
            raise NotDelivered("the webhook's address is not one", "write https://HOST/PATH, or the name of a hook",
                               for_good=True)
        secret = self._declared.secret
        _post(self._client, url, notice, secret_of(secret, self._environ, "webhook") if secret.named else "")
