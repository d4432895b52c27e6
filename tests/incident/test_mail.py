"""E-mail, against a real SMTP server process: TLS, login, threads, refusals."""

from __future__ import annotations

import socket
import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest

from incident.rooms import Receiver, house, policy, reach
from mainstay.adapters.mail import EmailNotifier
from mainstay.kernel.channels import EmailChannel, SecretAt
from mainstay.kernel.errors import NotDelivered
from mainstay.kernel.people import Notice
from servers.nowhere import nobody_listens
from servers.smtp import PASSWORD, USER, MailServer, mail_server

ENVIRON = {"MAIL_PASSWORD": PASSWORD}


def notifier(server: MailServer, **more: object) -> EmailNotifier:
    settings: dict[str, object] = {"host": "localhost", "sender": "Mainstay <pager@mainstay.example>",
                                   "port": server.port, "tls": "none", "timeout": timedelta(seconds=60), **more}
    return EmailNotifier(EmailChannel(**settings), ENVIRON)  # type: ignore[arg-type]


def page(key: str = "page:INC-7:0:0:ana:email:2", incident: str = "INC-7", **more: object) -> Notice:
    return Notice("ana@example.com", f"SEV1 {incident}: checkout answers 500 & <b>", "checkout\nback", key, {
        "what": "page", "incident": incident, "opened": "2026-03-02T09:00:00+00:00", "urgency": "high",
        "link": "https://mainstay.example.com/incident/show?name=INC-7", **more})


def test_a_page_arrives_with_text_and_html_under_an_id_made_from_its_key(tmp_path: Path):
    with mail_server(tmp_path) as server:
        sent = notifier(server).send(page())
        notifier(server).send(page())
        notifier(server).send(page("page:INC-7:0:1:ben:email:4"))
        first, again, later = server.mails
    assert first["Subject"] == "SEV1 INC-7: checkout answers 500 & <b>"
    assert first["To"] == "ana@example.com"
    assert first["Auto-Submitted"] == "auto-generated"
    assert first["Importance"] == "high"
    assert first["Message-ID"] == again["Message-ID"] == sent["message_id"]
    assert later["Message-ID"] != first["Message-ID"]
    assert later["References"] == first["References"] == first["In-Reply-To"]
    text, html = first.get_body(("plain",)), first.get_body(("html",))
    assert text is not None
    assert html is not None
    assert text.get_content().splitlines()[:2] == ["checkout", "back"]
    assert "&amp; &lt;b&gt;" in html.get_content()
    assert 'href="https://mainstay.example.com/incident/show?name=INC-7"' in html.get_content()


def test_incidents_of_one_name_in_two_houses_are_two_threads(tmp_path: Path):
    with mail_server(tmp_path) as server:
        notifier(server).send(page())
        notifier(server).send(page("other", opened="2026-04-01T09:00:00+00:00"))
        first, other = server.mails
    assert first["References"] != other["References"]


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
def test_the_server_is_trusted_by_its_authority_and_takes_the_login(tmp_path: Path, tls: str):
    with mail_server(tmp_path, tls=tls, login=tls == "starttls") as server:
        login = {"user": USER, "password": SecretAt("MAIL_PASSWORD")} if tls == "starttls" else {}
        notifier(server, tls=tls, ca_file=str(server.certificate), **login).send(page())
        assert len(server.mails) == 1
        with pytest.raises(NotDelivered, match="cannot be trusted") as refused:
            notifier(server, tls=tls, **login).send(page())
        assert refused.value.for_good


def test_a_password_is_never_sent_where_there_is_no_tls(tmp_path: Path):
    with mail_server(tmp_path) as server, pytest.raises(NotDelivered, match="STARTTLS") as refused:
        notifier(server, tls="starttls", user=USER, password=SecretAt("MAIL_PASSWORD")).send(page())
    assert refused.value.for_good


