"""Every check: its code, how much it matters, whether it mends, and what pint calls the same.

`CHECKS` is what the guide's table, SARIF's rules and the severities of findings are made of.
"""

from __future__ import annotations

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.finding import Severity

E, W, H = Severity.ERROR, Severity.WARNING, Severity.HINT


@dataclass(frozen=True, slots=True)
class Check:
    """One check.

    Args:
        why: what is wrong, in one sentence.
        fixes: whether `--fix` mends it, at least in its plain forms.
        pint: the check of pint that claims the same, or promlint for metric pages.
    """

    code: str
    severity: Severity
    why: str
    fixes: bool = False
    pint: str = ""


_FORM = (
    Check("not-yaml", E, "The file is not YAML.", pint="yaml/parse"),
    Check("duplicate-key", E, "A key stands twice; only one of them counts.", pint="yaml/parse"),
    Check("key-not-text", E, "A key is not a word.", pint="yaml/parse"),
    Check("too-deep", E, "The file nests without end.", pint="yaml/parse"),
    Check("not-text", E, "The file holds what is no text.", pint="yaml/parse"),
    Check("unknown-field", E, "Prometheus refuses a rule file with a field that it does not know.", pint="yaml/parse"),
    Check("missing-field", E, "A group without a name, a rule without expr.", pint="yaml/parse"),
    Check("wrong-type", E, "A mapping where text must be, or the like.", pint="yaml/parse"),
    Check("invalid-value", E, "A duration, a series' name or a label's name that is none.", pint="yaml/parse"),
    Check("one-of", E, "A rule records and alerts at once.", pint="yaml/parse"),
    Check("duplicate-group", E, "Two groups of a file have one name.", pint="yaml/parse"),
    Check("second-document", E, "Prometheus and promtool read only the first YAML document of a rule file."),
    Check("promql-syntax", E, "The expression is not PromQL.", True,"promql/syntax"),
    Check("logql", H, "The expression is Loki's LogQL, which is not checked."),
    Check("promql-type", E, "A function or an operator is given what it does not take.", pint="promql/syntax"),
)
REFUSED = frozenset(check.code for check in _FORM if check.severity is E)
"""Checks of what Prometheus itself refuses, or reads only in part: such a file is no rule file."""

