"""What people did about alerts, and what was told: in one small file for all consoles of this user on this machine.

Two consoles look at the same rules. The one that sees an alert first names the firing, the others take that name, so
that an acknowledgement holds in all of them and a command runs once. What was done is also a line in `alerts.jsonl`.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import Struct

from mlconsole.domain.alerts import Handling

T = TypeVar("T")
LOCK_SECONDS = 2.0
"""For which another console's change is waited for: each takes milliseconds."""
REMEMBERED = 7 * 86_400.0
"""Seconds that what was done and told is kept."""
RESUMED = 900.0
"""Seconds for which a firing that nobody looked at goes on under its name."""


class Firing(Struct):
    """A firing that some console saw."""

    at: float
    seen: float


class Kept(Struct):
    """The file."""

    handled: dict[str, Handling] = {}
    """By alert for an acknowledgement, by rule and service for a snooze; each after its context."""
    firing: dict[str, Firing] = {}
    told: dict[str, float] = {}
    """What left by a command or a webhook, and when."""


class Done(Struct, frozen=True, omit_defaults=True):
    """A line of `alerts.jsonl`."""

    at: float
    what: str
    alert: str
    by: str = ""
    until: float = 0.0
    note: str = ""


def folder(environ: Mapping[str, str]) -> Path:
    """`$XDG_STATE_HOME/mlconsole`."""
    state = environ.get("XDG_STATE_HOME") or str(Path(environ.get("HOME", "~")).expanduser() / ".local/state")
    return Path(state) / "mlconsole"


class AlertState:
    """Reads and changes the file. What the disk refuses is raised as OSError."""

    def __init__(self, place: Path) -> None:
        self._path = place / "alerts.json"
        self._lines = place / "alerts.jsonl"

    def read(self) -> Kept:
        """What is kept; nothing where there is no file, or none that can be read."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=Kept)
        except (FileNotFoundError, msgspec.DecodeError):
            return Kept()

    def begin(self, key: str, at: float) -> float:
        """When the firing of a rule began: now, unless another console saw it begin."""

        def change(kept: Kept) -> float:
            before = kept.firing.get(key)
            began = before.at if before is not None and at - before.seen <= RESUMED else at
            kept.firing[key] = Firing(began, at)
            return began

        return self._change(change, at)

    def seen(self, keys: list[str], at: float) -> None:
        """These still fire."""

        def change(kept: Kept) -> None:
            for key in keys:
                if key in kept.firing:
                    kept.firing[key].seen = at

        self._change(change, at)

    def over(self, key: str, at: float) -> None:
        """The firing of a rule has ended."""

        def change(kept: Kept) -> None:
            kept.firing.pop(key, None)

        self._change(change, at)

    def claim(self, what: str, at: float) -> bool:
        """Whether this is the first to tell it: whoever asks later is answered no."""

        def change(kept: Kept) -> bool:
            first = what not in kept.told
            kept.told.setdefault(what, at)
            return first

        return self._change(change, at)

    def handle(self, key: str, alert: str, handling: Handling | None, by: str, at: float) -> None:
        """Keep what somebody did about an alert; None takes it back."""

        def change(kept: Kept) -> None:
            if handling is None:
                kept.handled.pop(key, None)
            else:
                kept.handled[key] = handling

        self._change(change, at)
        if handling is None:
            self.write(Done(at, "taken back", alert, by))
        else:
            self.write(Done(at, handling.verb, alert, by, handling.until, handling.note))

    def write(self, done: Done) -> None:
        """Add a line to the record."""
        descriptor = os.open(self._lines, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, msgspec.json.encode(done) + b"\n")
        finally:
            os.close(descriptor)

    def _change(self, change: Callable[[Kept], T], at: float) -> T:
        with self._locked():
            kept = self.read()
            answer = change(kept)
            _forget(kept, at)
            temporary = self._path.with_suffix(f".{os.getpid()}.tmp")
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(msgspec.json.encode(kept))
            temporary.replace(self._path)
        return answer

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(self._path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _lock(descriptor)
            yield
        finally:
            os.close(descriptor)


def _lock(descriptor: int) -> None:
    """Take the lock. A console that is stopped while it has it stops no other."""
    end = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= end:
                words = f"another console has held alerts.lock for {LOCK_SECONDS:g} s"
                raise TimeoutError(errno.ETIMEDOUT, words) from None
            time.sleep(0.01)
        else:
            return


def _forget(kept: Kept, at: float) -> None:
    """Drop what is long over."""
    kept.told = {key: told for key, told in kept.told.items() if at - told <= REMEMBERED}
    kept.firing = {key: item for key, item in kept.firing.items() if at - item.seen <= REMEMBERED}
    kept.handled = {key: item for key, item in kept.handled.items() if item.until > at or at - item.at <= REMEMBERED}
