"""The input example of a version, read from a real registry: as a database, and through its server."""

import json

import pytest

from mlconsole.config import ServiceSettings
from mlconsole.configoperations import Parity, Smoke
from mlconsole.domain.registry import Field
from mlconsole.engine.offload import Offload
from mlconsole.engine.payloads import Payloads, parity_payloads_for, payloads_for
from mlconsole.registry import examples
from mlconsole.registry.errors import RegistryError
from mlconsole.registry.examples import example_file, read_example

from .conftest import MODEL, training

ROWS = ({"features": [1.0, 1.0]}, {"features": [2.0, 2.0]}, {"features": [3.0, 3.0]}, {"features": [4.0, 5.0]})


def test_each_row_of_the_input_example_is_a_payload(uri):
    found = read_example(uri, MODEL, "1", 50)
    assert found.payloads == ROWS
    assert found.outputs == (Field("", "long"),)
    assert (found.where, found.problem) == ("input_example.json of scorer v1", "")
    assert read_example(uri, MODEL, "1", 2).payloads == ROWS[:2]


def test_what_cannot_be_read_says_why(sqlite_uri):
    with pytest.raises(RegistryError, match="nowhere"):
        read_example(sqlite_uri, MODEL, "3", 5)
    with pytest.raises(RegistryError, match="nobody"):
        read_example(sqlite_uri, "nobody", "1", 5)


def test_an_example_that_is_too_large_is_not_read(uri, monkeypatch):
    monkeypatch.setattr(examples, "BYTES", 10)
    found = read_example(uri, MODEL, "1", 50)
    assert found.payloads == ()
    assert found.problem == "input_example.json is larger than 0 MiB"
    assert found.outputs


@pytest.mark.parametrize(
    ("text", "file"),
    [
        ("saved_input_example_info: {artifact_path: input_example.json}", "input_example.json"),
        ("saved_input_example_info: {artifact_path: ../../etc/passwd}", ""),
        ("saved_input_example_info: {artifact_path: /etc/passwd}", ""),
        ("saved_input_example_info: {artifact_path: ..}", ""),
        ("saved_input_example_info: {artifact_path: [a]}", ""),
        ("saved_input_example_info: null", ""),
        ("signature: {}", ""),
        ("- a", ""),
    ],
)
def test_the_file_of_the_example_lies_beside_its_mlmodel(text, file):
    assert example_file(text.encode()) == file


@pytest.fixture(scope="module")
def odd_uri(tmp_path_factory):
    """A registry with models that were logged without pandas: a list of records, an array, none, and a broken one."""
    folder = tmp_path_factory.mktemp("odd")
    with training(folder) as uri:
        _log(folder, uri)
    return uri


def _log(folder, uri):
    import mlflow
    import numpy as np

    client = mlflow.MlflowClient(uri, uri)
    experiment = client.create_experiment("odd", artifact_location=str(folder / "artifacts"))
    given = [[{"a": 1, "b": "x"}, {"a": 2, "b": "y"}], np.array([[1.5, 2.5], [3.5, 4.5]]), {"features": [9]}, None]
    with mlflow.start_run(experiment_id=experiment):
        for example in given:
            mlflow.pyfunc.log_model(
                name="model",
                python_model=_first,
                input_example=example,
                pip_requirements=["mlflow"],
                registered_model_name="odd",
            )


def _first(model_input):
    return [str(row) for row in model_input]


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("1", ({"features": [1, "x"]}, {"features": [2, "y"]})),
        ("2", ({"features": [1.5, 2.5]}, {"features": [3.5, 4.5]})),
        ("3", ({"features": [9]},)),
    ],
)
def test_examples_of_other_kinds(odd_uri, version, expected):
    assert read_example(odd_uri, "odd", version, 50).payloads == expected


def test_a_version_without_an_example_says_so(odd_uri):
    found = read_example(odd_uri, "odd", "4", 50)
    assert (found.payloads, found.problem) == ((), "odd v4 was logged without an input example")


@pytest.fixture
async def offload():
    one = Offload()
    yield one
    await one.close()


async def test_payloads_come_from_the_worker_without_pandas(offload, sqlite_uri):
    found = await payloads_for(offload, ServiceSettings(), sqlite_uri, MODEL, "1", 3)
    assert found == Payloads(ROWS[:3], "input_example.json of scorer v1", "", (Field("", "long"),))
    found = await payloads_for(offload, ServiceSettings(), sqlite_uri, MODEL, "3", 3)
    assert found.rows == ()
    assert "nowhere" in found.problem
    assert found.problem.endswith("log the version with an input example, or set smoke.payload")


async def test_settings_come_before_the_registry_and_leave_the_signature(offload, sqlite_uri, tmp_path):
    smoke = Smoke(payload={"text": ["as it stands"]})
    found = await payloads_for(offload, ServiceSettings(smoke=smoke), sqlite_uri, MODEL, "1", 3)
    assert found.rows == ({"text": ["as it stands"]},)
    assert found.outputs == (Field("", "long"),)
    file = tmp_path / "one.json"
    file.write_text(json.dumps([1, 2]))
    smoke = Smoke(payload={"a": 1}, payload_file=str(file))
    found = await payloads_for(offload, ServiceSettings(smoke=smoke), None, "", "", 3)
    assert (found.rows, found.where) == (([1, 2],), str(file))


async def test_lines_of_a_file_are_payloads_as_they_stand(offload, tmp_path):
    file = tmp_path / "many.jsonl"
    file.write_text('{"features": [1]}\n\n{"features": [2]}\n{"features": [3]}\n')
    settings = ServiceSettings(parity=Parity(payloads=str(file), count=2))
    found = await parity_payloads_for(offload, settings, None, "", "")
    assert found.rows == ({"features": [1]}, {"features": [2]})
    file.write_text('{"features": [1]}\n{"features"')
    found = await parity_payloads_for(offload, settings, None, "", "")
    assert found.rows == ()
    assert "cannot be read" in found.problem
    settings = ServiceSettings(parity=Parity(payloads=str(tmp_path / "none")))
    assert "No such file" in (await parity_payloads_for(offload, settings, None, "", "")).problem
    found = await parity_payloads_for(offload, ServiceSettings(), None, "", "")
    assert found.problem == "no registry is configured: log the version with an input example, or set parity.payloads"
