"""A mapping in two layers, so that what is decided can be seen before it is durable, and dropped if it never is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import islice
from sys import intern
from typing import Any, Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Table(dict[K, V]):
    """A mapping that never holds None. To look something up is what an engine does most: a dict's own way does it."""

    def drop(self, key: K) -> None:
        """Take the entry away, if it is there."""
        self.pop(key, None)

    # Copies, each made in one step of the interpreter: another thread may keep its draft meanwhile.

    def keys(self) -> Iterator[K]:  # type: ignore[override]
        """Every key, in the order in which they first came."""
        return iter(list(self))

    def values(self) -> Iterator[V]:  # type: ignore[override]
        """Every value, in the order in which the keys first came."""
        return iter(list(super().values()))

    def rows(self) -> list[tuple[K, V]]:
        """Every key and value, as they are now."""
        return list(self.items())

    def newest(self, most: int | None = None) -> Iterator[V]:
        """The values, the key that came last first; no more than so many of them."""
        # Of 100,000 alerts a whole copy takes longer than the hundred that are shown.
        if most is not None:
            return iter(list(islice(reversed(super().values()), most)))
        return reversed(list(super().values()))


class Noted(Table[K, V]):
    """A table that knows what changed in it since somebody asked."""

    def __init__(self) -> None:
        super().__init__()
        self._noted: dict[K, None] | None = None
        """Keys that were set since `changes` was asked, in that order; None while nobody ever asked."""
        self._dropped: dict[K, None] = {}

    def __setitem__(self, key: K, value: V) -> None:
        if self._noted is not None:
            self._noted[key] = None
        super().__setitem__(key, value)

    def drop(self, key: K) -> None:
        """Take the entry away, if it is there."""
        if self.pop(key, None) is not None and self._noted is not None:
            self._noted.pop(key, None)
            self._dropped[key] = None

    def changes(self, *, everything: bool = False) -> tuple[list[K], list[tuple[K, V]]]:
        """What happened since this was last asked; the first time, all there is.

        What `update` sets is no change.

        Returns:
            keys to drop first, then rows to set: done in that order to what it was then, it is what it is now, its
            order too.
        """
        noted, dropped = self._noted, list(self._dropped)
        self._noted, self._dropped = {}, {}
        if noted is None or everything:
            return [], self.rows()
        return dropped, [(key, self[key]) for key in noted]


class Layer(Generic[K, V]):
    """A draft's table: what the draft changes lies over what the state has, None where it was taken away.

    Args:
        under: the state's table; a draft is one layer deep.
        touched: where it names itself once it has something of its own.
    """

    def __init__(self, under: Table[K, V], touched: list[Layer[Any, Any]]) -> None:
        assert isinstance(under, Table), "drafts are one layer deep"
        self._under, self._touched = under, touched
        self._own: dict[K, V | None] = {}
        self._anew: set[K] = set()
        """Keys that were taken away here and came again: they come after all others, as in a fold fact by fact."""

    def get(self, key: K) -> V | None:
        """The value, or None."""
        own = self._own
        return own[key] if key in own else self._under.get(key)

    def __getitem__(self, key: K) -> V:
        found = self.get(key)
        if found is None:
            raise KeyError(key)
        return found

    def __setitem__(self, key: K, value: V) -> None:
        own = self._own
        if not own:
            self._touched.append(self)
        elif own.get(key, value) is None:
            del own[key]
            self._anew.add(key)
        own[key] = value

    def __contains__(self, key: K) -> bool:
        return self.get(key) is not None

    def __iter__(self) -> Iterator[K]:
        return self.keys()

    def drop(self, key: K) -> None:
        """Take the entry away, if it is there."""
        if not self._own:
            self._touched.append(self)
        self._own[key] = None

    def _items(self) -> Iterator[tuple[K, V]]:
        for key, value in self._under.rows():
            mine = self._own.get(key, value)
            if mine is not None and key not in self._anew:
                yield key, mine
        for key, own in list(self._own.items()):
            if own is not None and (key in self._anew or self._under.get(key) is None):
                yield key, own

    def keys(self) -> Iterator[K]:
        """Every key, in the order in which they first came."""
        return (key for key, _ in self._items()) if self._own else self._under.keys()

    def values(self) -> Iterator[V]:
        """Every value, in the order in which the keys first came."""
        return (value for _, value in self._items()) if self._own else self._under.values()

    def __len__(self) -> int:
        return sum(1 for _ in self.keys()) if self._own else len(self._under)

    def keep(self) -> None:
        """Fold this layer into the one below."""
        for key in self._anew:
            self._under.drop(key)
        for key, value in self._own.items():
            if value is None:
                self._under.drop(key)
            else:
                self._under[key] = value
        self.forget()

    def forget(self) -> None:
        """Drop this layer: what lies below shows again."""
        self._own.clear()
        self._anew.clear()


Pieces = tuple[tuple[V, ...], ...]
"""A long row of values in pieces, each longer than the next."""


def longer(pieces: Pieces[V], more: tuple[V, ...]) -> Pieces[V]:
    """The row with more at its end, as a new one: of n values a few are copied, and each at most log n times in all."""
    while pieces and len(pieces[-1]) <= len(more):
        pieces, more = pieces[:-1], pieces[-1] + more
    return (*pieces, more)


NONE: Mapping[str, str] = {}


def interned(texts: Mapping[str, str]) -> Mapping[str, str]:
    """The texts, each kept once however many have it."""
    if not texts:
        return NONE
    try:
        return {intern(name): intern(text) for name, text in texts.items()}
    except TypeError:  # a text of a class of its own, of YAML for example, cannot be shared
        return {intern(str(name)): intern(str(text)) for name, text in texts.items()}


def as_one(texts: Mapping[str, str]) -> Mapping[str, str]:
    """The texts, as one object for all who have the same ones, where that was lately."""
    return _as_one(tuple(texts.items()))


@lru_cache(maxsize=1024)
def _as_one(texts: tuple[tuple[str, str], ...]) -> Mapping[str, str]:
    return interned(dict(texts))
