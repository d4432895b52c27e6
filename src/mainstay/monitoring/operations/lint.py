"""`monitoring lint`: what is wrong with rules, alerts and metric pages, and with `--fix`, mended."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Literal

from mainstay import __version__
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.document import read_documents
from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.finding import Finding, Severity
from mainstay.kernel.objective import Indicator, Objective, resolved
from mainstay.kernel.operation import Operation, arg
from mainstay.kernel.ports import PromQuery, TextFile, World
from mainstay.kernel.quantity import RollingWindow
from mainstay.kernel.view import Block, Code, Next, Text, View, table
from mainstay.kernel.wording import many
from mainstay.monitoring.lint.checks import CHECKS, REFUSED
from mainstay.monitoring.lint.exposition import MetricPage, looks_like_page, read_page
from mainstay.monitoring.lint.fixes import difference, mended
from mainstay.monitoring.lint.flaw import Flaw
from mainstay.monitoring.lint.judging import judge
from mainstay.monitoring.lint.pages import Threshold, judge_page
from mainstay.monitoring.lint.query import Settings
from mainstay.monitoring.lint.report import github, sarif
from mainstay.monitoring.lint.rulefile import RuleFile, is_rule_document, read_rules
from mainstay.monitoring.lint.written import Source
from mainstay.monitoring.spec import alerting_of

_ENDINGS = (".yaml", ".yml", ".rules", ".prom", ".om", ".prom.txt", ".metrics")


@dataclass(frozen=True)
class LintRequest:
    """What to read, and against what."""

    files: tuple[str, ...] = arg("rule files, metric pages, folders of them, http://host/metrics, or - for standard "
                                 "input",
                                 positional=True, local_only=True)
    fix: bool = arg("mend what can be mended for sure, in the files", False)
    dry_run: bool = arg("with --fix: print what would change, and change nothing", False)
    fail_on: str = arg("exit 1 when there is a finding of at least this severity", "error",
                       choices=("error", "warning", "hint", "never"))
    hints: bool = arg("also show hints", False)
    only: tuple[str, ...] = arg("only these checks, by code", ())
    skip: tuple[str, ...] = arg("not these checks", ())
    scrape: timedelta | None = arg("how often targets are scraped, such as 30s; 15s where nothing says so", None)
    retention: timedelta | None = arg("how long samples are kept, such as 15d", None)
    most_values: int = arg("more values of one label than this are a finding", 100)
    format: str = arg("text, github (annotations of a workflow) or sarif", "text", choices=("text", "github", "sarif"))


@dataclass(frozen=True, slots=True)
class LintFinding:
    """A finding: place, code, severity, message, what to write instead; whether this run mended it."""

    file: str
    line: int
    column: int
    code: str
    severity: str
    message: str
    mend: str
    fixable: bool
    fixed: bool


@dataclass(frozen=True, slots=True)
class Linted:
    """What was read and found.

    Args:
        by_code: how often each code was found, hints among them.
        changed: the files that were mended (or would be), with the difference.
    """

    files: int
    rules: int
    alerts: int
    pages: int
    samples: int
    findings: tuple[LintFinding, ...]
    by_code: Mapping[str, int]
    changed: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result with what the terminal needs of it."""

    linted: Linted
    shown: tuple[Finding, ...]
    counted: Mapping[Severity, int]
    request: LintRequest


def lint(world: World, request: LintRequest) -> Outcome:
    """Check rules, alerts and metric pages, and mend what can be mended.

    Reads Prometheus rule files, PrometheusRule objects, namespaces of Mimir, and metric pages in the text format or
    OpenMetrics. With -c, objectives are held against the buckets of the pages.
    """
    _refuse(request)
    # 17,000 rules are a million small objects without a circle among them: looking for circles takes a third of the
    # time. The command ends soon after.
    collecting = gc.isenabled()
    gc.disable()
    try:
        return _lint(world, request)
    finally:
        if collecting:
            gc.enable()


