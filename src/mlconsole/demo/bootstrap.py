"""What the world does before it opens: it puts up its services, in order, and records what it did."""

from __future__ import annotations

import json
import time

from mlconsole.demo import manifests
from mlconsole.demo.apiserver.store import Object, Store
from mlconsole.demo.manifests import NAMESPACE, Fault, Models, Placed
from mlconsole.demo.node.images import Images
from mlconsole.domain.history import Kind, Outcome, Record, config_map_name, encode
from mlconsole.domain.services import Release

HOUR = 3600.0


def create(store: Store, services: list[Placed], models: Models, fault: Fault | None) -> None:
    """Create every object. `fault` strikes the live colour of the first service."""
    for name in ("default", NAMESPACE, "kube-system"):
        store.create("namespaces", {"metadata": {"name": name}, "status": {"phase": "Active"}})
    for item in services:
        store.create("services", manifests.service(item))
        for color, version in item.versions.items():
            if color == "before":
                continue
            strikes = fault if item is services[0] and color == item.live else None
            first = item.versions.get("before", version)
            body = manifests.deployment(item, color, first, models, strikes)
            if "before" in item.versions:
                body["spec"]["replicas"] = 0
            store.create("deployments", body)
        if item.live:
            _history(store, item, models)
    store.create("services", manifests.external())
    store.create("horizontalpodautoscalers", manifests.autoscaler(f"{services[0].name}-green", 3, 6))
    for job in manifests.pipeline_jobs(services, models):
        store.create("jobs", job)


def earlier_revision(store: Store, services: list[Placed], models: Models) -> None:
    """Give the plain Deployments their earlier revision: made first, then replaced, as a rollout does."""
    for item in services:
        if "before" in item.versions:
            wanted = manifests.deployment(item, "", item.versions[""], models)
            current = store.get("deployments", NAMESPACE, item.name)
            changed = {name: wanted["spec"][name] for name in ("template", "replicas")}
            annotations = {**current["metadata"]["annotations"], **wanted["metadata"]["annotations"]}
            meta = {**current["metadata"], "annotations": annotations}
            store.update("deployments", {**current, "metadata": meta, "spec": {**current["spec"], **changed}})


def _history(store: Store, item: Placed, models: Models) -> None:
    """The stay of the older version, and the switch to the live one: the past that the world is given, and says so."""
    now = time.time()
    idle = next(color for color in item.versions if color != item.live)
    live, before = (_release(item.name, item.versions[color], models) for color in (item.live, idle))
    records = [
        Record(
            id=f"world-{item.name}-2",
            kind=Kind.SWITCH,
            service=item.name,
            namespace=NAMESPACE,
            at=now - 3 * HOUR,
            user="world",
            host="demo",
            context="demo",
            reason=f"set up by the embedded world, a past it was given: v{before.version} good, then v{live.version}",
            from_color=idle,
            to_color=item.live,
            from_release=before,
            to_release=live,
            outcome=Outcome.VERIFIED,
            ended_at=now - 3 * HOUR + 2,
            verified_at=now - 3 * HOUR + 2,
            from_good_since=now - 27 * HOUR,
        ),
    ]
    body: Object = {
        "metadata": {
            "name": config_map_name(item.name),
            "namespace": NAMESPACE,
            "labels": {"app.kubernetes.io/managed-by": "mlconsole", manifests.PREFIX + "service": item.name},
        },
        "data": {"records": encode(records)},
    }
    store.create("configmaps", body, manager="mlconsole")


def _release(model: str, version: str, models: Models) -> Release:
    data = json.loads(models[model, version].read_text())
    reference = f"demo.local/{model}:{version}"
    image = Images({(model, version): models[model, version]}).find(reference)
    assert image
    return Release(
        model=model,
        version=version,
        run_id=str(data.get("run_id", "")),
        image=reference,
        digest=image.digest,
        git_sha=str(data.get("git_sha", "")),
    )
