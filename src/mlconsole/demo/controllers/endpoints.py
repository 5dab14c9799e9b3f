"""Endpoints and EndpointSlices: which pods a Service's selector names, and which of them take traffic."""

from __future__ import annotations

from mlconsole.demo.apiserver.store import Key, Object, Store
from mlconsole.demo.controllers.owning import MANAGER, matches, ready, reference
from mlconsole.demo.follow import Loop, key_of

BY = "endpoints-controller"


class Endpoints:
    """Reconciles the Endpoints of Services with a selector; those of others are somebody else's."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.loop = Loop(store, "Endpoints", self.reconcile)
        self.loop.on("services", lambda change: [key_of(change.object)])
        self.loop.on("pods", lambda change: self._services(change.object, change.before))

    def _services(self, pod: Object, before: Object | None) -> list[Key]:
        services, _ = self._store.list("services", key_of(pod)[0])
        pods = [one for one in (pod, before) if one]
        return [
            key_of(item) for item in services if any(matches(item["spec"].get("selector") or {}, one) for one in pods)
        ]

    def reconcile(self, key: Key) -> None:
        """Write who is behind a Service."""
        service = self._store.find("services", *key)
        if service is None:
            if self._store.find("endpoints", *key):
                self._store.delete("endpoints", *key)
            return
        selector = service["spec"].get("selector")
        if not selector:
            return
        pods, _ = self._store.list("pods", key[0])
        chosen = [pod for pod in pods if matches(selector, pod) and _has_address(pod)]
        self._endpoints(service, chosen)
        self._slice(service, chosen)

    def _endpoints(self, service: Object, pods: list[Object]) -> None:
        staying = [pod for pod in pods if not pod["metadata"].get("deletionTimestamp")]
        groups: dict[tuple[tuple[str, int], ...], tuple[list[Object], list[Object]]] = {}
        for pod in staying:
            group = groups.setdefault(tuple(_ports(service, pod)), ([], []))
            group[0 if ready(pod) else 1].append(_address(pod))
        subsets = []
        for ports, (good, waiting) in groups.items():
            subset: Object = {"addresses": good} if good else {}
            if waiting:
                subset["notReadyAddresses"] = waiting
            subset["ports"] = [_port(name, number) for name, number in ports]
            subsets.append(subset)
        meta = service["metadata"]
        self._put("endpoints", {"metadata": _meta(meta, meta["name"]), "subsets": subsets})

    def _slice(self, service: Object, pods: list[Object]) -> None:
        meta = service["metadata"]
        points: list[Object] = []
        for pod in pods:
            leaving, serving = bool(pod["metadata"].get("deletionTimestamp")), ready(pod)
            address = _address(pod)
            points.append(
                {
                    "addresses": [address["ip"]],
                    "conditions": {"ready": serving and not leaving, "serving": serving, "terminating": leaving},
                    "nodeName": address["nodeName"],
                    "targetRef": address["targetRef"],
                }
            )
        ports = _ports(service, pods[0]) if pods else []
        name = f"{meta['name']}-{meta['uid'][:5]}"
        labels = {"kubernetes.io/service-name": meta["name"], "endpointslice.kubernetes.io/managed-by": BY}
        found = _meta(meta, name)
        found["labels"] = {**found.get("labels", {}), **labels}
        found["ownerReferences"] = [reference("services", service)]
        body = {"addressType": "IPv4", "endpoints": points, "ports": [_port(*port) for port in ports]}
        self._put("endpointslices", {"metadata": found, **body})

    def _put(self, resource: str, body: Object) -> None:
        known = self._store.find(resource, *key_of(body))
        if known is None:
            self._store.create(resource, body, manager=MANAGER)
            return
        self._store.update(
            resource, {**known, **body, "metadata": {**known["metadata"], **body["metadata"]}}, manager=MANAGER
        )


def _meta(meta: Object, name: str) -> Object:
    found: Object = {"name": name, "namespace": meta["namespace"]}
    if meta.get("labels"):
        found["labels"] = dict(meta["labels"])
    return found


def _has_address(pod: Object) -> bool:
    status = pod.get("status") or {}
    return bool(status.get("podIP")) and status.get("phase") not in ("Succeeded", "Failed")


def _address(pod: Object) -> Object:
    meta = pod["metadata"]
    target = {"kind": "Pod", "namespace": meta["namespace"], "name": meta["name"], "uid": meta["uid"]}
    return {"ip": pod["status"]["podIP"], "nodeName": pod["spec"].get("nodeName", ""), "targetRef": target}


def _ports(service: Object, pod: Object) -> list[tuple[str, int]]:
    """Name and number of each port, a named targetPort looked up in the pod."""
    named = {
        port.get("name"): port["containerPort"] for one in pod["spec"]["containers"] for port in one.get("ports") or ()
    }
    found = []
    for port in service["spec"].get("ports") or ():
        target = port.get("targetPort", port["port"])
        number = target if isinstance(target, int) else named.get(target)
        if number is not None:
            found.append((port.get("name", ""), int(number)))
    return found


def _port(name: str, number: int) -> Object:
    return {"name": name, "port": number, "protocol": "TCP"} if name else {"port": number, "protocol": "TCP"}
