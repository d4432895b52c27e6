"""What can be read of channels: `mainstay/v1` Channels, and what is checked about them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Literal, cast

from mainstay.incident.severity import WORDS
from mainstay.incident.spec import EscalationPolicy
from mainstay.kernel.catalog import Catalog, Form
from mainstay.kernel.channels import (
    TIME_OUT,
    TOGETHER,
    Channels,
    EmailChannel,
    PagerDutyChannel,
    RoomRule,
    SecretAt,
    SlackChannel,
    WebhookChannel,
    undeclared,
)
from mainstay.kernel.finding import Finding, Severity
from mainstay.kernel.metadata import read_metadata
from mainstay.kernel.reader import Reader

_TLS = ("starttls", "implicit", "none")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def read_channels(reader: Reader) -> Iterator[Channels]:
    """mainstay/v1 Channels."""
    meta = read_metadata(reader)
    spec = reader.child("spec", required=True)
    reader.done()
    if spec is None:
        return
    url = _address(spec, "url")
    slack, email = spec.child("slack"), spec.child("email")
    webhook, pagerduty = spec.child("webhook"), spec.child("pagerduty")
    read = (_slack(slack) if slack else None, _email(email) if email else None,
            _webhook(webhook) if webhook else WebhookChannel(), _pagerduty(pagerduty) if pagerduty else None)
    spec.done()
    if meta.name:
        yield Channels(meta.name, meta.origin, url.rstrip("/"), *read)


def _slack(reader: Reader) -> SlackChannel | None:
    token = _secret(reader, "token", required=True)
    signing = _secret(reader, "signing_secret")
    base_url = _address(reader, "base_url") or "https://slack.com/api/"
    timeout = _timeout(reader)
    room = reader.child("room")
    rule = _room(room) if room is not None else None
    reader.done()
    return SlackChannel(token, signing, base_url.rstrip("/") + "/", timeout, rule) if token.named else None


def _room(reader: Reader) -> RoomRule:
    severities = []
    for word in reader.texts("severities"):
        found = WORDS.get(word.lower())
        if found is None:
            reader.report("unknown-value", f'{reader.field("severities")} holds "{word}"',
                          "write SEV1, SEV2, SEV3 or SEV4", "severities")
        else:
            severities.append(str(found))
    default = RoomRule()
    invite = reader.texts("invite")
    private, archive = reader.flag("private"), reader.flag("archive", default=True)
    reader.done()
    return RoomRule(frozenset(severities) or default.severities, invite, private, archive)


def _email(reader: Reader) -> EmailChannel | None:
    host, sender = reader.text("host", required=True), reader.text("from", required=True)
    tls = reader.text("tls", one_of=_TLS, default="starttls")
    port = reader.whole("port", minimum=1, maximum=65_535)
    user = reader.text("user", default="")
    password = _secret(reader, "password", required=bool(user))
    ca_file, timeout = reader.text("ca_file", default=""), _timeout(reader)
    reader.done()
    if sender is not None and ("@" not in sender or "\n" in sender):
        reader.report("invalid-value", f'{reader.field("from")} is "{sender}"', "write Mainstay <pager@example.com>",
                      "from")
        return None
    if user and tls == "none" and host not in _LOOPBACK:
        reader.report("invalid-value", f"{reader.path} would send a password in the clear", "write tls: starttls",
                      "tls")
        return None
    if host is None or sender is None:
        return None
    return EmailChannel(host, sender, port or {"implicit": 465, "none": 25}.get(tls, 587),
                        cast(Literal["starttls", "implicit", "none"], tls), user, password, ca_file, timeout)


def _webhook(reader: Reader) -> WebhookChannel:
    out = WebhookChannel(_secret(reader, "secret"), _named(reader, "hooks", "url"), _timeout(reader))
    reader.done()
    return out


def _pagerduty(reader: Reader) -> PagerDutyChannel | None:
    services = _named(reader, "services", "routing_key", required=True)
    url, timeout = _address(reader, "url") or "https://events.pagerduty.com", _timeout(reader)
    reader.done()
    return PagerDutyChannel(services, url.rstrip("/"), timeout) if services else None


def _named(reader: Reader, key: str, secret: str, *, required: bool = False) -> Mapping[str, SecretAt]:
    """A list of names, each with where its secret is."""
    found: dict[str, SecretAt] = {}
    for child in reader.children(key, required=required):
        name, at = child.text("name", required=True), _secret(child, secret, required=True)
        child.done()
        if name in found:
            child.report("duplicate-name", f'"{name}" stands twice', "rename one of the two", "name")
        elif name and at.named:
            found[name] = at
    return found


def _secret(reader: Reader, key: str, *, required: bool = False) -> SecretAt:
    """`KEY_env: NAME` or `KEY_file: PATH`. The secret itself in a catalog is a mistake that is not shown."""
    if reader.has(key):
        reader.ignore(key)
        reader.findings.append(Finding(
            "secret-in-file", reader.where_of(key), f"{reader.field(key)} holds a secret",
            f"write {key}_env: NAME or {key}_file: PATH, and take the secret out of the file's history", hidden=True))
        required = False
    env, file = reader.text(f"{key}_env", default=""), reader.text(f"{key}_file", default="")
    if env and file:
        reader.report("invalid-value", f"{reader.path} says twice where its {key} is", "keep one of the two",
                      f"{key}_file")
    if required and not env and not file:
        reader.report("missing-field", f"{reader.path} does not say where its {key} is", f"add {key}_env: NAME")
    return SecretAt(env, file)


def _address(reader: Reader, key: str) -> str:
    url = reader.text(key, default="")
    if url and not url.startswith(("https://", "http://")):
        reader.report("invalid-value", f'{reader.field(key)} is "{url}"', "write https://HOST", key)
        return ""
    return url


def _timeout(reader: Reader) -> timedelta:
    timeout = reader.duration("timeout") or TIME_OUT
    if timeout > TOGETHER / 2:
        reader.report("out-of-range", f"{reader.field('timeout')} is longer than a message may take",
                      f"write {TOGETHER.total_seconds() / 2:.0f}s or less", "timeout")
    return timeout


def check(catalog: Catalog) -> Iterator[Finding]:
    """One set of channels; a channel that a policy pages can be sent to."""
    declared = catalog.of(Channels)
    for extra in declared[1:]:
        yield Finding("duplicate-channels", extra.origin, f'"{extra.name}" declares channels again, beside '
                      f'"{declared[0].name}"', "put them into one document")
    policies = catalog.of(EscalationPolicy)
    if policies and not declared:
        yield Finding("no-channels", policies[0].origin, "no Channels document is declared: pages reach webhooks and "
                      "the server's terminal only", "declare kind: Channels with slack, email or pagerduty", "",
                      Severity.HINT)
    for policy in policies:
        for to in dict.fromkeys((*policy.fallback, *(one for step in policy.steps for one in step.addressees))):
            channel, _, address = to.name.partition(":")
            why = undeclared(next(iter(declared), None), channel, address) if to.kind == "channel" else ""
            if why:
                yield Finding("no-such-channel", policy.origin, f'"{policy.name}" pages {to}, and {why}',
                              "declare it in a Channels document, or page rotation:NAME or person:NAME", "",
                              Severity.WARNING)


FORM = Form("mainstay/v1 Channels", read_channels, "mainstay/v1", "Channels")
