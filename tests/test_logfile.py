"""The log file stays small, private and free of credentials, whoever writes it."""

import logging

import pytest

from mlconsole import logfile
from mlconsole.logplace import place


@pytest.fixture
def opened(tmp_path):
    """Open handlers for one file: `opened("ui")`."""
    made = []

    def one(who, **more):
        made.append(logfile.handler(tmp_path / "state" / "mlconsole.log", who, **more))
        return made[-1]

    yield one
    for handler in made:
        handler.close()


def say(handler, words, error=None):
    where = (type(error), error, error.__traceback__) if error else None
    handler.emit(logging.LogRecord("mlconsole.test", logging.ERROR, "", 0, words, None, where))


def text(tmp_path, name="mlconsole.log"):
    return (tmp_path / "state" / name).read_text()


def test_it_lies_in_the_state_folder():
    assert str(place({"XDG_STATE_HOME": "/state"})) == "/state/mlconsole/mlconsole.log"
    assert str(place({"HOME": "/home/ann"})) == "/home/ann/.local/state/mlconsole/mlconsole.log"


def test_a_traceback_is_kept_without_its_secrets_and_obeys_nothing(opened, tmp_path):
    key = "-----BEGIN PRIVATE KEY-----\nMIIabc\ndef\n-----END PRIVATE KEY-----"
    try:
        raise ValueError(f"password=hunter2222 \x1b[2J\n{key}")
    except ValueError as error:
        say(opened("ui"), "GET http://me:hunter3333@prom/ failed", error)
    written = text(tmp_path)
    assert "Traceback (most recent call last):\n  File" in written
    assert "ui pid" in written
    assert not any(secret in written for secret in ("hunter2222", "hunter3333", "MIIabc", "\x1b"))


def test_only_its_owner_can_read_it(opened, tmp_path):
    folder = tmp_path / "state"
    folder.mkdir()
    (folder / "mlconsole.log").touch(0o644)
    opened("ui")
    assert (folder / "mlconsole.log").stat().st_mode & 0o777 == 0o600


def test_it_is_moved_aside_when_it_is_full_and_every_writer_follows(opened, tmp_path, monkeypatch):
    monkeypatch.setattr(logfile, "LARGEST", 1000)
    ui, engine = opened("ui"), opened("engine")
    for number in range(100):
        say(ui, f"from the ui {number}")
        say(engine, f"from the engine {number}")
    files = sorted((tmp_path / "state").iterdir())
    assert [file.name for file in files] == ["mlconsole.log", "mlconsole.log.1"]
    assert all(file.stat().st_size <= 1000 for file in files)
    kept = text(tmp_path, "mlconsole.log.1") + text(tmp_path)
    assert kept.index("from the ui 98") < kept.index("from the engine 98") < kept.index("from the ui 99")


def test_nothing_is_created_before_there_is_something_to_say(opened, tmp_path):
    handler = opened("command", delay=True)
    assert not (tmp_path / "state" / "mlconsole.log").exists()
    say(handler, "something")
    assert "something" in text(tmp_path)


def test_what_cannot_be_written_is_no_second_error(opened, tmp_path, capsys):
    handler = opened("command", delay=True)
    (tmp_path / "state" / "mlconsole.log").mkdir()
    say(handler, "something")
    assert isinstance(handler.failure, OSError)
    assert capsys.readouterr().err == ""
