"""Held against the standard library's dataclasses: the same class made by both."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import FrozenInstanceError, field
from typing import Any, ClassVar, Generic, TypeVar

import pytest

from command import PATIENCE
from mainstay.kernel.dataclass import dataclass

T = TypeVar("T")


def made_by(decorator: Callable[..., Any], **options: Any) -> type[Any]:
    @decorator(**options)
    class Boat(Generic[T]):
        """It floats."""

        kind: ClassVar[str] = "ship"
        name: str
        length: float = 4.0
        crew: list[str] = field(default_factory=list)
        secret: str = field(default="x", repr=False, compare=False)

        @property
        def long(self) -> bool:
            return self.length > 10

    return Boat


@dataclass(frozen=True, slots=True)
class Harbour:
    name: str
    berths: tuple[int, ...] = ()


@dataclass(slots=True)
class Log:
    lines: list[str]
    total: int = 0

    def __post_init__(self) -> None:
        self.total = len(self.lines)


OPTIONS = [{}, {"slots": True}, {"frozen": True}, {"frozen": True, "slots": True},
           {"frozen": True, "slots": True, "eq": False}, {"frozen": True, "slots": True, "order": True}]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_a_class_does_what_the_one_of_the_standard_library_does(options: dict[str, bool]):
    ours, theirs = (made_by(decorator, **options) for decorator in (dataclass, dataclasses.dataclass))
    for make in (lambda cls: cls("ada"), lambda cls: cls("ada", 12.5, ["b"]), lambda cls: cls(length=1, name="c")):
        mine, other = make(ours), make(theirs)
        assert repr(mine) == repr(other)
        assert dataclasses.asdict(mine) == dataclasses.asdict(other)
        assert dataclasses.asdict(dataclasses.replace(mine, name="z")) == dataclasses.asdict(
            dataclasses.replace(other, name="z"))
        assert mine.long == other.long
        assert (mine == make(ours)) == (other == make(theirs))
        assert mine == mine  # noqa: PLR0124  (that is the question)
        assert mine != other
        assert mine.kind == "ship"
        assert hasattr(mine, "__dict__") == hasattr(other, "__dict__")
    assert ours.__match_args__ == theirs.__match_args__
    assert (ours.__hash__ is None) == (theirs.__hash__ is None)
    assert (ours.__hash__ is object.__hash__) == (theirs.__hash__ is object.__hash__)
    assert [one.name for one in dataclasses.fields(ours)] == [one.name for one in dataclasses.fields(theirs)]
    assert str(inspect.signature(ours)).count("=") == str(inspect.signature(theirs)).count("=")
    assert (ours.__name__, ours.__qualname__, ours.__module__, ours.__doc__) == (
        theirs.__name__, theirs.__qualname__, theirs.__module__, theirs.__doc__)


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("arguments", [((), {}), (("a", 1.0, [], "s", "more"), {}), (("a",), {"name": "b"}),
                                       (("a",), {"unknown": 1})], ids=["missing", "too many", "twice", "unknown"])
def test_a_wrong_call_is_refused_with_the_same_words(arguments: tuple[tuple[Any, ...], dict[str, Any]], first: bool):
    said = []
    for decorator in (dataclass, dataclasses.dataclass):
        cls = made_by(decorator, frozen=True, slots=True)
        assert first or cls("a").name == "a"
        with pytest.raises(TypeError) as refused:
            cls(*arguments[0], **arguments[1])
        said.append(str(refused.value))
    assert said[0] == said[1]


def test_what_is_compared_is_hashed_and_nothing_else_is():
    boat = made_by(dataclass, frozen=True, slots=True)
    assert boat("a", 1.0, (), "one") == boat("a", 1.0, (), "two")
    assert hash(boat("a", 1.0, (), "one")) == hash(boat("a", 1.0, (), "two"))
    assert boat("a", 1.0, ()) != boat("b", 1.0, ())


def test_what_is_ordered_is_ordered_by_its_fields():
    boat = made_by(dataclass, frozen=True, order=True)
    assert [one.name for one in sorted([boat("b"), boat("a", 9.0), boat("a", 2.0)])] == ["a", "a", "b"]
    assert boat("a") <= boat("a")
    assert boat("b") > boat("a")
    with pytest.raises(TypeError):
        _ = boat("a") < 1


@pytest.mark.parametrize("slots", [True, False])
def test_nothing_of_a_frozen_object_can_be_set_or_deleted(slots: bool):
    one = made_by(dataclass, frozen=True, slots=slots)("ada")
    with pytest.raises(FrozenInstanceError, match="cannot assign to field 'name'"):
        one.name = "b"
    with pytest.raises(FrozenInstanceError, match="cannot assign to field 'other'"):
        one.other = "b"
    with pytest.raises(FrozenInstanceError, match="cannot delete field 'name'"):
        del one.name


def test_objects_are_pickled_and_copied():
    one = Harbour("hull", (1, 2))
    assert pickle.loads(pickle.dumps(one)) == one
    assert copy.deepcopy(one) == copy.copy(one) == one
    log = Log(["a", "b"])
    assert pickle.loads(pickle.dumps(log)) == log


def test_an_object_pickled_elsewhere_is_taken_by_a_class_that_made_none_yet():
    program = ("import pickle, sys; from mainstay.kernel.finding import Position; "
               "print(pickle.loads(bytes.fromhex(sys.argv[1])))")
    from mainstay.kernel.finding import Position
    done = subprocess.run([sys.executable, "-c", program, pickle.dumps(Position("a.yaml", 3)).hex()], text=True,
                          capture_output=True, check=True, timeout=PATIENCE)
    assert done.stdout == "a.yaml:3:1\n"


def test_the_first_objects_may_be_made_by_many_threads_at_once():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(20):
            boat, started = made_by(dataclass, frozen=True, slots=True), threading.Barrier(6)

            def make(name: str, boat: Any = boat, started: threading.Barrier = started) -> Any:
                started.wait()
                return boat(name, length=2.0)

            with ThreadPoolExecutor(6) as pool:
                assert [one.name for one in pool.map(make, "abcdef")] == list("abcdef")
    finally:
        sys.setswitchinterval(before)


@pytest.mark.parametrize("before", [0, 1, 2])
def test_the_first_object_is_like_every_other(before: int):
    boat = made_by(dataclass, slots=True)
    earlier = [boat("x") for _ in range(before)]
    assert repr(boat("a", crew=["b"])) == "made_by.<locals>.Boat(name='a', length=4.0, crew=['b'])"
    assert len(earlier) == before


def test_lists_that_are_left_out_are_not_shared():
    boat = made_by(dataclass, slots=True)
    one, other = boat("a"), boat("b")
    one.crew.append("ada")
    assert other.crew == []


def test_what_is_to_be_done_after_the_start_is_done():
    assert Log(["a", "b"]).total == 2


def test_a_class_keeps_the_methods_that_it_has_of_itself():
    @dataclass(frozen=True, slots=True)
    class Named:
        name: str

        def __repr__(self) -> str:
            return f"<{self.name}>"

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Named) and self.name.lower() == other.name.lower()

        def __hash__(self) -> int:
            return hash(self.name.lower())

    assert repr(Named("A")) == "<A>"
    assert len({Named("A"), Named("a")}) == 1


def test_a_class_without_fields_is_equal_to_itself_alone():
    @dataclass(frozen=True, slots=True)
    class Nothing:
        pass

    assert Nothing() == Nothing()
    assert hash(Nothing()) == hash(Nothing())
    assert Nothing() != Harbour("a")


def test_one_inherits_from_another_whichever_made_it():
    @dataclass(frozen=True)
    class Ours:
        name: str

    @dataclass(frozen=True)
    class OursToo(Ours):
        size: int = 1

    @dataclasses.dataclass(frozen=True)
    class Theirs(Ours):
        size: int = 1

    class Plain(Ours):
        pass

    assert OursToo("a", 2).size == Theirs("a", 2).size == 2
    assert Plain("a").name == "a"
    with pytest.raises(TypeError, match="non-frozen"):
        @dataclasses.dataclass
        class Loose(Ours):
            size: int = 1


def test_an_object_that_holds_itself_can_be_shown():
    log = Log([])
    log.lines.append(log)  # type: ignore[arg-type]
    assert repr(log) == "Log(lines=[...], total=0)"
