"""Telling a workload where to find a dependency, by the call that its catalog declares."""

from __future__ import annotations

from pathlib import Path

from mainstay.adapters.faults.places import Address, address_of, text_at
from mainstay.kernel.errors import InvalidInput, SourceUnavailable
from mainstay.kernel.faults import Undo
from mainstay.kernel.workload import Call, Workload

_SECONDS = 5.0


def undo_of(call: Call, workload: Workload, direct: Address) -> Undo:
    """The call that takes it back; secrets stand in it as the files they are read from when it is made.

    Raises:
        InvalidInput: there is none, or a secret stands in the catalog itself.
    """
    if not call.undo_body and "{to}" not in call.url:
        raise InvalidInput(f"the route of {workload.name} cannot be taken back", "write undo_body: in its route")
    for name, at in call.secret_headers.items():
        if at.value:
            raise InvalidInput(f"the header {name} of {workload.name}'s route is a secret and stands in the catalog",
                               f"write {name}: {{file: …}}; the file is read when it is needed")
    return Undo("http", {
        "method": call.method, "url": _url(call, workload, direct),
        "body": call.undo_body.replace("{to}", direct.shown),
        "headers": dict(call.headers),
        "secret_headers": {name: {"file": str(Path(workload.home, at.file).absolute()), "key": at.key}
                           for name, at in call.secret_headers.items()}})


def lead(call: Call, workload: Workload, to: Address) -> None:
    """Have the workload find the dependency there.

    Raises:
        InvalidInput: a secret's file cannot be read.
        SourceUnavailable: the workload did not take it.
    """
    secrets = {name: text_at(at, workload.home, at.key or "secret") for name, at in call.secret_headers.items()}
    _send(call, workload, _url(call, workload, to), call.body.replace("{to}", to.shown), secrets)


def lead_back(call: Call, workload: Workload, direct: Address) -> None:
    """Have the workload find the dependency where it was; raises as `lead`."""
    secrets = {name: text_at(at, workload.home, at.key or "secret") for name, at in call.secret_headers.items()}
    _send(call, workload, _url(call, workload, direct), call.undo_body.replace("{to}", direct.shown), secrets)


def _send(call: Call, workload: Workload, url: str, body: str, secrets: dict[str, str]) -> None:
    import httpx  # noqa: PLC0415  (a lazy start: a tenth of a second that listing mechanisms need not cost)

    try:
        answer = httpx.request(call.method, url, content=body.encode(), headers={**call.headers, **secrets},
                               timeout=_SECONDS, trust_env=False)
    except httpx.HTTPError as problem:
        raise SourceUnavailable(f"{workload.name} could not be told where to find it: {problem}",
                                f"see whether {url} answers") from problem
    if answer.status_code >= 300:
        raise SourceUnavailable(f"{workload.name} did not take where to find it: {url} answered {answer.status_code}",
                                "see the route's url, body and headers in the catalog")


def _url(call: Call, workload: Workload, to: Address) -> str:
    own = address_of(workload).shown if "{address}" in call.url else ""
    return call.url.replace("{to}", to.shown).replace("{address}", own)
