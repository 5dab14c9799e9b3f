"""The node agent's end of the zygote: start, signal, and await the end of a pod's process."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).resolve().parents[3]
"""The folder that holds the package."""
_CODE = (
    "import sys; sys.path.insert(0, sys.argv[1]); from mlconsole.demo.node.zygote import main; main(int(sys.argv[2]))"
)


class Processes:
    """Processes by an id that the caller gives."""

    def __init__(self) -> None:
        self._zygote: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._ends: dict[str, asyncio.Future[int]] = {}
        self.pids: dict[str, int] = {}

    async def start(self) -> None:
        """Start the zygote: a fresh interpreter, without site-packages, so that it is small."""
        self._zygote = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-I", "-S", "-c", _CODE, str(SOURCE), str(os.getpid())),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        self._reader = asyncio.create_task(self._read())

    def spawn(self, name: str, main: str, env: dict[str, str], log: Path) -> asyncio.Future[int]:
        """Start a process; the future is its exit code (negative: the signal that ended it)."""
        end: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._ends[name] = end
        self._send({"op": "start", "id": name, "main": main, "env": env, "log": str(log)})
        return end

    def signal(self, name: str, number: int) -> None:
        """Signal a process and its group."""
        if name in self._ends:
            self._send({"op": "signal", "id": name, "signal": int(number)})

    def _send(self, order: dict[str, Any]) -> None:
        if self._zygote is None or self._zygote.stdin is None:
            raise RuntimeError("the zygote does not run")
        self._zygote.stdin.write(json.dumps(order).encode() + b"\n")

    async def _read(self) -> None:
        assert self._zygote is not None
        assert self._zygote.stdout is not None
        async for line in self._zygote.stdout:
            answer = json.loads(line)
            if answer["event"] == "started":
                self.pids[answer["id"]] = answer["pid"]
                continue
            self.pids.pop(answer["id"], None)
            end = self._ends.pop(answer["id"], None)
            if end and not end.done():
                end.set_result(answer["code"])
        for end in self._ends.values():
            if not end.done():
                end.set_result(-9)

    async def close(self) -> None:
        """End the zygote and with it every process."""
        if self._zygote is None:
            return
        if self._zygote.stdin:
            self._zygote.stdin.close()
        try:
            async with asyncio.timeout(5):
                await self._zygote.wait()
        except TimeoutError:
            self._zygote.kill()
            await self._zygote.wait()
        if self._reader:
            await self._reader
