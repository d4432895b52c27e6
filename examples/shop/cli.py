"""The commands of the shop."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import sys
from datetime import UTC, datetime
from pathlib import Path

from shop import control
from shop.history import write_history
from shop.knobs import Knobs, knob_settings
from shop.process import die_with, run_service
from shop.run_folder import RunFolder, rfc3339
from shop.service import Settings, checked_addresses
from shop.services import TRADES
from shop.supervisor import NAME as SUPERVISOR
from shop.supervisor import Child, Supervisor
from shop.traffic import Plan, drive
from shop.watch import watch

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DEFAULT_RUN = os.environ.get("SHOP_RUN", "var/shop")


def main(words: list[str] | None = None) -> int:
    """Run one command; the exit code: 0 done, 1 it could not be done, 2 asked wrongly."""
    options = _parser().parse_args(words)
    try:
        return int(options.command(options))
    except (control.CannotDo, OSError) as error:
        print(f"shop: {error}", file=sys.stderr)
        return 1
    except ValueError as error:
        print(f"shop: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


# -- commands -------------------------------------------------------------------------------------------------------


def _up(options: argparse.Namespace) -> int:
    if options.die_with is not None:
        die_with(options.die_with)
    folder = RunFolder(options.run)
    before = folder.record(SUPERVISOR)
    if before is not None and before.alive():
        raise control.CannotDo(f"a shop runs in {folder.path} already (pid {before.pid}); `shop down` stops it")
    services = options.services.split(",") if options.services else list(TRADES)
    if unknown := set(services) - TRADES.keys():
        raise ValueError(f"there is no service `{min(unknown)}`; there are {', '.join(TRADES)}")
    ports = dict(_pair(word) for word in options.port)
    versions = dict(_pair(word) if "=" in word else ("", word) for word in options.version_label)
    passed_on = [word for name in ("knob", "dependency") for value in getattr(options, name)
                 for word in (f"--{name}", value)]
    children = [
        Child(name, int(ports.get(name, 0)), versions.get(name, versions.get("", "v1")), passed_on) for name in services
    ]
    for name in services:
        _settings(name, name, "", options)  # a mistake in an option is told here, not by five dying children
    return asyncio.run(Supervisor(folder, children, restart=options.restart).run())


def _serve(options: argparse.Namespace) -> int:
    if options.die_with is not None:
        die_with(options.die_with)
    folder = RunFolder(options.run)
    settings = _settings(options.service, options.instance or options.service, options.version_label, options)
    supervisor = folder.record(SUPERVISOR) if options.die_with is None else None
    beside = supervisor if supervisor is not None and supervisor.alive() else None
    asyncio.run(run_service(settings, folder, options.port, beside))
    return 0


def _down(options: argparse.Namespace) -> int:
    control.take_down(RunFolder(options.run))
    print("the shop is down")
    return 0


def _status(options: argparse.Namespace) -> int:
    rows = control.states(RunFolder(options.run))
    if options.json:
        print(json.dumps(rows))
    for row in rows if not options.json else ():
        print(f"{row['state']:<9}  {row['instance']:<7} http://{row['address']}  pid {row['pid']}  {row['version']}")
    return 0 if rows and all(row["state"] == "ready" for row in rows) else 1


def _restart(options: argparse.Namespace) -> int:
    control.restart(RunFolder(options.run), options.service, options.version_label)
    print(f"{options.service} is up again")
    return 0


def _kill(options: argparse.Namespace) -> int:
    control.kill(RunFolder(options.run), options.service)
    print(f"{options.service} is killed")
    return 0


def _knob(options: argparse.Namespace) -> int:
    print(json.dumps(control.knobs(RunFolder(options.run), options.service, knob_settings(options.settings))))
    return 0


def _route(options: argparse.Namespace) -> int:
    addresses = dict(_pair(word) for word in options.addresses)
    print(json.dumps(control.route(RunFolder(options.run), options.service, addresses)))
    return 0


def _traffic(options: argparse.Namespace) -> int:
    if options.die_with is not None:
        die_with(options.die_with)
    folder = RunFolder(options.run)
    address = options.to or control.running(folder, "web").address
    plan = Plan(rate=options.rate, seconds=options.seconds, seed=options.seed, day_seconds=options.day)
    print(json.dumps(asyncio.run(drive(address, plan))))
    return 0


def _watch(options: argparse.Namespace) -> int:
    if options.die_with is not None:
        die_with(options.die_with)
    if not re.match(r"http://[^/]", options.alertmanager):
        raise ValueError(f"`{options.alertmanager}` is not an address such as http://127.0.0.1:9093")
    asyncio.run(watch(RunFolder(options.run), options.alertmanager))
    return 0


def _history(options: argparse.Namespace) -> int:
    end = options.end or datetime.now(UTC)
    rows = write_history(RunFolder(options.run).history, days=options.days, end=end, seed=options.seed)
    print(f"{rows} simulated rows up to {rfc3339(end)} in {RunFolder(options.run).history}")
    return 0


# -- words of the command line --------------------------------------------------------------------------------------


def _settings(service: str, instance: str, version: str, options: argparse.Namespace) -> Settings:
    """What concerns one service, of options that are given for all of them as SERVICE.NAME=VALUE."""
    knobs = [*os.environ.get("SHOP_KNOBS", "").split(), *options.knob]
    addresses = [*os.environ.get("SHOP_DEPENDENCIES", "").split(), *options.dependency]
    mine = {name: [word.removeprefix(f"{service}.") for word in words if word.startswith(f"{service}.")]
            for name, words in (("knobs", knobs), ("addresses", addresses))}
    for word in (*knobs, *addresses):
        if word.partition(".")[0] not in TRADES:
            raise ValueError(f"`{word}` does not begin with a service, such as api.latency_ms=200")
    found = checked_addresses(dict(_pair(word) for word in mine["addresses"]), TRADES[service].NEEDS)
    return Settings(service, instance, version, Knobs().turned(knob_settings(mine["knobs"])), found)


def _pair(word: str) -> tuple[str, str]:
    name, equals, value = word.partition("=")
    if not equals:
        raise ValueError(f"`{word}` is not of the form NAME=VALUE")
    return name, value


def _seconds(text: str) -> float:
    """`90s`, `5m`, `1.5h` as seconds."""
    found = re.fullmatch(r"([0-9]*\.?[0-9]+)(ms|s|m|h|d)", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"`{text}` is not a time such as 60s, 5m or 2h")
    return float(found[1]) * _SECONDS[found[2]]


def _per_second(text: str) -> float:
    """`30/s`, `90/m` or `30` as requests per second."""
    count, _, unit = text.partition("/")
    try:
        rate = float(count) / _SECONDS[unit or "s"]
    except (ValueError, KeyError):
        rate = 0.0
    if not 0 < rate < 100_000:
        raise argparse.ArgumentTypeError(f"`{text}` is not a rate such as 30/s or 90/m")
    return rate


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise argparse.ArgumentTypeError(f"`{text}` has no time zone; write 2026-11-21T00:00:00Z")
    return moment.astimezone(UTC)


def _repeated(parser: argparse.ArgumentParser, name: str, shape: str, text: str) -> None:
    """An option that may be given many times."""
    parser.add_argument(name, action="append", default=[], metavar=shape, help=text)


def _parser() -> argparse.ArgumentParser:
    run = argparse.ArgumentParser(add_help=False)
    run.add_argument("--run", type=Path, default=Path(_DEFAULT_RUN), help=f"the run folder (default {_DEFAULT_RUN})")
    start = argparse.ArgumentParser(add_help=False)
    _repeated(start, "--knob", "SERVICE.KNOB=NUMBER", "such as api.latency_ms=200")
    _repeated(start, "--dependency", "SERVICE.NAME=HOST:PORT", "where it finds a dependency")
    start.add_argument("--die-with", type=int, metavar="PID", help="end when this parent process ends, however it ends")

    parser = argparse.ArgumentParser(prog="shop", description="A small real shop to watch, load, attack and deploy.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    up = commands.add_parser("up", parents=[run, start], help="start the shop and stay with it")
    up.add_argument("--services", metavar="A,B", help="only these")
    up.add_argument("--restart", action="store_true", help="start a service again when it dies")
    _repeated(up, "--port", "SERVICE=PORT", "default: as before in this folder, or any")
    _repeated(up, "--version-label", "[SERVICE=]LABEL", "default v1")
    up.set_defaults(command=_up)

    serve = commands.add_parser("serve", parents=[run, start], help="one service in the foreground, such as a canary")
    serve.add_argument("service", choices=TRADES)
    serve.add_argument("--instance", help="its name in the run folder, when it is not the only one of its service")
    serve.add_argument("--port", type=int, default=0, help="default: as before in this folder, or any")
    serve.add_argument("--version-label", default="v1", metavar="LABEL", help="default v1")
    serve.set_defaults(command=_serve)

    down = commands.add_parser("down", parents=[run], help="stop everything in the run folder")
    down.set_defaults(command=_down)
    status = commands.add_parser("status", parents=[run], help="what runs; exit code 1 unless all is ready")
    status.add_argument("--json", action="store_true")
    status.set_defaults(command=_status)
    restart = commands.add_parser("restart", parents=[run], help="stop and start a service at its address")
    restart.add_argument("service", choices=TRADES)
    restart.add_argument("--version-label", metavar="LABEL", help="run another version from now on")
    restart.set_defaults(command=_restart)
    kill = commands.add_parser("kill", parents=[run], help="kill a service with -9, as if it had crashed")
    kill.add_argument("service")
    kill.set_defaults(command=_kill)
    knob = commands.add_parser("knob", parents=[run], help="make a service slow or faulty; without settings, show")
    knob.add_argument("service")
    knob.add_argument("settings", nargs="*", metavar="KNOB=NUMBER")
    knob.set_defaults(command=_knob)
    route = commands.add_parser("route", parents=[run], help="put something between a service and a dependency")
    route.add_argument("service")
    route.add_argument("addresses", nargs="*", metavar="NAME=HOST:PORT", help="an empty address undoes it")
    route.set_defaults(command=_route)

    _beside(commands, run)
    return parser


def _beside(commands: argparse._SubParsersAction[argparse.ArgumentParser], run: argparse.ArgumentParser) -> None:
    """Commands that run beside the shop, and the one that makes up its past."""
    traffic = commands.add_parser("traffic", parents=[run], help="customers, who come however slow the shop is")
    traffic.add_argument("--rate", type=_per_second, default=30.0, help="requests such as 30/s (the default)")
    traffic.add_argument("--for", dest="seconds", type=_seconds, default=60.0, help="such as 60s (the default)")
    traffic.add_argument("--seed", type=int, default=0, help="the same seed, the same customers at the same times")
    traffic.add_argument("--day", type=_seconds, help="length of a day with its quiet night, such as 24h or 10m")
    traffic.add_argument("--die-with", type=int, metavar="PID", help="end when this parent process ends")
    traffic.add_argument("--to", metavar="HOST:PORT", help="default: web of the run folder")
    traffic.set_defaults(command=_traffic)

    watching = commands.add_parser("watch", parents=[run], help="tell an Alertmanager which services are down")
    watching.add_argument("--alertmanager", required=True, metavar="URL", help="such as http://127.0.0.1:9093")
    watching.add_argument("--die-with", type=int, metavar="PID", help="end when this parent process ends")
    watching.set_defaults(command=_watch)

    history = commands.add_parser("history", parents=[run], help="write simulated, labelled history")
    history.add_argument("--days", type=int, default=30)
    history.add_argument("--seed", type=int, default=0, help="the same seed and end, the same history")
    history.add_argument("--end", type=_moment, help="such as 2026-11-21T00:00:00Z (default: now)")
    history.set_defaults(command=_history)
