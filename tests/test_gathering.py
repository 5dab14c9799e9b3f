"""Waiting for several things at once: what each gives, the first failure, and the word to stop before all."""

import ast
import asyncio
from pathlib import Path

import pytest

import mlconsole
from mlconsole.gathering import gather


async def gives(value):
    await asyncio.sleep(0)
    return value


async def fails(now=None):
    if now is not None:
        await now.wait()
    raise OSError("refused")


async def hangs(until=None):
    await (until or asyncio.Event()).wait()


async def test_it_gives_what_each_gives_in_order():
    assert tuple(await gather(gives(1), gives("two"), gives(None))) == (1, "two", None)


async def test_the_first_failure_is_raised():
    with pytest.raises(OSError, match="refused"):
        await gather(hangs(), fails())


async def test_a_failure_does_not_take_the_place_of_a_cancellation():
    """What the plain one does: a loop that tries again after a failure would go on for ever."""
    now = asyncio.Event()
    task = asyncio.create_task(gather(hangs(), fails(now)))
    await asyncio.sleep(0)
    now.set()
    await asyncio.sleep(0)  # it has failed, and nobody was told yet
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_the_cancellation_before_it_is_not_taken_for_one_of_its_own():
    """What is tidied up while a task ends has its failures told."""
    told = []

    async def tidies():
        try:
            await hangs()
        finally:
            try:
                await gather(fails(), gives(1))
            except OSError as error:
                told.append(str(error))

    task = asyncio.create_task(tidies())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert told == ["refused"]


def plain(path):
    """Lines that wait with `asyncio.gather` and let failures through."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "asyncio.gather":
            safe = any(keyword.arg == "return_exceptions" for keyword in node.keywords)
            if not safe:
                yield f"{path.name}:{node.lineno}"


def test_nothing_of_the_console_waits_in_the_plain_way():
    root = Path(mlconsole.__file__).parent
    found = [line for path in root.rglob("*.py") if "demo" not in path.parts for line in plain(path)]
    assert [line for line in found if not line.startswith("gathering.py")] == []
