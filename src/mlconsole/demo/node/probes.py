"""Readiness and liveness probes over HTTP, as the pod's spec asks for them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any


async def http_get(host: str, port: int, path: str, seconds: float) -> tuple[bool, str]:
    """Whether GET answered 2xx or 3xx in time, and what happened in kubelet's words."""
    url = f"http://{host}:{port}{path}"
    writer = None
    try:
        async with asyncio.timeout(seconds):
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            line = await reader.readline()
            code = int(line.split()[1])
    except TimeoutError:
        return False, f'Get "{url}": context deadline exceeded'
    except (OSError, ValueError, IndexError) as error:
        words = "connect: connection refused" if isinstance(error, ConnectionRefusedError) else str(error)
        return False, f'Get "{url}": {words}'
    finally:
        if writer:
            writer.close()
    return 200 <= code < 400, f"HTTP probe failed with statuscode: {code}"


async def watch(
    probe: dict[str, Any],
    host: str,
    port: int,
    passed: bool,
    changed: Callable[[bool, str], None],
    failing: Callable[[str], None],
) -> None:
    """Probe for as long as the container runs; `changed` when the thresholds say so, `failing` at each failure."""
    get = probe.get("httpGet") or {}
    path = get.get("path") or "/"
    where = get.get("port", port)
    number = where if isinstance(where, int) else int(where) if str(where).isdigit() else port
    period = float(probe.get("periodSeconds", 10))
    await asyncio.sleep(float(probe.get("initialDelaySeconds", 0)))
    run, last = 0, passed
    # As kubelet does, a container that has not become ready yet is looked at more often than its period says.
    while True:
        good, words = await http_get(host, number, path, float(probe.get("timeoutSeconds", 1)))
        run = run + 1 if good == last else 1
        last = good
        needed = probe.get("successThreshold", 1) if good else probe.get("failureThreshold", 3)
        if not good:
            failing(words)
        if good != passed and run >= needed:
            passed = good
            changed(good, words)
        await asyncio.sleep(period if passed else min(period, 0.15 if not good else period))
