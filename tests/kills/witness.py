"""Who sees every change of a service, its lock and its history: a watch misses none of them, whatever server it is."""

import asyncio

import msgspec

SECONDS = 30.0
GROUPS = {"services": "/api/v1", "configmaps": "/api/v1", "leases": "/apis/coordination.k8s.io/v1"}


class Witness:
    """Watches from its entry to its exit."""

    def __init__(self, connection, namespace, service):
        self._connection = connection
        self._paths = {kind: f"{group}/namespaces/{namespace}/{kind}" for kind, group in GROUPS.items()}
        history, lock = f"mlconsole-history-{service}", f"mlconsole-{service}"
        self._names = {"services": service, "configmaps": history, "leases": lock}
        self._last = dict.fromkeys(GROUPS)
        self._seen, self._tasks = [], []
        self._heard = asyncio.Condition()

    async def __aenter__(self):
        for kind, path in self._paths.items():
            listed = msgspec.json.decode(await self._connection.get(path))
            mine = [item for item in listed["items"] if item["metadata"]["name"] == self._names[kind]]
            self._last[kind] = mine[0] if mine else None
            self._tasks.append(asyncio.create_task(self._watch(kind, listed["metadata"]["resourceVersion"])))
        return self

    async def __aexit__(self, *_):
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def mark(self):
        """Now, as far as has been seen."""
        return len(self._seen)

    async def since(self, mark):
        """Every change after a mark, up to what is there now: (version, kind, object, what it was before), in order."""
        for kind, path in self._paths.items():
            listed = msgspec.json.decode(await self._connection.get(path))
            there = [item for item in listed["items"] if item["metadata"]["name"] == self._names[kind]]
            async with asyncio.timeout(SECONDS), self._heard:
                await self._heard.wait_for(lambda kind=kind, there=there: self._up_to(kind, there))
        return sorted(self._seen[mark:], key=lambda item: item[0])

    def _up_to(self, kind, there):
        broken = [task for task in self._tasks if task.done()]
        assert not broken, broken
        return not there or _version(self._last[kind]) >= _version(there[0])

    async def _watch(self, kind, version):
        params = {"watch": "true", "resourceVersion": version, "timeoutSeconds": 3000}
        async for line in self._connection.stream(self._paths[kind], params, read_timeout=3000.0):
            if not line.strip():
                continue
            event = msgspec.json.decode(line)
            assert event["type"] != "ERROR", event
            item = event["object"]
            if item["metadata"].get("name") != self._names[kind]:
                continue
            async with self._heard:
                if event["type"] != "DELETED":
                    self._seen.append((_version(item), kind, item, self._last[kind]))
                self._last[kind] = item
                self._heard.notify_all()


def _version(item):
    return int(item["metadata"]["resourceVersion"]) if item else 0
