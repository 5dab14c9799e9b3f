"""The engine as the UI knows it: over a real socket pair, against a real API server."""

import asyncio
import socket
import time

import pytest
from msgspec.structs import replace

from mlconsole.config import Cluster as Place
from mlconsole.config import Environment, Metrics
from mlconsole.config import Ui as Looks
from mlconsole.demo.apiserver.faults import Failure
from mlconsole.demo.apiserver.server import serve
from mlconsole.domain.history import Outcome
from mlconsole.domain.services import Health
from mlconsole.domain.sources import Condition
from mlconsole.engine import protocol
from mlconsole.engine.channel import engine_end, ui_end
from mlconsole.engine.engine import Engine
from mlconsole.engine.rights import needed

from .conftest import SHORT, change, clusters

DEADLINE = 60.0


class Ui:
    """The other end: what was published, and when."""

    def __init__(self, channel):
        self._channel = channel
        self.heard = []
        self.fleet = {}
        self.pods = 0
        self.complete = False

    async def listen(self):
        while (message := await self._channel.receive()) is not None:
            self.heard.append((time.monotonic(), message))
            if isinstance(message, protocol.Fleet):
                if message.reset:
                    self.fleet.clear()
                self.fleet |= {row.service.key: row for row in message.rows}
                for key in message.removed:
                    self.fleet.pop(key, None)
                self.pods, self.complete = message.pods, message.complete

    async def send(self, intent):
        await self._channel.send(intent)

    def all(self, kind):
        return [message for _, message in self.heard if isinstance(message, kind)]

    def last(self, kind):
        found = self.all(kind)
        return found[-1] if found else None

    async def wait(self, kind, wanted=lambda message: True):
        """The last message of a kind, as soon as it is as wanted."""
        return await clusters.until(lambda: (m := self.last(kind)) is not None and wanted(m) and m, DEADLINE, 0.005)

    def close(self):
        self._channel.close()