def _lint(world: World, request: LintRequest) -> Outcome:
    texts = [one for path in request.files for one in world.texts.read(path, _ENDINGS)]
    pages = [read_page(Source(one.name, one.text, yaml=False)) for one in texts if looks_like_page(one.text)]
    settings = _settings(world, request, pages)
    read = _read(one for one in texts if not looks_like_page(one.text))
    if not read.rules and not pages and not read.flaws:
        raise InvalidInput("nothing of what was named holds rules or metrics",
                           "name rule files (groups:), PrometheusRule objects or metric pages")
    found = [*read.flaws, *judge(read.rules, settings)]
    changed: dict[str, str] = {}
    gone: set[tuple[object, ...]] = set()
    if request.fix:
        changed, gone = _fix(world, request, texts, settings)
    thresholds = _thresholds(world)
    found += [flaw for page in pages for flaw in judge_page(page, thresholds, request.most_values)]
    kept = [flaw for flaw in found if (not request.only or flaw.code in request.only) and flaw.code not in request.skip]
    return _outcome(request, read.rules, pages, kept, (changed, gone))


def _refuse(request: LintRequest) -> None:
    if request.dry_run and not request.fix:
        raise InvalidInput("--dry-run shows what --fix would do, and --fix is not there", "add --fix")
    for code in (*request.only, *request.skip):
        if code not in CHECKS:
            raise InvalidInput(f'there is no check "{code}"', "the guide lists them: docs/guides/monitoring.md, Lint")


@dataclass(frozen=True, slots=True)
class _Rules:
    rules: list[RuleFile]
    flaws: list[Flaw]


def _read(texts: Iterable[TextFile]) -> _Rules:
    """The rule files among the texts; what is no rule file was either named, and is a flaw, or is left alone."""
    rules: list[RuleFile] = []
    flaws: list[Flaw] = []
    for one in texts:
        source = Source(one.name, one.text)
        file, wrong = _rule_file(source, named=one.named)
        flaws += wrong
        if file is not None:
            rules.append(file)
    return _Rules(rules, flaws)


def _rule_file(source: Source, *, named: bool) -> tuple[RuleFile | None, list[Flaw]]:
    documents, wrong = read_documents(source.text, source.file)
    flaws = [Flaw(one.code, source, (one.where.line, one.where.column), one.message, one.mend) for one in wrong]
    ours = [one for one in documents if is_rule_document(one)]
    if not ours:
        if named and not flaws:
            flaws.append(Flaw("missing-field", source, (1, 1), "this is neither a rule file (groups:), a "
                              "PrometheusRule nor a metric page", "name another file"))
        return None, flaws if named else []
    return read_rules(source, ours), flaws


def _settings(world: World, request: LintRequest, pages: Sequence[MetricPage]) -> Settings:
    objectives = world.catalog.of(Objective)
    declared = [alerting_of(one, world.catalog) for one in objectives]
    scrape = request.scrape or max((one.scrape for one in declared), default=None)
    retention = request.retention or min((one.retention for one in declared if one.retention), default=None)
    windows = {one.window.length.total_seconds() for one in objectives if isinstance(one.window, RollingWindow)}
    types: dict[str, str] = {}
    buckets: dict[str, frozenset[float]] = {}
    for page in pages:
        for family in page.families:
            types |= {sample.name: family.type for sample in family.samples} | {family.name: family.type}
            bounds = frozenset(float(bound) for sample in family.samples if (bound := sample.labels.get("le"))
                               and _is_float(bound))
            if bounds:
                buckets[family.name] = bounds
    fallback = Settings()
    return Settings(
        scrape.total_seconds() if scrape else fallback.scrape, scrape is not None,
        retention.total_seconds() if retention else fallback.retention, retention is not None, fallback.interval,
        windows.pop() if len(windows) == 1 else fallback.period,
        {name: kind for name, kind in types.items() if kind in ("gauge", "counter", "info", "stateset")}, buckets)


