"""What `scripts/analyze_toil.py` does: reads its command line and the work log, asks the rooms of toil, prints.

Standard library only. It stands here and not in the script because Python keeps a module compiled, and a script not.
"""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime
from typing import Any, NoReturn

from mainstay.kernel.errors import InvalidInput, MainstayError, NoData
from mainstay.toil import automation, sample, share, trend
from mainstay.toil.candidates import Asked, Candidate, candidates, grouped
from mainstay.toil.entry import Read, Sorting, read_json_lines
from mainstay.toil.tally import Tally, stretch_of, tally
from mainstay.toil.wording import stretched_words

Answer = dict[str, Any]

_ABOUT = "Toil from a work log: how much there is, what to automate first, what that is worth, where it is heading."
EXAMPLES = """\
examples:
  %(prog)s --work-logs work.jsonl --analyze --days 30
  %(prog)s --work-logs work.jsonl --automation-candidates --top 10
  %(prog)s --calculate-roi --task "Manual deployments" --frequency 50 --duration 0.5 --effort 40
  %(prog)s --work-logs work.jsonl --track-toil --period 7 --json
  %(prog)s --generate-sample --output work.jsonl

a line of the log (JSON):
  {"date": "2026-11-27", "duration_hours": 0.5, "type": "toil", "category": "deployment", "engineer": "ana",
   "team": "platform", "description": "Manual deployment of checkout", "automatable": true, "automated": false,
   "interrupt": false}
`timestamp` may stand for `date`, `duration_minutes` for `duration_hours`; type is toil, engineering, incident, meeting
or oncall. Lines that cannot be read are counted and shown; parsed + rejected = lines.

exit codes: 0 answered; 2 the input cannot be used; 3 the log has no work to speak of."""


class _Formatter(RawDescriptionHelpFormatter):
    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=100)


class _Parser(ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InvalidInput(message, "run with --help to see examples")


def main(arguments: Sequence[str]) -> int:
    """Answer one question; the exit code."""
    try:
        options = _parser().parse_args(arguments)
        answer, lines = _answer(options)
    except MainstayError as error:
        sys.stderr.write(f"error: {error.message}\n" + (f"  {error.way_out}\n" if error.way_out else ""))
        return error.exit_code
    if options.json and answer:
        import json  # noqa: PLC0415  (a lazy start: the plain answer does without)

        return _say(json.dumps(answer, indent=2, default=str))
    return _say("\n".join(lines))


def _say(text: str) -> int:
    try:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        # A reader such as `head` that has enough; what is still held must go nowhere when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _parser() -> ArgumentParser:
    parser = _Parser(description=_ABOUT, epilog=EXAMPLES, formatter_class=_Formatter, allow_abbrev=False)
    parser.add_argument("--work-logs", metavar="FILE", help="the work log, a JSON object a line; - is standard input")
    parser.add_argument("--analyze", action="store_true", help="how much of the work is toil, and of which kind")
    parser.add_argument("--days", type=int, default=30, metavar="N", help="of its last N days, 30 unless told")
    parser.add_argument("--automation-candidates", action="store_true", help="which tasks to automate first")
    parser.add_argument("--top", type=int, default=10, metavar="N", help="the first N of them, 10 unless told")
    parser.add_argument("--calculate-roi", action="store_true", help="what automating one task is worth")
    parser.add_argument("--task", metavar="NAME", help="its name")
    parser.add_argument("--frequency", type=float, metavar="N", help="times a month")
    parser.add_argument("--duration", type=float, metavar="HOURS", help="hours each time")
    parser.add_argument("--effort", type=float, metavar="HOURS",
                        help=f"hours to automate it; candidates take {automation.EFFORT:g} unless told")
    parser.add_argument("--track-toil", action="store_true", help="the share of toil over time")
    parser.add_argument("--period", type=int, default=7, metavar="N", help="in periods of N days, 7 unless told")
    parser.add_argument("--generate-sample", action="store_true", help="make up a work log to try things on")
    parser.add_argument("--output", metavar="FILE", help="where to write it; - is standard output")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="one seed, one log; 1 unless told")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _answer(options: Namespace) -> tuple[Answer, list[str]]:
    questions = {"--analyze": _analyze, "--automation-candidates": _candidates, "--calculate-roi": _roi,
                 "--track-toil": _track, "--generate-sample": _sample}
    asked = [flag for flag in questions if getattr(options, flag[2:].replace("-", "_"))]
    if len(asked) != 1:
        raise InvalidInput("ask one question at a time: " + " and ".join(asked) if asked else "nothing was asked",
                           f"give one of {', '.join(questions)}; see --help")
    return questions[asked[0]](options)


