"""The mirrored objects, with the indexes that discovery asks for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, ValuesView
from typing import Generic, Protocol, TypeVar

from mlconsole.cluster import decoding, objects
from mlconsole.cluster.pods import PodRow, digest

Key = tuple[str, str]


class Named(Protocol):
    """What a table needs of an object's metadata."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def namespace(self) -> str:
        """Its namespace."""


class HasMeta(Protocol):
    """Any object."""

    @property
    def metadata(self) -> Named:
        """Its metadata."""


Kind = TypeVar("Kind", bound=HasMeta)


class Table(Generic[Kind]):
    """Objects of one kind by (namespace, name), by namespace, and by one more index; a `Sink` for a reflector."""

    def __init__(
        self,
        touched: Callable[[Kind], None],
        index: Callable[[Kind], str] | None = None,
        complain: Callable[[decoding.Malformed], None] | None = None,
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
        key = (item.metadata.namespace, item.metadata.name)
        before = self._items.get(key)
        if before is not None:
            self._leave(before)
            self._touched(before)
        self._items[key] = item
        self._enter(item)
        self._touched(item)

    def drop(self, key: Key) -> None:
        """Forget an object."""
        item = self._items.pop(key, None)
        if item is None:
            return
        self._leave(item)
        self._touched(item)

    def keys(self) -> Iterable[Key]:
        """The keys of every object."""
        return self._items.keys()

    def malformed(self, item: decoding.Malformed) -> None:
        """Pass on what is no object."""
        if self._complain:
            self._complain(item)

    def _enter(self, item: Kind) -> None:
        meta = item.metadata
        self._by_namespace[meta.namespace][meta.name] = item
        if self._index:
            self._by_index[meta.namespace, self._index(item)][meta.name] = item

    def _leave(self, item: Kind) -> None:
        meta = item.metadata
        self._by_namespace[meta.namespace].pop(meta.name, None)
        if not self._index:
            return
        key = (meta.namespace, self._index(item))
        entry = self._by_index.get(key)
        if entry is not None:
            entry.pop(meta.name, None)
            if not entry:
                del self._by_index[key]


class LabelTable(Table[Kind]):
    """A table with an index by label, which grows with what is asked for."""

    def __init__(
        self,
        labels: Callable[[Kind], Mapping[str, str]],
        touched: Callable[[Kind], None],
        index: Callable[[Kind], str] | None = None,
        complain: Callable[[decoding.Malformed], None] | None = None,
    ) -> None:
        super().__init__(touched, index, complain)
        self.labels_of = labels
        self._keys: set[str] = set()
        self._by_label: defaultdict[tuple[str, str, str], dict[str, Kind]] = defaultdict(dict)

    def select(self, namespace: str, selector: Mapping[str, str]) -> list[Kind]:
        """The objects whose labels have every pair of `selector`; none for an empty one, as for a Service."""
        if not selector:
            return []
        for key in selector.keys() - self._keys:
            self._keys.add(key)
            for item in self.all():
                self._index_label(item, key)
        buckets = (self._by_label.get((namespace, key, value), {}) for key, value in selector.items())
        wanted, labels = selector.items(), self.labels_of
        return [item for item in min(buckets, key=len).values() if wanted <= labels(item).items()]

    def _enter(self, item: Kind) -> None:
        super()._enter(item)
        for key in self._keys:
            self._index_label(item, key)

    def _leave(self, item: Kind) -> None:
        super()._leave(item)
        meta, labels = item.metadata, self.labels_of(item)
        for key in self._keys:
            value = labels.get(key)
            if value is None:
                continue
            bucket = self._by_label[meta.namespace, key, value]
            bucket.pop(meta.name, None)
            if not bucket:
                del self._by_label[meta.namespace, key, value]

    def _index_label(self, item: Kind, key: str) -> None:
        value = self.labels_of(item).get(key)
        if value is not None:
            self._by_label[item.metadata.namespace, key, value][item.metadata.name] = item


class PodTable(LabelTable[PodRow]):
    """Pods, kept as rows."""

    def __init__(
        self, touched: Callable[[PodRow], None], complain: Callable[[decoding.Malformed], None] | None = None
    ) -> None:
        super().__init__(_pod_labels, touched, _owner, complain)

    def put(self, item: PodRow | objects.Pod) -> None:
        """Take in a pod as it arrived, or its row."""
        super().put(item if isinstance(item, PodRow) else digest(item))


def _pod_labels(row: PodRow) -> Mapping[str, str]:
    return row.labels


def _owner(row: PodRow) -> str:
    return row.owner
