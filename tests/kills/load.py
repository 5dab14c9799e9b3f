"""Requests through a Service until this process is ended: HOST PORT FEATURES FILE, where it counts them."""

import asyncio
import json
import os
import sys
from pathlib import Path

from e2e.load import Load

TICK = 0.2


async def main(host, port, features, counts):
    """Begin to count with the first answers: before that the Service was not programmed yet."""
    load = Load(host, port, ["x"] * int(features))
    running = asyncio.create_task(load.run())
    while sum(load.versions.values()) < 20:
        await asyncio.sleep(TICK)
    await load.drain()
    load.begin()
    path = Path(counts)
    while not running.done():
        await asyncio.sleep(TICK)
        draft = path.with_suffix(".new")
        draft.write_text(json.dumps({"sent": load.sent, "lost": len(load.lost), "first": load.lost[:3]}))
        os.replace(draft, path)
    await running


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
