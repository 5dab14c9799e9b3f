"""Results of validations on a real registry, directly and through its server: kept once, read back, safe to show."""

import json
import secrets

import mlflow
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from mlconsole.domain.plans import Verdict
from mlconsole.domain.validated import ARTIFACT, TAG, Stamp, encode, stamp_of
from mlconsole.domain.validation import Against, Check, Validation
from mlconsole.engine.offload import Offload
from mlconsole.registry import reader, validations
from mlconsole.registry.errors import NoSuchVersion, RegistryError
from mlconsole.registry.reader import client_of
from mlconsole.registry.validations import digest, figures, log_validation, read_validation

CHECK = Check(metric="f1", against=Against.BASELINE, verdict=Verdict.PASS, value=0.91, baseline=0.9, loss=-0.01)


@pytest.fixture
def model(uri, sqlite_uri, tmp_path):
    """A model of its own: v1 with a run, v2 whose run is deleted, v3 without one."""
    client = mlflow.MlflowClient(uri, uri)
    name = f"validated-{secrets.token_hex(4)}"
    place = {} if uri.startswith("http") else {"artifact_location": str(tmp_path / "artifacts")}
    experiment = client.create_experiment(name, **place)
    registry = mlflow.MlflowClient(sqlite_uri, sqlite_uri)  # a server takes no place of a file system
    registry.create_registered_model(name)
    runs = [client.create_run(experiment).info.run_id for _ in range(2)]
    for run_id in (*runs, None):
        registry.create_model_version(name, "nowhere", run_id=run_id)
    client.delete_run(runs[1])
    yield name
    registry.delete_registered_model(name)


def result(model, version="1", **changes):
    found = Validation(model=model, version=version, at=1_790_000_000.25, baseline="v9 @champion", checks=(CHECK,))
    return replace(found, verdict=Verdict.PASS, why="1 check passed", metrics={"f1": 0.91}, **changes)


def test_it_is_kept_once_and_read_back(uri, model, tmp_path):
    logged = log_validation(uri, result(model), "v9")
    assert (logged.written, ARTIFACT not in logged.words) == (True, True)
    assert read_validation(uri, logged.run_id, tmp_path) == result(model)
    version = reader.find(uri, model, "1")
    assert stamp_of(version.tags) == Stamp(Verdict.PASS, 1_790_000_000, "v9", "1 check passed", digest(result(model)))
    metrics = {
        "validation.passed": 1.0,
        "validation.f1": 0.91,
        "validation.f1.baseline": 0.9,
        "validation.f1.loss": -0.01,
    }
    assert client_of(uri).get_run(logged.run_id).data.metrics == metrics

    again = log_validation(uri, replace(result(model), at=1_790_000_999.0), "v9")
    assert (again.written, again.words) == (False, f"{model} v1 has this result already")
    assert len(client_of(uri).get_metric_history(logged.run_id, "validation.f1")) == 1


def test_what_was_cut_off_is_written_once_more(uri, model, monkeypatch):
    client = client_of(uri)

    def cut_off(*_):
        raise ConnectionError("the line is gone")

    monkeypatch.setattr(client, "set_model_version_tag", cut_off)
    with pytest.raises(RegistryError, match="the line is gone"):
        log_validation(uri, result(model), "v9")
    monkeypatch.undo()
    assert TAG not in client.get_model_version(model, "1").tags
    logged = log_validation(uri, result(model), "v9")
    assert logged.written
    assert len(client.get_metric_history(logged.run_id, "validation.f1")) == 1


@pytest.mark.parametrize("version", ["2", "3"])
def test_without_a_run_the_tag_alone_is_kept(uri, model, version):
    logged = log_validation(uri, result(model, version), "v9")
    assert (logged.run_id, logged.written, "the tag" in logged.words) == ("", True, True)
    assert stamp_of(client_of(uri).get_model_version(model, version).tags).verdict is Verdict.PASS


def test_a_version_that_is_not_there(uri, model):
    with pytest.raises(NoSuchVersion):
        log_validation(uri, result(model, "99"), "v9")


def test_an_artifact_that_is_none_is_said_to_be_none(uri, model, tmp_path):
    run_id = client_of(uri).get_model_version(model, "1").run_id
    assert read_validation(uri, run_id, tmp_path) is None
    client_of(uri).log_text(run_id, '{"model": 3}', ARTIFACT)
    with pytest.raises(RegistryError, match="is no validation"):
        read_validation(uri, run_id, tmp_path)


async def test_from_a_worker(sqlite_uri):
    offload, found = Offload(), result("nobody")
    try:
        with pytest.raises(NoSuchVersion):
            await offload.run(validations.log_validation, sqlite_uri, found, "v9", timeout=60)
    finally:
        await offload.close()


# ---- the words and the names


def test_what_is_no_number_is_no_metric_and_names_are_those_that_mlflow_takes():
    checks = (replace(CHECK, metric="f1\u202e[x]", value=float("nan"), loss=None), replace(CHECK, metric="n" * 999))
    told = figures(replace(result("m"), checks=checks, verdict=Verdict.UNKNOWN))
    assert told["validation.passed"] == 0.0
    assert told["validation.f1__x_.baseline"] == 0.9
    assert "validation.f1__x_" not in told
    assert all(len(name) <= 250 for name in told)


@given(st.text(), st.text(), st.floats())
def test_a_tag_is_short_and_says_what_was_put_into_it(why, baseline, at):
    at = at if 0 < at < 1e12 else 1.0
    text = encode(Stamp(Verdict.FAIL, at, baseline, why, "d" * 16))
    found = stamp_of({TAG: text})
    assert (found.verdict, found.at, found.digest) == (Verdict.FAIL, round(at), "d" * 16)
    assert found.why.isprintable()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "PASS",
        "{}",
        "[]",
        '{"verdict": "GOOD"}',
        '{"verdict": "PASS", "at": "x"}',
        "[" * 100_000,
        '{"verdict": null}',
    ],
)
def test_a_tag_of_somebody_else_is_none(text):
    assert stamp_of({TAG: text}) is None


def test_a_hostile_tag_is_only_text():
    text = json.dumps(
        {"verdict": "PASS", "at": -5, "baseline": "\x1b[31m" * 99, "why": "\u202e" + "x" * 9999, "extra": 1}
    )
    found = stamp_of({TAG: text})
    assert (found.at, len(found.baseline), len(found.why)) == (0.0, 40, 120)
    assert "\x1b" not in found.baseline
    assert "\u202e" not in found.why
