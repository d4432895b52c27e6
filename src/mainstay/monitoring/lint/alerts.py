"""Alerts as people meet them: can it fire, does it wait, does it say what to do and who does it.

Sources: the SRE Book, ch. 6 (symptoms, not causes); Prometheus documentation, "Alerting rules" and best practices.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from mainstay.kernel.finding import Severity
from mainstay.monitoring.lint.flaw import Flaw
from mainstay.monitoring.lint.query import Query, written_duration
from mainstay.monitoring.lint.rulefile import Rule
from mainstay.monitoring.lint.shape import branches, constant, windows
from mainstay.monitoring.lint.tree import COMPARISONS, Aggregate, Binary, Call, Expr, Number, Selector, bare, every

PAGING = frozenset({"critical", "page", "pager", "emergency", "p0", "p1", "sev1", "high", "fatal"})
_RUNBOOKS = ("runbook_url", "runbook", "runbook_link", "playbook", "playbook_url")
_OWNERS = ("team", "owner", "squad", "service_owner", "routing_team")
_RUNS_OUT = re.compile(r"expir|_ttl|not_after|timestamp|certificate", re.IGNORECASE)
"""Metrics that only run down: one sample of them is as good as ten minutes."""
_OF_EVENTS = frozenset({"increase", "changes", "resets", "delta"})
"""What these count has happened: to wait whether it goes on happening makes no sense."""
_WATCHDOGS = re.compile(r"watchdog|dead_?man|heartbeat|always_?firing|inhibitor", re.IGNORECASE)


def check_firing(query: Query) -> Iterator[Flaw]:
    """Alerts that fire whenever their series exist."""
    rule = query.rule
    if not rule.alert or _WATCHDOGS.search(rule.name.text):
        return
    for branch in branches(query.tree):
        node = bare(branch)
        if isinstance(node, Binary) and node.op in COMPARISONS and node.as_bool:
            found = re.compile(r"bool\s*", re.IGNORECASE).search(rule.expr.text, node.op_end)
            edits = (query.edit(found.start(), found.end(), ""),) if found else ()
            yield query.flaw("bool-in-alert", node.op_start, "with bool the comparison gives 0 or 1 and never "
                             "nothing: the alert fires always", "remove bool", *edits)
        elif not _can_be_empty(node):
            yield query.flaw("no-condition", node, "nothing is compared: the alert fires as long as there are series",
                             "compare with a threshold: … > 0")


def _can_be_empty(node: Expr) -> bool:
    """Whether the expression can be empty while its series are there."""
    if isinstance(node, Selector):
        return node.name == "ALERTS"
    for one in every(node):
        if isinstance(one, Binary) and (one.op in ("and", "unless") or (one.op in COMPARISONS and not one.as_bool)):
            return True
        if isinstance(one, Call) and one.name in ("absent", "absent_over_time"):
            return True
        if isinstance(one, Binary) and one.op != "or" and constant(one.left) is None \
                and constant(one.right) is None:
            # Sides that meet only sometimes: a join used as a condition.
            return True
    # A metric that says a state by being there.
    return isinstance(node, Selector | Aggregate) and any(
        isinstance(one, Selector) and one.name.startswith("ALERTS") for one in every(node))


def check_waiting(query: Query) -> Iterator[Flaw]:
    """`for`: missing, without effect, or shorter than one evaluation."""
    rule = query.rule
    if not rule.alert or _WATCHDOGS.search(rule.name.text):
        return
    interval = rule.interval or query.settings.interval
    absent = any(isinstance(one, Call) and one.name == "absent" for one in query.parts)
    if rule.hold is None or rule.hold == 0:
        if rule.hold == 0 and rule.hold_at is not None:
            yield Flaw("for-of-zero", rule.expr.source, (rule.hold_at, 0), "for: 0 is what holds anyway",
                       "remove it, or write how long the condition must last", severity=Severity.HINT)
        if absent:
            yield query.flaw("no-for", _first(query, "absent"), "absent without for: one late scrape or a restart of "
                             "Prometheus fires it", "add for: 5m")
        elif not any(seconds >= 300 for seconds in windows(query.tree)) \
                and not any(one.name in _OF_EVENTS for one in query.calls) \
                and not any(_RUNS_OUT.search(one.name) for one in query.selectors):
            yield Flaw("no-for", rule.expr.source, (rule.name, 0), "the alert has no for and no window: one odd sample "
                       "fires it", "add for: 5m, or look at a window: avg_over_time(…[5m])",
                       severity=None if _pages(rule) else Severity.HINT)
    elif rule.hold < interval and rule.hold_at is not None:
        yield Flaw("for-below-interval", rule.expr.source, (rule.hold_at, 0), f"for: {rule.hold_at.text} is shorter "
                   f"than the {written_duration(interval)} between evaluations: it waits a whole one anyway",
                   f"write for: {written_duration(interval)} or more",
                   severity=None if rule.interval is not None else Severity.HINT)


def _first(query: Query, name: str) -> Expr:
    return next(one for one in query.parts if isinstance(one, Call) and one.name == name)


def _pages(rule: Rule) -> bool:
    return any(text.text.lower() in PAGING for key, text in rule.labels.items() if key.endswith("severity"))


def check_words(query: Query) -> Iterator[Flaw]:
    """What an alert must say to whoever it wakes: severity, summary, runbook, owner."""
    rule = query.rule
    if not rule.alert or _WATCHDOGS.search(rule.name.text):
        return
    source, at = rule.expr.source, (rule.name, 0)
    if not any(key.endswith(("severity", "priority", "level")) for key in rule.labels):
        yield Flaw("no-severity", source, at, "the alert has no severity: nothing says whether it wakes anybody",
                   "add labels: {severity: page} or ticket")
    if not any(key in rule.annotations for key in ("summary", "description", "message", "title")):
        yield Flaw("no-summary", source, at, "the alert says neither summary nor description",
                   "add annotations: {summary: what users notice}")
    if not any(key in rule.annotations for key in _RUNBOOKS):
        yield Flaw("no-runbook", source, at, "the alert names no runbook: whoever it wakes must find out what to do",
                   "add annotations: {runbook_url: https://…}", severity=None if _pages(rule) else Severity.HINT)
    else:
        yield from _misnamed(rule)
    if not any(key in rule.labels for key in _OWNERS):
        yield Flaw("no-owner", source, at, "no label says whose alert this is", "add labels: {team: …}")


def _misnamed(rule: Rule) -> Iterator[Flaw]:
    """A runbook under a key that Alertmanager's templates and pages do not look for."""
    if "runbook_url" in rule.annotations:
        return
    key = next(one for one in _RUNBOOKS if one in rule.annotations)
    text = rule.annotations[key]
    if not text.text.startswith("http"):
        return
    yield Flaw("runbook-key", text.source, (text, 0), f"the runbook stands under {key}; the common key, which pages "
               "and templates look for, is runbook_url", f"rename {key} to runbook_url", severity=Severity.HINT)


