"""The Services' addresses: a TCP forwarder per Service port that picks a ready endpoint for each new connection.

As with kube-proxy, connections that are open stay where they are; only new ones follow the Endpoints.
"""

from __future__ import annotations

import asyncio
import logging
import random

from mlconsole.demo import events
from mlconsole.demo.apiserver.store import Key, Object, Store
from mlconsole.demo.follow import follow, key_of
from mlconsole.demo.network import Subnet

log = logging.getLogger(__name__)
CHUNK = 1 << 16
CONNECT = 2.0
"""Seconds to reach an endpoint before the next one is tried."""


class ServiceProxy:
    """Forwarders for every Service that has a selector or Endpoints of its own."""

    def __init__(self, store: Store, subnet: Subnet) -> None:
        self._store, self._subnet = store, subnet
        self._servers: dict[tuple[Key, int], asyncio.Server] = {}
        self._addresses: dict[Key, str] = {}
        self._targets: dict[Key, dict[str, list[tuple[str, int]]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Until cancelled; then every forwarder is closed."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._services(), name="service addresses")
                group.create_task(self._endpoints(), name="service endpoints")
        finally:
            for server in self._servers.values():
                server.close()
            for task in self._tasks:
                task.cancel()

    async def _services(self) -> None:
        async for change in follow(self._store, "services"):
            key = key_of(change.object)
            if change.type == "DELETED":
                self._forget(key)
                continue
            service = self._store.find("services", *key)
            if service is None or service["spec"].get("type") == "ExternalName":
                continue
            address = service["spec"].get("clusterIP")
            if not address:
                address = self._addresses.get(key) or self._subnet.take_service()
                spec = {**service["spec"], "clusterIP": address, "clusterIPs": [address]}
                service = self._store.update("services", {**service, "spec": spec})
            if address != "None":
                self._addresses[key] = address
                await self._open(key, service, address)

    def _forget(self, key: Key) -> None:
        for known in [known for known in self._servers if known[0] == key]:
            self._servers.pop(known).close()
        address = self._addresses.pop(key, None)
        if address:
            self._subnet.give_back(address)

    async def _open(self, key: Key, service: Object, address: str) -> None:
        ports = {port["port"]: port.get("name", "") for port in service["spec"].get("ports") or ()}
        for known in [known for known in self._servers if known[0] == key and known[1] not in ports]:
            self._servers.pop(known).close()
        for port, name in ports.items():
            if (key, port) in self._servers:
                continue

            async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, name: str = name) -> None:
                await self._forward(key, name, reader, writer)

            try:
                self._servers[key, port] = await asyncio.start_server(serve, address, port, backlog=256)
            except OSError as error:
                words = f"cannot listen on {address}:{port}: {error}"
                events.record(self._store, "services", service, "ProxyFailed", words, "Warning", "kube-proxy")

    async def _endpoints(self) -> None:
        async for change in follow(self._store, "endpoints"):
            key = key_of(change.object)
            found: dict[str, list[tuple[str, int]]] = {}
            for subset in (change.object.get("subsets") or ()) if change.type != "DELETED" else ():
                for port in subset.get("ports") or ():
                    for address in subset.get("addresses") or ():
                        found.setdefault(port.get("name", ""), []).append((address["ip"], port["port"]))
            self._targets[key] = found

    async def _forward(self, key: Key, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        try:
            backend = await self._connect(key, name)
            if backend is None:
                writer.transport.abort()
                return
            await asyncio.gather(copy_stream(reader, backend[1]), copy_stream(backend[0], writer))
        except OSError:
            writer.transport.abort()
        except asyncio.CancelledError:
            # Only the end of the world cancels; a cancelled handler would make asyncio print a traceback.
            writer.transport.abort()
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _connect(self, key: Key, name: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        tried: set[tuple[str, int]] = set()
        while True:
            targets = [target for target in self._targets.get(key, {}).get(name, ()) if target not in tried]
            if not targets:
                return None
            target = random.choice(targets)
            tried.add(target)
            try:
                return await asyncio.wait_for(asyncio.open_connection(*target), CONNECT)
            except OSError:
                continue


async def copy_stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One direction, until its end; then the other side hears that no more comes."""
    try:
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
    except OSError:
        writer.transport.abort()
        return
    if writer.can_write_eof() and not writer.is_closing():
        try:
            writer.write_eof()
        except OSError:
            writer.transport.abort()
