"""E-mail through an SMTP server: one message a page, threads by incident.

A page has the same Message-ID at every try, made from its key, so that mail programs that know the message already show
it once. All mails about an incident answer to one root, so that they stand together.
"""

from __future__ import annotations

import hashlib
import html
import os
import smtplib
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr

from mainstay.adapters.notifiers import one_line, secret_of
from mainstay.kernel.channels import TOGETHER, EmailChannel
from mainstay.kernel.errors import NotDelivered
from mainstay.kernel.journal import Data
from mainstay.kernel.people import Notice

_SHOWN = 200
"""How much of a server's own words is repeated."""
_GOODBYE = 2.0
"""Seconds a server gets to answer QUIT; the mail is taken by then."""


class EmailNotifier:
    """Sends each notice as a mail.

    Args:
        declared: the server, how it is trusted, who sends.
        environ: where secrets named by environment variables are.
    """

    def __init__(self, declared: EmailChannel, environ: Mapping[str, str] = os.environ) -> None:
        self._declared, self._environ = declared, environ

    def send(self, notice: Notice) -> Data:
        """Return when the server has taken the mail over: its answer to the end of the message.

        Raises:
            NotDelivered: it has not.
        """
        message = mail_of(notice, self._declared.sender, datetime.now(UTC))
        until = time.monotonic() + TOGETHER.total_seconds()
        with _translated(self._declared.host):
            server = self._open(until)
            try:
                _hurry(server, until)
                _demand(server.mail(parseaddr(self._declared.sender)[1]))
                _hurry(server, until)
                _demand(server.rcpt(notice.target))
                _hurry(server, until)
                _demand(server.data(message.as_bytes(policy=SMTP)))
                with suppress(smtplib.SMTPException, OSError):
                    _hurry(server, time.monotonic() + _GOODBYE)
                    server.docmd("QUIT")
            finally:
                server.close()
        return {"message_id": str(message["Message-ID"])}

    def _open(self, until: float) -> smtplib.SMTP:
        """A connection that is trusted and logged in as declared."""
        declared, seconds = self._declared, self._declared.timeout.total_seconds()
        password = secret_of(declared.password, self._environ, "email") if declared.user else ""
        trust = ssl.create_default_context(cafile=declared.ca_file or None) if declared.tls != "none" else None
        server = smtplib.SMTP_SSL(declared.host, declared.port, timeout=seconds, context=trust) \
            if declared.tls == "implicit" else smtplib.SMTP(declared.host, declared.port, timeout=seconds)
        try:
            if declared.tls == "starttls":
                _hurry(server, until)
                server.starttls(context=trust)
            _hurry(server, until)
            server.ehlo_or_helo_if_needed()
            if declared.user:
                _hurry(server, until)
                server.login(declared.user, password)
        except BaseException:
            server.close()
            raise
        return server


def _hurry(server: smtplib.SMTP, until: float) -> None:
    """Give the next command its own time-out, or what is left for the whole mail where that is less."""
    left = until - time.monotonic()
    if left <= 0 or server.sock is None:
        raise TimeoutError("no time is left")
    server.sock.settimeout(min(server.sock.gettimeout() or left, left))


def _demand(answer: tuple[int, bytes]) -> None:
    code, said = answer
    if not 200 <= code < 300:
        raise smtplib.SMTPResponseException(code, said)


@contextmanager
def _translated(host: str) -> Iterator[None]:
    """SMTP's own errors as ours: a first digit of 4 passes, 5 is for good (RFC 5321, 4.2.1)."""
    where = f"the mail server {host}"
    try:
        yield
    except smtplib.SMTPAuthenticationError as error:
        raise NotDelivered(f"{where} does not take the login ({error.smtp_code})", "check user and password",
                           for_good=error.smtp_code >= 500) from error
    except smtplib.SMTPResponseException as error:
        said = error.smtp_error.decode(errors="replace") if isinstance(error.smtp_error, bytes) else error.smtp_error
        raise NotDelivered(f"{where} answered {error.smtp_code} {one_line(said)[:_SHOWN]}", "see what it says",
                           for_good=error.smtp_code >= 500) from error
    except smtplib.SMTPNotSupportedError as error:
        raise NotDelivered(f"{where} does not offer what is asked of it: {error}", "check tls: and user:",
                           for_good=True) from error
    except ssl.SSLCertVerificationError as error:
        raise NotDelivered(f"{where} cannot be trusted: {error.verify_message}", "name its authority: ca_file: PATH",
                           for_good=True) from error
    except (smtplib.SMTPException, OSError) as error:
        raise NotDelivered(f"{where} did not answer: {type(error).__name__}", "check that this machine reaches it") \
            from error


def mail_of(notice: Notice, sender: str, now: datetime) -> EmailMessage:
    """The notice as a mail: plain text, the same as HTML, and headers that thread it.

    Raises:
        NotDelivered: the address is not one a mail can go to.
    """
    name, address = parseaddr(notice.target)
    if address != notice.target or name or address.count("@") != 1 or not address.isprintable() or " " in address:
        raise NotDelivered(f'"{one_line(notice.target)}" is not an e-mail address', "write ana@example.com",
                           for_good=True)
    domain = parseaddr(sender)[1].rpartition("@")[2]
    mail = EmailMessage()
    mail["From"], mail["To"] = sender, notice.target
    mail["Subject"] = one_line(notice.subject)
    mail["Date"] = format_datetime(now)
    mail["Message-ID"] = f"<{_digest(notice.key)}@{domain}>"
    if "incident" in notice.data:
        root = f"<{_digest(notice.data['incident'], str(notice.data.get('opened', '')))}@{domain}>"
        mail["In-Reply-To"] = mail["References"] = root
    # RFC 3834: holiday replies must not answer a pager.
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-Mainstay-Key"] = one_line(notice.key)
    if notice.data.get("urgency") == "high":
        mail["Importance"] = "high"
    mail.set_content(notice.body + "\n")
    mail.add_alternative(_html_of(notice), subtype="html")
    return mail


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def _html_of(notice: Notice) -> str:
    data = notice.data
    link = str(data.get("link", ""))
    button = (f'<p><a href="{html.escape(link)}" style="display:inline-block;padding:10px 16px;background:#1f4e8c;'
              f'color:#fff;text-decoration:none;border-radius:4px">Open {html.escape(str(data["incident"]))}</a></p>') \
        if link else ""
    text = "<br>".join(html.escape(line) for line in notice.body.splitlines() if line != link)
    return ('<div style="font:16px/1.5 system-ui,sans-serif;max-width:640px">'
            f'<h2 style="font-size:20px;margin:0 0 8px">{html.escape(notice.subject)}</h2><p>{text}</p>{button}</div>')