_CAUSES = re.compile(r"^(?:node_(?:cpu|memory|filesystem|disk|load)|container_(?:cpu|memory|fs)"
                     r"|process_(?:cpu|resident)|jvm_(?:memory|gc)|(?:cpu|memory|disk)_usage|kube_pod_container_status_restarts"
                     r"|windows_(?:cpu|memory)|redis_memory|mysql_global_status_threads)")
_SYMPTOMS = re.compile(r"(?:^|_|:)(?:requests?|errors?|failures?|failed|latency|duration|response|availability|probe"
                       r"|sli|slo|burn_?rate|success|dropped|http|grpc|bad|total:sum5m)(?:_|:|$|\d)"
                       r"|^up$|_seconds_bucket$")


def check_causes(queries: Iterable[Query]) -> Iterator[Flaw]:
    """Alerts on causes where the whole set has none on a symptom."""
    alerts = [query for query in queries if query.rule.alert]
    causes = [query for query in alerts if any(_CAUSES.match(one.name) for one in query.selectors)]
    symptoms = [query for query in alerts if any(_SYMPTOMS.search(one.name) and not _CAUSES.match(one.name)
                                                 for one in query.selectors)]
    if causes and not symptoms:
        first = causes[0]
        more = f" and {len(causes) - 1} more" if len(causes) > 1 else ""
        yield Flaw("causes-only", first.rule.expr.source, (first.rule.name, 0),
                   f"{first.rule.name.text}{more} alert on causes (CPU, memory, disk, restarts), and nothing here "
                   "alerts on what users notice", "add alerts on errors and latency, best on an objective's burn rate")


def check_records(query: Query) -> Iterator[Flaw]:
    """Records: their names, and comparisons that leave holes."""
    rule = query.rule
    if rule.alert:
        return
    if not re.fullmatch(r"[^:]+(?::[^:]+)+", rule.name.text):
        yield Flaw("record-name", rule.expr.source, (rule.name, 0), f"{rule.name.text} does not look like a record: "
                   "level:metric:operations", "name the labels that are left, the metric, and what was done: "
                   "job:http_requests:rate5m")
    node = bare(query.tree)
    if isinstance(node, Binary) and node.op in COMPARISONS and not node.as_bool \
            and (isinstance(bare(node.right), Number) or isinstance(bare(node.left), Number)):
        yield query.flaw("filter-in-record", node.op_start, "without bool a comparison keeps the values and drops "
                         "series: the record has holes where it does not hold", f"write {node.op} bool … for 0 and 1",
                         severity=Severity.HINT)

