"""A mapping in two layers, so that what is decided can be seen before it is durable, and dropped if it never is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import islice
from sys import intern
from typing import Any, Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Table(Generic[K, V]):
    """A mapping that never holds None, and that knows what changed in it since somebody asked."""

    def __init__(self) -> None:
        self._own: dict[K, V | None] = {}
        """None stands only in a layer, for what was taken away."""
        self._noted: dict[K, None] | None = None
        """Keys that were set since `changes` was asked, in that order; None while nobody ever asked."""
        self._dropped: dict[K, None] = {}

    def get(self, key: K) -> V | None:
        """The value, or None."""
        return self._own.get(key)

    def __getitem__(self, key: K) -> V:
        return self._own[key]  # type: ignore[return-value]

    def __setitem__(self, key: K, value: V) -> None:
        if self._noted is not None:
            self._noted[key] = None
        self._own[key] = value

    def drop(self, key: K) -> None:
        """Take the entry away."""
        if self._own.pop(key, None) is not None and self._noted is not None:
            self._noted.pop(key, None)
            self._dropped[key] = None

    def keys(self) -> Iterator[K]:
        """Every key that has a value, in the order in which they first came."""
        return iter(list(self._own))

    def values(self) -> Iterator[V]:
        """Every value, in the order in which the keys first came."""
        return iter(list(self._own.values()))  # type: ignore[arg-type]

    def rows(self) -> list[tuple[K, V]]:
        """Every key and value of a table that is no draft, as they are now."""
        # A copy, made in one step of the interpreter: another thread may keep its draft meanwhile.
        return list(self._own.items())  # type: ignore[arg-type]

    def newest(self, most: int | None = None) -> Iterator[V]:
        """The values of a table that is no draft, the key that came last first; no more than so many of them."""
        # Copied in one step, as in `rows`; of 100,000 alerts that takes longer than the hundred that are shown.
        if most is not None:
            return iter(list(islice(reversed(self._own.values()), most)))  # type: ignore[arg-type]
        return reversed(list(self._own.values()))  # type: ignore[arg-type]

    def __len__(self) -> int:
        return len(self._own)

    def fill(self, rows: Mapping[K, V]) -> None:
        """Set many at once, in a table that is no draft; they are no changes."""
        self._own.update(rows)

    def changes(self, *, everything: bool = False) -> tuple[list[K], list[tuple[K, V]]]:
        """What happened since this was last asked, of a table that is no draft; the first time, all there is.

        Returns:
            keys to drop first, then rows to set: done in that order to what it was then, it is what it is now, its
            order too.
        """
        noted, dropped = self._noted, list(self._dropped)
        self._noted, self._dropped = {}, {}
        if noted is None or everything:
            return [], self.rows()
        return dropped, [(key, self[key]) for key in noted]


class Layer(Table[K, V]):
    """A draft's table: what the draft changes lies over what the state has, None where it was taken away.

    Args:
        under: the state's table; a draft is one layer deep.
        touched: where it names itself once it has something of its own.
    """

    def __init__(self, under: Table[K, V], touched: list[Layer[Any, Any]]) -> None:
        super().__init__()
        assert type(under) is Table, "drafts are one layer deep"
        self._under, self._touched = under, touched
        self._anew: set[K] = set()
        """Keys that were taken away here and came again: they come after all others, as in a fold fact by fact."""

    def get(self, key: K) -> V | None:
        """The value, or None."""
        own = self._own
        # What lies below is looked up here and not there: this is what an engine does most.
        return own[key] if key in own else self._under._own.get(key)

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

    def drop(self, key: K) -> None:
        """Take the entry away."""
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
        """Every key that has a value, in the order in which they first came."""
        return (key for key, _ in self._items())

    def values(self) -> Iterator[V]:
        """Every value, in the order in which the keys first came."""
        return (value for _, value in self._items())

    def __len__(self) -> int:
        return sum(1 for _ in self.keys())

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
