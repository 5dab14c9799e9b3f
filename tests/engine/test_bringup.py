"""A colour comes up, or does not, with real pods of the embedded world; and on an API server with its bad days."""

import asyncio
import copy

import msgspec
import pytest
from msgspec.structs import replace

from mlconsole.cluster.connection import Connection
from mlconsole.cluster.errors import Unreachable
from mlconsole.config import ServiceSettings
from mlconsole.domain import deploying
from mlconsole.domain.deploying import Asked
from mlconsole.domain.plans import PatchType
from mlconsole.domain.services import Color, PodState, Release, Revision
from mlconsole.engine import bringup

DEPLOYMENTS = "/apis/apps/v1/namespaces/ml/deployments"
SETTINGS = ServiceSettings()
PATIENCE = 60.0
"""Seconds that a wait may go on after its deadline, for what it still reads: then it fails, and does not hang."""
LOOKS = 100
"""More than any of the waits with a script takes."""


class Place:
    """The world through a connection; what was said is kept."""

    def __init__(self, connection):
        self.connection = connection
        self.said = {}

    async def deployment(self, name):
        return msgspec.json.decode(await self.connection.get(f"{DEPLOYMENTS}/{name}"))

    async def put(self, service, color, key, release, change=lambda template: None, replicas=2):
        """Bring a release up on an idle colour, of the other one's template with a change."""
        other = "green" if color == "blue" else "blue"
        source = (await self.deployment(f"{service}-{other}"))["spec"]["template"]
        seen = await self.deployment(f"{service}-{color}")
        source = copy.deepcopy(source)
        change(source)
        steps = deploying.patch_for(seen, source, Asked(color, key, release, replicas))
        path = f"{DEPLOYMENTS}/{service}-{color}"
        await self.connection.request("PATCH", path, list(steps), PatchType.JSON)

    async def ready(self, service, color, want=2, deadline=60.0):
        said = self.said[service] = []
        try:
            async with asyncio.timeout(deadline + PATIENCE):
                return await bringup.ready(
                    self.connection, f"ml/{service}", color, want, deadline, said.append, SETTINGS
                )
        except TimeoutError:
            pytest.fail(f"{service} is waited for after its deadline of {deadline:.0f} s: {said[-3:]}")


@pytest.fixture
async def place(world):
    connection = await Connection.open(kubeconfig=str(world.folder / "kubeconfig"), namespace="ml")
    yield Place(connection)
    await connection.close()


def release(service, version):
    return Release(service, version, image=f"demo.local/{service}:{version}")


def crashing(template):
    env = template["spec"]["containers"][0]["env"]
    env += [{"name": "FAULT", "value": "crashloop"}, {"name": "FAULT_AT", "value": "0"}]


def unready(template):
    template["spec"]["containers"][0]["readinessProbe"]["httpGet"]["path"] = "/nowhere"
    template["spec"]["containers"][0].pop("livenessProbe")


async def test_what_comes_up_and_what_does_not(place):
    await asyncio.gather(
        place.put("fraud-scorer", "blue", "color", release("fraud-scorer", "13")),
        place.put("churn", "green", "slot", release("churn", (await _version(place, "churn-blue"))), crashing),
        place.put("ranker", "blue", "version", release("ranker", "99")),
    )
    good, crash, missing = await asyncio.gather(
        place.ready("fraud-scorer", "blue"),
        place.ready("churn", "green", deadline=6.0),
        place.ready("ranker", "blue", deadline=6.0),
    )
    assert good[0], good
    assert good[1].startswith("2/2 ready after ")
    # The pods of the template before are still ready, and count for nothing; the new ones are for a moment.
    assert not crash[0]
    assert "/2 ready, and no other within 6 s: " in crash[1]
    assert "read the log of its last run" in crash[1]
    assert "its log ends with: " in crash[1]
    assert any(words.startswith("log of churn-green-") for words in place.said["churn"])
    assert not missing[0]
    assert "ImagePullBackOff" in missing[1]
    assert "demo.local/ranker:99" in missing[1]
    assert "pull secret" in missing[1]

    await place.put("fraud-scorer", "blue", "color", release("fraud-scorer", "12"), unready)
    came, words = await place.ready("fraud-scorer", "blue", deadline=5.0)
    assert not came
    assert "NotReady" in words
    assert "its probe fails" in words
    assert "404" in words


async def _version(place, deployment):
    env = (await place.deployment(deployment))["spec"]["template"]["spec"]["containers"][0]["env"]
    return next(item["value"] for item in env if item["name"] == "MODEL_VERSION")


# ---- what is counted

POD = PodState("p", True, "Running", ready_since=10.0)
NEWEST = Revision(4, "rs-4", Release(), 0.0, wish=2, ready=2)
COLOR = Color("blue", "d", 2, 2, generation=3, observed_generation=3, updated=2, pods=(POD, POD), revisions=(NEWEST,))


@pytest.mark.parametrize(
    ("change", "count", "complete"),
    [
        ({}, 2, True),
        ({"observed_generation": 2}, 0, False),
        ({"updated": 1}, 2, False),
        ({"revisions": (replace(NEWEST, ready=1), replace(NEWEST, number=3))}, 1, False),
        ({"pods": (POD, POD, POD)}, 2, False),
        ({"pods": (POD, POD, replace(POD, terminating=True))}, 2, True),
        ({"pods": (POD, replace(POD, ready=False))}, 1, False),
        ({"revisions": ()}, 2, True),
    ],
)
def test_only_pods_of_the_present_template_count(change, count, complete):
    color = replace(COLOR, **change)
    assert (bringup.up_to_date(color), bringup.complete(color, 2)) == (count, complete)


# ---- bad days


