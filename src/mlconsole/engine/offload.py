"""Work for which the engine must not import: mlflow, pandas, prometheus-api-client live in worker processes.

Each lane is one process of its own, started when it is first needed. What hangs in one lane holds up nothing but that
lane, and not for longer than its timeout: the process is killed and the next call gets a new one. A worker dies with
the process that made it, also when that is killed: by the kernel's parent-death signal (Linux) and by a thread that
waits for the parent's end.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar, TypeVarTuple

from mlconsole.gathering import gather

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

COLD = 30.0
"""Seconds that the first call of a fresh worker gets on top: an interpreter and heavy imports on a busy machine."""
END = 5.0
"""Seconds in which a killed worker has to be gone."""
NICE = 5
"""The screen and the engine come first."""
_PR_SET_PDEATHSIG = 1


class WorkerError(RuntimeError):
    """What a function raised in a worker, where the exception itself cannot or should not travel."""

    def __init__(self, kind: str, message: str, trace: str = "") -> None:
        super().__init__(kind, message, trace)
        self.kind = kind
        """The exception's class."""
        self.message = message
        self.trace = trace
        """For the log."""

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}" if self.message else self.kind


class _Late(Exception):
    """The worker did not answer in time."""


class Lane:
    """One worker process; its calls run one after the other. Made by `Offload.lane`."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._pool: ProcessPoolExecutor | None = None
        self._warm = False
        self._lock = asyncio.Lock()
        self._calls: set[asyncio.Task[Any]] = set()
        self._closed = False

    @property
    def pids(self) -> tuple[int, ...]:
        """The process of this lane, if it runs."""
        return tuple(_processes(self._pool))

    async def run(self, function: Callable[[*Ts], T], *args: *Ts, timeout: float) -> T:
        """`function(*args)` in the worker, within `timeout` seconds (`COLD` more in a worker that has just started).

        The function is a module's own, so that it can be named in another process. Raises what it raised where that is
        an exception of the standard library or of this package, else WorkerError; TimeoutError; WorkerError too when
        the worker dies of the call. A caller that is cancelled leaves its call behind: that runs to its own timeout.
        """
        if self._closed:
            raise WorkerError("Closed", f"the {self._name} worker has ended")
        call = asyncio.create_task(self._call(function, args, timeout), name=f"{self._name}: {function.__name__}")
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)
        call.add_done_callback(_looked_at)
        return await asyncio.shield(call)

    async def _call(self, function: Callable[[*Ts], T], args: tuple[*Ts], timeout: float) -> T:
        late = f"the {self._name} worker gave no answer within {timeout:g} s"
        try:
            async with asyncio.timeout(self._patience(timeout)):
                await self._lock.acquire()
        except TimeoutError:
            raise TimeoutError(f"{late}: the calls before took too long") from None
        try:
            return await self._insist(function, args, timeout)
        except _Late:
            raise TimeoutError(late) from None
        finally:
            self._lock.release()

    async def _insist(self, function: Callable[[*Ts], T], args: tuple[*Ts], timeout: float) -> T:
        """Once more when the worker died: it may have been dead before."""
        try:
            return await self._submit(function, args, timeout)
        except BrokenProcessPool:
            self._kill()
        try:
            return await self._submit(function, args, timeout)
        except BrokenProcessPool as error:
            self._kill()
            raise WorkerError("WorkerDied", f"the {self._name} worker died of {function.__name__}") from error

    async def _submit(self, function: Callable[[*Ts], T], args: tuple[*Ts], timeout: float) -> T:
        if self._closed:
            raise WorkerError("Closed", f"the {self._name} worker has ended")
        if self._pool is None:
            self._pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _prepare, (os.getpid(),))
        with _sigint_blocked():
            answer = asyncio.wrap_future(self._pool.submit(_guarded, function, args))
        answer.add_done_callback(_looked_at)
        done, _ = await asyncio.wait({answer}, timeout=self._patience(timeout))
        if not done:
            self._kill()
            answer.cancel()
            raise _Late
        self._warm = True
        result: T = answer.result()
        return result

    def _patience(self, timeout: float) -> float:
        return timeout if self._warm else timeout + COLD

    def _kill(self) -> None:
        """End the worker at once; the next call starts another."""
        pool, self._pool = self._pool, None
        self._warm = False
        for process in _processes(pool).values():
            process.kill()
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)

    async def close(self) -> None:
        """End the worker and every call."""
        self._closed = True
        processes = _processes(self._pool)
        self._kill()
        calls = list(self._calls)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        for process in processes.values():
            await asyncio.to_thread(process.join, END)


class Offload:
    """The lanes of an engine."""

    def __init__(self) -> None:
        self._lanes: dict[str, Lane] = {}

    def lane(self, name: str) -> Lane:
        """The lane called `name`; its worker starts with its first call."""
        return self._lanes.setdefault(name, Lane(name))

    async def run(self, function: Callable[[*Ts], T], *args: *Ts, timeout: float) -> T:
        """`Lane.run` in the lane of all that need none of their own."""
        return await self.lane("common").run(function, *args, timeout=timeout)

    @property
    def pids(self) -> tuple[int, ...]:
        """The workers that run."""
        return tuple(pid for lane in self._lanes.values() for pid in lane.pids)

    async def close(self) -> None:
        """End every worker; none is left when this returns."""
        await gather(*(lane.close() for lane in self._lanes.values()))


def _looked_at(future: asyncio.Future[Any]) -> None:
    """Take note of an exception that nobody waits for any more: the caller was cancelled."""
    if not future.cancelled():
        future.exception()


def _processes(pool: ProcessPoolExecutor | None) -> dict[int, Any]:
    # No public way to them before Python 3.14's kill_workers(); the attribute is None once the pool is shut down.
    return dict(getattr(pool, "_processes", None) or {})


@contextlib.contextmanager
def _sigint_blocked() -> Iterator[None]:
    """A process started in here is born deaf to Ctrl-C: that is for the one who reads the terminal."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


# ---- in the worker


def _prepare(parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)
    threading.Thread(target=_end_with_parent, name="parent watch", daemon=True).start()
    os.nice(NICE)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)


def _guarded(function: Callable[[*Ts], T], args: tuple[*Ts]) -> T:
    try:
        return function(*args)
    except BaseException as error:  # also SystemExit: it would end the worker, and the call would never return
        raise _portable(error) from None


def _portable(error: BaseException) -> Exception:
    """The error itself if it can be raised in the engine without an import from outside, else its text."""
    home = type(error).__module__.partition(".")[0]
    if isinstance(error, Exception) and (home == "mlconsole" or home in sys.stdlib_module_names):
        with contextlib.suppress(Exception):  # anything may come of pickling what somebody else raised
            copy = pickle.loads(pickle.dumps(error))
            if type(copy) is type(error) and str(copy) == str(error):
                return error
    return WorkerError(type(error).__name__, str(error), "".join(traceback.format_exception(error)))
