"""Aliases on a real registry: moved only from where they were seen, and read back."""

import secrets

import mlflow
import pytest

from mlconsole.engine.offload import Offload
from mlconsole.registry import aliases
from mlconsole.registry.aliases import AliasMoved, move_alias, read_aliases
from mlconsole.registry.errors import RegistryError
from mlconsole.registry.reader import client_of


@pytest.fixture
def model(sqlite_uri):
    """A model of its own with three versions, `champion` on the first."""
    client = mlflow.MlflowClient(sqlite_uri, sqlite_uri)
    name = f"moved-{secrets.token_hex(4)}"
    client.create_registered_model(name)
    for _ in range(3):
        client.create_model_version(name, "nowhere")
    client.set_registered_model_alias(name, "champion", "1")
    yield name
    client.delete_registered_model(name)


def test_an_alias_goes_there_and_back_and_away(uri, model):
    assert move_alias(uri, model, "champion", "1", "2") == "@champion moved from v1 to v2"
    assert move_alias(uri, model, "champion", "2", "1") == "@champion moved from v2 to v1"
    assert move_alias(uri, model, "serving", "", "3") == "@serving moved from no version to v3"
    assert read_aliases(uri, model) == {"champion": "1", "serving": "3"}
    assert move_alias(uri, model, "serving", "3", "") == "@serving moved from v3 to no version"
    assert read_aliases(uri, model) == {"champion": "1"}


def test_an_alias_that_is_elsewhere_stays_there(uri, model):
    with pytest.raises(AliasMoved, match="points to v1, not to v2 as was seen") as told:
        move_alias(uri, model, "champion", "2", "3")
    assert told.value.hint == "nothing was set"
    with pytest.raises(AliasMoved, match="points to v1, not to no version"):
        move_alias(uri, model, "champion", "", "3")
    assert read_aliases(uri, model) == {"champion": "1"}


def test_what_is_there_already_is_not_written(uri, model, monkeypatch):
    client = client_of(uri)
    monkeypatch.setattr(type(client), "set_registered_model_alias", None)
    monkeypatch.setattr(type(client), "delete_registered_model_alias", None)
    assert move_alias(uri, model, "champion", "7", "1") == "@champion points to v1 already"
    assert move_alias(uri, model, "serving", "7", "") == "@serving points to no version already"


def test_somebody_who_moves_it_at_the_same_time_is_noticed(uri, model, monkeypatch):
    client = client_of(uri)
    sent = client.set_registered_model_alias

    def overtaken(name, alias, version):
        sent(name, alias, version)
        sent(name, alias, "3")

    monkeypatch.setattr(client, "set_registered_model_alias", overtaken)
    with pytest.raises(AliasMoved, match="was set to v2 and points to v3 now"):
        move_alias(uri, model, "champion", "1", "2")


def test_a_model_or_version_that_is_not_there(uri, model):
    for name, seen, version in (("nobody", "", "1"), (model, "1", "99")):
        with pytest.raises(RegistryError, match=f"no such model or version of {name}") as told:
            move_alias(uri, name, "champion", seen, version)
        assert not isinstance(told.value, AliasMoved)
    assert read_aliases(uri, model) == {"champion": "1"}


async def test_from_a_worker_the_errors_come_as_they_are(sqlite_uri):
    offload = Offload()
    try:
        with pytest.raises(AliasMoved) as told:
            await offload.run(aliases.move_alias, sqlite_uri, "scorer", "champion", "3", "2", timeout=30)
        assert told.value.hint == "nothing was set"
    finally:
        await offload.close()
