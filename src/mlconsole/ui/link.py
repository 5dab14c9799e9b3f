"""The UI's line to its engine: keeps one running, hands on what it says, starts another when it is gone."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mlconsole.engine import protocol
from mlconsole.engine.channel import Channel, ChannelError
from mlconsole.engine.spawn import EngineProcess, spawn

log = logging.getLogger(__name__)
STEADY = 30.0
"""Seconds that an engine has to live for the next start not to be put off."""

UiChannel = Channel[protocol.Publication, protocol.Intent]


class Link:
    """Owns the engine's process. `run` is its life."""

    def __init__(
        self,
        engine: EngineProcess,
        options: Mapping[str, object],
        log_path: Path,
        take: Callable[[protocol.Publication], None],
        lost: Callable[[str], None],
        found: Callable[[], None],
    ) -> None:
        self._engine = engine
        self._options = options
        self._log_path = log_path
        self._take = take
        self._lost = lost
        self._found = found
        self._channel: UiChannel | None = None
        self._outbox: asyncio.Queue[protocol.Intent] = asyncio.Queue()

    def send(self, intent: protocol.Intent) -> None:
        """Send an intent as soon as it can be; one for an engine that is gone is dropped: `found` says all again."""
        if self._channel is not None:
            self._outbox.put_nowait(intent)

    async def run(self) -> None:
        """Serve until cancelled."""
        pause = 0.5
        while True:
            started = time.monotonic()
            why = await self._serve()
            await asyncio.to_thread(self._engine.stop)
            if time.monotonic() - started > STEADY:
                pause = 0.5
            self._lost(f"{why}; starting again in {pause:.0f} s" if pause >= 1 else f"{why}; starting again")
            await asyncio.sleep(pause)
            pause = min(15.0, pause * 2)
            self._engine = await asyncio.to_thread(spawn, self._options, self._log_path)

    async def _serve(self) -> str:
        """Until the engine is gone; why, in words."""
        self._channel = channel = await self._engine.open()
        self._outbox = asyncio.Queue()
        sender = asyncio.create_task(self._sending(channel))
        self._found()
        try:
            while (message := await channel.receive()) is not None:
                self._take(message)
        except ChannelError as error:
            log.error("the engine said what is no message: %s", error)
            return "it said what is no message"
        finally:
            self._channel = None
            channel.close()
            sender.cancel()
            await asyncio.gather(sender, return_exceptions=True)
        return "it ended"

    async def _sending(self, channel: UiChannel) -> None:
        while True:
            intent = await self._outbox.get()
            try:
                await channel.send(intent)
            except ConnectionError:
                return

    def stop(self) -> None:
        """End the engine."""
        self._engine.stop()

    @property
    def state(self) -> dict[str, Any]:
        """For the log: which process."""
        return {"pid": self._engine.pid, "exit": self._engine.poll()}
