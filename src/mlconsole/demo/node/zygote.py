"""A process that has imported everything and forks a pod in milliseconds.

It talks JSON lines on stdin and stdout with the node agent, and dies with it: at EOF, or by the kernel's parent-death
signal, it takes every pod along. It imports nothing but the standard library.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import sys
import traceback
from typing import Any

from mlconsole.demo import modelserver, pipelinejob

PR_SET_PDEATHSIG = 1
MAINS = {"model": modelserver.main, "pipeline": pipelinejob.main}


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent is gone, also if that is already so (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


class Zygote:
    """The loop over orders and dead children."""

    def __init__(self, orders: int, answers: int) -> None:
        self._orders, self._answers = orders, answers
        self._ids: dict[int, str] = {}
        self._wake, wake = os.pipe()
        os.set_blocking(wake, False)
        os.set_blocking(self._wake, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._wake_write = wake
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)

    def run(self) -> None:
        """Serve until stdin ends; then kill what runs."""
        buffer = b""
        while True:
            readable, _, _ = select.select([self._orders, self._wake], [], [])
            if self._wake in readable:
                self._drain()
                self._reap()
            if self._orders in readable:
                data = os.read(self._orders, 1 << 16)
                if not data:
                    break
                *lines, buffer = (buffer + data).split(b"\n")
                for line in lines:
                    self._obey(json.loads(line))
        for pid in self._ids:
            _kill(pid, signal.SIGKILL)

    def _drain(self) -> None:
        try:
            while os.read(self._wake, 512):
                pass
        except BlockingIOError:
            pass

    def _reap(self) -> None:
        while self._ids:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            name = self._ids.pop(pid, "")
            self._tell({"event": "exited", "id": name, "pid": pid, "code": os.waitstatus_to_exitcode(status)})

    def _obey(self, order: dict[str, Any]) -> None:
        if order["op"] == "start":
            parent = os.getpid()
            pid = os.fork()
            if pid == 0:
                self._become(order, parent)
            self._ids[pid] = order["id"]
            self._tell({"event": "started", "id": order["id"], "pid": pid})
        elif order["op"] == "signal":
            for pid, name in self._ids.items():
                if name == order["id"]:
                    _kill(pid, order["signal"])

    def _become(self, order: dict[str, Any], parent: int) -> None:
        """Be the pod; never returns."""
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.setsid()
            die_with_parent(parent)
            for fd in (self._orders, self._answers, self._wake, self._wake_write):
                os.close(fd)
            log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            null = os.open(os.devnull, os.O_RDONLY)
            os.dup2(null, 0)
            os.dup2(log, 1)
            os.dup2(log, 2)
            sys.stdout = os.fdopen(1, "w", buffering=1)
            sys.stderr = os.fdopen(2, "w", buffering=1)
            os.environ.clear()
            os.environ.update(order["env"])
            code = MAINS[order["main"]](order["env"])
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else 1
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)

    def _tell(self, answer: dict[str, Any]) -> None:
        os.write(self._answers, json.dumps(answer).encode() + b"\n")


def _kill(pid: int, number: int) -> None:
    """Signal a pod's whole group (it may not have made its session yet: then the process)."""
    for send in (os.killpg, os.kill):
        try:
            send(pid, number)
            return
        except ProcessLookupError:
            continue


def main(parent: int) -> None:
    """Run as the zygote of the process `parent`."""
    die_with_parent(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    orders, answers = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    Zygote(orders, answers).run()
