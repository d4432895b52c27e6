"""A real SMTP server (aiosmtpd) as a process of its own: it takes mail into a folder, one file a message.

Started with arguments by `mail_server`; what it refuses is said there. Its command loop is aiosmtpd's own.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any, cast

import pytest

USER, PASSWORD = "pager", "s3cret-mail"


@dataclass(frozen=True)
class MailServer:
    """A running server, and what it took."""

    port: int
    folder: Path
    certificate: Path | None

    @property
    def mails(self) -> list[EmailMessage]:
        return [cast(EmailMessage, message_from_bytes(path.read_bytes(), policy=default))
                for path in sorted(self.folder.glob("*.eml"))]


@contextlib.contextmanager
def mail_server(folder: Path, *, tls: str = "none", login: bool = False, refuse: dict[str, str] | None = None,
                pause: float = 0.0) -> Iterator[MailServer]:
    """The server on a free port of this machine until the block ends.

    Args:
        tls: `none`, `starttls` or `implicit`, with a certificate for localhost made on the spot.
        refuse: recipient → reply to RCPT, such as `550 no such user`; `*` for the end of DATA.
        pause: seconds before every reply to DATA.
    """
    pytest.importorskip("aiosmtpd", reason="aiosmtpd is not installed")
    folder.mkdir(parents=True, exist_ok=True)
    certificate = _certificate(folder) if tls != "none" else None
    asked = {"folder": str(folder), "tls": tls, "login": login, "refuse": refuse or {}, "pause": pause}
    process = subprocess.Popen([sys.executable, __file__, json.dumps(asked)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line.strip().isdigit(), "the mail server did not start"
        yield MailServer(int(line), folder, certificate)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


def _certificate(folder: Path) -> Path:
    from programs import need

    made = folder / "localhost.pem"
    subprocess.run([need("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                    "-nodes", "-days", "2", "-keyout", str(folder / "key.pem"), "-out", str(made), "-subj",
                    "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"], check=True,
                   capture_output=True)
    return made


def serve(asked: dict[str, Any]) -> None:
    """The process: prints its port, then serves until it is told to end."""
    from aiosmtpd.smtp import SMTP, AuthResult

    folder = Path(asked["folder"])

    class Handler:
        async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:  # noqa: N802
            if address in asked["refuse"]:
                return str(asked["refuse"][address])
            envelope.rcpt_tos.append(address)
            return "250 OK"

        async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
            await asyncio.sleep(asked["pause"])
            if "*" in asked["refuse"]:
                return str(asked["refuse"]["*"])
            name = f"{time.time_ns()}.eml"
            (folder / f"{name}.part").write_bytes(envelope.content)
            (folder / f"{name}.part").rename(folder / name)
            return "250 taken"

    def authenticate(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        right = (data.login, data.password) == (USER.encode(), PASSWORD.encode())
        return AuthResult(success=right, handled=False)  # not handled: the server itself answers 235 or 535

    context = None
    if asked["tls"] != "none":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "localhost.pem", folder / "key.pem")
    async def run() -> None:
        loop, over = asyncio.get_running_loop(), asyncio.Event()
        server = await loop.create_server(lambda: SMTP(
            Handler(), hostname="localhost", tls_context=context if asked["tls"] == "starttls" else None,
            require_starttls=asked["tls"] == "starttls", authenticator=authenticate, auth_required=asked["login"],
            auth_require_tls=asked["tls"] == "starttls"), "127.0.0.1", 0,
            ssl=context if asked["tls"] == "implicit" else None)
        loop.add_signal_handler(signal.SIGTERM, over.set)
        sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
        sys.stdout.flush()
        await over.wait()
        server.close()

    asyncio.run(run())


if __name__ == "__main__":
    serve(json.loads(sys.argv[1]))
