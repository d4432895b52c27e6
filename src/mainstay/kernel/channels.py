"""Channels as a catalog declares them: where people are reached. Secrets are named here, never held."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import timedelta
from typing import Literal

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.finding import Position

CHANNELS = ("slack", "email", "webhook", "pagerduty", "terminal")
"""Every way to reach somebody. The terminal is always there; a webhook needs nothing but its address."""

TIME_OUT = timedelta(seconds=10)
"""What one question to a channel may take when nothing else is said; all questions of one message together take no
longer than `TOGETHER`, which is shorter than the time for which a sender holds a message."""

TOGETHER = timedelta(seconds=40)


@dataclass(frozen=True, slots=True)
class SecretAt:
    """Where a secret is: an environment variable, or a file whose first line it is. Both empty: there is none."""

    env: str = ""
    file: str = ""

    @property
    def named(self) -> bool:
        """Whether it is said where the secret is."""
        return bool(self.env or self.file)


@dataclass(frozen=True, slots=True)
class RoomRule:
    """Which incidents get a war room, and what it is like.

    Args:
        severities: `SEV1`, `SEV2` …
        invite: people who are invited to every room, besides those with a role and those who were paged.
        private: whether only those invited see it.
        archive: whether it is archived when the incident is resolved.
    """

    severities: frozenset[str] = frozenset({"SEV1", "SEV2"})
    invite: tuple[str, ...] = ()
    private: bool = False
    archive: bool = True


@dataclass(frozen=True, slots=True)
class SlackChannel:
    """A Slack workspace.

    Args:
        token: of the bot, `xoxb-…`.
        signing_secret: proves that a pressed button comes from Slack; without it buttons are not shown.
        room: None opens no war rooms.
    """

    token: SecretAt
    signing_secret: SecretAt = SecretAt()
    base_url: str = "https://slack.com/api/"
    timeout: timedelta = TIME_OUT
    room: RoomRule | None = None


@dataclass(frozen=True, slots=True)
class EmailChannel:
    """A mail server that takes mail for anybody.

    Args:
        tls: `starttls` refuses to go on in the clear, `implicit` is TLS from the first byte, `none` is for a relay on
            this machine.
        user: empty sends without logging in.
        sender: the From address, `Mainstay <pager@example.com>`.
    """

    host: str
    sender: str
    port: int = 587
    tls: Literal["starttls", "implicit", "none"] = "starttls"
    user: str = ""
    password: SecretAt = SecretAt()
    ca_file: str = ""
    timeout: timedelta = TIME_OUT


@dataclass(frozen=True, slots=True)
class WebhookChannel:
    """Receivers of JSON.

    Args:
        secret: signs every body, so that a receiver knows who sent it.
        hooks: names that contacts may give in place of an address that is itself a secret.
    """

    secret: SecretAt = SecretAt()
    hooks: Mapping[str, SecretAt] = field(default_factory=dict)
    timeout: timedelta = TIME_OUT


@dataclass(frozen=True, slots=True)
class PagerDutyChannel:
    """PagerDuty's Events API v2.

    Args:
        services: the names that contacts give, each with where its routing key is.
    """

    services: Mapping[str, SecretAt]
    url: str = "https://events.pagerduty.com"
    timeout: timedelta = TIME_OUT


@dataclass(frozen=True, slots=True)
class Channels:
    """All of a catalog's channels; it has at most one of these.

    Args:
        url: where people reach the pages of this Mainstay, for the links in messages; empty leaves links out.
    """

    name: str
    origin: Position
    url: str = ""
    slack: SlackChannel | None = None
    email: EmailChannel | None = None
    webhook: WebhookChannel = field(default_factory=WebhookChannel)
    pagerduty: PagerDutyChannel | None = None

    def has(self, channel: str) -> bool:
        """Whether a message to that channel can be sent."""
        return channel in ("terminal", "webhook") or (channel in CHANNELS and getattr(self, channel) is not None)

    def link(self, incident: str) -> str:
        """The page of an incident, or the empty text."""
        return f"{self.url}/incident/show?name={incident}" if self.url else ""


def undeclared(declared: Channels | None, channel: str, address: str) -> str:
    """Why a message to that address could not be sent, or the empty text; `check` says it before anybody is paged."""
    if channel not in CHANNELS:
        return f'there is no channel "{channel}"'
    if channel not in ("terminal", "webhook") and (declared is None or not declared.has(channel)):
        return f"no Channels document declares {channel}"
    if declared is not None and channel == "pagerduty" and declared.pagerduty is not None \
            and address not in declared.pagerduty.services:
        return f'pagerduty has no service "{address}"'
    if channel == "webhook" and not address.startswith(("https://", "http://")) and (
            declared is None or address not in declared.webhook.hooks):
        return "the webhook is neither an address nor the name of a declared hook"
    return ""
