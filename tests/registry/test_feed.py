"""The feed with a real worker: it says what is, keeps the last, and comes back."""

import asyncio
import json
import os
import subprocess
import sys
import time

import mlflow
import psutil

from mlconsole.config import Registry
from mlconsole.domain.registry import AliasMove, Field, ModelVersion, RegisteredModel, Run
from mlconsole.domain.sources import Condition
from mlconsole.engine.offload import Offload
from mlconsole.registry.feed import KEPT, RegistryFeed, moved
from mlconsole.registry.reader import Answer, read
from mlconsole.registry.signature import Signature, read_signature

from .conftest import DEADLINE, MODEL


async def test_it_goes_live_and_reads_what_is_watched_down_to_the_signatures(watching, sqlite_uri):
    one = watching(sqlite_uri, MODEL)
    feed = one.feed
    assert feed.state.condition is Condition.STARTING
    await one.until(lambda: feed.model(MODEL)[0])
    state = feed.state
    assert (state.name, state.condition, state.message) == ("mlflow", Condition.LIVE, "")
    assert state.detail.startswith("sqlite:///")
    assert state.usable(time.time())
    assert feed.names == ("empty", MODEL)
    await one.until(lambda: feed.model(MODEL)[0].find("1").inputs)
    feed.watch("nope")
    assert await one.until(lambda: feed.model("nope")[1]) == "the registry has no model nope"
    await one.until(lambda: feed.model(MODEL)[0].find("1").has_input_example)
    assert feed.model(MODEL)[1] == ""
    feed.watch("empty")
    assert await one.until(lambda: feed.model("empty")[0])
    spared = "[name for name in ('pandas', 'pyarrow', 'scipy') if __import__('sys').modules.get(name)]"
    assert await one.offload.lane("mlflow").run(eval, spared, timeout=30) == []


async def test_a_registry_that_goes_away_keeps_its_last_word_and_comes_back_by_itself(watching, door):
    one = watching(door.uri, MODEL)
    feed = one.feed
    await one.until(lambda: feed.model(MODEL)[0])
    contact = feed.state.last_contact
    await door.close()
    await one.until(lambda: feed.state.condition is Condition.DOWN)
    state = feed.state
    assert state.last_contact >= contact
    assert state.since >= state.last_contact
    assert "the connection was refused" in state.message or "MLflow at" in state.message
    assert state.hint
    model, problem = feed.model(MODEL)
    assert model.find("1")
    assert problem == state.message
    await door.open()
    await one.until(lambda: feed.state.condition is Condition.LIVE)
    assert feed.state.last_contact > state.last_contact
    assert feed.model(MODEL)[1] == ""


async def test_reconnect_does_not_wait_for_the_back_off(watching, door):
    await door.close()
    one = watching(door.uri)
    feed = one.feed
    await one.until(lambda: feed.state.condition is Condition.DOWN)
    feed._backoff._next = 3600.0
    since = feed.state.since
    feed.reconnect()
    await one.until(lambda: feed._backoff._next == 2.0)  # it tried, failed and starts to back off anew
    assert feed.state.since == since
    feed._backoff._next = 3600.0
    feed.reconnect()
    await door.open()
    feed.reconnect()
    await one.until(lambda: feed.state.condition is Condition.LIVE)


async def test_a_killed_worker_is_not_the_end(watching, sqlite_uri):
    one = watching(sqlite_uri, MODEL)
    await one.until(lambda: one.feed.model(MODEL)[0])
    contact = one.feed.state.last_contact
    psutil.Process(one.offload.pids[0]).kill()
    await one.until(lambda: one.feed.state.last_contact > contact)
    await one.until(lambda: one.feed.state.condition is Condition.LIVE)


async def test_without_a_registry_it_is_off_and_says_what_to_set():
    offload = Offload()
    feed = RegistryFeed(Registry(), offload, lambda: None)
    feed.start()
    feed.watch(MODEL)
    assert feed.state.condition is Condition.OFF
    assert "MLFLOW_TRACKING_URI" in feed.state.hint
    assert feed.model(MODEL) == (None, "no registry is configured")
    assert offload.pids == ()
    await feed.stop()
    await offload.close()


class HangingArtifacts:
    """A lane whose registry answers and whose artifact store never does."""

    def __init__(self):
        self.asked = []
        versions = tuple(ModelVersion(MODEL, number, run=Run(number)) for number in "321")
        self._answer = Answer((MODEL,), {MODEL: RegisteredModel(MODEL, versions=versions)})

    def lane(self, _):
        return self

    async def run(self, function, *args, timeout):
        self.asked.append(function)
        if function is read_signature:
            raise TimeoutError
        return self._answer


async def test_an_artifact_store_that_hangs_is_asked_once_and_the_registry_goes_on():
    lane, changed = HangingArtifacts(), asyncio.Event()
    feed = RegistryFeed(Registry("sqlite:///x", refresh=0.1), lane, changed.set)
    feed.watch(MODEL)
    feed.start()
    async with asyncio.timeout(DEADLINE):
        while lane.asked.count(read) < 4:
            await changed.wait()
            changed.clear()
    await feed.stop()
    assert lane.asked.count(read_signature) == 1
    assert feed.state.condition is Condition.LIVE
    assert feed.model(MODEL)[0].find("3")


class ManyModels:
    """A lane whose registry has every model that it is asked for, and signs all of them."""

    def lane(self, _):
        return self

    async def run(self, function, *args, timeout):
        if function is read_signature:
            return Signature(inputs=(Field("amount", "double"),))
        wanted = args[1]
        models = {name: RegisteredModel(name, versions=(ModelVersion(name, "1", run=Run("1")),)) for name in wanted}
        return Answer(tuple(models), models)


