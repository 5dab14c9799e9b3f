"""An alert to somebody who does not look at the screen: a command of the user's, a webhook.

Each leaves once a firing, however many consoles see it (`alertstate`), and not more often than the settings allow: what
is more is counted, and said with the next one. A command gets JSON on its standard input, never words on its command
line; a webhook gets the same JSON, follows no redirect, and is tried again only where that may help.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from weakref import WeakValueDictionary

import msgspec

from mlconsole.configalerts import Notify, Webhook
from mlconsole.domain.alerts import RANK, Alert, Severity, State
from mlconsole.domain.redaction import redacted
from mlconsole.domain.text import visible

PAUSE = 1.0
"""Seconds before a second try; twice as many before each further one."""
CAUSE_SECONDS = 15.0
"""For what it is of: a page that says less is better than one that comes late."""
AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
OUTPUT = 2000
log = logging.getLogger(__name__)


def payload(alert: Alert, place: str, cause: str = "", suppressed: int = 0) -> dict[str, Any]:
    """What a command and a webhook are told."""
    namespace, _, name = alert.service.rpartition("/")
    return {
        "version": 1,
        "id": alert.id,
        "alert": alert.name,
        "status": "resolved" if alert.state is State.RESOLVED else "firing",
        "severity": str(alert.severity),
        "context": place,
        "namespace": namespace,
        "service": name,
        "fired_at": alert.fired_at or alert.since,
        "resolved_at": alert.ends_at or None,
        "value": redacted(alert.value),
        "condition": alert.condition,
        "cause": cause,
        "labels": alert.labels,
        "sources": list(alert.sources),
        "suppressed": suppressed,
    }


class Notifier:
    """Tells what fired, and what is over."""

    def __init__(
        self,
        settings: Notify,
        claim: Callable[[str], bool],
        environ: Mapping[str, str] = os.environ,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._claim = claim
        self._environ = environ
        self._clock = clock
        self._sent: deque[float] = deque()
        self._suppressed = 0
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self.problem = ""
        """What went wrong with the last one, in words."""

    @property
    def wanted(self) -> bool:
        """Whether anything is told at all."""
        return bool(self._settings.command or self._settings.webhook.url)

    def concerns(self, alert: Alert) -> bool:
        """Whether it is bad enough, and in nobody's hand."""
        least = RANK[Severity(self._settings.severity)]
        fires = alert.state is State.FIRING or (alert.state is State.RESOLVED and self._settings.resolved)
        return self.wanted and fires and RANK[alert.severity] <= least

    async def tell(self, alert: Alert, place: str, why: Callable[[], Awaitable[str]] | None = None) -> bool:
        """Tell it, unless it was told; whether it was now. Where the disk keeps no claim it may be told twice.

        `why` is asked for what it is of. What is said of one alert leaves in the order in which it came: that it is
        over never before that it fires.
        """
        async with self._turns.setdefault(alert.id, asyncio.Lock()):
            return await self._tell(alert, place, why)

    async def _tell(self, alert: Alert, place: str, why: Callable[[], Awaitable[str]] | None) -> bool:
        status = "resolved" if alert.state is State.RESOLVED else "firing"
        try:
            if not await asyncio.to_thread(self._claim, f"{place}|{alert.id}|{status}"):
                return False
        except OSError as error:
            log.warning("%s is told without a claim: %s", visible(alert.id, 200), error)
        now = self._clock()
        while self._sent and now - self._sent[0] >= 60.0:
            self._sent.popleft()
        if len(self._sent) >= self._settings.per_minute:
            self._suppressed += 1
            self.problem = f"{self._suppressed} not told: more than {self._settings.per_minute} a minute"
            return False
        self._sent.append(now)
        suppressed, self._suppressed = self._suppressed, 0
        cause = await _known(alert, why) if why is not None else ""
        body, problems = msgspec.json.encode(payload(alert, place, cause, suppressed)), []
        if self._settings.command:
            problems.append(await run(self._settings.command, body, self._settings.command_timeout))
        if self._settings.webhook.url:
            problems.append(await post(self._settings.webhook, body, self._environ))
        self.problem = "; ".join(filter(None, problems))
        if self.problem:
            log.warning("an alert could not be told: %s", self.problem)
        return True


async def _known(alert: Alert, why: Callable[[], Awaitable[str]]) -> str:
    """What it is of, or nothing: whatever keeps that from being found, the alert is told."""
    try:
        async with asyncio.timeout(CAUSE_SECONDS):
            return await why()
    except Exception:
        log.exception("the cause of %s was not found in time", visible(alert.id, 200))
        return ""


async def run(command: tuple[str, ...], body: bytes, seconds: float) -> str:
    """Run a command with `body` on its standard input; what went wrong, or nothing."""
    name = visible(command[0], 100)
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        return f"notify.command: {name} cannot be run: {getattr(error, 'strerror', '') or error}"
    try:
        async with asyncio.timeout(seconds):
            said = await _conversation(process, body)
    except TimeoutError:
        return f"notify.command: {name} did not end within {seconds:g} s, and was killed"
    finally:
        await _end(process)
    if process.returncode:
        words = redacted(visible(said[-OUTPUT:].decode(errors="replace").strip(), 200))
        return f"notify.command: {name} ended with {process.returncode}" + (f": {words}" if words else "")
    return ""


async def _conversation(process: asyncio.subprocess.Process, body: bytes) -> bytes:
    """Hand `body` over and take the end of what it complains, until it ends."""
    assert process.stdin is not None
    assert process.stderr is not None
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        # Whoever reads no input gets none.
        process.stdin.write(body)
        await process.stdin.drain()
    process.stdin.close()
    said = b""
    while part := await process.stderr.read(4096):
        said = (said + part)[-OUTPUT:]
    await process.wait()
    return said


async def _end(process: asyncio.subprocess.Process) -> None:
    """End it and what it started: it leads a session of its own."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


async def post(webhook: Webhook, body: bytes, environ: Mapping[str, str], pause: float = PAUSE) -> str:
    """Post `body`; what went wrong, or nothing."""
    import aiohttp

    where = "notify.webhook"
    headers = {"Content-Type": "application/json", **webhook.headers}
    if webhook.bearer_token_env:
        token = environ.get(webhook.bearer_token_env, "").strip()
        if not token:
            return f"{where}.bearer_token_env names {webhook.bearer_token_env}, which is not set"
        headers["Authorization"] = f"Bearer {token}"
    problem = ""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=webhook.timeout)) as session:
        for attempt in range(webhook.retries + 1):
            if attempt:
                await asyncio.sleep(pause * 2 ** (attempt - 1))
            try:
                async with session.post(
                    webhook.url or "", data=body, headers=headers, allow_redirects=False
                ) as response:
                    if response.status < 300:
                        return ""
                    problem = f"{where} answered {response.status}"
                    if response.status not in AGAIN:
                        return problem
            except (aiohttp.ClientError, TimeoutError, ValueError) as error:
                problem = f"{where}: {redacted(visible(str(error), 200)) or 'no answer in time'}"
    return problem
