"""The reader on a real registry: as a database, and through its server."""

import math
import os
import sqlite3
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec
import pytest

from mlconsole.domain.registry import Field
from mlconsole.domain.sources import Condition
from mlconsole.registry import reader
from mlconsole.registry.errors import RegistryError, address, redact
from mlconsole.registry.reader import read
from mlconsole.registry.signature import Signature, parse, read_signature

from .conftest import MODEL


@pytest.fixture
def scorer(uri):
    return read(uri, {MODEL: ()}).models[MODEL]


def test_versions_newest_first_with_aliases_runs_and_stages(scorer):
    assert [version.version for version in scorer.versions] == ["3", "2", "1"]
    assert scorer.aliases == {"champion": "1"}
    first = scorer.find("1")
    assert (first.aliases, first.stage, first.status, first.user) == (("champion",), "", "READY", "train")
    assert first.created_at > 1.7e9
    run = first.run
    assert (run.name, run.experiment, run.status, run.user) == ("train-1", "fraud", "FINISHED", "train")
    assert run.git_sha.startswith("3f2c1a9")
    assert run.source == "train.py"
    assert run.metrics["accuracy"] == 0.91
    assert run.params == {"C": "1.0"}
    assert run.tags == {"dataset": "june"}
    assert run.started_at <= run.ended_at


def test_a_figure_that_is_none_stays_none(scorer):
    assert math.isnan(scorer.find("1").run.metrics["broken"])


def test_a_version_whose_run_is_gone_says_so(scorer):
    second, third = scorer.find("2"), scorer.find("3")
    assert (second.run, second.stage, second.description) == (None, "Staging", "second")
    assert "was deleted" in second.run_problem
    assert (third.run, third.run_problem) == (None, "no run is linked to this version")


def test_hostile_text_is_cut_and_harmless(scorer):
    tags = scorer.find("3").tags
    assert set(tags) == {"note", "␛[2Jkey"}
    assert len(tags["note"]) == 300
    assert tags["note"].startswith("␛[31mred␛]0;title␇ [bold]x[/bold] <U+202E>AAA")
    assert all(value.isprintable() for value in tags.values())
    assert len(msgspec.msgpack.encode(scorer)) < 10_000


def test_names_and_a_model_that_is_not_there(uri):
    answer = read(uri, {"nope": (), "empty": (), 'no"pe': ("7",)})
    assert answer.names == ("empty", MODEL)
    assert answer.problems["nope"] == "the registry has no model nope"
    assert set(answer.problems) == {"nope", 'no"pe'}
    assert answer.models["empty"].versions == ()
    assert answer.models["empty"].description == "␛[1mnothing yet"


def test_old_versions_come_when_they_are_in_use_or_have_an_alias(sqlite_uri, monkeypatch):
    monkeypatch.setattr(reader, "VERSIONS", 1)
    monkeypatch.setattr(reader, "DETAILED", 1)
    found = read(sqlite_uri, {MODEL: ()}).models[MODEL]
    assert [version.version for version in found.versions] == ["3", "1"]
    found = read(sqlite_uri, {MODEL: ("2", "99", "x")}).models[MODEL]
    assert [version.version for version in found.versions] == ["3", "2", "1"]
    assert found.find("1").run


def test_the_signature_is_read_without_the_model(uri):
    found = read_signature(uri, MODEL, "1")
    assert found.inputs == (Field("amount", "double"), Field("hour", "double"))
    assert [field.type for field in found.outputs] == ["long"]
    assert found.has_input_example
    with pytest.raises(RegistryError):
        read_signature(uri, MODEL, "2")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", Signature()),
        (b"- a list", Signature()),
        (b"signature: null\nsaved_input_example_info: {type: dataframe}", Signature(has_input_example=True)),
        (b"signature: {inputs: '{}', outputs: 7}", Signature()),
        (
            b"""signature: {outputs: '[{"type": "tensor", "tensor-spec": {"dtype": "int64", "shape": [-1, 2]}}]'}""",
            Signature(outputs=(Field("", "int64[-1,2]"),)),
        ),
        (
            b"""signature: {inputs: '[{"name": "a", "required": false, "type": "list", "items": {"type": "long"}}]'}""",
            Signature(inputs=(Field("a", "list<long>", False),)),
        ),
        (b"""signature: {inputs: '[{"name": "\\u001b[1m"}, 3]'}""", Signature(inputs=(Field("␛[1m", "?"),))),
    ],
)
def test_signatures_of_all_kinds(content, expected):
    assert parse(content) == expected


