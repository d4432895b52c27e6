"""Resilience for other people's programs: standard library only, importable alone, one class for all colours of calls.

    from mainstay.resilience import Breaker, Policy, Retry, Timeout

    auth = Policy("auth", Retry("auth"), Breaker("auth"), Timeout("auth", 0.25))

    @auth
    async def session(token: str) -> Session: ...

Each strategy is a decorator, a direct call (`auth.call(session, token)`) and, where a block can be protected, a block
(`with breaker.guard():`). The same object serves plain functions, threads and asyncio, and counts them together.
"""

from mainstay.resilience.adaptive import AdaptiveLimit, Aimd, Gradient, Vegas
from mainstay.resilience.breaker import Breaker, BreakerRule, LastCalls, LastSeconds
from mainstay.resilience.budget import Budget, current_try, mark_given_up, on_behalf_of_try
from mainstay.resilience.bulkhead import Bulkhead
from mainstay.resilience.condition import NEVER, TRANSIENT, Condition, raised, raised_where, returned
from mainstay.resilience.fallback import Fallback, LastGood
from mainstay.resilience.hedge import Hedge
from mainstay.resilience.metrics import CONTENT_TYPE, exposition
from mainstay.resilience.policy import USUAL_ORDER, Policy
from mainstay.resilience.rate import RateLimit
from mainstay.resilience.refusal import BreakerOpen, BulkheadFull, LimitReached, RateLimited, Refused, TimedOut
from mainstay.resilience.retry import Retry, RetryRule
from mainstay.resilience.runtime import ManualTime, Runtime
from mainstay.resilience.strategy import Event, Gate, Strategy
from mainstay.resilience.timeout import Timeout
from mainstay.resilience.waits import (
    Stop,
    Wait,
    after_seconds,
    after_tries,
    decorrelated,
    exponential,
    fixed,
    linear,
    never,
    uniform,
)
from mainstay.resilience.window import Tally

__all__ = [
    "CONTENT_TYPE", "NEVER", "TRANSIENT", "USUAL_ORDER", "AdaptiveLimit", "Aimd", "Breaker", "BreakerOpen",
    "BreakerRule", "Budget", "Bulkhead", "BulkheadFull", "Condition", "Event", "Fallback", "Gate", "Gradient", "Hedge",
    "LastCalls", "LastGood", "LastSeconds", "LimitReached", "ManualTime", "Policy", "RateLimit", "RateLimited",
    "Refused", "Retry", "RetryRule", "Runtime", "Stop", "Strategy", "Tally", "TimedOut", "Timeout", "Vegas", "Wait",
    "after_seconds", "after_tries", "current_try", "decorrelated", "exponential", "exposition", "fixed", "linear",
    "mark_given_up", "never", "on_behalf_of_try", "raised", "raised_where", "returned", "uniform",
]
