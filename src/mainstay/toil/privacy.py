"""Whose figures somebody may see: their own, and with the right to, everybody's. Pure.

A ledger that people fear is not kept. Figures of single people go to that person and to leads; teams, categories and
weeks are for everybody, as long as they are more than one person.
"""

from __future__ import annotations

from collections.abc import Iterable, Set

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import NotAllowed
from mainstay.toil.share import Dimension, Rules, Slice, by_dimension, slices
from mainstay.toil.tally import Tally

OTHERS, TEAMS_OF_ONE = "everyone else", "teams of one"


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who looks.

    Args:
        everyone: whether they asked for everybody's figures, and may have them.
    """

    actor: str
    everyone: bool = False

    def may_see(self, engineer: str) -> bool:
        """Whether the figures of that person alone may be shown."""
        return self.everyone or engineer == self.actor


def may_see_everyone(actor: str, scopes: Iterable[str], leads: Iterable[str]) -> bool:
    """Whether somebody may see the figures of single people: leads, and whoever has the scope approve."""
    return actor in leads or "approve" in scopes


def viewer(actor: str, scopes: Iterable[str], leads: Iterable[str], *, everyone: bool) -> Viewer:
    """Who looks, once it is settled that they may.

    Raises:
        NotAllowed: everybody's figures were asked for by somebody who is no lead and has not the scope approve.
    """
    if everyone and not may_see_everyone(actor, scopes, leads):
        raise NotAllowed(f"{actor} may not see the figures of single people",
                         "ask without --everyone, be named under leads in the toil policy, or use a token with the "
                         "scope approve")
    return Viewer(actor, everyone)


def check_person(who: Viewer, engineer: str) -> None:
    """Raises NotAllowed where the figures of that person alone may not be shown."""
    if engineer and not who.may_see(engineer):
        raise NotAllowed(f"{who.actor} may not see the figures of {engineer} alone",
                         "add --everyone, which leads and tokens with the scope approve may")


def check_team(who: Viewer, team: str, people: Set[str]) -> None:
    """Raises NotAllowed where a team's figures are those of one person who may not be shown; it does not say whose."""
    if len(people) == 1 and not who.may_see(next(iter(people))):
        raise NotAllowed(f"{who.actor} may not see the figures of team {team}, which is one person here",
                         "ask for everybody's; leads and tokens with the scope approve may see them")


def teams_shown(work: Iterable[tuple[str, str]], who: Viewer) -> dict[str, str]:
    """What each team is called to somebody: a team of one is named where its person may be shown, or stands alone.

    Args:
        work: team and engineer of every piece of work.
    """
    people: dict[str, set[str]] = {}
    for team, engineer in work:
        people.setdefault(team, set()).add(engineer)
    hidden = {team for team, those in people.items()
              if len(those) == 1 and len(people) > 1 and not who.may_see(next(iter(those)))}
    return {team: TEAMS_OF_ONE if team in hidden else team or "no team" for team in people}


def shown(tally: Tally, dimension: Dimension, rules: Rules, who: Viewer) -> list[Slice]:
    """The work by a dimension, people who may not be shown put together."""
    match dimension:
        case "engineer":
            return slices(tally.cells.items(),
                          lambda cell: cell.engineer if who.may_see(cell.engineer) else OTHERS, rules)
        case "team":
            called = teams_shown(((cell.team, cell.engineer) for cell in tally.cells), who)
            return slices(tally.cells.items(), lambda cell: called[cell.team], rules)
        case _:
            return by_dimension(tally, dimension, rules)
