"""How what comes back is matched to a service and its colours.

Colours are told apart by their Deployments, which the cluster names; the label `color` of the metrics may be called
anything, or be missing. What every Prometheus on Kubernetes has are its targets' labels `namespace` and `pod`, so:

1. a query is restricted to the service's namespace and to pods named as its Deployments name theirs
   (`fraud-green-[a-z0-9]+-[a-z0-9]+`);
2. the Deployment is taken out of the pod's name into a label, `deployment`, and results are grouped by it;
3. of what comes back only rows count whose `namespace` and `deployment` are those of a colour of the service (I22).

The results of a query of `mlconsole.toml` must have a label that names the colour: the Service's own colour label,
`color`, `colour`, `slot`, `deployment` or `pod`; a service with one Deployment needs none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

from msgspec.structs import replace

from mlconsole.domain.services import Color, ModelService

LABEL = "deployment"
_SUFFIX = "-[a-z0-9]+-[a-z0-9]+"
_LONGEST = 46
"""A Deployment's name up to here stands whole in its pods' names; Kubernetes cuts them at 58 characters and 5 more."""
_CUT = 57
FEW_NAMESPACES = 30
FEW_DEPLOYMENTS = 20


class Scope:
    """The services that a query is about; `pods` is a pattern where it is not about all of theirs."""

    def __init__(self, services: Iterable[ModelService], pods: str = "") -> None:
        self.services = tuple(services)
        self._pods = pods
        self.namespaces = sorted({service.namespace for service in self.services})
        names = sorted({color.deployment for service in self.services for color in service.colors})
        self._long = [name for name in names if len(name) > _LONGEST]
        self._names = names

    @property
    def selector(self) -> str:
        """The matchers: namespace, and for a single service its pods."""
        return ",".join(self._matchers(""))

    @property
    def exported(self) -> str:
        """The same for an exporter that speaks of other pods than its own, and was not allowed the labels for it."""
        return ",".join(self._matchers("exported_"))

    def _matchers(self, prefix: str) -> list[str]:
        parts = []
        if len(self.namespaces) <= FEW_NAMESPACES:
            parts.append(f"{prefix}namespace=~{quoted('|'.join(map(re.escape, self.namespaces)))}")
        else:
            parts.append(f'{prefix}namespace!=""')
        if len(self.services) == 1:
            parts.append(f"{prefix}pod=~{quoted(self.pods)}")
        return parts

    @property
    def pods(self) -> str:
        """A pattern for the names of the pods."""
        return self._pods or pods_of(self._names)

    def grouped(self, expression: str, *by: str) -> str:
        """The sum of `expression` by Deployment, and by the labels in `by`."""
        return self.aggregated("sum", expression, *by)

    def highest(self, expression: str, *by: str) -> str:
        """The highest of `expression` by Deployment, and by the labels in `by`."""
        return self.aggregated("max", expression, *by)

    def aggregated(self, function: str, expression: str, *by: str) -> str:
        """`sum`, `max`, `avg`, ... of `expression` by Deployment, and by the labels in `by`."""
        return f"{function} by (namespace,{','.join((LABEL, *by))}) ({self.labelled(expression)})"

    def each(self, fill: Callable[[Scope], str]) -> str:
        """What `fill` makes of each Deployment alone, with it as a label; of all at once where they are many."""
        alone = [(color.deployment, service, color) for service in self.services for color in service.colors]
        if len(alone) > FEW_DEPLOYMENTS:
            return fill(self)
        parts = []
        for name, service, color in alone:
            one = fill(_Alone([replace(service, colors=(color,))], self._pods))
            parts.append(f'label_replace({one},"{LABEL}",{quoted(name)},"namespace",".*")')
        return parts[0] if len(parts) == 1 else f"({' or '.join(parts)})"

    def labelled(self, expression: str) -> str:
        """`expression` with the Deployment as a label."""
        result = f'label_replace({expression},"{LABEL}","$1","pod","(.+){_SUFFIX}")'
        for name in self._long:
            pattern = quoted(pod_pattern(name))
            result = f'label_replace({result},"{LABEL}",{quoted(name)},"pod",{pattern})'
        return result


class _Alone(Scope):
    """One Deployment, whose name is known without a look at the pods' names."""

    def aggregated(self, function: str, expression: str, *by: str) -> str:
        return f"{function} by ({','.join(('namespace', *by))}) ({expression})"


def color_of(labels: Mapping[str, str], service: ModelService) -> str | None:
    """The colour that a row is about, or None if it names none of the service's."""
    if labels.get("namespace", service.namespace) != service.namespace:
        return None
    named = labels.get(LABEL)
    if named:
        return next((color.name for color in service.colors if color.deployment == named), None)
    for key in (service.color_key, "color", "colour", "slot"):
        label = re.sub(r"[^a-zA-Z0-9_]", "_", key)
        for candidate in (key, label, f"label_{label}"):
            if candidate and candidate in labels:
                return labels[candidate] if service.color(labels[candidate]) is not None else None
    if "pod" in labels:
        pod = labels["pod"]
        return next((color.name for color in service.colors if re.fullmatch(pod_pattern(color.deployment), pod)), None)
    return service.colors[0].name if len(service.colors) == 1 else None


def pods_of(deployments: Iterable[str]) -> str:
    """A pattern for the pods of some Deployments."""
    return "|".join(pod_pattern(name) for name in deployments)


def pod_pattern(deployment: str) -> str:
    """A pattern for the names of a Deployment's pods: `name-hash-xxxxx`."""
    if len(deployment) <= _LONGEST:
        return re.escape(deployment) + _SUFFIX
    return re.escape(deployment[:_CUT]) + "[a-z0-9-]*"


def release_pods(color: Color) -> str:
    """A pattern for the pods of what a colour runs: those of the ReplicaSets of its pods that are of its release.

    Empty where their names do not tell, and where there are none.
    """
    found = set()
    for pod in color.pods:
        other = pod.digest and color.release.digest and pod.digest != color.release.digest
        if not pod.terminating and not other:
            named = re.fullmatch(f"({re.escape(color.deployment)}-[a-z0-9]+)-[a-z0-9]+", pod.name)
            if named is None:
                return ""
            found.add(named[1])
    return "|".join(f"{re.escape(name)}-[a-z0-9]+" for name in sorted(found))


def confused(service: ModelService, color: Color) -> str:
    """Why the names of pods cannot tell a colour from another one, or empty."""
    mine = pod_pattern(color.deployment)
    other = next((one for one in service.colors if one is not color and pod_pattern(one.deployment) == mine), None)
    if other is None or other.name == color.name:
        return ""
    return f"Kubernetes cuts the names of the pods of {color.name} and {other.name} to the same beginning"


def quoted(text: str) -> str:
    """A string literal of PromQL."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
