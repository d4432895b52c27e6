"""What a format is: how its documents are recognised, read into a catalog's resources, and written from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mainstay.kernel.catalog import Catalog, Resource
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.document import Document
from mainstay.kernel.finding import Finding, Position
from mainstay.kernel.objective import AlertDeclaration, DataSource, Objective, Service
from mainstay.kernel.quantity import Target
from mainstay.monitoring.spec import Alerting


@dataclass(frozen=True, slots=True)
class Loss:
    """Something that the other side cannot say, named as the file that loses it names it.

    Args:
        what: the field or object that is lost: `slos[0].alerting.annotations`.
        why: what Mainstay (or the format written) has no word for, or says otherwise.
        where: where it stands in the file that was read; None when it is lost in writing.
    """

    what: str
    why: str
    where: Position | None = None


@dataclass(frozen=True, slots=True)
class Composition:
    """Several objectives as one, a journey in the catalog.

    Args:
        combine: `serial` (shares multiply), `weighted` (each share counts by its weight) or `composite` (the budget
            burns at the weighted sum of the parts' burns).
        parts: names of objectives, each with its weight.
    """

    name: str
    origin: Position
    combine: str
    parts: tuple[tuple[str, float], ...]
    target: Target | None = None
    description: str = ""


@dataclass(frozen=True, slots=True)
class Bundle:
    """What passes between formats: a catalog's resources. Objectives carry their indicators inline."""

    objectives: tuple[Objective, ...] = ()
    services: tuple[Service, ...] = ()
    sources: tuple[DataSource, ...] = ()
    alertings: tuple[Alerting, ...] = ()
    compositions: tuple[Composition, ...] = ()
    declarations: tuple[AlertDeclaration, ...] = ()

    def catalog(self) -> Catalog:
        """The same as a catalog, for what asks one: which alerting is about an objective."""
        parts: tuple[tuple[type, tuple[Resource, ...]], ...] = (
            (Objective, self.objectives), (Service, self.services), (DataSource, self.sources),
            (Alerting, self.alertings))
        return Catalog({kind: {one.name: one for one in found} for kind, found in parts})


@dataclass(frozen=True, slots=True)
class Taken:
    """What files held: their resources, what of them is lost, and their mistakes (then nothing is written)."""

    bundle: Bundle
    losses: tuple[Loss, ...] = ()
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class Given:
    """What was written: files by relative name, and what of the catalog they cannot say."""

    files: tuple[tuple[str, str], ...]
    losses: tuple[Loss, ...] = ()


@dataclass(frozen=True, slots=True)
class Format:
    """One format of another tool.

    Args:
        name: as `--from` and `--to` take it: `sloth`.
        title: the tool and the form, for people.
        fits: whether the document is of this format.
        read: the documents of all files that were named, all of which fit, in their order (one file may hold what
            another refers to); None for a format that is only written.
        write: a bundle as files; None for a format that is only read.
    """

    name: str
    title: str
    fits: Callable[[Document], bool]
    read: Callable[[Sequence[Document]], Taken] | None
    write: Callable[[Bundle], Given] | None
