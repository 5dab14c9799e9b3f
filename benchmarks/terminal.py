"""A program in a pseudo-terminal, for the benchmarks: what it paints, when, how many bytes, how much CPU and memory."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time

import psutil
import pyte


class Screen(pyte.Screen):
    """pyte's screen, which knows nothing of the private sequences that Textual sends."""

    def set_margins(self, *args: int, **kwargs: object) -> None:
        """Drop the private forms, which pyte passes on with an argument its own method has no use for."""
        kwargs.pop("private", None)
        super().set_margins(*args)

    def report_device_status(self, mode: int, **kwargs: object) -> None:
        """Answer nothing."""


class Program:
    """A command on a terminal of `columns` x `rows`."""

    def __init__(self, command: list[str], columns: int = 120, rows: int = 40, **environ: str) -> None:
        self.screen = Screen(columns, rows)
        self._stream = pyte.ByteStream(self.screen)
        self.started = time.perf_counter()
        self.first_paint: float | None = None
        self.count = 0
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            os.environ.update(TERM="xterm-256color", COLORTERM="truecolor", **environ)
            os.execvp(command[0], command)
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def _pump(self, seconds: float) -> bool:
        if not select.select([self._fd], [], [], max(0.0, seconds))[0]:
            return True
        try:
            data = os.read(self._fd, 65536)
        except OSError:
            return False
        self.count += len(data)
        self._stream.feed(_without_private(data))
        if self.first_paint is None and any(line.strip() for line in self.screen.display):
            self.first_paint = time.perf_counter() - self.started
        return bool(data)

    def wait_for(self, text: str, seconds: float) -> float:
        """Seconds since the start until `text` stood on the screen. Raises TimeoutError with the screen."""
        end = time.perf_counter() + seconds
        while text not in "\n".join(self.screen.display):
            if time.perf_counter() > end or not self._pump(0.005):
                raise TimeoutError(f"no {text!r} in {seconds} s:\n" + "\n".join(self.screen.display))
        return time.perf_counter() - self.started

    def run_for(self, seconds: float) -> None:
        """Let it run."""
        end = time.perf_counter() + seconds
        while (left := end - time.perf_counter()) > 0 and self._pump(min(left, 0.05)):
            pass

    def press(self, keys: str) -> None:
        """Type `keys`."""
        os.write(self._fd, keys.encode())

    def processes(self) -> list[psutil.Process]:
        """The program and all its children, the program first."""
        root = psutil.Process(self.pid)
        return [root, *root.children(recursive=True)]

    def cpu(self, seconds: float) -> float:
        """CPU of all its processes over `seconds`, as a share of one core."""
        before = self._spent()
        start = time.perf_counter()
        self.run_for(seconds)
        elapsed = time.perf_counter() - start
        after = self._spent()
        return sum(spent - before.get(pid, 0.0) for pid, spent in after.items()) / elapsed

    def _spent(self) -> dict[int, float]:
        spent = {}
        for process in self.processes():
            try:
                times = process.cpu_times()
            except psutil.Error:
                continue
            spent[process.pid] = times.user + times.system
        return spent

    def close(self) -> None:
        """End it."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                break
            end = time.perf_counter() + 5
            while time.perf_counter() < end:
                if os.waitpid(self.pid, os.WNOHANG)[0]:
                    os.close(self._fd)
                    return
                self._pump(0.02)
        os.close(self._fd)


def _without_private(data: bytes) -> bytes:

    return re.sub(rb"\x1b\[[<=>][0-9;]*[a-zA-Z]|\x1b\[\?[0-9;]*\$p|\x1bP[^\x1b]*\x1b\\", b"", data)
