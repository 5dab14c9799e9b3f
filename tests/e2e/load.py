"""An open loop of requests: one is sent when its time has come, however slow the answers are."""

import asyncio
import time
from collections import Counter

import aiohttp

RATE = 40.0
TIMEOUT = 10.0


class Load:
    """Half of the requests on connections of their own, half on kept ones, as real clients do."""

    def __init__(self, host, port, features):
        self._url = f"http://{host}:{port}/predict"
        self._body = {"features": [1.0] * len(features)}
        self._open = set()
        self.begin()

    def begin(self):
        """Count from nothing: what came before the Service was programmed is not the switch's loss."""
        self.sent, self.versions, self.lost = 0, Counter(), []

    async def run(self):
        due = time.monotonic()
        async with (
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True, limit=0)) as fresh,
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=4)) as kept,
        ):
            try:
                while True:
                    due += 1 / RATE
                    await asyncio.sleep(due - time.monotonic())
                    self.sent += 1
                    task = asyncio.create_task(self._ask(fresh if self.sent % 2 else kept, self.versions, self.lost))
                    self._open.add(task)
                    task.add_done_callback(self._open.discard)
            finally:
                # What is under way when the counting ends is broken off here, and no loss.
                for task in self._open:
                    task.cancel()

    async def _ask(self, session, versions, lost):
        try:
            async with session.post(self._url, json=self._body, timeout=aiohttp.ClientTimeout(TIMEOUT)) as answer:
                body = await answer.read()
                if answer.status != 200:
                    lost.append(f"{answer.status}: {body[:100]}")
                versions[answer.headers.get("X-Model-Version", "?")] += 1
        except (OSError, TimeoutError, aiohttp.ClientError) as error:
            lost.append(repr(error))

    async def seen(self, version, count):
        """Whether a version has answered so often."""
        return self.versions[version] >= count

    async def drain(self):
        """Wait for the answers that are still out."""
        await asyncio.wait_for(asyncio.gather(*self._open), TIMEOUT + 1)