# -- reading -----------------------------------------------------------------------------------------------------


def _read(options: Namespace) -> Sorting:
    if not options.work_logs:
        raise InvalidInput("--work-logs is missing",
                           "name the work log; --generate-sample --output work.jsonl makes one")
    sorting = read_json_lines(_lines(options.work_logs), options.work_logs)
    if not sorting.lines:
        raise NoData(f"{options.work_logs} is empty", "a line of it is shown by --help")
    if not sorting.entries:
        first = sorting.result().samples[0]
        raise NoData(f"no line of {options.work_logs} can be read; line {first.line}: {first.why}",
                     "a line of it is shown by --help")
    return sorting


def _lines(path: str) -> Iterator[str]:
    try:
        if path == "-":
            yield from sys.stdin
            return
        with open(path, encoding="utf-8-sig") as file:
            yield from file
    except (OSError, UnicodeDecodeError) as error:
        reason = (error.strerror or "unknown") if isinstance(error, OSError) else "it is not UTF-8 text"
        raise InvalidInput(f"{path} cannot be read: {reason[0].lower()}{reason[1:]}",
                           "check the path; the log is UTF-8 text, a JSON object a line") from None


def _tally(options: Namespace, sorting: Sorting) -> Tally:
    """The last days of the log: up to today, or to its last day where it ends before."""
    last = min(datetime.now(UTC).date(), max(one.day for one in sorting.entries))
    found = tally(sorting.entries, stretch_of(options.days, last))
    if not found.cells:
        raise NoData(f"no work is logged from {found.stretch.first} to {last}", "look further back: --days 365")
    return found


def _read_words(read: Read) -> list[str]:
    """What was read; rejected lines with their reasons."""
    out = [f"{read.source} · {_many(read.lines, 'line')}: {read.parsed:,} read, {read.rejected:,} rejected"]
    out += [f"  line {one.line}: {one.why}" for one in read.samples[:5]]
    if read.rejected > len(read.samples[:5]):
        out.append(f"  … and {read.rejected - len(read.samples[:5]):,} more; --json has {len(read.samples)} of them")
    return out


def _read_answer(read: Read) -> Answer:
    return {"lines": read.lines, "parsed": read.parsed, "rejected": read.rejected,
            "rejected_samples": [asdict(one) for one in read.samples]}


# -- the questions -----------------------------------------------------------------------------------------------


def _analyze(options: Namespace) -> tuple[Answer, list[str]]:
    sorting = _read(options)
    found, rules = _tally(options, sorting), share.Rules()
    figures = share.summary(found, rules)
    kinds = share.by_dimension(found, "type", rules)
    answer = asdict(figures) | {
        "toil_percentage": None if figures.toil_share is None else figures.toil_share * 100,
        "by_type": {one.name: one.hours for one in kinds}, "log": _read_answer(sorting.result())}
    answer["top_automation_targets"] = [list(one) for one in figures.top_automation_targets]
    return answer, [*_read_words(sorting.result()), "", *_analyzed(figures, kinds)]


