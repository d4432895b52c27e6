"""What `scripts/calculate_slo_budget.py` does: reads its command line, asks `stats.budget`, prints.

Standard library only, and little of it: the script must start within three times of `python -c pass`. It stands here
and not in the script because Python keeps a module compiled, and a script not.
"""

from __future__ import annotations

import math
import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any, NoReturn

from mainstay.kernel.errors import InvalidInput, MainstayError
from mainstay.kernel.quantity import Target, format_duration, parse_duration, plain
from mainstay.stats import budget

Answer = dict[str, Any]

_ABOUT = "Error budgets by arithmetic alone: what a target allows, what is spent, how fast, and when it runs out."
EXAMPLES = """\
examples:
  %(prog)s --slo 99.9 --window 30
  %(prog)s --slo 99.95 --window 30 --current-availability 99.85
  %(prog)s --calculate-burn-rate --current-consumption 0.15 --elapsed-hours 360 --window-hours 720
  %(prog)s --predict-exhaustion --consumption 0.35 --elapsed-hours 360 --window-hours 720
  %(prog)s --config slo-config.yaml --json

a config file (YAML or JSON):
  slos:
    - name: checkout availability
      slo: 99.95                     # percent
      window: 30                     # days
      current_availability: 99.97    # or:  total_requests: 1000000   failed_requests: 300
      weight: 0.6                    # in the composite, 1 unless told
    - name: checkout latency
      slo: 99.5
      window: 30
      latency: {threshold: 300ms, total: 1000000, slow: 2000}
      weight: 0.4
`target` or `objective` may stand for `slo`, and an entry may be a slo/v1 document (metadata, spec).

exit codes: 0 answered, whatever the answer is; 2 the input cannot be used.
--json always has `consumption_percent`: the worst budget's, null when nothing was measured, 1e9 when a target of
100 %% was missed (its consumption is infinite), so that a gate that compares numbers closes."""

_LONGEST_WINDOW_DAYS = 36_525
INFINITE_PERCENT = 1e9
"""Stands for infinite consumption in JSON, which knows no infinity."""


