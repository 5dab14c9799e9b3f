"""The world's registry is trained once, by one, and each world's copy stands alone."""

import asyncio
import json
import os
import shutil
import sqlite3
import sys
import time
from pathlib import Path

import psutil
import pytest

from mlconsole.demo import manifests, training
from mlconsole.demo.node.images import Images
from mlconsole.registry.reader import read
from mlconsole.registry.signature import read_signature

DEADLINE = 120.0
ENSURE = """
import json, sys
from mlconsole.demo import training

said = []
folder = training.ensure_trained(said.append)
heavy = [name for name in ("mlflow", "sklearn", "sqlalchemy", "numpy", "pandas") if name in sys.modules]
print(json.dumps({"folder": str(folder), "said": said, "heavy": heavy}))
"""


async def ensure(home, **environment):
    """`ensure_trained` in a process of its own: (exit code, what it printed)."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", ENSURE),
        env={**os.environ, "XDG_CACHE_HOME": str(home), **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, errors = await asyncio.wait_for(process.communicate(), DEADLINE)
    return process.returncode, json.loads(out) if out else errors.decode()


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def two(home):
    """What two that came at once to an empty cache got."""

    async def both():
        return await asyncio.gather(ensure(home), ensure(home))

    return asyncio.run(both())


@pytest.fixture
def trained(two):
    return Path(two[0][1]["folder"])


@pytest.fixture
def copied(trained, tmp_path):
    """A copy's tracking URI; what it was copied from is out of reach."""
    uri = training.copy_registry(trained, tmp_path / "world" / "registry")
    away = trained.with_name("away")
    trained.rename(away)
    yield uri
    away.rename(trained)


def test_of_two_that_come_at_once_one_trains_and_both_have_it(two, home):
    assert [code for code, _ in two] == [0, 0], two
    first, second = (answer for _, answer in two)
    assert first["folder"] == second["folder"]
    bars = [[text for text in answer["said"] if "31/31" in text] for answer in (first, second)]
    assert sorted(map(len, bars)) == [0, 1]
    assert any("waiting" in text for answer in (first, second) for text in answer["said"])
    assert first["heavy"] == second["heavy"] == []
    assert sorted(path.name for path in (home / "mlconsole").iterdir()) == ["lock", Path(first["folder"]).name]


async def test_the_second_start_trains_nothing(trained, home):
    assert await ensure(home) == (0, {"folder": str(trained), "said": [], "heavy": []})


def test_the_copy_stands_alone(copied, tmp_path):
    database = tmp_path / "world" / "registry" / "mlflow.db"
    assert copied == f"sqlite:///{database}"
    with sqlite3.connect(database) as connection:
        places = [row[0] for row in connection.execute("SELECT storage_location FROM model_versions")]
        places += [row[0] for row in connection.execute("SELECT artifact_location FROM experiments")]
    assert len(places) > 31
    assert all(place.startswith(str(tmp_path)) for place in places)
    assert training.BUILDING not in database.read_bytes().decode("latin-1")
    found = read_signature(copied, "fraud-scorer", "13")
    assert [field.name for field in found.inputs] == ["amount", "hour", "distance_km", "merchant_risk", "velocity"]
    assert [field.type for field in found.outputs] == ["float64[-1]"]
    assert found.has_input_example


def test_what_is_registered_is_what_is_served(copied, trained):
    files = training.model_files(trained.with_name("away"))
    images = Images(files)
    placed = {item.name: item for item in manifests.placed(files)}
    assert placed["fraud-scorer"].versions == {"blue": "12", "green": "13"}
    models = read(copied, dict.fromkeys(placed, ())).models
    for (name, number), file in files.items():
        version, data = models[name].find(number), json.loads(file.read_text())
        assert version.tags["mlconsole.io/image-digest"] == images.find(f"demo.local/{name}:{number}").digest
        assert (data["run_id"], data["git_sha"]) == (version.run.run_id, version.run.git_sha)
        assert version.run.status == "FINISHED"
        assert data["accuracy"] == version.run.metrics["accuracy"]
    for name, item in placed.items():
        assert models[name].aliases["champion"] == item.versions[item.live]
    assert models["fraud-scorer"].aliases["challenger"] == "14"
    scores = {version.run.metrics["auc"] for version in models["fraud-scorer"].versions}
    assert len(scores) == 14  # each was trained for itself
    assert max(scores) > 0.9