async def test_more_models_than_are_kept_are_all_there_while_they_are_watched():
    changed = asyncio.Event()
    feed = RegistryFeed(Registry("sqlite:///x", refresh=0.1), ManyModels(), changed.set)
    names = [f"model-{number}" for number in range(KEPT + 10)]
    for name in names:
        feed.watch(name)
    feed.start()
    async with asyncio.timeout(DEADLINE):
        while not all((model := feed.model(name)[0]) and model.find("1").inputs for name in names):
            await changed.wait()
            changed.clear()
        feed._watched = dict.fromkeys(names, (float("-inf"), ()))  # asked for long ago
        feed.watch("another")
        while feed.model("another")[0] is None:
            await changed.wait()
            changed.clear()
    await feed.stop()
    assert sum(feed.model(name)[0] is not None for name in [*names, "another"]) == KEPT
    assert feed.model(names[-1])[0] is not None


async def test_a_feed_that_broke_says_so_in_the_log_and_goes_on(monkeypatch, caplog):
    changed, broken = asyncio.Event(), []

    def wake():
        changed.set()
        if not broken:
            broken.append(True)
            raise RuntimeError("broken once")

    monkeypatch.setattr("mlconsole.registry.feed.RESTART_SECONDS", 0.0)
    feed = RegistryFeed(Registry("sqlite:///x", refresh=0.1), ManyModels(), wake)
    feed.start()
    async with asyncio.timeout(DEADLINE):
        await changed.wait()
        contact = feed.state.last_contact
        while feed.state.last_contact <= contact:
            changed.clear()
            await changed.wait()
    await feed.stop()
    assert "broken once" in caplog.text


async def test_it_is_read_at_once_where_something_is_said_to_have_changed():
    changed = asyncio.Event()
    feed = RegistryFeed(Registry("sqlite:///x", refresh=3600.0), ManyModels(), changed.set)
    feed.read_soon()  # not while it is not known whether it answers
    feed.start()
    async with asyncio.timeout(DEADLINE):
        while feed.state.condition is not Condition.LIVE:
            await changed.wait()
            changed.clear()
        contact = feed.state.last_contact
        feed.read_soon()
        while feed.state.last_contact <= contact:
            await changed.wait()
            changed.clear()
    await feed.stop()


async def test_data_past_its_limit_is_stale(sqlite_uri, watching):
    one = watching(sqlite_uri, MODEL)
    await one.until(lambda: one.feed.model(MODEL)[0])
    await one.feed.stop()
    contact = one.feed.state.last_contact
    one.feed._state = type(one.feed._state)("mlflow", Condition.LIVE, contact - 90, contact - 90, limit=30.0)
    state = one.feed.state
    assert (state.condition, state.since) == (Condition.STALE, contact - 60)
    assert one.feed.model(MODEL)[1].startswith("no answer for")


async def test_the_engines_process_stays_light(sqlite_uri, tmp_path):
    """Of what the worker imports, nothing reaches the process that asks."""
    script = tmp_path / "asks.py"
    script.write_text(LIGHT)
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, str(script), sqlite_uri, MODEL],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": ""},
    )
    assert json.loads(done.stdout) == {"versions": 3, "heavy": []}


LIGHT = """
import asyncio, json, sys
from mlconsole.config import Registry
from mlconsole.engine.offload import Offload
from mlconsole.registry.feed import RegistryFeed

async def main():
    offload, changed = Offload(), asyncio.Event()
    feed = RegistryFeed(Registry(sys.argv[1]), offload, changed.set)
    feed.watch(sys.argv[2])
    feed.start()
    async with asyncio.timeout(120):
        while not feed.model(sys.argv[2])[0]:
            await changed.wait()
            changed.clear()
    heavy = [name for name in ("mlflow", "pandas", "scipy", "sklearn", "numpy") if name in sys.modules]
    print(json.dumps({"versions": len(feed.model(sys.argv[2])[0].versions), "heavy": heavy}))
    await feed.stop()
    await offload.close()

if __name__ == "__main__":
    asyncio.run(main())
"""


async def test_an_alias_that_moves_is_seen_to_whether_or_not_its_model_is_looked_at(watching, sqlite_uri):
    one = watching(sqlite_uri)
    feed = one.feed
    await one.until(lambda: feed.state.condition is Condition.LIVE)
    assert feed.moves(MODEL) == ()
    client = mlflow.MlflowClient(sqlite_uri, sqlite_uri)
    before = time.time()
    client.set_registered_model_alias(MODEL, "night-shift", "1")
    await one.until(lambda: feed.moves(MODEL))
    (move,) = feed.moves(MODEL)
    assert (move.alias, move.before, move.after) == ("night-shift", "", "1")
    assert move.since < move.at
    assert move.at >= before
    client.delete_registered_model_alias(MODEL, "night-shift")
    await one.until(lambda: len(feed.moves(MODEL)) == 2)
    assert feed.moves(MODEL)[-1].after == ""
    assert feed.moves("empty") == ()


def test_a_model_that_is_new_has_moved_nothing():
    before, after = {"fraud": {"champion": "12"}}, {"fraud": {"champion": "13"}, "new": {"champion": "1"}}
    assert moved(before, after, 1.0, 2.0) == [AliasMove("fraud", "champion", "12", "13", 1.0, 2.0)]
    assert moved(after, before, 1.0, 2.0) == [AliasMove("fraud", "champion", "13", "12", 1.0, 2.0)]
