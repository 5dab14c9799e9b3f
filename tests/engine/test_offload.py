"""A worker that hangs, dies or fails costs one call, and no worker outlives the one who made it."""

import asyncio
import contextlib
import json
import math
import os
import signal
import sys
import time

import msgspec
import psutil
import pytest

from mlconsole.engine.offload import Offload, WorkerError

DEADLINE = 60.0
OWNER = """
import asyncio, sys, time, os
from mlconsole.engine.offload import Offload

async def main():
    offload = Offload()
    print(await offload.run(os.getpid, timeout=20), flush=True)
    await offload.run(time.sleep, float(sys.argv[1]), timeout=60)
    await asyncio.Event().wait()

if __name__ == "__main__":
    asyncio.run(main())
"""


@pytest.fixture
async def offload():
    one = Offload()
    yield one
    await one.close()


async def gone(pid):
    """Wait until a process is no more (or only its entry, until it is reaped)."""
    end = time.monotonic() + DEADLINE
    with contextlib.suppress(psutil.NoSuchProcess):
        while psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < end, f"{pid} still runs"
            await asyncio.sleep(0.02)


async def test_a_lane_is_one_process_started_when_it_is_needed(offload):
    lane = offload.lane("mlflow")
    assert offload.pids == ()
    first = await lane.run(os.getpid, timeout=0.01)  # starting does not count
    other = await offload.run(os.getpid, timeout=30)
    assert len({os.getpid(), first, other}) == 3
    assert await asyncio.gather(*(lane.run(os.getpid, timeout=30) for _ in range(5))) == [first] * 5
    assert set(offload.pids) == {first, other}


async def test_a_call_that_hangs_is_ended_and_holds_up_its_own_lane_only(offload):
    lane = offload.lane("mlflow")
    hung, other = await asyncio.gather(lane.run(os.getpid, timeout=30), offload.run(os.getpid, timeout=30))
    hanging = asyncio.create_task(lane.run(time.sleep, 60, timeout=0.4))
    assert await offload.run(math.sqrt, 9.0, timeout=30) == 3.0
    assert not hanging.done()
    with pytest.raises(TimeoutError, match=r"mlflow worker gave no answer within 0\.4 s"):
        await hanging
    await gone(hung)
    assert await lane.run(os.getpid, timeout=30) != hung
    assert await offload.run(os.getpid, timeout=30) == other


async def test_a_call_behind_a_hanging_one_says_so(offload):
    await offload.run(os.getpid, timeout=30)
    hanging = asyncio.create_task(offload.run(time.sleep, 60, timeout=1))
    await asyncio.sleep(0)
    with pytest.raises(TimeoutError, match="the calls before took too long"):
        await offload.run(os.getpid, timeout=0.05)
    with pytest.raises(TimeoutError):
        await hanging


async def test_a_call_whose_caller_was_cancelled_still_ends(offload):
    pid = await offload.run(os.getpid, timeout=30)
    hanging = asyncio.create_task(offload.run(time.sleep, 60, timeout=0.3))
    await asyncio.sleep(0)
    hanging.cancel()
    with pytest.raises(asyncio.CancelledError):
        await hanging
    assert await offload.run(os.getpid, timeout=30) != pid


async def test_a_dead_worker_is_replaced(offload):
    pid = await offload.run(os.getpid, timeout=30)
    os.kill(pid, signal.SIGKILL)
    assert await offload.run(os.getpid, timeout=30) != pid
    with pytest.raises(WorkerError, match="the common worker died of _exit"):
        await offload.run(os._exit, 3, timeout=30)
    assert await offload.run(math.sqrt, 4.0, timeout=30) == 2.0


async def test_ctrl_c_is_not_for_the_worker(offload):
    pid = await offload.run(os.getpid, timeout=30)
    os.kill(pid, signal.SIGINT)
    assert await offload.run(os.getpid, timeout=30) == pid


async def test_errors_come_back_whole_or_as_text(offload):
    with pytest.raises(ValueError, match=r"math domain error|nonnegative"):
        await offload.run(math.sqrt, -1.0, timeout=30)
    with pytest.raises(json.JSONDecodeError):
        await offload.run(json.loads, "{", timeout=30)
    with pytest.raises(WorkerError) as caught:
        await offload.run(msgspec.json.decode, b"{", timeout=30)
    assert caught.value.kind == "DecodeError"
    assert "truncated" in str(caught.value)
    assert "Traceback" in caught.value.trace
    with pytest.raises(WorkerError, match="SystemExit: 4"):
        await offload.run(sys.exit, 4, timeout=30)
    assert await offload.run(math.sqrt, 4.0, timeout=30) == 2.0


async def test_close_ends_workers_and_calls():
    offload = Offload()
    pid = await offload.run(os.getpid, timeout=30)
    other = await offload.lane("mlflow").run(os.getpid, timeout=30)
    hanging = asyncio.create_task(offload.run(time.sleep, 60, timeout=60))
    await asyncio.sleep(0)
    started = time.monotonic()
    await offload.close()
    assert time.monotonic() - started < 30
    assert not psutil.pid_exists(pid)
    assert not psutil.pid_exists(other)
    assert offload.pids == ()
    with pytest.raises(asyncio.CancelledError):
        await hanging
    with pytest.raises(WorkerError, match="has ended"):
        await offload.run(os.getpid, timeout=30)


@pytest.mark.parametrize("busy", [0, 60])
async def test_workers_die_with_their_killed_owner(busy, tmp_path):
    script = tmp_path / "owner.py"
    script.write_text(OWNER)
    owner = await asyncio.create_subprocess_exec(sys.executable, str(script), str(busy), stdout=asyncio.subprocess.PIPE)
    pid = int(await asyncio.wait_for(owner.stdout.readline(), DEADLINE))
    family = [child.pid for child in psutil.Process(owner.pid).children(recursive=True)]
    assert pid in family
    owner.kill()
    await owner.wait()
    for child in family:
        await gone(child)
