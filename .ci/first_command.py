"""Run a command as a new user would: in a terminal, until live figures stand on the screen, then `q`.

What is asked: latencies in ms of the demo's services, exit code 0 after `q`, and afterwards no process and no file that
the command made outside its folder and its cache. Processes are known by a word in their environment, which every child
inherits; files by a private TMPDIR.

Run: first_command.py COMMAND [seconds]; `benchmarks` has to be on PYTHONPATH.
"""

from __future__ import annotations

import os
import re
import secrets
import sys
import tempfile
import time
from pathlib import Path

from terminal import Program

LIVE = (r"fraud-scorer .*\d ms", r"LIVE \w+ v\d+ \d/\d .*p95 \d+(\.\d+)? ms", r"way back READY")
"""What stands on the screen when it is alive: a figure in the fleet, the selected service with its own, a way back."""
MARK = "MLCONSOLE_CI_MARK"
ENDS = 20.0
SIZES = ((120, 40), (80, 24))


def family(mark: str) -> dict[int, str]:
    """The processes that have the mark in their environment: pid and command line."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"{MARK}={mark}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
        except OSError:
            continue
    return {pid: command for pid, command in found.items() if command and pid != os.getpid()}


def until_live(program: Program, seconds: float) -> None:
    """Wait for the figures. Raises TimeoutError with the screen."""
    end = time.monotonic() + seconds
    while True:
        text = program.text
        missing = [pattern for pattern in LIVE if not re.search(pattern, text)]
        if not missing:
            return
        if time.monotonic() > end or not program.run_for(0.1):
            raise TimeoutError(f"not on the screen: {missing}\n{text}")


def run(command: str, size: tuple[int, int], seconds: float) -> str:
    """One run; the screen with the live figures. Raises TimeoutError, AssertionError."""
    mark = secrets.token_hex(8)
    with tempfile.TemporaryDirectory() as folder:
        program = Program(["bash", "-c", command], *size, **{MARK: mark, "TMPDIR": folder})
        try:
            until_live(program, seconds)
            screen = program.text
            program.press("q")
            code = program.wait(ENDS)
        finally:
            program.close()
        assert code == 0, f"exit code {code} after q:\n{program.text}"
        end = time.monotonic() + ENDS
        while left := family(mark):
            assert time.monotonic() < end, f"processes are left: {left}"
            time.sleep(0.05)
        files = sorted(path.name for path in Path(folder).iterdir())
        assert not files, f"files are left in the temporary folder: {files}"
    return screen


def main() -> None:
    """Run the command on each terminal size and say what was seen."""
    command, seconds = sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 300.0
    for size in SIZES:
        started = time.monotonic()
        screen = run(command, size, seconds)
        print(screen)
        print(f"-- live, then ended by q, at {size[0]}x{size[1]}, in {time.monotonic() - started:.0f} s; nothing left")


if __name__ == "__main__":
    main()
