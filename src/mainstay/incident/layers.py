"""A mapping in two layers, so that what is decided can be seen before it is durable, and dropped if it never is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Table(Generic[K, V]):
    """A mapping in layers: what a draft changes lies over what the state has.

    Args:
        under: the layer below; a draft is one layer deep.
        touched: where a draft's table names itself once it has something of its own.
    """

    def __init__(self, under: Table[K, V] | None = None, touched: list[Table[Any, Any]] | None = None) -> None:
        self._under: Table[K, V] | None = under
        assert under is None or under._under is None, "drafts are one layer deep"
        self._touched = touched
        self._own: dict[K, V | None] = {}

    def get(self, key: K) -> V | None:
        """The value, or None."""
        if key in self._own:
            return self._own[key]
        # Drafts are one layer deep, so what lies under one is looked up here: this is what an engine does most.
        return self._under._own.get(key) if self._under is not None else None

    def __getitem__(self, key: K) -> V:
        found = self.get(key)
        if found is None:
            raise KeyError(key)
        return found

    def __setitem__(self, key: K, value: V) -> None:
        if not self._own and self._touched is not None:
            self._touched.append(self)
        self._own[key] = value

    def drop(self, key: K) -> None:
        """Take the entry away."""
        if self._under is None:
            self._own.pop(key, None)
        else:
            if not self._own and self._touched is not None:
                self._touched.append(self)
            self._own[key] = None

    def keys(self) -> Iterator[K]:
        """Every key that has a value, in the order in which they first came."""
        if self._under is not None:
            for key, value in self._under._items():
                if self._own.get(key, value) is not None:
                    yield key
        for key, own in list(self._own.items()):
            if own is not None and (self._under is None or self._under.get(key) is None):
                yield key

    def values(self) -> Iterator[V]:
        """Every value, in the order in which the keys first came."""
        if self._under is not None:
            for key, value in self._under._items():
                mine = self._own.get(key, value)
                if mine is not None:
                    yield mine
        for key, own in list(self._own.items()):
            if own is not None and (self._under is None or self._under.get(key) is None):
                yield own

    def _items(self) -> Iterator[tuple[K, V]]:
        assert self._under is None, "drafts are one layer deep"
        # A copy, made in one step of the interpreter: another thread may keep its draft meanwhile.
        return ((key, value) for key, value in list(self._own.items()) if value is not None)

    def rows(self) -> list[tuple[K, V]]:
        """Every key and value of a table that is no draft, as they are now."""
        return list(self._items())

    def newest(self) -> Iterator[V]:
        """Every value of a table that is no draft, the key that came last first."""
        return (value for _, value in reversed(list(self._items())))

    def __len__(self) -> int:
        return len(self._own) if self._under is None else sum(1 for _ in self.keys())

    def keep(self) -> None:
        """Fold this layer into the one below."""
        assert self._under is not None, "only a draft is kept"
        for key, value in self._own.items():
            if value is None:
                self._under.drop(key)
            else:
                self._under[key] = value
        self._own.clear()

    def forget(self) -> None:
        """Drop this layer: what lies below shows again."""
        self._own.clear()