class Script:
    """Looks that bring what they are told, one after the other; the last again and again."""

    def __init__(self, *looks):
        self.looks = list(looks)
        self.count = 0

    async def __call__(self, *_):
        self.count += 1
        assert self.count <= LOOKS, "it is waited for without an end"
        found = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        if isinstance(found, Exception):
            raise found
        return found


@pytest.fixture
def looking(monkeypatch):
    """`looking(colour or error, ...)`: what the cluster says, and how fast the clock goes: a second a look."""

    def start(*looks):
        script, now = Script(*looks), [0.0]

        class Read:
            def __init__(self, color):
                self.service = self
                self._color = color

            def color(self, _):
                return self._color

        async def read(*_):
            now[0] += 1.0
            return Read(await script())

        async def nothing(*_):
            return []

        monkeypatch.setattr(bringup.fresh, "read", read)
        monkeypatch.setattr(bringup.time, "monotonic", lambda: now[0])
        monkeypatch.setattr(bringup, "LOOK", 0.0)

        async def tail(*_, **__):
            return "loading\nno model here\n"

        monkeypatch.setattr(bringup.logs, "tail", tail)
        monkeypatch.setattr(bringup._Watch, "_events", nothing)

    return start


async def watched(deadline=5.0, want=2):
    said = []
    return *await bringup.ready(None, "ml/f", "blue", want, deadline, said.append, SETTINGS), said


def with_ready(count):
    pods = tuple(replace(POD, name=str(number), ready=number < count) for number in range(2))
    return replace(COLOR, ready=count, pods=pods, revisions=(replace(NEWEST, ready=count),))


def with_pods(**more):
    """Two pods, none of them ready."""
    pods = tuple(replace(POD, name=str(number), ready=False, **more) for number in range(2))
    return replace(with_ready(0), pods=pods)


async def test_each_new_ready_pod_gives_it_the_deadline_again(looking):
    looking(*[with_ready(0)] * 5, *[with_ready(1)] * 5, with_ready(2))
    came, words, _ = await watched()
    assert came
    assert words == "2/2 ready after 12 s"


async def test_what_is_ready_between_two_crashes_is_not_ready(looking):
    def crashed(times):
        color = with_ready(2)
        return replace(color, pods=tuple(replace(pod, restarts=times) for pod in color.pods))

    looking(crashed(0), crashed(1), crashed(2), with_ready(0), crashed(3), crashed(3))
    came, words, _ = await watched()
    assert came
    assert words == "2/2 ready after 6 s"


async def test_without_progress_it_ends(looking):
    looking(with_ready(1))
    came, words, said = await watched()
    assert not came
    assert words.startswith("1/2 ready, and no other within 5 s: NotReady")
    assert words.endswith("its log ends with: no model here")
    assert [item.partition(":")[0] for item in said] == ["1/2 ready, 2/2 made", "log of 1", "log of 1"]


async def test_an_api_server_that_is_away_for_a_while_costs_no_progress_and_is_not_waited_for_for_ever(looking):
    away = Unreachable("k8s", "refused")
    looking(*[with_ready(0)] * 3, *[away] * 4, *[with_ready(0)] * 2, with_ready(2))
    assert (await watched())[0]
    looking(away)
    came, words, said = await watched()
    assert not came
    assert words == "blue could not be looked at for 5 s"
    assert "could not look" in said[0]


async def test_what_is_known_only_with_the_last_look_is_said(looking):
    """A busy node says late why an image does not come."""
    starting = with_pods(phase="Pending")
    looking(*[starting] * 5, with_pods(phase="Pending", reason="ErrImagePull", message="refused"))
    came, words, said = await watched()
    assert not came
    assert words.startswith(
        "0/2 ready, and no other within 5 s: ErrImagePull (2 pods): the image cannot be pulled (refused)"
    )
    assert said == ["0/2 ready, 2/2 made", *said[1:]]


async def test_without_any_reason_it_says_how_far_it_has_come(looking):
    looking(with_pods(phase="Pending"))
    _, words, _ = await watched()
    assert words.startswith("0/2 ready, and no other within 5 s: Starting (2 pods): it has not started yet")
    looking(None)
    assert (await watched())[1] == "0/2 ready, and no other within 5 s: it has no Deployment"


async def test_what_crashes_is_not_called_slow_because_it_is_up_at_the_last_look(looking):
    crashed = with_pods(phase="Running", reason="CrashLoopBackOff", message="exit code 1", restarts=2)
    looking(*[crashed] * 5, with_pods(phase="Running", restarts=3))
    _, words, said = await watched()
    assert "5 s: CrashLoopBackOff (2 pods): the container ends soon after each start (exit code 1)" in words
    assert any(item.startswith("NotReady") for item in said), "what it is at the moment is told too"
    others = replace(with_pods(phase="Running"), pods=tuple(replace(POD, name=name, ready=False) for name in "xy"))
    looking(*[crashed] * 5, others)
    assert "5 s: NotReady" in (await watched())[1], "those that crashed are gone"


async def test_the_pods_of_the_template_before_explain_nothing(looking):
    old = replace(POD, name="rs-3-a", ready=False, phase="Running", reason="OOMKilled")
    new = replace(POD, name="rs-4-a", ready=False, phase="Pending", reason="ErrImagePull")
    looking(replace(with_pods(), pods=(old, new)))
    _, words, _ = await watched()
    assert "ErrImagePull (rs-4-a)" in words
    assert "OOMKilled" not in words


async def test_a_deployment_that_was_removed_ends_it_at_once_and_one_that_is_not_there_yet_is_waited_for(looking):
    looking(None, None, with_ready(1), None)
    came, words, said = await watched()
    assert not came
    assert "somebody removed its Deployment" in words
    assert said[0] == "no Deployment is blue yet"
