"""Asking running systems: over HTTP and TCP, by a program, by a PromQL query, by a Python function.

Whatever goes wrong outside is an answer with a problem. Every question ends within its time; only a Python function
of somebody else can hang on, and is asked in a thread that can be left behind.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Container
from contextlib import suppress
from dataclasses import replace
from typing import Any

from mainstay.kernel.catalog import Catalog
from mainstay.kernel.errors import InvalidInput, MainstayError
from mainstay.kernel.objective import DataSource, PrometheusDetails
from mainstay.kernel.ports import Clock
from mainstay.kernel.probing import Ask, CallAsk, Heard, HttpAsk, ProcessAsk, QueryAsk, TcpAsk
from mainstay.kernel.workload import Workload

_MOST_BYTES = 1024 * 1024
"""Of an answer that are read; a probe that says more says too much."""


class Probes:
    """Asks."""

    def __init__(self, catalog: Catalog, clock: Clock) -> None:
        self._catalog, self._clock = catalog, clock
        self._programs = _Programs()

    def ask(self, question: Ask) -> Heard:
        """The answer, within the question's time in all."""
        if isinstance(question, HttpAsk):
            # Loaded before time is taken: the first answer must not look slow because of us.
            importlib.import_module("httpx")
        began = time.monotonic()
        value: Any
        try:
            match question:
                case HttpAsk():
                    value = _http(question, began)
                case ProcessAsk():
                    value = self._programs.run(question)
                case TcpAsk():
                    value = _tcp(question)
                case QueryAsk():
                    value = self._query(question)
                case CallAsk():
                    value = _call(question)
        except (MainstayError, OSError, UnicodeError) as error:
            return Heard(None, _said(error), time.monotonic() - began)
        seconds = time.monotonic() - began
        if isinstance(question, HttpAsk):
            value["seconds"] = seconds
        return Heard(value, "", seconds)

    def lacks(self, question: Ask) -> tuple[str, str]:
        """What is missing here to ask it, and what would mend that; both empty when nothing is. Nothing is asked."""
        match question:
            case ProcessAsk(command):
                return ("", "") if shutil.which(os.path.expanduser(command[0])) else \
                    (f'there is no program "{command[0]}" here', "install it, or name its whole path")
            case CallAsk(module):
                first = module.split(".", 1)[0]
                # Only the first part: looking for a part of a package would run the package.
                return ("", "") if first in sys.modules or importlib.util.find_spec(first) else \
                    (f'the Python module "{module}" is not installed', f"pip install {_package(module)}")
            case QueryAsk(source):
                return ("", "") if self._catalog.find(DataSource, source) is not None else \
                    (f'no source is named "{source}"', "declare it as a DataSource")
            case HttpAsk() | TcpAsk():
                return "", ""

    def give_up(self) -> None:
        """End every program that was asked and still runs."""
        self._programs.end()

    def _query(self, question: QueryAsk) -> Any:
        from mainstay.adapters.prometheus_api import (  # noqa: PLC0415  (a lazy start: httpx and ssl cost 60 ms)
            PrometheusApi,
            settings_of,
        )

        details = self._catalog.get(DataSource, question.source).details
        if not isinstance(details, PrometheusDetails):
            raise InvalidInput(f'source "{question.source}" answers no queries', "name a source of type Prometheus")
        api = PrometheusApi(replace(settings_of(details), timeout=question.seconds, retries=0), self._clock)
        try:
            now = int(self._clock.now().timestamp())
            lines = api.query_range(question.text, now, now, 60).data.result
        finally:
            api.close()
        values = [float(line.values[-1][1]) for line in lines if line.values]
        if not values:
            raise InvalidInput(f"the query gives nothing: {question.text}", "check its labels, or wait for data")
        return values[0] if len(values) == 1 else values


def _said(error: Exception) -> str:
    if isinstance(error, MainstayError):
        return error.message
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error) or type(error).__name__


# -- HTTP and TCP -------------------------------------------------------------------------------------------------


def _http(question: HttpAsk, began: float) -> dict[str, Any]:
    import httpx  # noqa: PLC0415  (a lazy start: 60 ms, which a probe by a program can spare)

    url = question.url
    if question.workload is not None and not url.startswith(("http://", "https://")):
        url = f"http://{_address_of(question.workload)}{url if url.startswith('/') else '/' + url}"
    try:
        with httpx.Client(verify=question.verify if url.startswith("https") else False, trust_env=False,
                          timeout=question.seconds) as client, \
                client.stream(question.method, url, headers={"User-Agent": "mainstay", **question.headers},
                              content=question.body or None) as answer:
            body = b""
            for chunk in answer.iter_bytes():
                body += chunk
                if time.monotonic() - began > question.seconds:
                    raise InvalidInput(f"its answer was not over within {question.seconds:g} s")
                if len(body) > _MOST_BYTES:
                    raise InvalidInput("its answer has more than 1 MiB")
    except httpx.TimeoutException:
        raise InvalidInput(f"no answer within {question.seconds:g} s") from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise InvalidInput(f"cannot be reached: {str(error) or type(error).__name__}") from None
    kind = answer.headers.get("content-type", "") if question.parsed else ""
    return {"status": answer.status_code,
            "headers": {name.decode("latin-1"): value.decode("latin-1") for name, value in answer.headers.raw},
            "body": _body(body, kind, answer.charset_encoding or "utf-8")}


