"""An open loop of requests through the Services: it sends when it is time to, however slow the answers are."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlconsole.demo.apiserver.store import Store

TIMEOUT = 15.0
"""Seconds to an answer; more is a lost request."""
WRITE = 0.5
"""Seconds between two writings of the counts."""
KEPT = 20


@dataclass(frozen=True)
class Stream:
    """Requests to one Service: `rate` a second, rows drawn around `mean` by `scale`."""

    namespace: str
    service: str
    rate: float
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    drift_at: float = 0.0
    """From when on (epoch seconds) the first features are drawn elsewhere; 0: never."""


@dataclass
class Counts:
    """What became of the requests. `failed`: no answer at all, or none in time; `refused`: an answer that is no 2xx."""

    sent: int = 0
    answered: int = 0
    refused: int = 0
    failed: int = 0
    by_version: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """For the file."""
        return {**vars(self), "by_version": dict(self.by_version), "open": self.sent - self.answered - self.failed}


class Load:
    """Runs the streams and keeps the counts, in memory and in a file."""

    def __init__(self, store: Store, streams: list[Stream], path: Path) -> None:
        self._store, self._streams, self._path = store, streams, path
        self.counts = {f"{stream.namespace}/{stream.service}": Counts() for stream in streams}
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                for stream in self._streams:
                    group.create_task(self._stream(stream), name=f"load on {stream.service}")
                group.create_task(self._write_now_and_then(), name="load counts")
        finally:
            for task in self._tasks:
                task.cancel()

    async def _stream(self, stream: Stream) -> None:
        counts = self.counts[f"{stream.namespace}/{stream.service}"]
        await self._until_ready(stream)
        due = time.monotonic()
        while True:
            due += random.expovariate(stream.rate)
            await asyncio.sleep(due - time.monotonic())
            task = asyncio.create_task(self._request(stream, counts))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _until_ready(self, stream: Stream) -> None:
        """Wait for the first ready endpoint: requests before that would only measure the start."""

        def ready() -> bool:
            found = self._store.find("endpoints", stream.namespace, stream.service)
            return any(subset.get("addresses") for subset in (found or {}).get("subsets") or ())

        if ready():
            return
        async for _ in self._store.changes("endpoints"):
            if ready():
                return

    async def _request(self, stream: Stream, counts: Counts) -> None:
        counts.sent += 1
        try:
            async with asyncio.timeout(TIMEOUT):
                status, headers, body = await self._ask(stream)
        except (OSError, EOFError, ValueError, TimeoutError) as error:
            counts.failed += 1
            counts.failures = [*counts.failures, f"{time.time():.3f} {type(error).__name__}: {error}"][-KEPT:]
            return
        counts.answered += 1
        if status >= 300:
            counts.refused += 1
        counts.by_version[headers.get("x-model-version") or str(json.loads(body).get("model_version"))] += 1

    async def _ask(self, stream: Stream) -> tuple[int, Mapping[str, str], bytes]:
        spec = self._store.get("services", stream.namespace, stream.service)["spec"]
        body = json.dumps({"features": _row(stream)}).encode()
        reader, writer = await asyncio.open_connection(spec["clusterIP"], spec["ports"][0]["port"])
        try:
            head = f"POST /predict HTTP/1.1\r\nHost: {stream.service}\r\nContent-Type: application/json\r\n"
            writer.write(f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body)
            start, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = {key.strip().lower(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
            answer = await reader.readexactly(int(headers.get("content-length") or 0))
            return int(start.split()[1]), headers, answer
        finally:
            writer.close()

    async def _write_now_and_then(self) -> None:
        while True:
            self.write()
            await asyncio.sleep(WRITE)

    def write(self) -> None:
        """Write the counts, whole or not at all."""
        text = json.dumps({"at": time.time(), "services": {name: one.as_json() for name, one in self.counts.items()}})
        new = self._path.with_suffix(".new")
        new.write_text(text)
        new.replace(self._path)


def _row(stream: Stream) -> list[float]:
    row = [random.gauss(mean, scale) for mean, scale in zip(stream.mean, stream.scale, strict=True)]
    if stream.drift_at and time.time() >= stream.drift_at:
        for index in range(min(2, len(row))):
            row[index] += 1.5 * stream.scale[index]
    return row
