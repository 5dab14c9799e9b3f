"""A program in a pseudo-terminal, as a user meets it: what it paints, when, how many bytes, how much CPU and memory.

For the benchmarks, the end-to-end tests and the check of the README's first command.
"""

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
from pathlib import Path

import psutil
import pyte


def compiled(folder: str | Path) -> dict[str, str]:
    """The environment in which a program's second start reads compiled files, as an installed package's does."""
    return {"PYTHONPYCACHEPREFIX": f"{folder}/compiled", "PYTHONDONTWRITEBYTECODE": ""}


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
        self._status: int | None = None
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            _size(0, columns, rows)
            # A runner's own size, which programs would believe; readline puts it where os.environ does not see it.
            inherited = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
            more = {"TERM": "xterm-256color", "COLORTERM": "truecolor", **environ}
            os.execvpe(command[0], command, {**inherited, **more})

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
        self.wait_until(re.escape(text), seconds)
        return time.perf_counter() - self.started

    def wait_until(self, pattern: str, seconds: float) -> re.Match[str]:
        """The match of a regular expression on the screen's text. Raises TimeoutError with the screen."""
        end = time.perf_counter() + seconds
        # Looked at when something was written alone: who reads the screen all the time takes a core from the program.
        while (found := re.search(pattern, self.text)) is None:
            if not self.wait_for_bytes(end - time.perf_counter()):
                raise TimeoutError(f"no match of {pattern!r} in {seconds} s:\n{self.text}")
        return found

    @property
    def text(self) -> str:
        """The screen, a line a row."""
        return "\n".join(line.rstrip() for line in self.screen.display)

    def row(self, number: int) -> str:
        """One line of the screen: cheaper than `text` where every millisecond counts."""
        cells = self.screen.buffer[number]
        return "".join(cells[column].data for column in range(self.screen.columns))

    def wait_for_bytes(self, seconds: float) -> bool:
        """Wait until the program has written something more; False when it has not within `seconds`."""
        before, end = self.count, time.perf_counter() + seconds
        while self.count == before:
            if time.perf_counter() > end or not self._pump(0.05):
                return False
        return True

    def run_for(self, seconds: float) -> bool:
        """Let it run; False when it has closed its terminal."""
        end = time.perf_counter() + seconds
        while (left := end - time.perf_counter()) > 0:
            if not self._pump(min(left, 0.05)):
                return False
        return True

    def press(self, keys: str) -> None:
        """Type `keys`."""
        os.write(self._fd, keys.encode())

    def resize(self, columns: int, rows: int) -> None:
        """Make the terminal another size."""
        self.screen.resize(rows, columns)
        _size(self._fd, columns, rows)

    def processes(self) -> list[psutil.Process]:
        """The program and all its children, the program first."""
        root = psutil.Process(self.pid)
        return [root, *root.children(recursive=True)]

    def processor(self) -> float:
        """Seconds of the processor that the program itself has used, its children left out."""
        threads = Path(f"/proc/{self.pid}/task").glob("*/schedstat")
        return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9

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

    def wait(self, seconds: float) -> int | None:
        """Its exit code (negative: the signal that ended it), or None when it has not ended within `seconds`."""
        end = time.perf_counter() + seconds
        while self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._status = os.waitstatus_to_exitcode(status)
            elif time.perf_counter() > end:
                return None
            elif not self._pump(0.02):
                time.sleep(0.01)  # the terminal is closed, the process not yet gone
        return self._status

    def close(self) -> None:
        """End it, however it takes."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            if self._status is not None:
                break
            os.kill(self.pid, number)
            self.wait(5)
        os.close(self._fd)


def _size(fd: int, columns: int, rows: int) -> None:
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def _without_private(data: bytes) -> bytes:
    return re.sub(rb"\x1b\[[<=>][0-9;]*[a-zA-Z]|\x1b\[\?[0-9;]*\$p|\x1bP[^\x1b]*\x1b\\", b"", data)
