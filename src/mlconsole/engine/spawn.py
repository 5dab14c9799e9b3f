"""Start the engine process, at once and with nothing imported for it but the standard library.

The UI calls this before it imports Textual, so that both processes start side by side (design, section 7).
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlconsole.engine.channel import Channel
    from mlconsole.engine.protocol import Intent, Publication


class EngineProcess:
    """The engine and this end of its channel. It ends when this end is closed, however that happens."""

    def __init__(self, process: subprocess.Popen[bytes], sock: socket.socket) -> None:
        self._process = process
        self._socket = sock

    @property
    def pid(self) -> int:
        """The engine's process id."""
        return self._process.pid

    async def open(self) -> Channel[Publication, Intent]:
        """The channel to the engine, usable before the engine is up."""
        from mlconsole.engine.channel import ui_end

        return await ui_end(self._socket)

    def poll(self) -> int | None:
        """Its exit status, or None while it runs."""
        return self._process.poll()

    def leave(self) -> None:
        """Close the channel and let it end by itself, once the operation under way has ended."""
        self._socket.close()

    def stop(self, seconds: float = 3.0) -> None:
        """End it: by closing the channel, by SIGTERM to one that does not take notice, by SIGKILL to one that hangs."""
        self._socket.close()
        for end in (None, self._process.terminate, self._process.kill):
            if end is not None:
                end()
            try:
                self._process.wait(seconds)
            except subprocess.TimeoutExpired:
                continue
            return


def spawn(options: Mapping[str, object], log: Path | None = None) -> EngineProcess:
    """Start an engine for the command line's `options` (JSON values). It logs to `log`, its bare stderr too."""
    here, there = socket.socketpair()
    command = [sys.executable, "-P", "-m", "mlconsole.engine", "--fd", str(there.fileno())]
    command += ["--options", json.dumps(dict(options))]
    if log is not None:
        command += ["--log", str(log)]
    errors = _open_log(log)
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=errors,
            stderr=errors,
            pass_fds=[there.fileno()],
            # A dropped terminal's SIGHUP is for the UI; the engine ends when the channel does.
            start_new_session=True,
        )
    finally:
        there.close()
        if errors != subprocess.DEVNULL:
            os.close(errors)
    return EngineProcess(process, here)


def _open_log(log: Path | None) -> int:
    if log is None:
        return subprocess.DEVNULL
    log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    return os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