class _Formatter(RawDescriptionHelpFormatter):
    """Given its width: argparse would import `shutil` for every flag to ask the terminal, a tenth of the start."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=100)


def _json(answer: Answer) -> str:
    import json  # noqa: PLC0415  (a lazy start: the plain answer does without)

    return json.dumps(answer, indent=2) + "\n"


def main(arguments: Sequence[str]) -> int:
    """Answer one question; the exit code."""
    try:
        options = _parser().parse_args(arguments)
        answer, lines = _answer(options)
    except MainstayError as error:
        sys.stderr.write(f"error: {error.message}\n" + (f"  {error.way_out}\n" if error.way_out else ""))
        return error.exit_code
    sys.stdout.write(_json(answer) if options.json else "\n".join(lines) + "\n")
    return 0


class _Parser(ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InvalidInput(message, "run with --help to see examples")


def _parser() -> ArgumentParser:
    parser = _Parser(prog="calculate_slo_budget.py", description=_ABOUT, epilog=EXAMPLES,
                     formatter_class=_Formatter, allow_abbrev=False)
    parser.add_argument("--slo", metavar="PERCENT", help="the target, such as 99.9; 100 leaves no budget")
    parser.add_argument("--window", metavar="DAYS", default="30", help="length of the SLO window in days (30)")
    parser.add_argument("--current-availability", metavar="PERCENT", help="what was measured over the window")
    parser.add_argument("--calculate-burn-rate", action="store_true", help="burn rate from consumption and time")
    parser.add_argument("--current-consumption", metavar="SHARE", help="share of the budget spent, 0.15 for 15 %%")
    parser.add_argument("--predict-exhaustion", action="store_true", help="when the budget will be spent at this rate")
    parser.add_argument("--consumption", metavar="SHARE", help="share of the budget spent, 0.35 for 35 %%")
    parser.add_argument("--elapsed-hours", metavar="HOURS", help="how much of the window is over")
    parser.add_argument("--window-hours", metavar="HOURS", help="how long the whole window is")
    parser.add_argument("--config", metavar="FILE", help="several objectives from a YAML or JSON file")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _answer(options: Namespace) -> tuple[Answer, list[str]]:
    asked = [name for name, value in (("--slo", options.slo), ("--calculate-burn-rate", options.calculate_burn_rate),
                                      ("--predict-exhaustion", options.predict_exhaustion),
                                      ("--config", options.config)) if value]
    if len(asked) != 1:
        raise InvalidInput("ask one question at a time: " + " and ".join(asked) if asked else "nothing was asked",
                           "give one of --slo, --calculate-burn-rate, --predict-exhaustion or --config; see --help")
    if options.calculate_burn_rate:
        return _burn(options)
    if options.predict_exhaustion:
        return _exhaustion(options)
    if options.config:
        return _several(_loaded(options.config))
    entry = {"slo": options.slo, "window": options.window, "current_availability": options.current_availability}
    answer = _objective(entry, "")
    return answer, _told(answer)


# -- one objective ------------------------------------------------------------------------------------------------


def _objective(entry: Mapping[str, Any], where: str) -> Answer:
    """All there is to say of one objective: its budget, what is spent, what to alert on, which downtime is fine."""
    target = _target(entry, where)
    window = _window(entry.get("window", 30), f"{where}window")
    kind, tally = _measured(entry, where)
    spent = None if tally is None else budget.burn_rate(_bad_share(tally), target)
    answer: Answer = {
        "slo": float(target.ratio * 100), "window_days": window.total_seconds() / 86_400, "kind": kind,
        "budget_percent": float(target.budget * 100),
        "budget_seconds": budget.allowed_time(target, window).total_seconds(),
        "sli_percent": None if tally is None else float((1 - _bad_share(tally)) * 100),
        "consumption_percent": _percent(spent),
        "remaining_percent": None if spent is None else _percent(budget.remaining(spent)),
        "status": budget.status_of(spent),
    }
    if tally is not None and kind != "time":
        bad, total = map(float, tally)
        answer |= {"total": total, "bad": bad, "bad_allowed": budget.allowed(target, total)}
    if "latency" in entry:
        answer["threshold"] = str(entry["latency"].get("threshold", ""))
    return answer | {"alerts": _alerts(target, window), "acceptable_downtime": _downtime(target)}


def _target(entry: Mapping[str, Any], where: str) -> Target:
    written = next((entry[key] for key in ("slo", "target", "objective") if entry.get(key) is not None), None)
    if written is None:
        raise InvalidInput(f"{where}slo is missing", "write the target as a percentage, such as slo: 99.9")
    try:
        return Target.percent(written)
    except InvalidInput as error:
        raise InvalidInput(where + error.message, error.way_out) from None


def _measured(entry: Mapping[str, Any], where: str) -> tuple[str, tuple[Decimal, Decimal] | None]:
    """The kind of budget, and (bad, total) if anything was measured; exact decimals, total above zero."""
    ways = [key for key in ("current_availability", "total_requests", "latency") if entry.get(key) is not None]
    if len(ways) > 1:
        raise InvalidInput(f"{where}{' and '.join(ways)} measure the same thing twice", "keep one of them")
    if not ways:
        return "time", None
    match ways[0]:
        case "current_availability":
            good = budget.share_of_percent(entry["current_availability"], f"{where}current availability")
            return "time", (1 - good, Decimal(1))
        case "total_requests":
            return "requests", _counts(entry, ("total_requests", "failed_requests"), where)
        case _:
            latency = entry["latency"]
            if not isinstance(latency, Mapping):
                raise InvalidInput(f"{where}latency is not a mapping", "write {threshold: 300ms, total: 1000, slow: 2}")
            return "latency", _counts(latency, ("total", "slow"), f"{where}latency: ")


def _counts(entry: Mapping[str, Any], keys: tuple[str, str], where: str) -> tuple[Decimal, Decimal] | None:
    total, bad = (Decimal(str(_number(_given(entry, key, where), where + key))) for key in keys)
    if bad > total:
        raise InvalidInput(f"{where}{keys[1]} {plain(bad)} is more than {keys[0]} {plain(total)}", "check both numbers")
    return (bad, total) if total else None


def _bad_share(tally: tuple[Decimal, Decimal]) -> Decimal:
    return tally[0] / tally[1]


def _alerts(target: Target, window: timedelta) -> list[Answer]:
    if target.budget == 0:
        return []
    return [{"severity": alert.tier.severity, "long_window": format_duration(alert.tier.long),
             "short_window": format_duration(alert.short), "budget_spent_percent": float(alert.tier.spends * 100),
             "burn_rate": float(alert.factor), "bad_percent": float(alert.threshold * 100),
             "exhausts_in_hours": alert.exhausts_in.total_seconds() / 3600,
             "hold": format_duration(alert.tier.hold), "faults": list(alert.faults),
             "requests_so_one_failure_does_not_page": budget.requests_so_one_failure_does_not_page(alert)}
            for alert in budget.burn_alerts(target, window)]


def _downtime(target: Target) -> list[Answer]:
    return [{"window": row.window, "least_seconds": row.least.total_seconds(), "most_seconds": row.most.total_seconds()}
            for row in budget.acceptable_downtime(target)]


def _told(answer: Answer) -> list[str]:
    """One objective as people read it: the verdict, then what to alert on and what is acceptable."""
    lines = _verdict(answer)
    if answer["alerts"]:
        lines += ["", "alert when both windows burn faster than", *map(_alert_line, answer["alerts"])]
    lines += ["", "acceptable downtime"]
    for row in answer["acceptable_downtime"]:
        least, most = format_duration(row["least_seconds"]), format_duration(row["most_seconds"])
        lines.append(f"  {row['window']:<30}{least if least == most else f'{least} to {most}'}")
    return lines


def _verdict(answer: Answer) -> list[str]:
    days = f"{answer['window_days']:g}"
    lines = [f"target {_clean(answer['slo'])} % over {days} days"]
    if answer["budget_percent"] == 0:
        lines.append("budget        none: 100 % leaves nothing to spend, the first failure breaks it")
    else:
        downtime = f", {format_duration(answer['budget_seconds'])} of downtime" if answer["kind"] == "time" else ""
        lines.append(f"budget        {_clean(answer['budget_percent'])} %{downtime} in {days} days")
    if answer["sli_percent"] is not None:
        lines.append(f"measured      {_clean(answer['sli_percent'])} %" + _counted(answer))
        lines.append(f"spent         {_spent(answer['consumption_percent'])}, {answer['status'].replace('_', ' ')}")
    return lines


def _counted(answer: Answer) -> str:
    if "total" not in answer:
        return ""
    what = "slower than " + answer["threshold"] if answer.get("threshold") else "failed"
    return f", {answer['bad']:,.0f} of {answer['total']:,.0f} {what}; {answer['bad_allowed']:,.6g} may"


def _alert_line(alert: Answer) -> str:
    factor, bad = (plain(Decimal(f"{alert[key]:.4g}")) for key in ("burn_rate", "bad_percent"))
    line = (f"  {alert['severity']:<7}{factor:>6}x  in {alert['long_window']} and {alert['short_window']}: "
            f"{bad} % bad, {_clean(alert['budget_spent_percent'])} % of the budget gone; "
            f"needs {alert['requests_so_one_failure_does_not_page']:,} requests")
    return line + "".join(f"\n          not useful: {fault}" for fault in alert["faults"])


# -- burn rate and exhaustion -------------------------------------------------------------------------------------


def _burn(options: Namespace) -> tuple[Answer, list[str]]:
    spent, elapsed, window = _progress(options, "current_consumption")
    burn = budget.burn_of(spent, elapsed, window)
    pace = "faster than" if burn > 1 else "exactly at" if burn == 1 else "slower than"
    answer = {"consumption_percent": _percent(spent), "elapsed_hours": elapsed, "window_hours": window,
              "burn_rate": _finite(burn)}
    return answer, [f"burn rate     {_clean(burn)}x, {pace} the budget allows",
                    f"spent         {_clean(spent * 100)} % in {elapsed:g} of {window:g} hours"]


def _exhaustion(options: Namespace) -> tuple[Answer, list[str]]:
    spent, elapsed, window = _progress(options, "consumption")
    line = budget.straight_line(spent, elapsed, window)
    answer = {"consumption_percent": _percent(spent), "elapsed_hours": elapsed, "window_hours": window,
              "burn_rate": _finite(line.burn), "verdict": line.verdict, "hours_left": line.left,
              "consumption_percent_at_end": _percent(line.spent_at_end)}
    match line.verdict:
        case "exhausted":
            verdict = "exhausted already"
        case "exhausts":
            verdict = f"exhausted in {format_duration(timedelta(hours=line.left or 0.0))}, before the window ends"
        case _:
            verdict = f"not exhausted before the window ends, at {_clean(line.spent_at_end * 100)} % then"
    return answer, [f"budget        {verdict}", f"burn rate     {_clean(line.burn)}x",
                    f"spent         {_clean(spent * 100)} % in {elapsed:g} of {window:g} hours"]


def _progress(options: Namespace, consumption: str) -> tuple[float, float, float]:
    names = (consumption, "elapsed_hours", "window_hours")
    missing = ["--" + name.replace("_", "-") for name in names if getattr(options, name) is None]
    if missing:
        raise InvalidInput(f"{' and '.join(missing)} missing", "run with --help to see an example")
    spent, elapsed, window = (_number(getattr(options, name), "--" + name.replace("_", "-")) for name in names)
    return spent, elapsed, window


# -- several objectives -------------------------------------------------------------------------------------------


def _several(config: Any) -> tuple[Answer, list[str]]:
    entries = config.get("slos", [config]) if isinstance(config, Mapping) else config
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, Mapping) for entry in entries):
        raise InvalidInput("the config holds no objectives", "write a list under `slos:`; see --help")
    answers, spent = [], []
    for number, entry in enumerate(map(_flat, entries), 1):
        name = str(entry.get("name", f"slo {number}"))
        answer = {"name": name, **_objective(entry, f"{name}: ")}
        answers.append(answer)
        if answer["consumption_percent"] is not None:
            weight = _number(entry.get("weight", 1), f"{name}: weight")
            spent.append((answer["consumption_percent"], weight))
    worst = max((percent for percent, _ in spent), default=None)
    composite = budget.weighted(spent) if spent else None
    lines = [line for answer in answers for line in (answer["name"], *("  " + line for line in _verdict(answer)), "")]
    lines.append(f"worst         {_spent(worst)}" if worst is not None else "worst         no data")
    if len(spent) > 1:
        lines.append(f"composite     {_spent(composite)}, weighted")
    return {"consumption_percent": worst, "composite_consumption_percent": composite, "slos": answers}, lines


def _flat(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    """An entry with its name and numbers side by side, also where they are under `metadata` and `spec` (slo/v1)."""
    spec, metadata = entry.get("spec"), entry.get("metadata")
    if not isinstance(spec, Mapping):
        return entry
    return {**(metadata if isinstance(metadata, Mapping) else {}), **spec}


def _loaded(path: str) -> Any:
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except (OSError, UnicodeDecodeError) as error:
        reason = (error.strerror or "unknown") if isinstance(error, OSError) else "it is not UTF-8 text"
        raise InvalidInput(f"{path} cannot be read: {reason[0].lower()}{reason[1:]}",
                           "check the path; the file is UTF-8 text") from None
    if path.endswith(".json"):
        try:
            import json  # noqa: PLC0415  (a lazy start: only a JSON config needs it)

            return json.loads(text)
        except ValueError as error:
            raise InvalidInput(f"{path} is not JSON: {error}", "check the place it names") from None
    try:
        import yaml  # noqa: PLC0415  (a lazy start: only a YAML config needs it, and a bare Python has none)
    except ImportError:
        raise InvalidInput(f"{path} is YAML and this Python has no PyYAML",
                           "pip install pyyaml, or write the config as JSON (name it .json)") from None
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InvalidInput(f"{path} is not YAML: {error}", "check the place it names") from None


# -- numbers in and out -------------------------------------------------------------------------------------------


def _given(entry: Mapping[str, Any], key: str, where: str) -> Any:
    if entry.get(key) is None:
        raise InvalidInput(f"{where}{key} is missing", "see --help for the form of a config")
    return entry[key]


def _number(raw: object, what: str) -> float:
    try:
        value = float(str(raw))
    except ValueError:
        raise InvalidInput(f'{what} "{raw}" is not a number', "write a plain number such as 720") from None
    if not math.isfinite(value) or value < 0:
        raise InvalidInput(f"{what} {raw} cannot be used", "write a number that is not negative")
    return value


def _window(raw: object, what: str) -> timedelta:
    """30 or "30" days, or a length with its unit such as "4w"."""
    if isinstance(raw, str) and raw.strip()[-1:].isalpha():
        return parse_duration(raw)
    days = _number(raw, what)
    if not 0 < days <= _LONGEST_WINDOW_DAYS:
        raise InvalidInput(f"{what} {raw} cannot be used", "write a number of days such as 30")
    return timedelta(days=days)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _percent(share: float | None) -> float | None:
    if share is None:
        return None
    if math.isinf(share):
        return math.copysign(INFINITE_PERCENT, share)
    return float(f"{share * 100:.12g}")


def _spent(percent: float | None) -> str:
    if percent is None:
        return "no data"
    return "without limit: there was no budget" if percent >= INFINITE_PERCENT else f"{_clean(percent)} % of the budget"


def _clean(value: float) -> str:
    """A number with what its sixth digit can carry: 99.9, 0.05, 668.571."""
    return "infinite" if math.isinf(value) else plain(Decimal(f"{value:.6g}"))
