"""The mirrored objects, with the indexes that discovery asks for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, ValuesView
from typing import Generic, Protocol, TypeVar

from mlconsole.cluster import objects

Key = tuple[str, str]


class HasMeta(Protocol):
    """Any object."""

    @property
    def metadata(self) -> objects.Meta:
        """Its metadata."""


Kind = TypeVar("Kind", bound=HasMeta)


class Table(Generic[Kind]):
    """Objects of one kind by (namespace, name), by namespace, and by one more index; a `Sink` for a reflector."""

    def __init__(
        self,
        touched: Callable[[Kind], None],
        index: Callable[[Kind], str] | None = None,
        complain: Callable[[objects.Malformed], None] | None = None,
    ) -> None:
        self._touched = touched
        self._index = index
        self._complain = complain
        self._items: dict[Key, Kind] = {}
        self._by_namespace: defaultdict[str, dict[str, Kind]] = defaultdict(dict)
        self._by_index: defaultdict[Key, dict[str, Kind]] = defaultdict(dict)

    def __len__(self) -> int:
        return len(self._items)

    def get(self, namespace: str, name: str) -> Kind | None:
        """One object, or None."""
        return self._items.get((namespace, name))

    def all(self) -> ValuesView[Kind]:
        """Every object."""
        return self._items.values()

    def within(self, namespace: str) -> Iterable[Kind]:
        """The objects of a namespace."""
        return self._by_namespace[namespace].values() if namespace in self._by_namespace else ()

    def indexed(self, namespace: str, value: str) -> Iterable[Kind]:
        """The objects of a namespace whose index is `value`."""
        key = (namespace, value)
        return self._by_index[key].values() if key in self._by_index else ()

    def put(self, item: Kind) -> None:
        """Take in an object, in the place of the one before."""
        meta = item.metadata
        key = (meta.namespace, meta.name)
        before = self._items.get(key)
        if before is not None:
            self._unindex(before)
            self._touched(before)
        self._items[key] = item
        self._by_namespace[meta.namespace][meta.name] = item
        if self._index:
            self._by_index[meta.namespace, self._index(item)][meta.name] = item
        self._touched(item)

    def drop(self, key: Key) -> None:
        """Forget an object."""
        item = self._items.pop(key, None)
        if item is None:
            return
        self._by_namespace[key[0]].pop(key[1], None)
        self._unindex(item)
        self._touched(item)

    def keys(self) -> Iterable[Key]:
        """The keys of every object."""
        return self._items.keys()

    def malformed(self, item: objects.Malformed) -> None:
        """Pass on what is no object."""
        if self._complain:
            self._complain(item)

    def _unindex(self, item: Kind) -> None:
        if not self._index:
            return
        key = (item.metadata.namespace, self._index(item))
        entry = self._by_index.get(key)
        if entry is not None:
            entry.pop(item.metadata.name, None)
            if not entry:
                del self._by_index[key]
