"""The folders of worlds whose process is gone, and those that nobody may touch."""

import json
import os
import tempfile
import time

import pytest

from mlconsole.demo import folders


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Where the folders of worlds are made."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def aged(folder, seconds):
    at = time.time() - seconds
    os.utime(folder, (at, at))


def test_an_empty_folder_of_a_world_killed_at_once_goes_after_a_minute(place):
    old, new, full = (place / f"{folders.PREFIX}{name}" for name in ("old", "new", "full"))
    for folder in (old, new, full):
        folder.mkdir()
    (full / "something").touch()
    aged(old, 61)
    aged(full, 61)
    assert folders.sweep() == [old]
    assert sorted(path.name for path in place.iterdir()) == [full.name, new.name]


def test_the_folder_of_a_world_that_runs_stays_and_of_one_that_ended_goes(place):
    mine = folders.make()
    aged(mine, 3600)
    gone = place / f"{folders.PREFIX}gone"
    gone.mkdir()
    (gone / folders.OWNER).write_text(json.dumps({"pid": os.getpid(), "started": "1"}))
    assert folders.sweep() == [gone]
    assert mine.is_dir()