def _is_float(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _thresholds(world: World) -> tuple[Threshold, ...]:
    """What the catalog's objectives need of histograms: `x_bucket{le="0.3"}` as good events."""
    out = []
    for objective in world.catalog.of(Objective):
        if isinstance(objective.indicator, str) and world.catalog.find(Indicator, objective.indicator) is None:
            continue
        indicator = resolved(objective, world.catalog)
        good = indicator.good
        if isinstance(good, PromQuery) and indicator.threshold is not None and "_bucket" in good.text:
            out.append(Threshold(objective.name, good.text.partition("_bucket")[0].split("(")[-1].strip(),
                                 indicator.threshold.total_seconds()))
    return tuple(out)


def _fix(world: World, request: LintRequest, texts: Sequence[TextFile],
         settings: Settings) -> tuple[dict[str, str], set[tuple[object, ...]]]:
    """Mends the rule files; the differences by file, and the places of what was mended."""
    changed: dict[str, str] = {}
    gone: set[tuple[object, ...]] = set()
    for one in texts:
        if looks_like_page(one.text):
            continue

        def flaws_of(text: str, name: str = one.name) -> list[Flaw]:
            file, wrong = _rule_file(Source(name, text), named=True)
            found = [*wrong, *(judge([file], settings) if file is not None else [])]
            return [flaw for flaw in found if (not request.only or flaw.code in request.only)
                    and flaw.code not in request.skip]

        after, made = mended(one.text, flaws_of)
        if not made:
            continue
        if not one.writable and not request.dry_run:
            raise InvalidInput(f"{one.name} cannot be mended: it is no plain file", "unpack it, or add --dry-run")
        left = Counter((flaw.code, flaw.message) for flaw in flaws_of(after))
        for flaw in flaws_of(one.text):
            if flaw.edits and left[flaw.code, flaw.message] == 0:
                gone.add((one.name, flaw.code, *flaw.place()))
        changed[one.name] = difference(one.text, after, one.name)
        if not request.dry_run:
            world.texts.write(one.name, after)
    return changed, gone


def _outcome(request: LintRequest, rules: Sequence[RuleFile], pages: Sequence[MetricPage], kept: Sequence[Flaw],
             mends: tuple[dict[str, str], set[tuple[object, ...]]]) -> Outcome:
    changed, gone = mends
    pairs = sorted(((flaw.finding(CHECKS[flaw.code].severity), flaw) for flaw in kept),
                   key=lambda pair: (pair[0].where, pair[0].code))
    findings, open_ones = [], []
    for one, flaw in pairs:
        fixed = (one.where.file, one.code, one.where.line, one.where.column) in gone and not request.dry_run
        findings.append(LintFinding(one.where.file, one.where.line, one.where.column, one.code, str(one.severity),
                                    one.message, one.mend, bool(flaw.edits), fixed))
        if not fixed:
            open_ones.append(one)
    counted = Counter(one.severity for one in open_ones)
    every_rule = [rule for file in rules for rule in file.rules]
    linted = Linted(
        len(rules), len(every_rule), sum(rule.alert for rule in every_rule), len(pages),
        sum(page.samples for page in pages),
        tuple(one for one in findings if request.hints or one.severity != "hint" or one.fixed),
        dict(Counter(one.code for one, _ in pairs).most_common()), changed)
    shown = tuple(one for one in open_ones if request.hints or one.severity is not Severity.HINT)
    return Outcome(linted, shown, counted, request)


# -- what people see -------------------------------------------------------------------------------------------------


def lint_view(outcome: Outcome) -> View:
    """What was read, the findings as they stand in the files, what they come to, what to do next."""
    if outcome.request.format == "github":
        return View("Lint", (Code(github(outcome.shown)),))
    if outcome.request.format == "sarif":
        return View("Lint", (Code(sarif(outcome.shown, __version__)),))
    linted, counted = outcome.linted, outcome.counted
    blocks: list[Block] = [Text(_read_words(linted)), *_verdict(outcome)]
    if outcome.shown:
        blocks.append(Code("\n\n".join(one.render() for one in outcome.shown)))
        blocks.append(_by_code(outcome.shown))
    for diff in linted.changed.values():
        blocks.append(Code(diff, "diff"))
    if linted.changed:
        done = "would change" if outcome.request.dry_run else "changed"
        blocks.append(Text(f"{done}: {', '.join(linted.changed)}", "strong"))
    commands = []
    files = " ".join(outcome.request.files)
    if any(one.fixable and not one.fixed for one in linted.findings) and not outcome.request.fix:
        commands.append(f"mainstay monitoring lint {files} --fix --dry-run")
    if outcome.request.fix and outcome.request.dry_run and linted.changed:
        commands.append(f"mainstay monitoring lint {files} --fix")
    if counted.get(Severity.HINT) and not outcome.request.hints:
        commands.append(f"mainstay monitoring lint {files} --hints")
    return View("Lint", (*blocks, Next(tuple(commands))) if commands else tuple(blocks))


def _read_words(linted: Linted) -> str:
    parts = []
    if linted.files:
        parts.append(f"{many(linted.files, 'rule file')}: {many(linted.rules, 'rule')}, {linted.alerts:,} of them "
                     "alerts")
    if linted.pages:
        parts.append(f"{many(linted.pages, 'metric page')}: {many(linted.samples, 'sample')}")
    return " · ".join(parts) or "nothing could be read"


def _verdict(outcome: Outcome) -> list[Block]:
    counted = outcome.counted
    fixed = sum(one.fixed for one in outcome.linted.findings)
    words = [many(counted[severity], str(severity)) for severity in (Severity.ERROR, Severity.WARNING)
             if counted.get(severity)]
    if hints := counted.get(Severity.HINT):
        words.append(many(hints, "hint") + ("" if outcome.request.hints else " (--hints shows them)"))
    if fixed:
        words.append(f"{many(fixed, 'finding')} mended")
    tone: Literal["bad", "warn", "good"] = "bad" if counted.get(Severity.ERROR) else \
        "warn" if counted.get(Severity.WARNING) else "good"
    return [Text(", ".join(words) if words else "no mistake", tone)]


def _by_code(shown: Sequence[Finding]) -> Block:
    tally = Counter((one.code, one.severity) for one in shown)
    order = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.HINT: 2}
    ranked = sorted(tally.items(), key=lambda item: (order[item[0][1]], -item[1], item[0][0]))
    rows = [(code, str(severity), f"{count:,}", "yes" if CHECKS[code].fixes else "", CHECKS[code].why)
            for (code, severity), count in ranked]
    return table("By code", ("code", "severity", "found>", "--fix", "why"), rows)


def exit_code(outcome: Outcome) -> int:
    """1 when something of the severity asked for was found, 2 when that is what Prometheus itself refuses."""
    levels = {"error": (Severity.ERROR,), "warning": (Severity.ERROR, Severity.WARNING),
              "hint": (Severity.ERROR, Severity.WARNING, Severity.HINT), "never": ()}[outcome.request.fail_on]
    if not any(outcome.counted.get(level) for level in levels):
        return 0
    return 2 if any(code in REFUSED for code in outcome.linted.by_code) else 1


LINT = Operation(
    "monitoring", "lint", LintRequest, lint, lint_view, exit_code=exit_code,
    exit_codes=((0, "no finding of the severity that --fail-on names"), (1, "a finding of at least that severity"),
                (2, "a file is none that Prometheus reads (no YAML, no PromQL …), or a flag is wrong")),
    examples=("mainstay monitoring lint rules.yaml", "mainstay monitoring lint rules/ --fail-on warning --hints",
              "mainstay monitoring lint rules.yaml --fix --dry-run",
              "mainstay monitoring lint http://127.0.0.1:9100/metrics -c slos",
              "mainstay monitoring lint rules/ --format github"),
    doors=("cli",), catalog="named", as_json=lambda outcome: outcome.linted)
