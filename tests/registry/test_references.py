"""References from a real registry: read once in the worker, never waited for, and said why where there is none."""

import asyncio

import pytest

from mlconsole.domain.reference import Brought, Numeric, Reference
from mlconsole.engine.offload import Offload
from mlconsole.registry.errors import RegistryError
from mlconsole.registry.referencefeed import AGAIN, KEPT, NONE_AGAIN, ReferenceFeed
from mlconsole.registry.references import NoSuchArtifact

from .conftest import DEADLINE, MODEL

BEING_READ = "its reference is being read from the registry"


class Feeding:
    """A feed, its changes, and a clock that is set."""

    def __init__(self, uri, offload):
        self.now = 0.0
        self.changes = 0
        self._changed = asyncio.Event()
        self.feed = ReferenceFeed(uri, offload, self._note, lambda: self.now)

    def _note(self):
        self.changes += 1
        self._changed.set()

    async def read(self, version, model=MODEL):
        """What is known once the reading that was asked for is over."""
        self._changed.clear()
        self.feed.of(model, version)
        async with asyncio.timeout(DEADLINE):
            await self._changed.wait()
        return self.feed.of(model, version)


class Answers:
    """A lane that answers by a script, and counts."""

    def __init__(self, *answers):
        self.left, self.asked = list(answers), []

    def lane(self, _name):
        return self

    async def run(self, _function, *args, timeout):
        self.asked.append(args)
        answer = self.left.pop(0) if len(self.left) > 1 else self.left[0]
        if isinstance(answer, BaseException):
            raise answer
        return answer


@pytest.fixture
async def feeding():
    started = []

    def start(uri, offload):
        started.append(Feeding(uri, offload))
        started[-1].feed.start()
        return started[-1]

    yield start
    for one in started:
        await one.feed.stop()


@pytest.fixture
async def offload():
    found = Offload()
    yield found
    await found.close()


async def test_the_reference_of_a_version_is_read_in_the_worker_and_kept(feeding, offload, uri):
    one = feeding(uri, offload)
    assert one.feed.of(MODEL, "1") == Brought(problem=BEING_READ)
    found = await one.read("1")
    assert (found.words, found.problem) == ("training of v1, by the registry", "")
    assert (found.reference.source, found.reference.rows) == ("june", 4)
    assert isinstance(found.reference.features["amount"], Numeric)
    assert found.reference.features["amount"].sample == ()
    missing = await one.read("2")
    assert (missing.reference, "no reference" in missing.problem) == (None, True), missing
    assert (await one.read("1", "nope")).problem.startswith("the registry has no")
    assert one.feed.of(MODEL, "1") is one.feed.of(MODEL, "1")


async def test_a_version_is_asked_for_once_and_one_without_later_again(feeding):
    lane = Answers(NoSuchArtifact("none yet"), Reference({}))
    one = feeding("sqlite:///x", lane)
    assert (await one.read("7")).problem == "none yet"
    one.now = NONE_AGAIN - 1
    assert one.feed.of(MODEL, "7").problem == "none yet"
    one.now = NONE_AGAIN
    assert (await one.read("7")).reference == Reference({})
    one.now = 10 * NONE_AGAIN
    one.feed.reconnect()
    assert one.feed.of(MODEL, "7").reference == Reference({})
    assert len(lane.asked) == 2


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (RegistryError("MLflow is down"), "MLflow is down"),
        (TimeoutError(), "no answer within"),
        (OSError("odd"), "odd"),
    ],
)
async def test_what_could_not_be_read_is_said_and_tried_again_when_asked_to(feeding, error, words):
    lane = Answers(error, Reference({}))
    one = feeding("sqlite:///x", lane)
    found = await one.read("7")
    assert (found.reference, words in found.problem) == (None, True), found
    one.feed.reconnect()
    assert one.feed.of(MODEL, "7").problem == BEING_READ
    assert (await one.read("7")).reference == Reference({})
    assert AGAIN < NONE_AGAIN


async def test_no_answer_in_time_is_tried_again_in_a_minute(feeding):
    one = feeding("sqlite:///x", Answers(TimeoutError(), Reference({})))
    await one.read("7")
    one.now = AGAIN
    assert (await one.read("7")).reference == Reference({})


async def test_whoever_listens_and_fails_ends_no_reading(feeding, caplog):
    one = feeding("sqlite:///x", Answers(Reference({})))
    told = one.feed._changed

    def fails():
        told()
        raise KeyError("a fault of ours")

    one.feed._changed = fails
    await one.read("7")
    assert (await one.read("8")).reference == Reference({})
    assert "drift could not be judged anew" in caplog.text


async def test_without_a_registry_and_of_what_names_no_version_nothing_is_read(feeding):
    lane = Answers(Reference({}))
    assert feeding("", lane).feed.of(MODEL, "1").problem == "no registry is configured"
    assert "which version" in feeding("sqlite:///x", lane).feed.of(MODEL, "").problem
    assert Feeding("sqlite:///x", lane).feed.of(MODEL, "1").problem == "the registry is not read"
    assert lane.asked == []


async def test_only_so_many_are_kept_those_asked_for_last(feeding):
    one = feeding("sqlite:///x", Answers(Reference({})))
    for index in range(KEPT):
        await one.read(str(index))
    one.feed.of(MODEL, "0")
    await one.read("new")
    assert one.feed.of(MODEL, "0").reference is not None
    assert one.feed.of(MODEL, "1").problem == BEING_READ