def _analyzed(figures: share.Summary, kinds: list[share.Slice]) -> list[str]:
    words = {"healthy": "healthy", "at_risk": "at risk", "violated": "violated", "no_data": "no data"}[figures.state]
    entries = _many(figures.entries, "entry", "entries")
    besides = f"; besides toil {figures.other_interrupts:,}, {figures.other_interrupt_hours:,.1f} h" \
        if figures.other_interrupts else ""
    lines = [f"{figures.first} to {figures.last}, {entries}, {figures.total_hours:,.1f} h", "",
             f"toil          {_percent(figures.toil_share)}   line {figures.line * 100:g} %   {words}",
             f"              {figures.total_toil_hours:,.1f} h, {figures.cost:,.0f} at {automation.COST:g} an hour",
             f"interrupts    {figures.interrupts:,}, {figures.interrupt_hours:,.1f} h{besides}"]
    lines.append(f"logged        {_coverage(figures.coverage)}")
    if figures.automation_opportunity is not None:
        lines.append(f"automatable   {figures.automation_opportunity:.0f} % of toil, "
                     f"{figures.automatable_hours:,.1f} h, {figures.estimated_savings:,.0f}")
    lines += ["", "hours by type"] + [f"  {one.name:<22}{one.hours:>9,.1f}" for one in kinds]
    lines += ["", "toil by category"] + [f"  {name:<22}{hours:>9,.1f}" for name, hours in figures.by_category.items()]
    return lines


def _coverage(coverage: share.Coverage) -> str:
    text = (f"{coverage.logged_days:,} of {coverage.working_days:,} working days of "
            f"{_many(coverage.engineers, 'engineer')}")
    if coverage.patchy and coverage.low is not None and coverage.high is not None:
        return text + f": patchy, the share lies between {_percent(coverage.low)} and {_percent(coverage.high)}"
    return text


def _candidates(options: Namespace) -> tuple[Answer, list[str]]:
    sorting = _read(options)
    found = _tally(options, sorting)
    effort = automation.EFFORT if options.effort is None else options.effort
    best = candidates(found, grouped(found, {}), Asked(options.top, effort))
    answer: Answer = {"days": found.covered().days, "effort_hours": effort, "candidates": [
        _candidate(one) for one in best], "log": _read_answer(sorting.result())}
    lines = [*_read_words(sorting.result()), "",
             f"{found.covered().first} to {found.covered().last}; {effort:g} h to automate each; value of three years"]
    for place, one in enumerate(best, 1):
        lines += ["", f"{place:>2}. {one.task}  ({one.category})", f"    {one.decision}: {one.reason}",
                  f"    {_many(one.occurrences, 'time')}, {one.hours:,.1f} h: {one.value.monthly_hours:,.1f} h a "
                  f"month; payback {_months(one.value.payback_months)}; net {one.value.three_year_net:,.0f} h, "
                  f"{one.value.net_low:,.0f} to {one.value.net_high:,.0f}"]
        if len(one.wordings) > 1:
            lines.append(f"    also written: {'; '.join(each for each in one.wordings if each != one.task)}")
    if best and (few := stretched_words(found.covered().days)):
        lines += ["", few]
    if not best:
        lines.append("no task of toil is marked automatable and not automated")
    return answer, lines


def _candidate(one: Candidate) -> Answer:
    value = one.value
    return {"task": one.task, "category": one.category, "occurrences": one.occurrences, "total_hours": one.hours,
            "monthly_hours": value.monthly_hours, "annual_hours": value.annual_hours,
            "automation_cost_hours": value.effort, "payback_months": value.payback_months, "roi": value.yearly_return,
            "three_year_net_hours": value.three_year_net, "three_year_net_low": value.net_low,
            "three_year_net_high": value.net_high, "decision": one.decision, "reason": one.reason,
            "wordings": list(one.wordings)}


