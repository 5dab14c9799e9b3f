"""Which services a changed object concerns, without looking at them all.

A service is filed under one pair of the labels that it selects by, leaving the colour out, since pods and Deployments
of the idle colour concern it too; under the rarest pair, so that `app=fraud` is taken and not `tier=model`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from mlconsole.domain.services import ModelService

Key = tuple[str, str]
"""(namespace, name) of a Service."""
Pair = tuple[str, str, str]
"""(namespace, label, value)."""


class Concern:
    """Learns from each description what the next change may concern."""

    def __init__(self) -> None:
        self._by_pair: defaultdict[Pair, set[Key]] = defaultdict(set)
        """Every service under every pair of its selector."""
        self._by_anchor: defaultdict[Pair, set[Key]] = defaultdict(set)
        self._by_deployment: defaultdict[Key, set[Key]] = defaultdict(set)
        self._pairs: dict[Key, tuple[Pair, ...]] = {}
        self._anchor: dict[Key, Pair] = {}
        self._deployments: dict[Key, tuple[Key, ...]] = {}

    def learn(self, key: Key, service: ModelService) -> None:
        """File a service as it was just described."""
        namespace = service.namespace
        pairs = tuple((namespace, name, value) for name, value in service.selector.items())
        if self._pairs.get(key) != pairs:
            _move(self._by_pair, key, self._pairs.get(key, ()), pairs)
            self._pairs[key] = pairs
        base = {pair for pair in pairs if pair[1] != service.color_key} or set(pairs)
        anchor = self._anchor.get(key)
        if anchor not in base:
            new = min(sorted(base), key=lambda pair: len(self._by_pair[pair]), default=None)
            _move(self._by_anchor, key, (anchor,) if anchor else (), (new,) if new else ())
            self._anchor.pop(key, None)
            if new:
                self._anchor[key] = new
        deployments = tuple((namespace, color.deployment) for color in service.colors)
        if self._deployments.get(key) != deployments:
            _move(self._by_deployment, key, self._deployments.get(key, ()), deployments)
            self._deployments[key] = deployments

    def forget(self, key: Key) -> None:
        """A service that is gone concerns nobody."""
        anchor = self._anchor.pop(key, None)
        _move(self._by_pair, key, self._pairs.pop(key, ()), ())
        _move(self._by_anchor, key, (anchor,) if anchor else (), ())
        _move(self._by_deployment, key, self._deployments.pop(key, ()), ())

    def of_pod(self, namespace: str, labels: Mapping[str, str]) -> set[Key]:
        """The services that a pod with these labels may concern."""
        found: set[Key] = set()
        for name, value in labels.items():
            found |= self._by_anchor.get((namespace, name, value), _NOBODY)
        return found

    def of_deployment(self, namespace: str, name: str, labels: Mapping[str, str]) -> set[Key]:
        """The services that a Deployment, with these labels on its pods, may concern.

        One that no service has yet may become the second colour of any whose selector shares a label with it.
        """
        known = self._by_deployment.get((namespace, name))
        if known:
            return known | self.of_pod(namespace, labels)
        found: set[Key] = set()
        for label, value in labels.items():
            found |= self._by_pair.get((namespace, label, value), _NOBODY)
        return found

    def of_scaled(self, namespace: str, deployment: str) -> set[Key]:
        """The services that have this Deployment."""
        return self._by_deployment.get((namespace, deployment), _NOBODY)


_NOBODY: set[Key] = set()


def _move(
    index: defaultdict[Pair, set[Key]] | defaultdict[Key, set[Key]],
    key: Key,
    before: tuple[tuple[str, ...], ...],
    after: tuple[tuple[str, ...], ...],
) -> None:
    entries: defaultdict[tuple[str, ...], set[Key]] = index  # type: ignore[assignment]
    for place in before:
        entries[place].discard(key)
        if not entries[place]:
            del entries[place]
    for place in after:
        entries[place].add(key)
