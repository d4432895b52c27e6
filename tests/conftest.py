"""What every test run begins with and says at its end: how many tests could not run here, and why."""

from __future__ import annotations

import signal
from collections import Counter

import pytest
from hypothesis import HealthCheck, settings

# A run that says no by chance or because the machine is busy says nothing: by default the same examples are drawn every
# time, and nothing is timed. `--hypothesis-profile=explore` draws new ones.
settings.register_profile("explore", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("steady", settings.get_profile("explore"), derandomize=True)
settings.load_profile("steady")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update", action="store_true", help="write what the transcripts of tests/scenarios now print")


def pytest_configure() -> None:
    # A run in the background or under nohup has these ignored, and so would have whatever the tests start. What has a
    # handler is not handed down: the run itself stays deaf to a hang-up, as it was asked to be.
    heard = ((signal.SIGINT, signal.default_int_handler), (signal.SIGQUIT, signal.SIG_DFL),
             (signal.SIGHUP, lambda *_: None))
    for number, handler in heard:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reasons: Counter[str] = Counter()
    for report in terminalreporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        reasons[reason.removeprefix("Skipped: ")] += 1
    if reasons:
        terminalreporter.write_line(f"\n{sum(reasons.values())} tests did not run here:")
        for reason, count in reasons.most_common():
            terminalreporter.write_line(f"  {count:>4} × {reason}")
