"""What can stop a run. One drawn tree; every leaf has a stable code and says the way out.

    MainstayError                exit 2
    ├── InvalidInput             exit 2   what the user wrote cannot be used
    │   └── InvalidFiles         exit 2   the same, with findings (file:line:column)
    ├── NotFound                 exit 2   a name that nothing carries
    ├── Conflict                 exit 2   the act contradicts what is already recorded
    ├── NotAllowed               exit 2   the actor may not do this
    ├── NoData                   exit 3   nothing was measured, so nothing can be said
    ├── SourceUnavailable        exit 2   something outside did not answer as it must
    │   └── NotDelivered         exit 2   a channel did not take what people were to be told
    ├── StoreUnavailable         exit 2   the journal or ledger cannot be read or written
    └── MissingExtra             exit 2   an optional dependency is not installed

Mistakes in the user's files are `Finding`s; our own mistakes are assertions. There is no fourth kind.
"""

from __future__ import annotations


class MainstayError(Exception):
    """The run could not go on; the message says what happened, `way_out` what to do about it."""

    code = "mainstay"
    exit_code = 2
    http_status = 500

    def __init__(self, message: str, way_out: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.way_out = way_out


class InvalidInput(MainstayError):
    """What the user wrote on the command line, in a request or in a file cannot be used."""

    code = "invalid-input"
    http_status = 400


class NotFound(MainstayError):
    """A name was asked for that nothing carries."""

    code = "not-found"
    http_status = 404


class Conflict(MainstayError):
    """The act contradicts what is already recorded."""

    code = "conflict"
    http_status = 409


class NotAllowed(MainstayError):
    """The actor may not do this."""

    code = "not-allowed"
    http_status = 403


class NoData(MainstayError):
    """Nothing was measured, so nothing can be said; never rendered as 0 or 100 %."""

    code = "no-data"
    exit_code = 3
    http_status = 404


class SourceUnavailable(MainstayError):
    """A source of numbers did not answer as it must: down, slow, refusing or nonsensical."""

    code = "source-unavailable"
    http_status = 502


class NotDelivered(SourceUnavailable):
    """A channel did not take what somebody was to be told.

    Args:
        retry_after: seconds after which the channel wants to be asked again; None leaves that to the sender.
        for_good: asking again is of no use: the address is wrong, or the channel refuses the message itself.
    """

    code = "not-delivered"

    def __init__(self, message: str, way_out: str = "", *, retry_after: float | None = None,
                 for_good: bool = False) -> None:
        super().__init__(message, way_out)
        self.retry_after, self.for_good = retry_after, for_good


class StoreUnavailable(MainstayError):
    """The journal or the ledger cannot be read or written."""

    code = "store-unavailable"
    http_status = 503


class MissingExtra(MainstayError):
    """A command needs an optional dependency that is not installed."""

    code = "missing-extra"
    http_status = 501

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs an optional part of Mainstay that is not installed",
                         f'pip install "mainstay[{extra}]"')
