"""Numpy and PyYAML are loaded when they are first used, so that reading help, or one log, stays light.

The words' rooms import numpy at their top, as they should; `mainstay slo --help` imports those rooms to know their
verbs, and would pay 60 ms for numbers nobody asked for. `defer` puts an empty module in a heavy one's place that
becomes the real one when something looks for an attribute in it.

`importlib.util.LazyLoader` is meant for this, but before Python 3.13 the import statement itself looks for `__spec__`
and so loads the module at once. The load here is not safe when two threads ask for it at once (no more than
LazyLoader's is before 3.12): `load_now` must be called before an operation runs, while there is one thread.
"""

from __future__ import annotations

import gc
import importlib.util
import os
import sys
import types
from typing import Any

_HEAVY = ("numpy", "yaml")


class _Deferred(types.ModuleType):
    """A module that is found but not run; the first look at what only running would give runs it."""

    def __getattr__(self, name: str) -> Any:
        spec = self.__spec__
        assert spec is not None, "a deferred module was found"
        assert spec.loader is not None, "a deferred module is no namespace package"
        self.__class__ = types.ModuleType  # type: ignore[assignment]
        self.__path__ = spec.submodule_search_locations or []
        spec.loader.exec_module(self)
        return getattr(self, name)


def defer() -> None:
    """Importing these costs nothing from here on, until they are used; what is already imported stays as it is."""
    # Numpy starts a thread of linear algebra for every processor; it spins for 60 ms, and nobody asks it for anything.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    for name in _HEAVY:
        spec = importlib.util.find_spec(name) if name not in sys.modules else None
        if spec is None:
            continue
        module = importlib.util.module_from_spec(spec)
        # Without a path, importing one of its submodules looks for it, and so runs the parent first as it must.
        del module.__path__
        module.__class__ = _Deferred
        sys.modules[name] = module


def load_now() -> None:
    """Numpy, when somebody imported it, is really loaded; call it before there is a second thread.

    YAML is not: whoever reads a catalog loads it, and that is done before an operation runs.
    """
    module = sys.modules.get("numpy")
    if isinstance(module, _Deferred):
        # Any attribute that only running gives will do; this one exists in every version.
        _ = module.ndarray
        # What was imported so far stays to the end. Looking for cycles in it, as the interpreter does once more when
        # it ends, takes a seventh of a small command. Not later than here: DuckDB wants to be taken apart at the end.
        gc.freeze()
