"""Numpy, PyYAML, httpx and some of Python's own are loaded when they are first used: small commands stay light.

The words' rooms import numpy at their top, as they should; `mainstay slo --help` imports those rooms to know their
verbs, and would pay 60 ms for numbers nobody asked for. `defer` puts an empty module in a heavy one's place that
becomes the real one when something looks for an attribute in it.

Python's own are those that others of Python's own import for a case that is rare: `dataclasses` imports `inspect` for
classes without a docstring, `pathlib` ends in `ipaddress`, `shutil` looks whether there is `lzma`. With `hashlib`,
which starts OpenSSL, they are a tenth of a command that needs none of them.

`importlib.util.LazyLoader` is meant for this, but before Python 3.13 the import statement itself looks for `__spec__`
and so loads the module at once, and before 3.12 it is not safe with threads.
"""

from __future__ import annotations

import gc
import importlib.util
import os
import sys
import threading
import types
from typing import Any

_HEAVY = ("numpy", "yaml", "httpx", "hashlib", "inspect", "ipaddress", "bz2", "lzma", "locale")

_UNWANTED = ("httpx._main",)
"""Optional parts of others that nobody here asks for. Httpx imports its own command line where what that needs happens
to be installed: three fifths of what it takes to load, and of its memory."""

_loading = {name: threading.RLock() for name in _HEAVY}
"""A lock a module, as the import statement has: one for all would wait for itself across two threads."""

_begun: set[str] = set()


class _Deferred(types.ModuleType):
    """A module that is found but not run; the first look at what only running would give runs it."""

    def __getattr__(self, name: str) -> Any:
        with _loading[self.__name__]:
            # Not while it is being run: what it lacks then it lacks, as any module that imports itself in a circle.
            if self.__name__ not in _begun:
                _begun.add(self.__name__)
                self._run()
        return types.ModuleType.__getattribute__(self, name)

    def _run(self) -> None:
        spec = self.__spec__
        assert spec is not None, "a deferred module was found"
        assert spec.loader is not None, "a deferred module is no namespace package"
        if spec.submodule_search_locations is not None:
            self.__path__ = spec.submodule_search_locations
        spec.loader.exec_module(self)
        # Last: until then other threads come here, and wait.
        self.__class__ = types.ModuleType  # type: ignore[assignment]


def defer() -> None:
    """Importing these costs nothing from here on, until they are used; what is already imported stays as it is."""
    # Numpy starts a thread of linear algebra for every processor; it spins for 60 ms, and nobody asks it for anything.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    for name in _UNWANTED:
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]  # Python's way to say that there is none
    for name in _HEAVY:
        spec = importlib.util.find_spec(name) if name not in sys.modules else None
        if spec is None:
            continue
        module = importlib.util.module_from_spec(spec)
        # Without a path, importing one of its submodules looks for it, and so runs the parent first as it must.
        if spec.submodule_search_locations is not None:
            del module.__path__
        module.__class__ = _Deferred
        sys.modules[name] = module


def load_now() -> None:
    """Numpy, when somebody imported it, is really loaded: an operation that computes may do so in many threads."""
    module = sys.modules.get("numpy")
    if isinstance(module, _Deferred):
        # Any attribute that only running gives will do; this one exists in every version.
        _ = module.ndarray
        # What was imported so far stays to the end. Looking for cycles in it, as the interpreter does once more when
        # it ends, takes a seventh of a small command. Not later than here: DuckDB wants to be taken apart at the end.
        gc.freeze()


def leave() -> None:
    """Call it last: what is there stays to the end, and the interpreter need not look for cycles in it once more.

    With DuckDB it must: that says on standard error that it was not taken apart.
    """
    if "duckdb" not in sys.modules:
        gc.freeze()
