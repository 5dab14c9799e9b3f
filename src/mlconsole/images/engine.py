"""Ask the Docker Engine who it is. The docker package is imported by `ping` alone, which runs in a worker process.

Where the engine is: `docker.host` (DOCKER_HOST), else the socket of the system, else the one of a rootless engine.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from msgspec import Struct
from msgspec.structs import replace

from mlconsole import config
from mlconsole.domain.sources import Condition, SourceState
from mlconsole.domain.text import visible
from mlconsole.engine.offload import Offload, WorkerError

SECONDS = 5.0
REFRESH = 30.0
SOCKET = Path("/var/run/docker.sock")


class Pong(Struct, frozen=True):
    """What the engine answered, or why it did not."""

    version: str = ""
    api: str = ""
    platform: str = ""
    condition: Condition = Condition.LIVE
    message: str = ""
    hint: str = ""


def where(host: str | None, environ: Mapping[str, str], socket: Path = SOCKET) -> str:
    """The address of the engine; empty where there is none to ask."""
    if host:
        return host
    rootless = Path(environ.get("XDG_RUNTIME_DIR") or "/nonexistent") / "docker.sock"
    return next((f"unix://{path}" for path in (socket, rootless) if _is_socket(path)), "")


def _is_socket(path: Path) -> bool:
    try:
        return stat.S_ISSOCK(path.stat().st_mode)
    except OSError:
        return False


def address(host: str) -> str:
    """The address to show: without a login."""
    try:
        parts = urlsplit(host)
    except ValueError:
        return "an address that is none"
    return host if "@" not in parts.netloc else parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def ping(host: str) -> Pong:
    """Ask the engine at `host`. Raises nothing that the engine or the network can cause."""
    import docker
    import requests
    from docker.errors import DockerException

    try:
        client = docker.from_env(timeout=int(SECONDS), environment={**os.environ, "DOCKER_HOST": host})
        try:
            answer = client.version()
        finally:
            client.close()
    except (DockerException, requests.RequestException, OSError, ValueError) as error:
        return _failed(host, error)
    if not isinstance(answer, dict) or not answer.get("Version"):
        return Pong(condition=Condition.DOWN, message=f"{address(host)} does not answer as a Docker Engine does")
    made = answer.get("Platform")
    name = made.get("Name") if isinstance(made, dict) else ""
    return Pong(_word(answer["Version"]), _word(answer.get("ApiVersion")), _word(name))


def _word(value: object) -> str:
    return visible(str(value or ""), 60)


def _failed(host: str, error: Exception) -> Pong:
    shown, cause, status = address(host), _cause(error), _status(error)
    if status:
        denied = status in (401, 403)
        hint = "log in, or ask for access to it" if denied else "is this address a Docker Engine's?"
        return Pong(
            condition=Condition.DENIED if denied else Condition.DOWN, message=f"{shown} answered {status}", hint=hint
        )
    if isinstance(cause, PermissionError):
        hint = "join the group that owns the socket (`docker`), or set DOCKER_HOST"
        return Pong(condition=Condition.DENIED, message=f"{shown}: permission denied", hint=hint)
    why = (getattr(cause, "strerror", None) or str(cause) or type(cause).__name__).replace(host, shown)
    hint = "is the Docker Engine running, and DOCKER_HOST right?"
    return Pong(condition=Condition.DOWN, message=f"{shown}: {visible(why, 200)}", hint=hint)


def _status(error: BaseException | None) -> int:
    """The HTTP status in an exception or in one that it wraps; 0 where there was no answer."""
    while error is not None:
        response = getattr(error, "response", None)
        if response is not None:
            return int(response.status_code)
        error = error.__cause__ or error.__context__
    return 0


def _cause(error: BaseException) -> BaseException:
    """The innermost exception: docker, requests and urllib3 each wrap it."""
    while True:
        inner = error.__cause__ or error.__context__
        inner = inner or next((item for item in error.args if isinstance(item, BaseException)), None)
        if inner is None:
            return error
        error = inner


class DockerFeed:
    """Keeps the engine's state, asked again every half minute. `changed` is called when it differs."""

    def __init__(self, settings: config.Docker, offload: Offload, changed: Callable[[], None]) -> None:
        self._offload = offload
        self._changed = changed
        self._host = where(settings.host, os.environ)
        self._again = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        condition = Condition.STARTING if self._host else Condition.OFF
        words = "" if self._host else "no Docker Engine: there is neither DOCKER_HOST nor a socket"
        self.state = SourceState(
            "docker", condition, time.time(), message=words, detail=address(self._host), limit=2 * REFRESH
        )

    def start(self) -> None:
        """Begin to ask, where there is somebody to ask."""
        if self._host and self._task is None:
            self._task = asyncio.create_task(self._run(), name="docker")

    async def stop(self) -> None:
        """End."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def reconnect(self) -> None:
        """Ask again now."""
        self._again.set()

    async def _run(self) -> None:
        while True:
            self._take(await self._ask())
            self._again.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(REFRESH):
                    await self._again.wait()

    async def _ask(self) -> Pong:
        try:
            return await self._offload.run(ping, self._host, timeout=2 * SECONDS)
        except (WorkerError, TimeoutError, OSError) as error:
            hint = "it is asked again by itself"
            return Pong(condition=Condition.DOWN, message=visible(str(error) or "no answer in time"), hint=hint)

    def _take(self, pong: Pong) -> None:
        now = time.time()
        live = pong.condition is Condition.LIVE
        since = self.state.since if self.state.condition is pong.condition else now
        self.state = replace(
            self.state,
            condition=pong.condition,
            since=since,
            last_contact=now if live else self.state.last_contact,
            message=f"Docker {pong.version}" if live else pong.message,
            hint=pong.hint,
        )
        self._changed()