def test_a_path_that_leads_nowhere_is_refused_and_nothing_is_made(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.db").touch()
    for uri in (
        f"sqlite:///{tmp_path}/none.db",
        f"sqlite:///{tmp_path}/empty.db",
        str(tmp_path),
        f"file://{tmp_path}/x",
    ):
        with pytest.raises(RegistryError, match="there is no") as caught:
            read(uri, {})
        assert "MLFLOW_TRACKING_URI" in caught.value.hint
    assert os.listdir(tmp_path) == ["empty.db"]
    assert (tmp_path / "empty.db").stat().st_size == 0


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_a_store_of_files_is_still_read(tmp_path, monkeypatch, scheme, request):
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    uri = f"{scheme}{tmp_path}/mlruns"
    request.addfinalizer(lambda: reader._mlflow().set_tracking_uri(None))
    client = reader._client(uri)
    client.create_registered_model(MODEL)
    client.create_model_version(MODEL, "/nowhere", run_id=client.create_run("0").info.run_id)
    client.set_registered_model_alias(MODEL, "live", "1")
    version = read(uri, {MODEL: ()}).models[MODEL].find("1")
    assert (version.aliases, version.run.experiment) == (("live",), "Default")
    assert read(uri, {"nope": ()}).problems == {"nope": "the registry has no model nope"}
    assert os.listdir() == [], "MLflow makes a database where it is asked without an address"


def test_a_database_of_something_else(tmp_path):
    (tmp_path / "text.db").write_text("not a database, but long enough to be looked at" * 20)
    with pytest.raises(RegistryError, match="file is not a database"):
        read(f"sqlite:///{tmp_path}/text.db", {})


def test_a_database_of_an_older_mlflow_is_left_alone(sqlite_uri, tmp_path):
    old = tmp_path / "old.db"
    old.write_bytes(Path(sqlite_uri.removeprefix("sqlite:///")).read_bytes())
    with sqlite3.connect(old) as database:
        database.execute("UPDATE alembic_version SET version_num = '451aebb31d03'")
    with pytest.raises(RegistryError, match="schema is older") as caught:
        read(f"sqlite:///{old}", {})
    assert "mlflow db upgrade" in caught.value.hint


@pytest.fixture
def answering():
    """A server that gives one answer to everything; None: it takes the request and says nothing."""
    made = []

    def make(status, body, kind="application/json"):
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                if status is None:
                    done.wait(60)
                    return
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.end_headers()
                self.wfile.write(body.encode())

            do_POST = do_GET

            def log_message(self, *_):
                pass

        done = threading.Event()
        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        made.append((server, done))
        return f"http://train:s3cret@127.0.0.1:{server.server_port}"

    yield make
    for server, done in made:
        done.set()
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("status", "body", "condition", "words"),
    [
        (401, "<h1>\x1b[31mwho are you", Condition.DENIED, "refuses"),
        (403, '{"error_code": "PERMISSION_DENIED", "message": "not yours"}', Condition.DENIED, "not yours"),
        (200, "<html>log in</html>", Condition.DOWN, "answers, but not as MLflow does"),
        (200, '{"registered_models": 7}', Condition.DOWN, "MLflow at http://127"),
        (500, "boom", Condition.DOWN, "it answers 500"),
        (503, '{"error_code": "TEMPORARILY_UNAVAILABLE", "message": "later"}', Condition.DOWN, "it answers 503"),
        (None, "", Condition.DOWN, "gives no answer"),
    ],
)
def test_what_a_wrong_server_says(answering, monkeypatch, status, body, condition, words):
    reader._mlflow()
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    with pytest.raises(RegistryError) as caught:
        read(answering(status, body), {MODEL: ()})
    error = caught.value
    assert error.condition is condition
    assert words in error.message
    assert error.hint
    assert "s3cret" not in error.message + error.hint
    assert error.message.isprintable()


def test_a_closed_port_is_named_without_its_password():
    with pytest.raises(RegistryError) as caught:
        read("http://train:s3cret@127.0.0.1:1", {})
    assert caught.value.message == "MLflow at http://127.0.0.1:1: the connection was refused"


def test_credentials_are_not_shown(monkeypatch):
    assert address("postgresql://u:p@ss@host:5432/db?password=x") == "postgresql://host:5432/db"
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "t0ken")
    assert redact("Bearer t0ken to https://a:b@c/d") == "Bearer *** to https://c/d"
    assert redact("Bearer another-token, password=hunter2") == "Bearer <redacted>, password=<redacted>"
