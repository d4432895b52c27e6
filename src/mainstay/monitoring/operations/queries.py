"""`monitoring queries`: the PromQL of every objective, to read, paste and keep."""

from __future__ import annotations

from pathlib import Path

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import NotFound
from mainstay.kernel.operation import Operation, arg
from mainstay.kernel.ports import World
from mainstay.kernel.view import Block, Code, Next, Text, View, table
from mainstay.kernel.wording import many
from mainstay.monitoring.dashboards.files import is_ours
from mainstay.monitoring.dashboards.watched import LeftOut
from mainstay.monitoring.operations.dashboards import named
from mainstay.monitoring.operations.folder import write_files
from mainstay.monitoring.queries import Question, collection, questions_of


@dataclass(frozen=True)
class QueriesRequest:
    """Whose queries."""

    names: tuple[str, ...] = arg("objectives or services; all when none is named", (), positional=True)
    out: str = arg("write the collection to this file", "", short="o", local_only=True)
    overwrite: bool = arg("also overwrite a file that Mainstay did not write", False, local_only=True)


@dataclass(frozen=True, slots=True)
class Queries:
    """The questions, the collection as a file's text, and what no PromQL answers for."""

    objectives: int
    queries: tuple[Question, ...]
    left_out: tuple[LeftOut, ...]
    text: str
    written_to: str


def list_queries(world: World, request: QueriesRequest) -> Queries:
    """List the PromQL of indicators, budgets, burn rates, alerts and exhaustion."""
    objectives = named(world.catalog, request.names)
    questions, left = questions_of(objectives, world.catalog)
    if not questions:
        raise NotFound("no objective named here is counted by a Prometheus: " + left[0].why,
                       "declare one over a counter; docs/guides/monitoring.md shows how")
    text = collection(questions, objectives)
    if request.out:
        path = Path(request.out)
        write_files(str(path.parent), {path.name: text}, is_ours, overwrite=request.overwrite)
    answered = {question.objective for question in questions}
    return Queries(len(answered), questions, left, text, request.out)


def queries_view(found: Queries) -> View:
    """The collection itself, so that it can be sent to a file; or that it was written."""
    blocks: list[Block] = []
    if found.written_to:
        blocks += [Text(f"{many(found.objectives, 'objective')} that Prometheus counts", "quiet"),
                   Text(f"{len(found.queries):,} queries written to {found.written_to}.", "good")]
    else:
        blocks.append(Code(found.text.rstrip("\n"), "promql"))
    if found.left_out:
        blocks.append(table("Left out", ("objective", "why"), [(one.name, one.why) for one in found.left_out]))
    if found.written_to:
        blocks.append(Next(("mainstay monitoring dashboards",)))
    return View("Queries", tuple(blocks))


QUERIES = Operation(
    "monitoring", "queries", QueriesRequest, list_queries, queries_view,
    exit_codes=((0, "listed"), (2, "the catalog or a name is wrong, or nothing is counted by a Prometheus")),
    examples=("mainstay monitoring queries", "mainstay monitoring queries checkout-availability",
              "mainstay monitoring queries -o sli.promql", "mainstay monitoring queries --json"))
