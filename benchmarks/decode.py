"""Decoding 5,000 pods, beside json.loads and the typed client (budget: 60 ms in all, no pause over 16 ms).

Run: python benchmarks/decode.py [pods]
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil

ROUNDS = 7
CHUNK = 500
SLICE = 100
CLIENT_ROUNDS = 2


def pod(number: int) -> dict[str, object]:
    """A pod as an API server sends one: about 4 kB, half of it managed fields."""
    name = f"svc-{number // 20:03d}-{'blue' if number % 2 else 'green'}-6f7c9d4b8-{number:05d}"
    stamp = "2026-01-01T00:00:00Z"
    kinds = ("Initialized", "Ready", "ContainersReady", "PodScheduled")
    probe = {"httpGet": {"path": "/ready", "port": 8000, "scheme": "HTTP"}, "timeoutSeconds": 1, "periodSeconds": 10}
    owned = {f"f:{word}-{index}": {".": {}, "f:type": {}} for index in range(30) for word in ("status", "spec")}
    return {
        "metadata": {
            "name": name,
            "namespace": "fleet",
            "uid": f"00000000-0000-4000-8000-{number:012d}",
            "resourceVersion": str(100000 + number),
            "creationTimestamp": stamp,
            "labels": {"app": name[:7], "mlconsole.io/service": name[:7], "mlconsole.io/color": "blue"},
            "ownerReferences": [
                {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": name[:-6], "uid": "x", "controller": True}
            ],
            "managedFields": [
                {"manager": who, "operation": "Update", "time": stamp, "fieldsV1": {"f:metadata": owned}}
                for who in ("kube-controller-manager",)
            ],
        },
        "spec": {
            "nodeName": f"node-{number % 20}",
            "containers": [
                {
                    "name": "model",
                    "image": "registry.local/model:3f2c1a9",
                    "ports": [{"containerPort": 8000, "protocol": "TCP"}],
                    "env": [{"name": "MODEL_VERSION", "value": "13"}],
                    "resources": {"requests": {"memory": "512Mi", "cpu": "250m"}, "limits": {"memory": "1Gi"}},
                    "readinessProbe": probe,
                    "livenessProbe": probe,
                    "terminationMessagePath": "/dev/termination-log",
                }
            ],
            "tolerations": [{"key": f"node.kubernetes.io/{key}", "operator": "Exists"} for key in ("a", "b", "c")],
        },
        "status": {
            "phase": "Running",
            "podIP": "192.0.2.1",
            "startTime": stamp,
            "conditions": [{"type": kind, "status": "True", "lastTransitionTime": stamp} for kind in kinds],
            "containerStatuses": [
                {
                    "name": "model",
                    "ready": True,
                    "restartCount": 0,
                    "image": "registry.local/model:3f2c1a9",
                    "imageID": "registry.local/model@sha256:" + "a" * 64,
                    "state": {"running": {"startedAt": stamp}},
                }
            ],
        },
    }


def pages(count: int) -> list[bytes]:
    """The list as it is read, a chunk a page."""
    items = [pod(number) for number in range(count)]
    head = {"kind": "PodList", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}}
    return [
        json.dumps({**head, "items": items[at : at + CHUNK]}, separators=(",", ":")).encode()
        for at in range(0, count, CHUNK)
    ]


def ours(texts: list[bytes]) -> tuple[float, float, object]:
    """(seconds in all, longest pause, what is kept): what the reflector does with pages, down to the rows."""
    from mlconsole.cluster import decoding, objects
    from mlconsole.cluster.tables import PodTable

    decoder, table, spent = decoding.ItemDecoder(objects.Pod), PodTable(lambda _: None), []
    for text in texts:
        began = time.perf_counter()
        _, items = decoder.chunk(text)
        spent.append(time.perf_counter() - began)
        for at in range(0, len(items), SLICE):
            began = time.perf_counter()
            for item in items[at : at + SLICE]:
                table.put(item)
            spent.append(time.perf_counter() - began)
    return sum(spent), max(spent), table


def plain(texts: list[bytes]) -> tuple[float, float, object]:
    """json.loads of the same pages."""
    return _page_by_page(texts, json.loads)


def typed(texts: list[bytes]) -> tuple[float, float, object]:
    """The kubernetes package's own client."""
    from kubernetes import client

    class Response:
        def __init__(self, data: str) -> None:
            self.data = data

    api = client.ApiClient()
    return _page_by_page(texts, lambda text: api.deserialize(Response(text.decode()), "V1PodList"))


def _page_by_page(texts: list[bytes], decode: Callable[[bytes], object]) -> tuple[float, float, object]:
    spent, kept = [], []
    for text in texts:
        began = time.perf_counter()
        kept.append(decode(text))
        spent.append(time.perf_counter() - began)
    return sum(spent), max(spent), kept


WAYS = {"mlconsole": ours, "json.loads": plain, "kubernetes client": typed}


def measure(way: str, folder: Path) -> None:
    """In a process of its own: print milliseconds, the longest pause, and the memory that the result takes."""
    texts = [path.read_bytes() for path in sorted(folder.iterdir())]
    WAYS[way](texts[:1])  # imports, and the first use of everything
    process = psutil.Process()
    before = process.memory_info().rss
    first = WAYS[way](texts)
    kept = (process.memory_info().rss - before) / 2**20
    found = [first, *(WAYS[way](texts) for _ in range((CLIENT_ROUNDS if way == "kubernetes client" else ROUNDS) - 1))]
    print(json.dumps([*(statistics.median(values) * 1000 for values in list(zip(*found, strict=True))[:2]), kept]))


def main() -> None:
    """Print the table."""
    if len(sys.argv) > 2:
        return measure(sys.argv[1], Path(sys.argv[2]))
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
    rows, texts = {}, pages(count)
    with tempfile.TemporaryDirectory() as folder:
        for number, text in enumerate(texts):
            (Path(folder) / f"{number:04d}.json").write_bytes(text)
        for way in WAYS:
            # A process each: what one leaves behind in memory is not the next one's.
            command = [sys.executable, __file__, way, folder]
            rows[way] = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    base = rows["mlconsole"][0]
    title = f"decode of {count} pods, {sum(map(len, texts)) / 1e6:.0f} MB"
    print(f"{title:34} {'in all':>9} {'pause':>9} {'ratio':>7} {'kept':>9}")
    for way, (took, pause, kept) in rows.items():
        budget = "   budget 60 ms, 16 ms" if way == "mlconsole" else ""
        print(f"{way:34} {took:6.0f} ms {pause:6.1f} ms {took / base:7.1f} {kept:6.0f} MB{budget}")
    return None


if __name__ == "__main__":
    main()