@pytest.fixture
async def start(tmp_path, monkeypatch):
    """Start engines, each with a UI at the other end of a socket pair: `await start(settings)`."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    running = []

    async def one(settings):
        here, there = socket.socketpair()
        ui = Ui(await ui_end(here))
        engine = Engine(await engine_end(there), settings)
        ui.engine = asyncio.create_task(engine.run())
        running.append((ui, asyncio.create_task(ui.listen())))
        return ui

    yield one
    for ui, listener in running:
        ui.close()
        async with asyncio.timeout(DEADLINE):
            await asyncio.gather(ui.engine, listener)


def settings_of(desk, **more):
    """Of a console: an executor takes no shorter deadline than a settings file may have."""
    place = Place(kubeconfig=desk.cluster.kubeconfig, namespace="ml")
    return replace(SHORT, cluster=place, metrics=Metrics(scrape=False), **more)


@pytest.fixture
async def ui(good, start):
    """An engine that looks at `good`: green v13 live, blue v12 known good."""
    return await start(settings_of(good))


async def test_from_the_first_row_to_a_rollback_done(good, ui):
    await ui.wait(protocol.Fleet, lambda fleet: fleet.complete)
    assert ui.all(protocol.Fleet)[0].reset
    row = ui.fleet["ml/fraud"]
    assert (row.service.live, row.health, ui.pods) == ("green", Health.OK, 4)
    assert not any(color.pods for color in row.service.colors), "the fleet's rows are slim"
    place = ui.last(protocol.Place)
    assert (place.context, place.namespace, place.server) == ("demo", "ml", good.cluster.server.url)
    await ui.send(protocol.Select("ml/fraud"))
    detail = await ui.wait(protocol.Detail, lambda message: message.meter.allowed is not None)
    assert (detail.meter.color, detail.meter.release.version, detail.meter.allowed) == ("blue", "12", True)
    await ui.send(protocol.MakePlan(7, "rollback", "ml/fraud"))
    planned = await ui.wait(protocol.Planned)
    assert (planned.request, planned.plan.to_color) == (7, "blue")
    await ui.send(protocol.Confirm(7, planned.hash))
    last = await ui.wait(protocol.Progress, lambda message: message.over)
    done = next(message for message in ui.all(protocol.Progress) if message.outcome is not None)
    assert (done.request, done.step, done.outcome) == (7, "done", Outcome.UNVERIFIED)
    assert (last.request, last.outcome) == (7, Outcome.UNVERIFIED)
    steps = list(dict.fromkeys(step.step for step in ui.all(protocol.Progress)))
    assert [step for step in steps if step != "lock"][:3] == ["check", "record", "write"]
    assert (await good.selector())["color"] == "blue"
    await clusters.until(lambda: ui.fleet["ml/fraud"].service.live == "blue")
    after = await ui.wait(protocol.Detail, lambda message: message.history and message.history[0].id == planned.plan.id)
    assert (after.meter.health, "rolled back from" in after.meter.words) == (Health.BAD, True)
    # The plan is used up: the same word does nothing a second time.
    await ui.send(protocol.Confirm(7, planned.hash))
    refused = await ui.wait(protocol.Refused)
    assert (refused.exit_code, refused.request) == (4, 7)
    assert "no longer here" in refused.message


async def test_a_confirmation_pressed_twice_is_one(good, ui):
    await ui.send(protocol.MakePlan(1, "rollback", "ml/fraud"))
    planned = await ui.wait(protocol.Planned)
    await asyncio.gather(*(ui.send(protocol.Confirm(1, planned.hash)) for _ in range(2)))
    await ui.wait(protocol.Progress, lambda message: message.outcome is not None)
    assert ui.all(protocol.Refused) == []
    assert len([record for record in await good.records() if record.id == planned.plan.id]) == 1


@pytest.mark.parametrize(
    ("intent", "code", "words"),
    [
        (protocol.MakePlan(1, "switch", "ml/nobody"), 2, "nobody"),
        (protocol.MakePlan(1, "switch", "ml/fraud", to_color="purple"), 2, "no colour purple"),
        (protocol.MakePlan(1, "switch", "ml/fraud", to_color="green"), 0, "on green already"),
        (protocol.Confirm(1, "0123456789ab"), 4, "no longer here"),
    ],
)
async def test_what_cannot_be_done_is_refused_in_words(ui, intent, code, words):
    await ui.wait(protocol.Fleet)
    await ui.send(intent)
    refused = await ui.wait(protocol.Refused)
    assert (refused.request, refused.exit_code) == (1, code)
    assert words in refused.message


async def test_another_place_can_be_gone_to_while_this_one_is_down(good, start, tmp_path):
    text = good.cluster.server.kubeconfig()
    down = text.replace(good.cluster.server.url, "http://127.0.0.1:9").replace("demo", "down")
    (tmp_path / "down").write_text(down)
    both = f"{tmp_path / 'down'}:{good.cluster.kubeconfig}"
    place = Place(kubeconfig=both, namespace="ml", context="down")
    ui = await start(replace(settings_of(good), cluster=place))
    await ui.wait(protocol.Sources, lambda sources: sources.states[0].condition is Condition.DOWN)
    assert ui.last(protocol.Sources).states[0].message
    await ui.send(protocol.MakePlan(1, "rollback", "ml/fraud"))
    assert (await ui.wait(protocol.Refused)).exit_code == 5
    assert {context.name for context in ui.last(protocol.Place).contexts} == {"down", "demo"}
    await ui.send(protocol.ChangePlace("demo", "ml"))
    await ui.wait(protocol.Sources, lambda sources: sources.states[0].condition is Condition.LIVE)
    await clusters.until(lambda: "ml/fraud" in ui.fleet)
    assert ui.last(protocol.Place).context == "demo"


class Interrupted:
    """A channel that does something in the middle of a publication."""

    def __init__(self):
        self.sent = []
        self.then = None
        self.gone = asyncio.Event()

    async def send(self, message):
        self.sent.append(message)
        if self.then and isinstance(message, protocol.Sources):
            then, self.then = self.then, None
            then()

    async def receive(self):
        await self.gone.wait()

    def close(self):
        self.gone.set()


async def test_a_place_that_is_left_while_a_message_is_sent_is_told_no_further(good, tmp_path):
    channel = Interrupted()
    engine = Engine(channel, settings_of(good))
    life = asyncio.create_task(engine.run())
    await clusters.until(lambda: any(isinstance(item, protocol.Fleet) and item.complete for item in channel.sent))

    def leave():
        channel.sent.clear()
        engine._take(protocol.ChangePlace("demo", "elsewhere"))

    channel.then = leave
    await clusters.until(lambda: channel.then is None and channel.sent)
    assert isinstance(channel.sent[0], protocol.Place)
    assert channel.sent[0].namespace == "elsewhere"
    channel.close()
    await life


async def test_a_log_says_what_it_is_the_answer_to(ui):
    await ui.wait(protocol.Fleet, lambda fleet: fleet.complete)
    await ui.send(protocol.ReadLog("ml", "fraud-green-0", True))
    log = await ui.wait(protocol.Log)
    assert (log.namespace, log.pod, log.previous) == ("ml", "fraud-green-0", True)
    assert log.problem, "no node keeps logs here"


async def test_rights_that_cannot_be_asked_for_are_not_asked_for_all_the_time(good, start):
    ui = await start(settings_of(good, ui=Looks(presence=False)))
    asked = []
    reviews = Failure(
        lambda m, p: p.endswith("/selfsubjectaccessreviews") and not asked.append(p), status=403, times=99
    )
    good.cluster.faults.add(reviews)
    await ui.wait(protocol.Fleet, lambda fleet: fleet.complete)
    await ui.send(protocol.Select("ml/fraud"))
    for number in range(4):
        note = {"metadata": {"annotations": {"mlconsole.io/model": f"fraud-{number}"}}}
        await good.cluster.merge(f"{good.cluster.apps}/deployments/fraud-green", note)
        await ui.wait(protocol.Detail, lambda detail, n=number: f"fraud-{n}" in str(detail.service))
    once = {check for checks in needed(ui.fleet["ml/fraud"].service).values() for check in checks}
    assert len(asked) == len(once)


async def test_a_prometheus_is_not_asked_about_another_context(good, start, tmp_path):
    """Services of two clusters may bear the same names: one's figures are not shown as the other's."""
    text = good.cluster.server.kubeconfig()
    for name in ("other", "third"):
        (tmp_path / name).write_text(text.replace("demo", name))
    files = ":".join([str(good.cluster.kubeconfig), str(tmp_path / "other"), str(tmp_path / "third")])
    ui = await start(
        replace(
            settings_of(good),
            cluster=Place(kubeconfig=files, namespace="ml"),
            metrics=Metrics(prometheus_url="http://127.0.0.1:9"),
            environments={"third": Environment(contexts=("third",), prometheus_url="http://127.0.0.1:10")},
        )
    )

    async def asked(name, words=""):
        def is_so(sources):
            state = sources.states[1]
            return state.name == name and words in state.message + state.detail

        return (await ui.wait(protocol.Sources, is_so)).states[1]

    await asked("prom", "127.0.0.1:9")
    await ui.send(protocol.ChangePlace("other", "ml"))
    state = await asked("scrape", "prometheus_url is for context demo")
    assert "[environments.NAME]" in state.hint
    await ui.send(protocol.ChangePlace("third", "ml"))
    await asked("prom", "127.0.0.1:10")
    await ui.send(protocol.ChangePlace("demo", ""))
    await asked("prom", "127.0.0.1:9")


async def test_a_plan_of_one_place_is_not_carried_out_from_another(good, ui):
    await ui.send(protocol.MakePlan(1, "rollback", "ml/fraud"))
    planned = await ui.wait(protocol.Planned)
    await ui.send(protocol.ChangePlace("demo", "elsewhere"))
    await ui.wait(protocol.Place, lambda place: place.namespace == "elsewhere")
    await ui.send(protocol.Confirm(1, planned.hash))
    assert (await ui.wait(protocol.Refused)).exit_code == 4
    assert (await good.selector())["color"] == "green"


async def test_a_plan_in_the_making_is_refused_when_the_place_is_left(good, ui):
    await ui.wait(protocol.Fleet, lambda fleet: fleet.complete)
    asked = asyncio.Event()
    good.cluster.faults.add(Failure(lambda m, p: p.endswith("/services/fraud") and not asked.set(), delay=5.0, times=9))
    await ui.send(protocol.MakePlan(1, "rollback", "ml/fraud"))
    await asyncio.wait_for(asked.wait(), DEADLINE)
    await ui.send(protocol.ChangePlace("demo", "elsewhere"))
    refused = await ui.wait(protocol.Refused)
    assert (refused.request, refused.exit_code) == (1, 5)
    assert "closed" in refused.message
    assert ui.all(protocol.Notice) == []


async def test_an_operation_under_way_ends_where_it_was_confirmed(good, ui):
    """The console looks elsewhere in the middle of it: its connection is kept until it is done."""
    await ui.send(protocol.MakePlan(1, "rollback", "ml/fraud"))
    planned = await ui.wait(protocol.Planned)
    good.cluster.faults.add(Failure(lambda m, p: m == "PATCH" and p.endswith("/services/fraud"), delay=0.5))
    await ui.send(protocol.Confirm(1, planned.hash))
    await ui.wait(protocol.Progress, lambda step: step.step == "record")
    await ui.send(protocol.ChangePlace("demo", "elsewhere"))
    await ui.wait(protocol.Place, lambda place: place.namespace == "elsewhere")
    done = await ui.wait(protocol.Progress, lambda step: step.outcome is not None)
    assert done.outcome is Outcome.UNVERIFIED
    assert (await good.selector())["color"] == "blue"


async def test_the_registry_is_read_again_when_an_operation_goes_on(good, ui, monkeypatch):
    """Its alias moves with the traffic: until that is seen, the two would seem to disagree."""
    read = []
    monkeypatch.setattr("mlconsole.registry.feed.RegistryFeed.read_soon", lambda feed: read.append(feed))
    await ui.send(protocol.MakePlan(1, "rollback", "ml/fraud"))
    planned = await ui.wait(protocol.Planned)
    assert read == []
    await ui.send(protocol.Confirm(1, planned.hash))
    await ui.wait(protocol.Operations, lambda found: found.lines)
    assert read
    await ui.wait(protocol.Operations, lambda found: not found.lines)
    assert len(read) > 1


async def test_a_cluster_that_goes_away_is_stale_and_comes_back_by_itself(good, ui):
    await ui.wait(protocol.Sources, lambda sources: sources.states[0].condition is Condition.LIVE)
    await ui.wait(protocol.Fleet, lambda fleet: fleet.complete)
    port = int(good.cluster.server.url.rpartition(":")[2])
    await good.cluster.server.close()
    stale = await ui.wait(protocol.Sources, lambda sources: sources.states[0].condition is Condition.STALE)
    assert stale.states[0].message
    assert ui.fleet["ml/fraud"].service.live == "green", "what was known stays"
    again = await serve(good.cluster.store, users=clusters.EMBEDDED_USERS, faults=good.cluster.faults, port=port)
    await ui.send(protocol.Reconnect())
    await ui.wait(protocol.Sources, lambda sources: sources.states[0].condition is Condition.LIVE)
    change(good, "services", "fraud", {"spec": {"selector": {"color": "blue"}}})
    await clusters.until(lambda: ui.fleet["ml/fraud"].service.live == "blue")
    await again.close()


async def test_publications_are_coalesced_to_ten_a_second(good, ui):
    await ui.send(protocol.Select("ml/fraud"))
    await ui.wait(protocol.Fleet, lambda fleet: fleet.complete)
    began = time.monotonic()
    for number in range(200):
        ready = [{"type": "Ready", "status": "True" if number % 2 else "False"}]
        body = {"status": {"phase": "Running", "conditions": ready}}
        change(good, "pods", "fraud-green-0", body, "status")
        await asyncio.sleep(0.005)
    seconds = time.monotonic() - began
    told = [message for at, message in ui.heard if at >= began and isinstance(message, protocol.Fleet)]
    assert 2 <= len(told) <= seconds * 10 + 2
    await clusters.until(lambda: ui.fleet["ml/fraud"].service.color("green").ready == 2)


async def test_rows_are_sent_again_only_when_they_changed(good, ui):
    await ui.wait(protocol.Fleet, lambda fleet: fleet.complete)
    sent = len(ui.all(protocol.Fleet))
    # Seen in its detail, not in its row.
    change(good, "pods", "fraud-green-0", {"status": {"startTime": "2026-01-02T00:00:00Z"}}, "status")
    await good.cluster.service("other", {"app": "other"})
    await clusters.until(lambda: "ml/other" in ui.fleet)
    rows = [row.service.key for fleet in ui.all(protocol.Fleet)[sent:] for row in fleet.rows]
    assert (rows.count("ml/other"), rows.count("ml/fraud")) == (1, 0)


async def test_the_engine_ends_with_its_ui_and_its_operation_goes_on(good, ui):
    await ui.send(protocol.MakePlan(1, "rollback", "ml/fraud"))
    planned = await ui.wait(protocol.Planned)
    good.cluster.faults.add(Failure(lambda m, p: m == "PATCH" and p.endswith("/services/fraud"), delay=0.5))
    await ui.send(protocol.Confirm(1, planned.hash))
    await ui.wait(protocol.Progress, lambda step: step.step == "record")
    ui.close()
    async with asyncio.timeout(DEADLINE):
        await asyncio.wait({ui.engine})

    async def outcome():
        return next((item.outcome for item in await good.records() if item.id == planned.plan.id), None)

    async with asyncio.timeout(DEADLINE):
        while await outcome() is not Outcome.UNVERIFIED:
            await asyncio.sleep(0.02)
    assert (await good.selector())["color"] == "blue"