def test_a_wrong_password_is_for_good_and_is_shown_nowhere(tmp_path: Path):
    with mail_server(tmp_path, tls="starttls", login=True) as server:
        declared = EmailChannel("localhost", "pager@mainstay.example", server.port, "starttls", USER,
                                SecretAt("MAIL_PASSWORD"), str(server.certificate), timedelta(seconds=60))
        with pytest.raises(NotDelivered, match="535") as refused:
            EmailNotifier(declared, {"MAIL_PASSWORD": "wr0ng-s3cret"}).send(page())
    assert refused.value.for_good
    assert "wr0ng" not in str(refused.value) + refused.value.way_out


@pytest.mark.parametrize(("where", "reply", "for_good"), [
    ("ana@example.com", "550 no such user", True), ("ana@example.com", "451 try later", False),
    ("*", "554 refused", True), ("*", "452 full", False)])
def test_what_a_server_refuses_is_for_good_when_it_says_five(tmp_path: Path, where: str, reply: str, for_good: bool):
    with mail_server(tmp_path, refuse={where: reply}) as server, pytest.raises(NotDelivered, match=reply) as refused:
        notifier(server).send(page())
    assert refused.value.for_good is for_good


@pytest.mark.parametrize("address", ["ana", "ana@x\nBcc: all@x", "Ana <ana@x>", "ana@x,ben@x", "a b@x", ""])
def test_what_is_no_address_is_refused_before_anybody_is_asked(address: str):
    with pytest.raises(NotDelivered, match="not an e-mail address") as refused:
        EmailNotifier(EmailChannel("127.0.0.1", "pager@x", 1), ENVIRON).send(
            Notice(address, "subject", "body", "key"))
    assert refused.value.for_good


def test_a_subject_cannot_add_headers(tmp_path: Path):
    with mail_server(tmp_path) as server:
        notifier(server).send(Notice("ana@example.com", "one\r\nBcc: all@example.com", "body", "key\r\nX: y"))
        [mail] = server.mails
    assert mail["Bcc"] is None
    assert mail["Subject"] == "one  Bcc: all@example.com"


def test_a_server_that_is_not_there_or_silent_is_tried_again():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        declared = EmailChannel("127.0.0.1", "pager@x", silent.getsockname()[1], "none", timeout=timedelta(seconds=0.3))
        begun = time.monotonic()
        with pytest.raises(NotDelivered, match="did not answer") as refused:
            EmailNotifier(declared).send(Notice("ana@x", "s", "b", "k"))
        assert time.monotonic() - begun < 8, "given up well before the ten seconds that are the default"
    assert not refused.value.for_good
    with nobody_listens() as port, pytest.raises(NotDelivered, match="did not answer"):
        EmailNotifier(EmailChannel("127.0.0.1", "pager@x", port, "none")).send(Notice("ana@x", "s", "b", "k"))


def test_a_server_that_hangs_up_after_it_took_the_mail_has_taken_it():
    """RFC 5321 lets a server close after its answer; sending again would be a second mail."""
    def talk(server: socket.socket) -> None:
        client, _ = server.accept()
        with client, client.makefile("rwb") as lines:
            for reply in ("220 hello", "250 hello", "250 sender", "250 recipient", "354 go on"):
                lines.write(f"{reply}\r\n".encode())
                lines.flush()
                lines.readline()
            while lines.readline() != b".\r\n":
                pass
            lines.write(b"250 taken\r\n")
            lines.flush()

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=talk, args=(server,))
        thread.start()
        EmailNotifier(EmailChannel("127.0.0.1", "pager@x", server.getsockname()[1], "none",
                                   timeout=timedelta(seconds=60))).send(Notice("ana@x", "s", "b", "k"))
        thread.join()


def test_a_mailbox_that_is_gone_sends_the_page_to_the_next_contact(tmp_path: Path):
    chat = Receiver()
    with mail_server(tmp_path, refuse={"ana@example.com": "550 gone"}) as server:
        here = house({"email": notifier(server), "chat": chat}, {
            "ana": (reach("email", "ana@example.com"), reach("chat", "UANA", "10m"))}, steps=policy("rotation:first"))
        here.fires()
        here.run(seconds=1)
    assert [notice.target for notice in chat.got] == ["UANA"]