_RATIOS = (
    Check("ratio-always-one", E, "Each series is divided by itself: the ratio is 1.", True, "promql/vector_matching"),
    Check("ratio-above-one", W, "The whole is divided by its part."),
    Check("outage-blind", W, "With no success at all the expression is empty, and no alert fires.", True),
    Check("windows-differ", W, "An increase is divided by an increase over another window."),
    Check("mean-of-ratios", W, "A mean of ratios is not the ratio of the sums."),
    Check("nan-poison", W, "A record is NaN when nothing is counted, and a sum over time takes it in.",
          pint="promql/nan"),
    Check("gap-until-first", H, "A record of failures is missing until the first one."),
    Check("division-by-zero", E, "A division by a written 0.", pint="promql/nan"),
    Check("compared-with-nan", E, "A comparison with NaN is never true.", pint="promql/nan"),
)
_LABELS = (
    Check("never-matches", E, "No series of one side can meet one of the other.", True, "promql/vector_matching"),
    Check("label-not-there", W, "A label is asked for after it was aggregated away.", pint="promql/impossible"),
    Check("zero-with-labels", W, "`or vector(0)` beside series with labels adds a series.", pint="promql/impossible"),
    Check("absent-misuse", E, "`absent` gives 1 or nothing.", pint="promql/impossible"),
    Check("count-never-zero", E, "A count of nothing is nothing, not 0.", pint="promql/impossible"),
    Check("matches-nothing", E, "A selector contradicts itself.", pint="promql/impossible"),
    Check("matches-all", H, 'A matcher =~".*" matches everything.', pint="promql/regexp"),
    Check("plain-regex", H, "A pattern without a pattern in it.", True, "promql/regexp"),
    Check("anchored-twice", H, "Patterns match the whole value: ^ and $ do nothing.", True, "promql/regexp"),
)
_HISTOGRAMS = (
    Check("le-lost", E, "The aggregation inside histogram_quantile drops `le`.", True, "promql/impossible"),
    Check("quantile-per-series", W, "histogram_quantile of single series, not of the service."),
    Check("quantile-range", E, "A quantile outside 0..1 is infinite.", True),
    Check("le-text", W, "`le` is compared as text; Prometheus 2 and 3 write whole numbers differently.", True),
    Check("le-not-number", E, "`le` is compared with what is no number."),
    Check("no-such-bucket", W, "No bucket of the metric page ends there."),
)
_RANGES = (
    Check("range-too-short", W, "A rate needs two samples, and four scrapes to bear a late one.", pint="promql/rate"),
    Check("long-raw-range", W, "A rate over days reads every raw sample."),
    Check("beyond-retention", W, "A range is longer than samples are kept, as --retention or the catalog says.",
          pint="promql/range_query"),
    Check("rate-of-gauge", W, "A rate of what is no counter.", pint="promql/rate"),
    Check("rate-of-sum", W, "A rate of a sum takes one restart for a reset of all.", pint="promql/rate"),
    Check("delta-of-counter", W, "A difference of a counter does not know resets."),
    Check("counter-without-rate", W, "A counter is held against a number.", pint="promql/counter"),
    Check("irate-in-alert", H, "irate in an alert resets `for` at every dip.", True),
)
_BURNS = (
    Check("burn-fraction", W, "A burn rate (a multiple) is held against a fraction."),
    Check("unreachable-burn", E, "Factor × budget is 1 or more: no outage reaches it.", pint="promql/impossible"),
    Check("unreachable-ratio", E, "A share of 0..1 is held against more.", pint="promql/impossible"),
    Check("single-window", W, "A burn alert with one window only."),
    Check("short-sli-against-target", W, "A few minutes of the indicator are held against the target."),
    Check("wrong-claim", W, "The alert's words say another share of the budget than its threshold."),
    Check("burn-per-hour", W, "A multiple is shown as a share per hour."),
    Check("exhaustion-without-window", W, "Budget left / burn is held against hours."),
    Check("named-otherwise", W, "Called exhausted, and fires earlier."),
)
_ALERTS = (
    Check("no-condition", W, "The alert fires as long as there are series.", pint="alerts/comparison"),
    Check("bool-in-alert", E, "With `bool` an alert always fires.", True, "alerts/comparison"),
    Check("no-for", W, "One odd sample fires it.", pint="alerts/absent"),
    Check("for-of-zero", H, "`for: 0` does nothing.", pint="alerts/for"),
    Check("for-below-interval", W, "`for` is shorter than one evaluation."),
    Check("no-severity", W, "Nothing says whether it wakes anybody.", pint="rule/label"),
    Check("no-summary", W, "It says neither summary nor description.", pint="alerts/annotation"),
    Check("no-runbook", W, "It pages and names no runbook (a hint where it does not page).", pint="alerts/annotation"),
    Check("runbook-key", H, "The runbook stands under an unusual key.", pint="alerts/annotation"),
    Check("no-owner", H, "No label says whose it is.", pint="rule/owner"),
    Check("causes-only", W, "Only causes are alerted on, no symptom."),
    Check("template-syntax", E, "A template that cannot be read.", pint="alerts/template"),
    Check("template-function", E, "A template's function that is not there.", pint="alerts/template"),
    Check("template-variable", E, "A template's variable that is not there.", pint="alerts/template"),
    Check("template-label", W, "A template's label that the expression drops.", pint="alerts/template"),
    Check("template-text", W, "A template without its braces.", True),
    Check("value-in-label", W, "A label that changes with the value.", pint="alerts/template"),
    Check("duplicate-alert", W, "The same alert twice.", pint="rule/duplicate"),
    Check("duplicate-record", W, "The same series is recorded twice.", pint="rule/duplicate"),
    Check("read-too-early", H, "A record is read before it is written."),
    Check("record-name", H, "A record not named level:metric:operations.", pint="rule/name"),
    Check("filter-in-record", H, "A comparison without `bool` leaves holes in a record."),
)
_PAGES = (
    Check("exposition-syntax", E, "The page cannot be read as metrics."),
    Check("exposition-form", E, "A series twice, a family in pieces, a histogram that is none."),
    Check("metric-help", W, "No help text.", pint="promlint"),
    Check("metric-unit", W, "Not a base unit.", pint="promlint"),
    Check("metric-unit-short", W, "An abbreviated unit.", pint="promlint"),
    Check("metric-counter-name", W, "A counter without _total.", pint="promlint"),
    Check("metric-total-name", W, "A metric called _total that is no counter.", pint="promlint"),
    Check("metric-type-in-name", W, "The type in the name.", pint="promlint"),
    Check("metric-colon", W, "A colon in the name, which is for records.", pint="promlint"),
    Check("metric-camel-case", W, "camelCase in a name or label.", pint="promlint"),
    Check("metric-reserved", W, "A suffix or label that belongs to another type.", pint="promlint"),
    Check("metric-info-value", W, "An _info metric that is not 1."),
    Check("label-unbounded", W, "A label whose values look like ids, addresses or times."),
    Check("label-many-values", W, "A label with many values."),
    Check("bucket-misses-objective", W, "No bucket ends at an objective's threshold."),
    Check("histogram-without-buckets", H, "A histogram with no bucket but +Inf, unless it is a native one."),
)
GROUPS: tuple[tuple[str, tuple[Check, ...]], ...] = (
    ("The form of a rule file", _FORM), ("Ratios", _RATIOS), ("Labels and matching", _LABELS),
    ("Histograms", _HISTOGRAMS), ("Ranges and rates", _RANGES), ("Burn rates and budgets", _BURNS),
    ("Alerts and records", _ALERTS), ("Metric pages", _PAGES))
CHECKS: dict[str, Check] = {check.code: check for _, group in GROUPS for check in group}
