"""What lives in the embedded cluster: the model services, an external one, an autoscaler and some pipeline Jobs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlconsole.demo.apiserver.store import Object

NAMESPACE = "ml"
PORT = 8080
"""The Services' port: one that needs no privileges."""
CONTAINER_PORT = 8000
PREFIX = "mlconsole.io/"
Models = Mapping[tuple[str, str], Path]


@dataclass(frozen=True)
class Fault:
    """What goes wrong with the live colour, and when (epoch seconds)."""

    kind: str
    at: float


@dataclass(frozen=True)
class Placed:
    """A model service of the world: versions by colour, and the live colour (empty: not blue-green)."""

    name: str
    key: str
    replicas: int
    rate: float
    versions: dict[str, str]
    live: str
    compute_ms: float


def placed(models: Models) -> list[Placed]:
    """The services, with the versions that were trained: the newest two, or for the first the known pair."""

    def pair(model: str, wanted: tuple[str, str] = ("", "")) -> tuple[str, str]:
        found = sorted((version for name, version in models if name == model), key=lambda text: (len(text), text))
        if not found:
            raise ValueError(f"there is no trained version of {model}")
        if set(wanted) <= set(found):
            return wanted
        return found[max(0, len(found) - 2)], found[-1]

    fraud, churn, ranker, eta = pair("fraud-scorer", ("12", "13")), pair("churn"), pair("ranker"), pair("eta")
    return [
        Placed("fraud-scorer", "color", 3, 12.0, {"blue": fraud[0], "green": fraud[1]}, "green", 32.0),
        Placed("churn", "slot", 2, 5.0, {"blue": churn[1], "green": churn[0]}, "blue", 22.0),
        Placed("ranker", "version", 1, 4.0, {"blue": ranker[0], "green": ranker[1]}, "green", 45.0),
        Placed("eta", "", 1, 3.0, {"": eta[1], "before": eta[0]}, "", 25.0),
    ]


def release_annotations(model: Mapping[str, Any]) -> dict[str, str]:
    """The annotations of a release on a pod template."""
    return {
        PREFIX + "model": str(model["model"]),
        PREFIX + "model-version": str(model["version"]),
        PREFIX + "run-id": str(model.get("run_id", "")),
        PREFIX + "git-sha": str(model.get("git_sha", "")),
    }


def deployment(service: Placed, color: str, version: str, models: Models, fault: Fault | None = None) -> Object:
    """The Deployment of a colour (empty: the only one)."""
    model = json.loads(models[service.name, version].read_text())
    name = f"{service.name}-{color}" if color else service.name
    labels = {"app": service.name, **({service.key: color} if color else {})}
    env = {
        "MODEL_VERSION": version,
        "MODEL_NAME": service.name,
        "COLOR": color,
        "COMPUTE_MS": f"{service.compute_ms:g}",
    }
    if fault:
        env.update(FAULT=fault.kind, FAULT_AT=f"{fault.at:.3f}")
    container: Object = {
        "name": "model",
        "image": f"demo.local/{service.name}:{version}",
        "ports": [{"name": "http", "containerPort": CONTAINER_PORT}],
        "env": [{"name": key, "value": value} for key, value in env.items() if value],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": "http"}, "periodSeconds": 2, "failureThreshold": 2},
        "livenessProbe": {
            "httpGet": {"path": "/health", "port": "http"},
            "initialDelaySeconds": 3,
            "periodSeconds": 5,
            "failureThreshold": 3,
        },
        "resources": {"requests": {"cpu": "20m", "memory": "24Mi"}, "limits": {"memory": "64Mi"}},
    }
    shown = {
        "app.kubernetes.io/name": service.name,
        "app.kubernetes.io/managed-by": "mlconsole-demo",
        PREFIX + "service": service.name,
    }
    colors = {PREFIX + "color": color} if color else {}
    template = {
        "metadata": {
            "labels": {**labels, **shown, **colors, "app.kubernetes.io/version": version},
            "annotations": release_annotations(model),
        },
        "spec": {"terminationGracePeriodSeconds": 10, "containers": [container]},
    }
    return {
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "labels": {**labels, **shown, **colors},
            "annotations": {"kubernetes.io/change-cause": f"ship {service.name} v{version}"},
        },
        "spec": {
            "replicas": service.replicas,
            "selector": {"matchLabels": labels},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": template,
        },
    }


def service(item: Placed) -> Object:
    """The Service before the colours."""
    return {
        "metadata": {
            "name": item.name,
            "namespace": NAMESPACE,
            "labels": {"app": item.name, PREFIX + "service": item.name},
        },
        "spec": {
            "selector": {"app": item.name, **({item.key: item.live} if item.live else {})},
            "ports": [{"name": "http", "port": PORT, "targetPort": "http"}],
        },
    }


def external() -> Object:
    """A Service without a selector: its endpoint is somewhere else."""
    return {
        "metadata": {"name": "feature-store", "namespace": NAMESPACE, "labels": {"app": "feature-store"}},
        "spec": {"ports": [{"name": "http", "port": PORT, "targetPort": PORT}]},
    }


def autoscaler(name: str, low: int, high: int) -> Object:
    """An autoscaler over a Deployment."""
    return {
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "minReplicas": low,
            "maxReplicas": high,
            "metrics": [
                {
                    "type": "Resource",
                    "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}},
                }
            ],
        },
    }


def pipeline_jobs(services: list[Placed], models: Models) -> list[Object]:
    """The steps of the pipelines that shipped the newest versions: validation, tests, staging."""
    return [
        _job(item, step, item.versions[item.live], models)
        for item in services
        for step in ("validate-data", "test-model", "stage")
    ]


def _job(item: Placed, step: str, version: str, models: Models) -> Object:
    sha = str(json.loads(models[item.name, version].read_text()).get("git_sha", ""))
    labels = {PREFIX + "service": item.name, PREFIX + "pipeline": f"ship-{item.name}", PREFIX + "run": f"v{version}"}
    labels[PREFIX + "job"] = step
    env = [{"name": "STEP", "value": step}]
    container = {"name": "step", "image": f"demo.local/pipeline:{item.name}-{version}", "env": env}
    return {
        "metadata": {
            "name": f"{item.name}-v{version}-{step}",
            "namespace": NAMESPACE,
            "labels": labels,
            "annotations": {PREFIX + "git-sha": sha},
        },
        "spec": {
            "completions": 1,
            "parallelism": 1,
            "backoffLimit": 1,
            "template": {"metadata": {"labels": labels}, "spec": {"restartPolicy": "Never", "containers": [container]}},
        },
    }
