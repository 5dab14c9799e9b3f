"""The journal keeps every record whole, whatever the disk does (I17)."""

import errno
import json
import os
from pathlib import Path

import pytest

from mlconsole.domain.history import Kind, Record
from mlconsole.engine.audit import Journal
from mlconsole.engine.execution.folder import Folder


@pytest.fixture
def journal(tmp_path):
    return Journal(tmp_path / "state" / "audit.jsonl")


def record(number):
    return Record(f"op-{number}", Kind.SWITCH, "fraud", "ml", float(number), "ann")


def short(monkeypatch, *most):
    """Let the next writes take only so many bytes; None is a full disk."""
    real, left = os.write, list(most)

    def write(descriptor, data):
        if not left:
            return real(descriptor, data)
        limit = left.pop(0)
        if limit is None:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(descriptor, data[:limit])

    monkeypatch.setattr("mlconsole.engine.audit.os.write", write)


def ids(lines):
    return [json.loads(line)["id"] for line in lines]


def test_a_short_write_is_completed(journal, monkeypatch):
    short(monkeypatch, 10, 20)
    journal.append(record(1))
    journal.append(record(2))
    assert ids(journal.path.read_text().splitlines()) == ["op-1", "op-2"]


def test_a_disk_that_is_full_is_told_and_spoils_no_other_record(journal, monkeypatch):
    journal.append(record(1))
    short(monkeypatch, 10, None)
    with pytest.raises(OSError, match="No space left"):
        journal.append(record(2))
    journal.append(record(3))
    first, torn, last = journal.path.read_text().splitlines()
    assert ids([first, last]) == ["op-1", "op-3"]
    assert len(torn) == 10


@pytest.fixture
def synced(monkeypatch):
    """What the disk was waited for, by what stood in the file then, and every file that was put in another's place."""
    seen, real, into = [], os.fsync, Path.replace

    def fsync(descriptor):
        real(descriptor)
        seen.append(os.readlink(f"/proc/self/fd/{descriptor}"))

    def put(path, target):
        seen.append(f"put {path}")
        return into(path, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", put)
    return seen


def test_i17_a_record_is_on_the_disk_before_anything_follows(journal, synced):
    journal.append(record(1))
    journal.append(record(2))
    assert synced == [str(journal.path), str(journal.path.parent), str(journal.path)]


def test_i17_an_operation_is_on_the_disk_before_it_takes_the_place_of_what_was_there(tmp_path, synced):
    folder = Folder(tmp_path / "one")
    folder.make()
    folder.own(os.getpid())
    assert synced == [str(folder.path / ".pid.new"), f"put {folder.path / '.pid.new'}"]
