"""What `mainstay/…` annotations add to an OpenSLO objective, which has no fields for it."""

from __future__ import annotations

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.finding import Position, did_you_mean
from mainstay.kernel.metadata import Metadata, parse_date, parse_period
from mainstay.kernel.objective import Dependency, Review
from mainstay.kernel.quantity import Target
from mainstay.kernel.reader import Reader


@dataclass(frozen=True, slots=True)
class Additions:
    """What OpenSLO has no field for, from `mainstay/…` annotations."""

    owner: str = ""
    rationale: str = ""
    sla: Target | None = None
    dependencies: tuple[Dependency, ...] = ()
    policy: str = ""
    review: Review | None = None


_ANNOTATIONS = ("owner", "rationale", "sla", "depends-on", "policy", "review-every", "review-last")


def read_annotations(reader: Reader, meta: Metadata) -> Additions:
    """The `mainstay/…` annotations, checked like fields of their own."""
    notes = _annotations(reader) if meta.annotations else None
    if notes is None:
        return Additions()
    for key in meta.annotations:
        known = key.removeprefix("mainstay/")
        if known != key and known not in _ANNOTATIONS:
            notes.report("unknown-field", f"annotation {key} is unknown{did_you_mean(known, _ANNOTATIONS)}",
                         "known: " + ", ".join(f"mainstay/{one}" for one in _ANNOTATIONS), key)
    every = notes.parsed("mainstay/review-every", parse_period)
    last = notes.parsed("mainstay/review-last", parse_date)
    dependencies = notes.parsed("mainstay/depends-on", lambda text: parse_dependencies(text, meta.origin))
    return Additions(meta.annotations.get("mainstay/owner", ""), meta.annotations.get("mainstay/rationale", ""),
                     notes.target("mainstay/sla"), dependencies or (), meta.annotations.get("mainstay/policy", ""),
                     Review(every, last) if every is not None else None)


def _annotations(reader: Reader) -> Reader | None:
    head = reader.child("metadata")
    return head.child("annotations") if head is not None else None


def parse_dependencies(text: str, where: Position) -> tuple[Dependency, ...]:
    """`auth=99.99, db` as dependencies.

    Raises:
        InvalidInput: a promise without a service, or one that is not a target.
    """
    out = []
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        service, _, promise = part.partition("=")
        if not service.strip():
            raise InvalidInput(f'"{part}" names no service', "write SERVICE=99.9")
        out.append(Dependency(service.strip(), Target.percent(promise) if promise else None, "", where))
    return tuple(out)
