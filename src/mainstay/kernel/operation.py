"""Operations: a verb of a word, written once and offered by the command line, HTTP and the page.

A request is a frozen dataclass; each field, made with `arg`, becomes a flag, a query parameter and a body field. A
result is a dataclass (or a Struct) whose fields are the stable JSON; its view is what people see.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Generic, Literal, TypeVar, get_type_hints

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.ports import World
from mainstay.kernel.view import View

Req = TypeVar("Req")
Res = TypeVar("Res")

Scope = Literal["read", "write", "approve"]
"""What a caller must be allowed to do; a token carries one or more of these."""

CatalogUse = Literal["unused", "named", "checked", "any"]
"""Whether an operation reads the catalog, and whether mistakes in it stop the run."""

_REQUIRED = dataclasses.MISSING


def arg(help: str, default: Any = _REQUIRED, *,  # noqa: PLR0913  (the keywords of a declaration, most left out)
        positional: bool = False, short: str = "", choices: Sequence[str] = (), env: str = "",
        local_only: bool = False, flag: str = "", value: str = "") -> Any:
    """A field of a request, with what the doors must know about it.

    Args:
        positional: on the command line it is an argument, not a flag.
        short: a one-letter flag: `c` for `-c`.
        env: an environment variable that gives the default on the command line.
        flag: the flag's name where the field cannot carry it, because it is a word of Python: `from`.
        value: what help calls the flag's value where the type says little: `CONDITION`, `DURATION`, `FILE`.
        local_only: offered on the command line only, such as a path: over HTTP it would let a stranger read files.
    """
    metadata = {"help": help, "positional": positional, "short": short, "choices": tuple(choices), "env": env,
                "local_only": local_only, "flag": flag, "value": value}
    if isinstance(default, (list, dict)):
        raise AssertionError("a default must not be shared between requests; use a tuple or None")
    return dataclasses.field(default=default, metadata=metadata) if default is not _REQUIRED \
        else dataclasses.field(metadata=metadata)


@dataclass(frozen=True, slots=True)
class Argument:
    """A field of a request as the doors see it."""

    name: str
    type: Any
    help: str
    required: bool
    default: Any
    positional: bool
    short: str
    choices: tuple[str, ...]
    env: str
    local_only: bool
    flag: str = ""
    value: str = ""


def arguments(request: type) -> tuple[Argument, ...]:
    """The fields of a request type, in order."""
    hints = get_type_hints(request)
    out = []
    for field in dataclasses.fields(request):
        meta = field.metadata
        required = field.default is dataclasses.MISSING
        out.append(Argument(field.name, hints[field.name], meta["help"], required, None if required else field.default,
                            meta["positional"], meta["short"], meta["choices"], meta["env"], meta["local_only"],
                            meta["flag"], meta["value"]))
    return tuple(out)


@dataclass(frozen=True, slots=True)
class Operation(Generic[Req, Res]):
    """One verb.

    Args:
        word: the feature it belongs to: `slo`.
        verb: what it does: `report`. Together they are the command and the route: `mainstay slo report`,
            `/api/v1/slo/report`.
        run: the work. Its docstring's first line is the summary in every door.
        view: the result as people see it.
        scope: who may call it; `read` operations are GET, the others POST.
        exit_code: the process's exit code for a result; 0 unless said otherwise.
        exit_codes: what each code means, for `--help`.
        examples: command lines for `--help`, each run or checked by a test.
        catalog: whether it is handed the catalog: not at all, only when its folder was named, only one without errors,
            or any with its findings; or what says so of a request.
        numbers: whether threads of it may be the first to use numpy; then it is loaded before, which costs 60 ms.
        follow: where what was only begun can be followed, as `chaos/report?run=EXP-3`; the HTTP door then answers 202
            with that place. None where the work is done when the answer comes.
        doors: where it is offered; a page or route makes no sense for every verb (`slo try` reads local files).
    """

    word: str
    verb: str
    request: type[Req]
    run: Callable[[World, Req], Res]
    view: Callable[[Res], View]
    scope: Scope = "read"
    exit_code: Callable[[Res], int] = lambda _: 0
    exit_codes: tuple[tuple[int, str], ...] = ((0, "done"), (2, "the input cannot be used"))
    examples: tuple[str, ...] = ()
    doors: tuple[Literal["cli", "http", "page"], ...] = ("cli", "http", "page")
    as_json: Callable[[Res], object] | None = None
    follow: Callable[[Res], str] | None = None
    catalog: CatalogUse | Callable[[Req], CatalogUse] = "checked"
    numbers: bool = True

    def catalog_for(self, request: Req) -> CatalogUse:
        """Whether the catalog is read for this request."""
        return self.catalog(request) if callable(self.catalog) else self.catalog

    @property
    def summary(self) -> str:
        """The first line of the operation's docstring."""
        return (self.run.__doc__ or "").strip().splitlines()[0]
