"""What an operator does to a running shop from another terminal."""

from __future__ import annotations

import http.client
import json
import os
import signal
import time
from typing import Any

from shop.run_folder import LOOPBACK, Record, RunFolder
from shop.service import SECRET_HEADER
from shop.supervisor import NAME as SUPERVISOR

_DOWN_SECONDS = 12.0


class CannotDo(Exception):
    """The shop, as it stands, cannot do what was asked."""


def running(folder: RunFolder, instance: str) -> Record:
    """The record of a process that runs.

    Raises:
        CannotDo: it does not.
    """
    record = folder.record(instance)
    if record is None or not record.alive():
        raise CannotDo(f"{instance} does not run in {folder.path}; `shop up` starts the shop")
    return record


def take_down(folder: RunFolder) -> None:
    """Stop the supervisor and, with it, every service; then what was started without it."""
    records = [folder.record(name) for name in (SUPERVISOR, *_instances(folder))]
    alive = [record for record in records if record is not None and record.alive()]
    if not alive:
        raise CannotDo(f"nothing runs in {folder.path}")
    for record in alive:
        if record.alive():
            os.kill(record.pid, signal.SIGTERM)
        give_up = time.monotonic() + _DOWN_SECONDS
        while record.alive() and time.monotonic() < give_up:
            time.sleep(0.02)
        if record.alive():
            raise CannotDo(f"{record.instance} (pid {record.pid}) does not stop")


def states(folder: RunFolder) -> list[dict[str, Any]]:
    """Each process with its state: `ready`, `not ready`, `no answer` or `down`."""
    rows = []
    for name in _instances(folder):
        record = folder.record(name)
        assert record is not None, "it was just listed"
        row = {"instance": name, "service": record.service, "state": _state(record), "address": record.address}
        rows.append({**row, "pid": record.pid, "version": record.version, "started": record.started})
    return rows


def restart(folder: RunFolder, service: str, version: str | None) -> None:
    """Stop and start a service at its address, if wanted with another version; returns when it answers."""
    body = {"version": version} if version else None
    _administer(folder, SUPERVISOR, f"/admin/restart/{service}", body, seconds=40.0)


def kill(folder: RunFolder, instance: str) -> None:
    """Kill a process at once; what it was doing is lost, as in a crash."""
    os.kill(running(folder, instance).pid, signal.SIGKILL)


def knobs(folder: RunFolder, instance: str, changes: dict[str, object]) -> dict[str, Any]:
    """Turn the knobs of a service; the knobs as they are afterwards."""
    return _administer(folder, instance, "/admin/knobs", changes)


def route(folder: RunFolder, instance: str, addresses: dict[str, str]) -> dict[str, Any]:
    """Have a service find its dependencies at other addresses; all of them as they are afterwards."""
    return _administer(folder, instance, "/admin/dependencies", addresses)


def _instances(folder: RunFolder) -> list[str]:
    """Every process that ever ran in this folder, the supervisor apart."""
    return sorted(log.stem for log in folder.logs.glob("*.jsonl") if folder.record(log.stem))


def _state(record: Record) -> str:
    if not record.alive():
        return "down"
    try:
        status, _ = _ask(record, "GET", "/readyz", None, {}, seconds=1.0)
    except OSError:
        return "no answer"
    return "ready" if status == 200 else "not ready"


def _administer(
    folder: RunFolder, instance: str, path: str, body: object, *, seconds: float = 5.0
) -> dict[str, Any]:
    record = running(folder, instance)
    try:
        status, data = _ask(record, "POST", path, body, {SECRET_HEADER: folder.secret()}, seconds=seconds)
    except OSError as error:
        raise CannotDo(f"{instance} does not answer at {record.address}: {error}") from error
    if status != 200:
        raise CannotDo(str(data["error"]))
    return data


def _ask(
    record: Record, method: str, path: str, body: object, headers: dict[str, str], *, seconds: float
) -> tuple[int, dict[str, Any]]:
    connection = http.client.HTTPConnection(LOOPBACK, record.port, timeout=seconds)
    try:
        connection.request(method, path, json.dumps(body) if body is not None else "", headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()
