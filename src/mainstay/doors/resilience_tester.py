"""What `scripts/test_resilience.py` does: reads its command line, runs experiments through the engine, prints.

What only says something (`--list-experiments`, `--help`, `--dry-run` without a catalog) imports the standard library
only; whatever touches a system needs Mainstay installed.
"""

from __future__ import annotations

import getpass
import os
import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

from mainstay.chaos.presets import Preset, preset, presets, words
from mainstay.kernel.errors import InvalidInput, MainstayError
from mainstay.kernel.quantity import format_duration

Answer = dict[str, Any]

_ABOUT = "Resilience, tried out: named experiments, a circuit breaker seen from outside, graceful degradation."
EXAMPLES = """\
examples:
  %(prog)s --list-experiments
  %(prog)s --experiment network-partition --target api --duration 300
  %(prog)s --experiment dependency-slow --target api --dependency cache --duration 30 --json
  %(prog)s --experiment pod-failure --dry-run
  %(prog)s --test-circuit-breaker --service api --dependency auth
  %(prog)s --test-degradation --service api --dependency cache

Targets, services and dependencies are the Workloads of a catalog (-c DIR); NAME of --experiment is a kind of fault, or
an Experiment of the catalog. A run proves its fault, watches a steady state before, during and after, and takes
everything out again whatever happens to it; docs/guides/chaos.md says how.

exit codes: 0 passed, works, or said; 1 failed, aborted, or a promise is broken; 2 the input cannot be used, or
something forbids it; 3 it proves nothing."""


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
        answer, lines, code = _answered(options)
    except MainstayError as error:
        sys.stderr.write(f"error: {error.message}\n" + (f"  {error.way_out}\n" if error.way_out else ""))
        return error.exit_code
    if options.json:
        import json  # noqa: PLC0415  (a lazy start: the plain answer does without)

        return _say(json.dumps(answer, indent=2, default=str), code)
    return _say("\n".join(lines), code)


def _say(text: str, code: int) -> int:
    try:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        # A reader such as `head` that has enough; what is still held must go nowhere when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code


def _parser() -> ArgumentParser:
    parser = _Parser(description=_ABOUT, epilog=EXAMPLES, formatter_class=_Formatter, allow_abbrev=False)
    parser.add_argument("--list-experiments", action="store_true", help="the experiments that can be named")
    parser.add_argument("--experiment", metavar="NAME", help="run this one")
    parser.add_argument("--target", metavar="T", help="the workload, or its service, that it is put into")
    parser.add_argument("--duration", type=float, metavar="S",
                        help="for S seconds; unless told 60, of a breaker 15, of each kind of trouble 5")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and touch nothing")
    parser.add_argument("--test-circuit-breaker", action="store_true",
                        help="let a dependency fail and see from outside whether a breaker opens and closes")
    parser.add_argument("--test-degradation", action="store_true",
                        help="put a dependency into every kind of trouble and see what becomes of the service")
    parser.add_argument("--service", metavar="S", help="the service that is tested")
    parser.add_argument("--dependency", metavar="D", help="its dependency")
    parser.add_argument("--share", metavar="SHARE", help="the blast radius: 10%% of the requests or processes; all "
                                                         "unless told")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of every draw")
    parser.add_argument("-c", "--catalog", metavar="DIR", help="where workloads are declared; mainstay, or here")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _answered(options: Namespace) -> tuple[Answer, list[str], int]:
    """The answer.

    Raises:
        InvalidInput: it takes more than a bare Python.
    """
    try:
        return _answer(options)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("mainstay"):
            raise
        raise InvalidInput(f"{error.name} is not installed; lists, help and dry runs without a catalog do without it",
                           "pip install mainstay") from None


def _answer(options: Namespace) -> tuple[Answer, list[str], int]:
    questions: dict[str, Callable[[Namespace], tuple[Answer, list[str], int]]] = {
        "--list-experiments": _list, "--experiment": _experiment, "--test-circuit-breaker": _breaker,
        "--test-degradation": _degradation}
    asked = [flag for flag in questions if getattr(options, flag[2:].replace("-", "_"))]
    if len(asked) != 1:
        raise InvalidInput("ask one question at a time: " + " and ".join(asked) if asked else "nothing was asked",
                           f"give one of {', '.join(questions)}; see --help")
    if options.duration is None:
        options.duration = _USUAL[asked[0]]
    if not 0 < options.duration <= _LONGEST:
        raise InvalidInput(f"--duration {options.duration:g} is not above zero, and a year at most",
                           "write seconds, such as 30")
    return questions[asked[0]](options)


_USUAL = {"--list-experiments": 60.0, "--experiment": 60.0, "--test-circuit-breaker": 15.0, "--test-degradation": 5.0}
"""Seconds that each takes unless it is told."""

_LONGEST = 366 * 86400.0


