"""The program itself, as a process, in an embedded world of its own."""

import json
import os
import pty
import subprocess
import sys
import time

import pytest

from commands import forked

COMMAND = (sys.executable, "-m", "mlconsole")
DEADLINE = 120.0


@pytest.fixture(scope="package")
def world(forks):
    """A world of its own, in a process."""
    command = [*COMMAND, "demo", "--headless", "--no-registry", "--output", "json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    yield json.loads(process.stdout.readline())
    process.terminate()
    assert process.wait(DEADLINE) == 0


@pytest.fixture(scope="package")
def forks(tmp_path_factory):
    """Where the processes of `start` and `shell` come from; it ends with these tests, however they end."""
    address = str(tmp_path_factory.mktemp("forks") / "socket")
    command = [sys.executable, forked.__file__, "--serve", address]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert server.stdout.readline() == b"ready\n"
    started.append(address)
    yield
    started.remove(address)
    server.stdin.close()
    server.wait(DEADLINE)


started = []
"""The address of `forks`."""


@pytest.fixture
def environ(world, tmp_path):
    """The environment of a person in that world."""
    kept = {name: os.environ[name] for name in ("PATH",)}
    places = {"HOME": tmp_path, "XDG_STATE_HOME": tmp_path / "state", "XDG_CONFIG_HOME": tmp_path / "config"}
    return {**kept, "KUBECONFIG": world["kubeconfig"], "TERM": "xterm", **{k: str(v) for k, v in places.items()}}


def command(*arguments):
    """The program as a process, forked from one that has everything imported."""
    return [sys.executable, "-I", "-S", forked.__file__, started[0], "-n", "ml", *arguments]


def shell(environ, *arguments):
    return subprocess.run(
        command(*arguments),
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )


class Terminal:
    """The program in a pseudo-terminal."""

    def __init__(self, environ, *arguments):
        self.read = b""
        pid, self.fd = pty.fork()
        if pid == 0:
            os.execve(COMMAND[0], [*COMMAND, "-n", "ml", *arguments], environ)
        self.pid = pid

    def until(self, words):
        end = time.monotonic() + DEADLINE
        while words.encode() not in self.read:
            assert time.monotonic() < end, self.read.decode(errors="replace")
            self.read += os.read(self.fd, 65536)

    def type(self, keys):
        os.write(self.fd, keys)

    def end(self):
        """What it wrote, and its exit code."""
        while True:
            try:
                more = os.read(self.fd, 65536)
            except OSError:
                break
            if not more:
                break
            self.read += more
        os.close(self.fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1]), self.read.decode(errors="replace")
