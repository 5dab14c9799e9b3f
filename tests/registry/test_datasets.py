"""A dataset of a version's run as payloads, read from a real registry: as a database, and through its server."""

import pytest

from mlconsole.config import ServiceSettings
from mlconsole.configoperations import Parity
from mlconsole.engine.offload import Offload
from mlconsole.engine.payloads import parity_payloads_for
from mlconsole.registry.datasets import read_dataset

from .conftest import MODEL

ROWS = ({"features": [1.0, 1.0]}, {"features": [2.0, 2.0]}, {"features": [3.0, 3.0]}, {"features": [4.0, 5.0]})


@pytest.mark.parametrize("dataset", ["holdout", "data/holdout.csv"])
def test_by_its_name_or_its_artifact(uri, dataset):
    found = read_dataset(uri, MODEL, "1", dataset, 50)
    assert (found.payloads, found.problem) == (ROWS, "")
    assert found.where == f"dataset {dataset} of scorer v1"
    assert read_dataset(uri, MODEL, "1", dataset, 2).payloads == ROWS[:2]


def test_json_lines(sqlite_uri):
    found = read_dataset(sqlite_uri, MODEL, "1", "data/rows.jsonl", 50)
    assert found.payloads == ({"features": [7.0, 7.0]}, {"features": [8.0, 8.0]})


@pytest.mark.parametrize("dataset", ["elsewhere", "nothing", "/etc/passwd.csv", "../../x.csv"])
def test_nothing_but_the_runs_own_artifacts_is_read(sqlite_uri, dataset):
    found = read_dataset(sqlite_uri, MODEL, "1", dataset, 50)
    assert found.payloads == ()
    assert "not among the artifacts of its run" in found.problem


async def test_parity_posts_it(sqlite_uri):
    settings = ServiceSettings(parity=Parity(enabled=True, dataset="holdout", count=3))
    offload = Offload()
    try:
        found = await parity_payloads_for(offload, settings, sqlite_uri, MODEL, "1")
    finally:
        await offload.close()
    assert found.rows == ROWS[:3]
    assert found.where == "dataset holdout of scorer v1"
