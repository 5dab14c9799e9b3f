"""A process that has everything imported, and forks executors: hundreds of them cost what a few would, started anew.

Each is a process of its own, with a session of its own and the code that `python -m mlconsole.engine.execution` runs.
What a test wants of it comes before its operation: environment, shorter constants, the write at which it dies.
"""

import contextlib
import importlib
import json
import os
import pathlib
import select
import signal
import socket
import subprocess
import sys
import traceback

import msgspec

from mlconsole.engine.execution import process

DEADLINE = 120.0


class Child:
    """One forked process, as `subprocess.Popen` would have it: the pid, the standard input, and how it ended."""

    def __init__(self, address, orders):
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(DEADLINE)
        self._socket.connect(address)
        self._socket.sendall(json.dumps(orders).encode() + b"\n")
        self._said = self._socket.makefile("rb", buffering=0)
        self.pid = int(self._said.readline())
        self.returncode = None
        self.stdin = self

    def write(self, data):
        self._socket.sendall(data)

    def flush(self):
        pass

    def close(self):
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def poll(self):
        """How it ended, negative for a signal; None while it runs."""
        ready, _, _ = select.select([self._socket], [], [], 0)
        return self.wait() if self.returncode is None and ready else self.returncode

    def wait(self):
        if self.returncode is None:
            self.returncode = int(self._said.readline())
            self._said.close()
            self._socket.close()
        return self.returncode


class Nursery:
    """Where executors come from. `orders` are what the next one is told."""

    def __init__(self, folder):
        self.address = str(folder / "nursery")
        command = [sys.executable, "-m", "kills.nursery", self.address]
        # It ends with its standard input: with these tests, however they end.
        root = pathlib.Path(__file__).parents[1]
        self._process = subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdout.readline() == b"ready\n"
        self.orders = {}

    def close(self):
        self._process.stdin.close()
        self._process.wait(DEADLINE)

    def executor(self, settings, **orders):
        """An executor that waits for its operation."""
        here = {"environ": dict(os.environ), "folder": os.getcwd()}
        return Forked(settings, Child(self.address, {**here, **self.orders, **orders}))


class Forked(process.Executor):
    """An executor, forked rather than started."""

    def __init__(self, settings, child):
        self._process = child
        self.begun = 0
        self._write(msgspec.json.encode(settings))


# ---- in the nursery


def _serve(address):
    importlib.import_module("mlconsole.cluster.kube").load()
    main = importlib.import_module("mlconsole.engine.execution.__main__").main
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen(32)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    print("ready", flush=True)  # noqa: T201
    while True:
        ready, _, _ = select.select([listener, 0], [], [])
        if 0 in ready:
            return
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            _attend(connection, main)
        connection.close()


def _attend(connection, main):
    """Fork one, wait for its end, and say how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    line = b""
    while not line.endswith(b"\n"):
        line += connection.recv(1)
    orders = json.loads(line)
    child = os.fork()
    if child == 0:
        _execute(connection, orders, main)
    # Said before the first word of the operation is written: whoever owns the folder is known to be this one.
    connection.sendall(f"{child}\n".encode())
    _, status = os.waitpid(child, 0)
    with contextlib.suppress(OSError):
        connection.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


def _execute(connection, orders, main):
    code = 1
    try:
        os.setsid()
        os.dup2(connection.fileno(), 0)
        sys.stdin = open(0, closefd=False)  # noqa: SIM115
        os.environ.clear()
        os.environ.update(orders["environ"])
        os.chdir(orders["folder"])
        for name, value in orders.get("constants", {}).items():
            _set(*name.split(":"), value)
        if "tally" in orders:
            importlib.import_module("kills.mortal").prepare(**orders["tally"])
        code = main()
    except Exception:
        traceback.print_exc()
    os._exit(code)


def _set(module, constant, value):
    """Put a value in the place of a constant, and of the defaults that were made of it."""
    found = importlib.import_module(module)
    before = getattr(found, constant)
    setattr(found, constant, value)
    for kind in [item for item in vars(found).values() if isinstance(item, type) and item.__module__ == module]:
        for method in [item for item in vars(kind).values() if getattr(item, "__defaults__", None)]:
            method.__defaults__ = tuple(value if item is before else item for item in method.__defaults__)


if __name__ == "__main__":
    _serve(sys.argv[1])
