"""The world's registry: really trained models in MLflow on SQLite, trained once and copied for every world.

Training runs in a process of its own, so that a world neither imports MLflow nor keeps its memory. It is kept under
XDG_CACHE_HOME; a second world that starts meanwhile waits for the first one's.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.metadata
import json
import os
import select
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

from mlconsole.demo.training.plan import total

FORMAT = 4
"""Raised when what is trained, or how it is kept, changes."""
DATABASE = "mlflow.db"
ARTIFACTS = "artifacts"
INDEX = "index.json"
BUILDING = ".building-"
BAR = 24
POLL = 0.1
STOPPED = "the training was stopped"
_PATHS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
    ("logged_models", "artifact_location"),
)
"""The columns in which MLflow keeps where artifacts are."""

Progress = Callable[[str], None]


def ensure_trained(progress: Progress, stop: threading.Event | None = None) -> Path:
    """The folder with the trained registry, which is made first where there is none, unless `stop` is set meanwhile.

    Raises OSError, RuntimeError (the training failed or was stopped; says of what).
    """
    stop = stop or threading.Event()
    home = _home()
    folder = home / _key()
    if _is_whole(folder):
        return folder
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _alone(home, progress, stop):
        if not _is_whole(folder):
            _build(home, folder, progress, stop)
    return folder


def model_files(cache: Path) -> dict[tuple[str, str], Path]:
    """The models' files by (model, version)."""
    return {(model, version): cache / file for model, version, file in _index(cache)["models"]}


def copy_registry(cache: Path, folder: Path) -> str:
    """Copy the registry into `folder`; the tracking URI of the copy, whose artifacts are in it too."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    old, new = _index(cache)["root"], str(folder.resolve())
    shutil.copytree(cache / ARTIFACTS, folder / ARTIFACTS, dirs_exist_ok=True)
    for file in (folder / ARTIFACTS).rglob("MLmodel"):
        file.write_text(file.read_text().replace(old, new))
    shutil.copyfile(cache / DATABASE, folder / DATABASE)
    with contextlib.closing(sqlite3.connect(folder / DATABASE)) as database, database:
        for table, column in _PATHS:
            database.execute(
                f"UPDATE {table} SET {column} = replace({column}, ?, ?) WHERE instr({column}, ?)", (old, new, old)
            )
    return f"sqlite:///{new}/{DATABASE}"


def _home() -> Path:
    given = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(given) if Path(given).is_absolute() else Path.home() / ".cache") / "mlconsole"


def _key() -> str:
    versions = (f"{name}{importlib.metadata.version(name)}" for name in ("mlflow", "scikit-learn"))
    return f"world-{FORMAT}-" + "-".join(versions)


def _index(folder: Path) -> dict[str, Any]:
    index: dict[str, Any] = json.loads((folder / INDEX).read_text())
    return index


def _is_whole(folder: Path) -> bool:
    """Whether everything is there that was written; a cache is a thing that people and tools delete parts of."""
    try:
        index = _index(folder)
        whole = all((folder / file).stat().st_size == size for file, size in index["sizes"].items())
        return whole and bool(index["models"]) and bool(index["root"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


@contextlib.contextmanager
def _alone(home: Path, progress: Progress, stop: threading.Event) -> Iterator[None]:
    """Hold the lock of the cache, which the kernel takes back from a process that is killed."""
    with (home / "lock").open("w") as lock:
        if not _locked(lock):
            progress("another world trains the demo's models; waiting for it")
            while not _locked(lock):
                if stop.wait(POLL):
                    raise RuntimeError(STOPPED)
        yield


def _locked(lock: TextIO) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _build(home: Path, folder: Path, progress: Progress, stop: threading.Event) -> None:
    for left in home.glob(f"*{BUILDING}*"):  # of a killed one: the lock says that nobody builds
        shutil.rmtree(left, ignore_errors=True)
    progress(f"training the demo's models, once, for {folder}")
    new = Path(tempfile.mkdtemp(prefix=folder.name + BUILDING, dir=home)).resolve()
    try:
        _train(new, progress, stop)
        files = [file for file in new.rglob("*") if file.is_file() and file.name != INDEX]
        index = _index(new)
        index["sizes"] = {str(file.relative_to(new)): file.stat().st_size for file in files}
        (new / INDEX).write_text(json.dumps(index))
        shutil.rmtree(folder, ignore_errors=True)  # only ever a broken one
        new.rename(folder)
        progress(f"trained {total()} versions of the demo's models")
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _train(folder: Path, progress: Progress, stop: threading.Event) -> None:
    """Run the training, with a bar of its steps. Raises RuntimeError."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")}
    command = [sys.executable, "-P", "-m", "mlconsole.demo.training.build", str(folder), str(os.getpid())]
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors
        )
        try:
            for done, line in enumerate(_lines(process, stop), 1):
                progress(_bar(done, line))
            code = process.wait()
        finally:
            process.kill()
            process.wait()
        if code:
            errors.seek(0)
            last = (errors.read().strip().splitlines() or [f"exit code {code}"])[-1]
            raise RuntimeError(
                f"the demo's models could not be trained: {last}; `mlconsole demo --no-registry` goes on"
            )


def _lines(process: subprocess.Popen[bytes], stop: threading.Event) -> Iterator[str]:
    """What a process prints, line by line. Raises RuntimeError when `stop` is set."""
    assert process.stdout is not None
    rest = b""
    while not stop.is_set():
        if not select.select([process.stdout], [], [], POLL)[0]:
            continue
        data = os.read(process.stdout.fileno(), 1 << 16)
        if not data:
            return
        *lines, rest = (rest + data).split(b"\n")
        yield from (line.decode() for line in lines)
    raise RuntimeError(STOPPED)


def _bar(done: int, what: str) -> str:
    full = BAR * done // total()
    return f"training [{'#' * full}{'.' * (BAR - full)}] {done}/{total()} {what}"