def _needed(options: Namespace, *names: str) -> None:
    missing = [f"--{name}" for name in names if not getattr(options, name)]
    if missing:
        raise InvalidInput(" and ".join(missing) + (" is" if len(missing) == 1 else " are") + " missing",
                           "see --help for examples")


def _share(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        share = float(text[:-1]) / 100 if text.endswith("%") else float(text)
    except ValueError:
        share = 0.0
    if not 0 < share <= 1:
        raise InvalidInput(f'--share "{text}" is no share', "write 10%, or 0.1")
    return share


# -- lists and plans --------------------------------------------------------------------------------------------------


def _list(_: Namespace) -> tuple[Answer, list[str], int]:
    found = list(presets())
    width = max(len(one.kind.name) for one in found)
    lines: list[str] = []
    for group in dict.fromkeys(one.kind.group for one in found):
        lines += ["", group] if lines else [group]
        lines += [f"  {one.kind.name:<{width}}  {_what(one)}" for one in found if one.kind.group == group]
    return {"experiments": [one.told for one in found]}, lines, 0


def _what(one: Preset) -> str:
    settings = words(one.settings, one.kind)
    return one.kind.title + (f" ({settings})" if settings else "")


def _experiment(options: Namespace) -> tuple[Answer, list[str], int]:
    share = _share(options.share)
    if options.dry_run and not options.catalog and not os.path.isdir("mainstay"):
        return _described(options, share)
    _needed(options, "target")
    from mainstay.chaos.operations import outside  # noqa: PLC0415  (a lazy start: lists and help need none of it)
    from mainstay.chaos.view import MEANINGS, figures  # noqa: PLC0415  (a lazy start)

    named = outside.Named(options.experiment, options.target, options.duration, options.dependency or "", share,
                          options.seed)
    with _world(options) as world:
        if options.dry_run:
            plan = outside.plan_by_name(world, named)
            return _planned(plan)
        run = outside.run_by_name(world, named)
    from mainstay.chaos.operations.running import CODES  # noqa: PLC0415  (a lazy start)

    lines = [f"{run.id}  {run.experiment}", f"{run.status}: {MEANINGS[run.status]}"]
    lines += [f"  {reason}" for reason in run.reasons]
    for fault in run.faults:
        proof = f"proven by {fault.proof.what}" if fault.proof else "not proven"
        lines.append(f"  {fault.kind} on {fault.workload}: {proof}, " + (
            "gone again" if fault.removed else "NOT proven to be gone"))
    told = figures(run)
    lines += [f"  {name}: " + ", ".join(f"{one['misses']} of {one['answers']} missed {stage}"
                                        for stage, one in stages.items()) for name, stages in told.items()]
    return _plain({"experiment": options.experiment, "target": run.target, "run": run.id, "status": str(run.status),
                   "reasons": run.reasons, "faults": run.faults, "hypothesis": run.title,
                   "figures": told, "notes": run.notes,
                   "started": run.started, "ended": run.ended, "reaction_seconds": run.reaction}), lines, \
        CODES.get(run.status, 1)


def _described(options: Namespace, share: float | None) -> tuple[Answer, list[str], int]:
    """What is known without a catalog: the fault itself."""
    chosen = preset(options.experiment)
    hit = "" if share is None else f" of {share * 100:g} %"
    target = options.target or "a target"
    lines = [f"{chosen.kind.name} on {target} for {format_duration(options.duration)}{hit}; nothing was touched",
             f"  {_what(chosen)}", "  with -c DIR it is looked up how it would be put in here, and what forbids it"]
    return {"dry_run": True, "target": options.target, "duration_seconds": options.duration,
            "share": 1.0 if share is None else share, **chosen.told}, lines, 0


def _planned(plan: Any) -> tuple[Answer, list[str], int]:
    lines = [f"{plan.experiment}, for at most {format_duration(plan.seconds)}: "
             + ("it would not be started" if plan.refusals else "it would be started")]
    lines += [f"  {one}" for one in plan.refusals]
    lines += [f"  {one.kind} on {one.workload}" + (f" → {one.dependency}" if one.dependency else "")
              + (f", by {one.mechanism}, healed by {one.healing}" if one.mechanism else "") for one in plan.faults]
    lines += [f"  must hold: {one['name']}, {one['tolerance']}" for one in plan.probes]
    return _plain({"dry_run": True, "experiment": plan.experiment, "target": plan.target, "refusals": plan.refusals,
                   "faults": plan.faults, "hypothesis": plan.probes, "seconds": plan.seconds}), lines, \
        1 if plan.refusals else 0


# -- breaker and degradation ------------------------------------------------------------------------------------------


def _breaker(options: Namespace) -> tuple[Answer, list[str], int]:
    _needed(options, "service", "dependency")
    from mainstay.chaos.operations import outside  # noqa: PLC0415  (a lazy start)

    test = outside.BreakerTest(options.service, options.dependency, options.duration, seed=options.seed)
    if options.dry_run:
        lines = [f"{test.dependency} would answer {test.service} with errors for {format_duration(options.duration)}, "
                 "and what still reaches it would be counted; nothing was touched"]
        return _plain({"dry_run": True, "test": test}), lines, 0
    with _world(options) as world:
        found = outside.breaker_from_outside(world, test)
    answer = _plain({"service": found.service, "dependency": found.dependency, "run": found.run, "works": found.works,
                     "seen": found.seen, "affected": found.affected, "unaffected": found.unaffected,
                     "status": found.status, "reasons": found.reasons})
    if found.seen is None:
        why = "; ".join(found.reasons) or "no request of it needs the dependency"
        return answer, [f"not known: {why}"], 3
    seen = found.seen
    lines = [f"{found.service} → {found.dependency} ({', '.join(found.affected)}): {seen.verdict}", f"  {seen.why}",
             f"  {seen.sent} requests sent, {seen.reached} calls reached {found.dependency}"]
    if seen.calls_until_open is not None and seen.seconds_until_open is not None:
        lines.append(f"  calls stopped after {seen.calls_until_open}, {seen.seconds_until_open:.1f} s")
    if seen.answered is not None:
        lines.append(f"  meanwhile {seen.answered * 100:.0f} % were answered without an error" + (
            "" if seen.refused_within is None else f"; half of the refusals came within "
                                                   f"{seen.refused_within * 1000:.0f} ms"))
    if seen.closed_after is not None:
        lines.append(f"  all was well again {seen.closed_after:.1f} s after {found.dependency} was")
    return answer, lines, 0 if found.works else 3 if seen.verdict == "not known" else 1


def _degradation(options: Namespace) -> tuple[Answer, list[str], int]:
    _needed(options, "service", "dependency")
    from mainstay.chaos.matrix_view import WORDS, share_words, time_words  # noqa: PLC0415  (a lazy start)
    from mainstay.chaos.operations.matrix import MatrixRequest, matrix  # noqa: PLC0415  (a lazy start)
    from mainstay.kernel.workload import workload_named  # noqa: PLC0415  (a lazy start)

    seconds = options.duration
    with _world(options) as world:
        service = workload_named(world.catalog, options.service).name
        found = matrix(world, MatrixRequest((service,), (options.dependency,), duration=f"{seconds:g}s",
                                            rate=max(10.0, 25 / seconds), seed=options.seed, dry_run=options.dry_run))
    if found.measured is None:
        lines = [f"would take about {format_duration(found.seconds)}; nothing was touched"]
        lines += [f"  {one.case}: " + "; ".join(one.refusals or one.faults) for one in found.planned]
        return _plain({"dry_run": True, "cases": found.planned, "seconds": found.seconds}), lines, \
            1 if any(one.refusals for one in found.planned) else 0
    rows = [one for one in found.measured.rows if one.workload == service]
    lines = [f"{service} when {options.dependency} is in trouble:"]
    lines += [f"  {one.case:<24} {one.probe:<12} {WORDS[one.verdict]:<12} {share_words(one.errors)} fail, p99 "
              f"{time_words(one.p99)}" + (f"; promise {one.contract}" if one.contract else "")
              + (f": {one.broken}" if one.broken else "") for one in rows]
    bad = [one for one in rows if one.state == "violated"]
    unknown = all(one.verdict == "unknown" for one in rows)
    return _plain({"service": service, "dependency": options.dependency, "graceful": not bad and not unknown,
                   "cells": rows, "settings": found.measured.advice, "stopped": found.measured.stopped}), lines, \
        3 if unknown else 1 if bad else 0


@contextmanager
def _world(options: Namespace) -> Iterator[Any]:
    """The world of the catalog, as every other command has it."""
    from mainstay.app import Settings, build_world  # noqa: PLC0415  (a lazy start: lists and help need none of it)
    from mainstay.doors.cli import default_store  # noqa: PLC0415  (a lazy start)

    world = build_world(Settings(options.catalog, os.environ.get("MAINSTAY_STORE") or default_store(), "checked", None,
                                 getpass.getuser(), _say_progress))
    try:
        yield world
    finally:
        world.journal.close()
        world.ledger.close()


def _say_progress(sentence: str) -> None:
    sys.stderr.write(f"{sentence}\n")


def _plain(answer: Answer) -> Answer:
    """Dataclasses as mappings, named tuples as lists with names: what JSON can hold."""
    return {name: _value(value) for name, value in answer.items()}


def _value(value: Any) -> Any:
    from dataclasses import fields, is_dataclass  # noqa: PLC0415  (a lazy start: lists and help do without)

    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: _value(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {name: _value(inner) for name, inner in value._asdict().items()}
    if isinstance(value, list | tuple):
        return [_value(inner) for inner in value]
    if isinstance(value, dict):
        return {name: _value(inner) for name, inner in value.items()}
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
