"""All that the word reads, and what is checked across it: names that lead nowhere, people who are away on duty."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from mainstay.kernel.catalog import Catalog, Grammar, Reference, Resource
from mainstay.kernel.channels import Channels, undeclared
from mainstay.kernel.finding import Finding, Severity, did_you_mean
from mainstay.oncall.forms import FORMS
from mainstay.oncall.spec import Holidays, Person, Rotation, Schedule


def links(resource: Resource) -> Iterable[Reference]:
    """The rotations that a schedule is made of, and the calendars of holidays that people keep."""
    if isinstance(resource, Schedule):
        for name in resource.layers:
            yield Reference(Rotation, name, resource.places.get(name, resource.origin))
    elif isinstance(resource, Person):
        for name in resource.calendars:
            yield Reference(Holidays, name, resource.places.get(name, resource.origin))


def check(catalog: Catalog) -> Iterator[Finding]:
    """A catalog that declares people at all declares everybody who takes turns or stands in."""
    people = {person.name for person in catalog.of(Person)}
    if not people:
        return
    for rotation in catalog.of(Rotation):
        named = dict.fromkeys([*rotation.members, *(one.who for one in rotation.overrides)])
        for name in named:
            if name is not None and name not in people:
                where = rotation.places.get(name, rotation.origin)
                yield Finding("unknown-person", where, f'"{name}" takes turns in "{rotation.name}" and no person of '
                              f"that name is declared{did_you_mean(name, people)}",
                              "declare the person: a page to somebody unknown reaches nobody", "", Severity.WARNING)


def check_names(catalog: Catalog) -> Iterator[Finding]:
    """A schedule has a name of its own: commands, feeds and policies name rotations and schedules alike."""
    for schedule in catalog.of(Schedule):
        rotation = catalog.find(Rotation, schedule.name)
        if rotation is not None:
            yield Finding("duplicate-name", schedule.origin,
                          f'a rotation is named "{schedule.name}" as well, at {rotation.origin}',
                          "rename one of the two: whoever names it would not say which is meant")


def check_contacts(catalog: Catalog) -> Iterator[Finding]:
    """Everybody who is declared can be reached, by channels that are declared where any are."""
    declared = next(iter(catalog.of(Channels)), None)
    for person in catalog.of(Person):
        if not person.contacts:
            yield Finding("unreachable", person.origin, f'nothing says how to reach "{person.name}": a page would only '
                          "show on the server's terminal", "add contacts: {email: ana@example.com}", "",
                          Severity.WARNING)
        for contact in person.contacts if declared is not None else ():
            if why := undeclared(declared, contact.channel, contact.address):
                yield Finding("no-such-channel", person.origin, f'"{person.name}" is reached by {contact.channel}, and '
                              f"{why}", "declare it in a Channels document; until then the page goes to the next "
                              "contact", "", Severity.WARNING)


GRAMMAR = Grammar(FORMS, (links,), (check, check_names, check_contacts))