def _body(body: bytes, kind: str, encoding: str) -> Any:
    try:
        text = body.decode(encoding, "replace")
    except LookupError:
        text = body.decode("utf-8", "replace")
    if "json" in kind:
        with suppress(ValueError):
            return json.loads(text)
    return text


def _tcp(question: TcpAsk) -> bool:
    import socket  # noqa: PLC0415  (a lazy start: a probe by a program can spare it)

    address = question.address or (_address_of(question.workload) if question.workload is not None else "")
    host, _, port = address.rpartition(":")
    if not port.isdigit():
        raise InvalidInput(f'"{address}" is no address', "write host:port")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=question.seconds).close()
    except OSError:
        return False
    return True


def _address_of(workload: Workload) -> str:
    from mainstay.adapters.faults.places import said_address  # noqa: PLC0415  (a lazy start, as above)

    return said_address(workload)


# -- programs and functions ---------------------------------------------------------------------------------------


class _Programs:
    """Programs under way, each a group of processes of its own, so that none outlives its question."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[int] = set()

    def run(self, question: ProcessAsk) -> dict[str, Any]:
        """The program's end, or the end of its whole group when its time is over."""
        try:
            with self._lock:
                process = subprocess.Popen(question.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                           stderr=subprocess.PIPE, cwd=question.folder or None,
                                           env={**os.environ, **question.environment}, start_new_session=True)
                self._running.add(process.pid)
        except (OSError, ValueError) as error:
            raise InvalidInput(f"{question.command[0]} cannot be run: {_said(error)}") from None
        try:
            out, problem = process.communicate(timeout=question.seconds)
        except subprocess.TimeoutExpired:
            _end_group(process.pid)
            process.communicate()
            raise InvalidInput(f"{question.command[0]} did not end within {question.seconds:g} s") from None
        finally:
            with self._lock:
                self._running.discard(process.pid)
        return {"status": process.returncode, "stdout": out.decode("utf-8", "replace"),
                "stderr": problem.decode("utf-8", "replace")}

    def end(self) -> None:
        """End all of them."""
        with self._lock:
            for pid in self._running:
                _end_group(pid)


def _end_group(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def function_of(module: str, name: str) -> Callable[..., Any]:
    """The function of a module, found without running it; the module itself is run by being imported.

    Raises:
        InvalidInput: there is no such module, it cannot be imported, or it has no such function.
    """
    try:
        found = getattr(importlib.import_module(module), name, None)
    except ImportError as error:
        missing = error.name or module
        raise InvalidInput(f'the Python module "{module}" is not installed'
                           + (f': it needs "{missing}"' if missing != module else ""),
                           f"install the driver that has it beside Mainstay: pip install {_package(module)}") from None
    except Exception as error:  # a module of somebody else may do anything when it is imported
        raise InvalidInput(f'the Python module "{module}" cannot be imported: {error}', "mend it") from error
    if not callable(found):
        raise InvalidInput(f'the Python module "{module}" has no function "{name}"', "check the driver's version")
    return found  # type: ignore[no-any-return]


_PACKAGES = {"chaosk8s": "chaostoolkit-kubernetes", "chaosaws": "chaostoolkit-aws", "chaosazure": "chaostoolkit-azure",
             "chaosgcp": "chaostoolkit-google-cloud-platform", "chaosgce": "chaostoolkit-google-cloud-platform",
             "chaosprometheus": "chaostoolkit-prometheus", "chaostoxi": "chaostoolkit-toxiproxy",
             "chaosistio": "chaostoolkit-istio", "chaosspring": "chaostoolkit-spring", "chaosaddons":
             "chaostoolkit-addons", "chaoscf": "chaostoolkit-cloud-foundry", "chaosgremlin": "chaostoolkit-gremlin",
             "chaosreliably": "chaostoolkit-reliably", "chaoswm": "chaostoolkit-wiremock",
             "chaosgrafana": "chaostoolkit-grafana", "chaosdatadog": "chaostoolkit-datadog",
             "chaosslack": "chaostoolkit-slack", "chaosopentracing": "chaostoolkit-opentracing"}


def _package(module: str) -> str:
    first = module.split(".", 1)[0]
    return _PACKAGES.get(first, first)


def _call(question: CallAsk) -> Any:
    function = function_of(question.module, question.function)
    try:
        names: Container[str] = inspect.signature(function).parameters
    except ValueError:  # a function of C that does not tell what it takes
        names = ()
    # What a driver does not ask for it is not given: configuration and secrets, above all.
    given = {name: value for name, value in question.arguments.items()
             if name in names or name not in ("configuration", "secrets")}
    try:
        return function(**given)
    except MainstayError:
        raise
    except Exception as error:  # a function of somebody else may raise anything
        raise InvalidInput(f"{question.module}.{question.function} failed: {type(error).__name__}: {error}") from error
