"""What every test run begins with and says at its end: how many tests could not run here, and why."""

from __future__ import annotations

import signal
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# A run that says no by chance or because the machine is busy says nothing: by default the same examples are drawn every
# time, and nothing is timed. `--hypothesis-profile=explore` draws new ones.
settings.register_profile("explore", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("steady", settings.get_profile("explore"), derandomize=True)
settings.load_profile("steady")


# What a busy machine makes fail gets a second try, which the run's last lines name (decision 0028). These do not: there
# it is by chance that a fault shows, so that one failure in many tries is the finding.
_ONE_TRY = ("crash", "kernel", "resilience", "stats")
_MOST_SECOND_TRIES = 10
"""A run with more of them says no: that is no accident any more."""


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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        words = Path(item.path).relative_to(Path(__file__).parent).parts
        if words[0] not in _ONE_TRY and "hypothesis" not in item.keywords:
            item.add_marker(pytest.mark.flaky(reruns=1))


def _second_tries(config: pytest.Config) -> dict[str, str]:
    """Each test that was tried again, and what its first try failed of."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    reports = reporter.stats.get("rerun", []) if reporter else []
    return {report.nodeid: getattr(getattr(report.longrepr, "reprcrash", None), "message", str(report.longrepr))
            for report in reports}


def pytest_sessionfinish(session: pytest.Session) -> None:
    if session.exitstatus == pytest.ExitCode.OK and len(_second_tries(session.config)) > _MOST_SECOND_TRIES:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if again := _second_tries(terminalreporter.config):
        terminalreporter.write_line(f"\n{len(again)} tests had a second try (at most {_MOST_SECOND_TRIES} may):")
        for name, why in again.items():
            terminalreporter.write_line(f"  {name}: {why.splitlines()[0]}")
    reasons: Counter[str] = Counter()
    for report in terminalreporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        reasons[reason.removeprefix("Skipped: ")] += 1
    if reasons:
        terminalreporter.write_line(f"\n{sum(reasons.values())} tests did not run here:")
        for reason, count in reasons.most_common():
            terminalreporter.write_line(f"  {count:>4} × {reason}")