def _roi(options: Namespace) -> tuple[Answer, list[str]]:
    missing = [f"--{name}" for name in ("task", "frequency", "duration", "effort") if getattr(options, name) is None]
    if missing:
        raise InvalidInput(f"{' and '.join(missing)} missing", "run with --help to see an example")
    decided = automation.should_automate(automation.Task(options.frequency, options.duration, options.effort))
    value = decided.value
    answer = {"task": options.task, "frequency_per_month": options.frequency, "duration_hours": options.duration,
              "automation_effort_hours": options.effort, "monthly_hours": value.monthly_hours,
              "annual_hours": value.annual_hours, "payback_months": value.payback_months, "roi": value.yearly_return,
              "three_year_net_hours": value.three_year_net, "three_year_net_low": value.net_low,
              "three_year_net_high": value.net_high, "decision": decided.decision, "reason": decided.reason,
              "recommendation": decided.recommendation}
    return answer, [
        options.task, f"saves         {value.monthly_hours:,.4g} h a month, {value.annual_hours:,.4g} h a year",
        f"payback       {_months(value.payback_months)}",
        f"3-year net    {value.three_year_net:,.0f} h, {value.net_low:,.0f} to {value.net_high:,.0f} as estimates go",
        f"decision      {decided.decision}: {decided.reason}", f"              {decided.recommendation}"]


def _track(options: Namespace) -> tuple[Answer, list[str]]:
    sorting = _read(options)
    found = trend.trend_of(trend.in_periods(sorting.entries, options.period), options.period)
    shares = [one.share for one in found.periods if one.share is not None]
    answer: Answer = {
        "period_days": options.period, "trend": found.direction,
        "current_percentage": shares[-1] * 100 if shares else None, "target_percentage": share.LINE * 100,
        "periods": [{"start": one.start, "total_hours": one.hours, "toil_hours": one.toil_hours,
                     "toil_percentage": None if one.share is None else one.share * 100} for one in found.periods],
        "changes": [{"start": one.start, "before_percentage": one.before * 100, "after_percentage": one.after * 100,
                     "p": one.p} for one in found.changes], "log": _read_answer(sorting.result())}
    said = {"improving": "improving: it falls", "degrading": "degrading: it rises", "stable": "stable",
            "insufficient_data": f"not enough periods to say; {trend.RECENT + 1} at least"}[found.direction]
    lines = [*_read_words(sorting.result()), "", f"share of toil, every {_many(options.period, 'day')}: {said}", ""]
    lines += [f"  {one.start}  {_percent(one.share):>7}  {'█' * round((one.share or 0) * 40)}" for one in found.periods]
    lines += [f"level changed on {one.start}: {_percent(one.before)} before, {_percent(one.after)} since "
              f"(p = {one.p:.3f})" for one in found.changes]
    return answer, lines


def _sample(options: Namespace) -> tuple[Answer, list[str]]:
    import json  # noqa: PLC0415  (a lazy start: most questions write no JSON)

    if not options.output:
        raise InvalidInput("--output is missing", "name the file to write, or - for standard output")
    last: date = datetime.now(UTC).date()
    lines = [json.dumps(line) for line in sample.sample_lines(last, options.seed)]
    if options.output == "-":
        return {}, lines  # what was asked for is the log itself; a word behind it would spoil it
    try:
        with open(options.output, "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
    except OSError as error:
        raise InvalidInput(f"{options.output} cannot be written: {error.strerror}", "check the path") from None
    return ({"output": options.output, "lines": len(lines), "seed": options.seed},
            [f"wrote {_many(len(lines), 'line')} to {options.output}",
             f"next: analyze_toil.py --work-logs {options.output} --analyze --days 30"])


# -- words -------------------------------------------------------------------------------------------------------


def _many(number: int, noun: str, plural: str = "") -> str:
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def _percent(ratio: float | None) -> str:
    return "no data" if ratio is None else f"{ratio * 100:.1f} %"


def _months(months: float | None) -> str:
    return "never" if months is None else f"{months:,.1f} months"
