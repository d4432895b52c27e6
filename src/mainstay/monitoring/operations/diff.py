"""`monitoring diff`: what a change of the catalog does to the rules, for whoever reviews it."""

from __future__ import annotations

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.finding import InvalidFiles, errors_of
from mainstay.kernel.objective import Objective
from mainstay.kernel.operation import Operation, arg
from mainstay.kernel.ports import World
from mainstay.kernel.view import Block, Cell, Code, Next, Text, View, table
from mainstay.kernel.wording import many
from mainstay.monitoring.comparing import Change, changes
from mainstay.monitoring.rules import plans


@dataclass(frozen=True)
class DiffRequest:
    """Two catalogs."""

    old: str = arg("a folder, or a git revision of the catalog's folder: HEAD, main, v1.2", positional=True,
                   local_only=True)
    new: str = arg("a folder or revision; the catalog as it is when left out", "", positional=True, local_only=True)
    expressions: bool = arg("also show the expressions before and after", False)


@dataclass(frozen=True, slots=True)
class Difference:
    """What the change does.

    Args:
        old_rules, new_rules: how many rules there are on each side.
    """

    old: str
    new: str
    old_rules: int
    new_rules: int
    changes: tuple[Change, ...]
    expressions: bool


def diff(world: World, request: DiffRequest) -> Difference:
    """Say what a change of the catalog does to its rules and alerts."""
    # The catalog in force only matters when it is one of the two.
    if not request.new and (wrong := errors_of(world.findings)):
        raise InvalidFiles(wrong)
    catalogs = world.catalog_at(request.old), world.catalog_at(request.new) if request.new else world.catalog
    old, new = (plans(catalog.of(Objective), catalog) for catalog in catalogs)
    return Difference(request.old, request.new or world.catalog.root, sum(len(plan.rules) for plan in old),
                      sum(len(plan.rules) for plan in new), tuple(changes(old, new)), request.expressions)


_SIGNS: dict[str, tuple[str, str]] = {"added": ("+", "good"), "removed": ("-", "bad"), "changed": ("~", "warn")}


def diff_view(found: Difference) -> View:
    """Counts, then every rule with its consequence."""
    head = f"{found.old}: {many(found.old_rules, 'rule')} · {found.new}: {many(found.new_rules, 'rule')}"
    if not found.changes:
        return View("Difference", (Text(head), Text("No rule differs.", "good"),
                                   Next((f"mainstay monitoring rules -c {found.new} -o rules",))))
    counts = ", ".join(f"{sum(one.what == what for one in found.changes)} {what}"
                       for what in ("added", "removed", "changed"))
    rows = []
    for one in found.changes:
        sign, tone = _SIGNS[one.what]
        rows.append((Cell(sign, tone), one.objective, one.rule,  # type: ignore[arg-type]
                     one.consequence, ", ".join(one.fields)))
    blocks: list[Block] = [Text(head), Text(counts, "warn"),
                           table("", ("", "objective", "rule", "what it means", "differs in"), rows)]
    if found.expressions:
        blocks += [Code("\n".join([*(f"- {line}" for line in one.before.splitlines()),
                                   *(f"+ {line}" for line in one.after.splitlines())]), "diff",
                        f"{one.objective} {one.rule}")
                   for one in found.changes if one.before != one.after]
    more = () if found.expressions else (f"mainstay monitoring diff {found.old} -c {found.new} --expressions",)
    return View("Difference", (*blocks, Next((*more, f"mainstay monitoring rules -c {found.new} -o rules"))))


DIFF = Operation(
    "monitoring", "diff", DiffRequest, diff, diff_view,
    exit_code=lambda found: 1 if found.changes else 0, doors=("cli",), catalog="any",
    exit_codes=((0, "no rule differs"), (1, "rules differ"), (2, "a catalog cannot be read")),
    examples=("mainstay monitoring diff HEAD", "mainstay monitoring diff main --json",
              "mainstay monitoring diff old-catalog new-catalog --expressions"))