def test_every_version_brings_its_reference_and_serves_it(copied, trained, monkeypatch):
    from mlconsole.monitor.reference import load

    monkeypatch.setenv("MLFLOW_TRACKING_URI", copied)
    for (name, number), file in training.model_files(trained.with_name("away")).items():
        reference, data = load(f"models:/{name}/{number}"), json.loads(file.read_text())
        assert list(reference.features) == data["features"]
        assert f"{name} v{number}" in reference.source
        for feature, one in reference.features.items():
            assert list(one.edges) == data["edges"][feature]
            assert data["reference_rows"][feature] == one.n == reference.rows
            below_the_last = sum(one.counts[:-1]) / one.n
            assert data["reference_share"][feature][-1] == pytest.approx(below_the_last)
        assert list(reference.prediction.edges) == data["prediction_edges"]
        assert 0 <= reference.prediction.edges[0] < reference.prediction.edges[-1] <= 1


def test_a_served_file_scores_as_the_registered_model(copied, trained, monkeypatch):
    import mlflow
    import pandas as pd

    from mlconsole.demo.modelserver import Model

    monkeypatch.setenv("MLFLOW_TRACKING_URI", copied)
    registered = mlflow.sklearn.load_model("models:/fraud-scorer@champion")
    served = Model(training.model_files(trained.with_name("away"))["fraud-scorer", "13"])
    rows = [[84.0, 13.0, 31.0, 0.4, 5.6], [140.0, 5.0, 60.0, 0.8, 9.0], [20.0, 20.0, 5.0, 0.1, 2.0]]
    expected = registered.predict_proba(pd.DataFrame(rows, columns=served.features))[:, 1]
    assert [served.predict(row) for row in rows] == pytest.approx(list(expected))


def test_copying_is_fast(trained, tmp_path):
    started = time.process_time()
    training.copy_registry(trained, tmp_path / "one")
    assert time.process_time() - started < 1.0


def test_a_damaged_cache_is_made_again(trained, tmp_path, monkeypatch):
    damaged = tmp_path / "mlconsole" / trained.name
    shutil.copytree(trained, damaged)
    (damaged / "models" / "churn-3.json").unlink()
    (tmp_path / "mlconsole" / f"{trained.name}{training.BUILDING}old").mkdir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(training, "_train", lambda new, *_: shutil.copytree(trained, new, dirs_exist_ok=True))
    said = []
    assert training.ensure_trained(said.append) == damaged
    assert said
    assert (damaged / "models" / "churn-3.json").is_file()
    assert sorted(path.name for path in damaged.parent.iterdir()) == ["lock", damaged.name]
    said.clear()
    assert training.ensure_trained(said.append) == damaged
    assert said == []


async def test_a_training_that_fails_says_of_what_and_leaves_nothing(tmp_path):
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "mlflow.py").write_text("raise ImportError('no mlflow for you')")
    code, errors = await ensure(tmp_path, PYTHONPATH=str(broken))
    assert code == 1
    assert "RuntimeError: the demo's models could not be trained: ImportError: no mlflow for you" in errors
    assert [path.name for path in (tmp_path / "mlconsole").iterdir()] == ["lock"]


async def test_a_world_that_is_stopped_while_it_trains_does_not_wait_for_the_end(tmp_path):
    command = (sys.executable, "-m", "mlconsole.demo", "--headless")
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    streams = {"stdout": asyncio.subprocess.PIPE, "stderr": asyncio.subprocess.PIPE}
    first = await asyncio.create_subprocess_exec(*command, env=environment, **streams)
    assert b"once" in await asyncio.wait_for(first.stderr.readline(), DEADLINE)
    second = await asyncio.create_subprocess_exec(*command, env=environment, **streams)
    assert b"waiting" in await asyncio.wait_for(second.stderr.readline(), DEADLINE)
    for process in (second, first):
        process.terminate()
        _, errors = await asyncio.wait_for(process.communicate(), DEADLINE)
        assert process.returncode == 0, errors
        assert b"31/31" not in errors
    assert [path.name for path in (tmp_path / "mlconsole").iterdir()] == ["lock"]


async def test_a_killed_training_takes_its_process_along_and_holds_up_nobody(tmp_path):
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", ENSURE.replace("said.append", "lambda text: print(text, flush=True)")),
        env={**os.environ, "XDG_CACHE_HOME": str(tmp_path)},
        stdout=asyncio.subprocess.PIPE,
    )
    assert b"once" in await asyncio.wait_for(process.stdout.readline(), DEADLINE)
    end = time.monotonic() + DEADLINE
    while not (family := psutil.Process(process.pid).children()):
        assert time.monotonic() < end
        await asyncio.sleep(0.01)
    process.kill()
    await process.wait()
    gone, alive = psutil.wait_procs(family, 10)
    assert (len(gone), alive) == (len(family), [])
