"""What strategies raise of their own. Everything else that a protected call raises passes through untouched."""

from __future__ import annotations


class Refused(Exception):
    """A call was not made: the strategy answered for it, at once. Nothing was sent to the dependency.

    Args:
        strategy: the name of the strategy that refused.
        reason: a sentence for people.
        retry_after: seconds until asking again may help; None when nobody knows.
    """

    def __init__(self, strategy: str, reason: str, retry_after: float | None = None) -> None:
        # Without `super().__init__`: `__new__` has kept the arguments, and a refusal has to be quick.
        self.strategy, self.reason, self.retry_after = strategy, reason, retry_after

    def __reduce__(self) -> tuple[type[Refused], tuple[str, str, float | None]]:
        return type(self), (self.strategy, self.reason, self.retry_after)

    def __str__(self) -> str:
        later = "" if self.retry_after is None else f"; ask again in {self.retry_after:.3g} s"
        return f"{self.strategy}: {self.reason}{later}"


class BreakerOpen(Refused):
    """The breaker holds calls back: the dependency failed too often, or an operator forced it open."""


class BulkheadFull(Refused):
    """As many calls as allowed are running, and the queue is full or the wait for a place was too long."""


class RateLimited(Refused):
    """The rate is used up, and the next free moment is later than the call may wait."""


class LimitReached(Refused):
    """As many calls run as the adaptive limit holds to be good for the dependency."""


class TimedOut(TimeoutError):
    """The time for a call was over before it ended.

    Args:
        strategy: the name of the strategy that ended it.
        seconds: how long the call was given.
    """

    def __init__(self, strategy: str, seconds: float) -> None:
        super().__init__(strategy, seconds)
        self.strategy, self.seconds = strategy, seconds

    def __str__(self) -> str:
        return f"{self.strategy}: no answer within {self.seconds:g} s"
