"""Every act on this host: who does which kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_never

from mainstay.adapters import actuators_flag, actuators_http
from mainstay.adapters.actuators_process import Programs, check_unit
from mainstay.adapters.secrets import Secret
from mainstay.kernel.actuation import (
    Act,
    Ask,
    Command,
    Ending,
    Flag,
    Http,
    Kubernetes,
    Metric,
    Outcome,
    Prepared,
    Python,
    Sql,
    Systemd,
    Wait,
    Watch,
)
from mainstay.kernel.catalog import Catalog
from mainstay.kernel.errors import MainstayError
from mainstay.kernel.ports import Clock


class HostActuator:
    """Does acts from this host.

    Args:
        catalog: declares the sources that are asked.
        environ: where secrets are, and what programs get a few variables of.
    """

    def __init__(self, catalog: Catalog, clock: Clock, environ: Mapping[str, str]) -> None:
        self._catalog, self._clock, self._environ = catalog, clock, environ
        self._programs = Programs(environ)

    def secret(self, env: str, file: str) -> str:
        """The secret that an environment variable, or the first line of a file, holds.

        Raises:
            InvalidInput: there is none.
        """
        return Secret(env, file).read(self._environ)

    def prepare(self, act: Act) -> Prepared:
        """What is there now, where that tells how the act is taken back.

        Raises:
            MainstayError: the act cannot be done.
        """
        match act:
            case Flag():
                return actuators_flag.before(act)
            case Kubernetes():
                from mainstay.adapters import actuators_kubernetes  # noqa: PLC0415  (a lazy start, like below)

                return actuators_kubernetes.prepare(act, self._environ)
            case Systemd():
                check_unit(act)
        return Prepared()

    def carry_out(self, act: Act, watch: Watch) -> Outcome:
        """The act's outcome; what cannot even be tried is a failure, too."""
        try:
            return self._do(act, watch)
        except MainstayError as error:
            return Outcome(Ending.FAILED, error=error.message)

    def _do(self, act: Act, watch: Watch) -> Outcome:
        match act:
            case Command():
                return self._programs.command(act, watch)
            case Systemd():
                return self._programs.systemd(act, watch)
            case Kubernetes():
                from mainstay.adapters import actuators_kubernetes  # noqa: PLC0415  (a lazy start, like below)

                return actuators_kubernetes.carry_out(act, watch, self._environ, self._clock.now())
            case Python():
                return self._programs.python(act, watch)
            case Http():
                return actuators_http.send(act, watch)
            case Flag():
                return actuators_flag.flip(act, watch)
            case Metric():
                from mainstay.adapters.actuators_query import ask_metric  # noqa: PLC0415  (a lazy start, like below)

                return ask_metric(self._catalog, self._clock, act, watch)
            case Sql():
                from mainstay.adapters.actuators_query import ask_sql  # noqa: PLC0415  (a lazy start: SQLAlchemy)

                return ask_sql(act, watch)
            case Wait() | Ask():
                raise AssertionError(f"{act.kind} is no act on a system; who drives a run does it")
            case other:
                assert_never(other)
