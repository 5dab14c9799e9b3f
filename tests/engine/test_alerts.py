"""The alerts of a place, look by look on a clock of the test's own: what fires, who is told, what people do."""

import asyncio
import json
import math
import sys
from types import SimpleNamespace

import pytest
from msgspec.structs import replace

from mlconsole.cluster.inventory import Inventory
from mlconsole.config import Environment, Metrics, ServiceSettings, Settings, Thresholds
from mlconsole.configalerts import Alert, Notify
from mlconsole.domain.alerts import Alert as Told
from mlconsole.domain.alerts import Severity, State
from mlconsole.domain.attribution import Verdict
from mlconsole.domain.drift import Accuracy, DriftTable
from mlconsole.domain.history import Kind, Outcome, Record
from mlconsole.domain.registry import AliasMove
from mlconsole.domain.services import Color, ModelService, Release, Shape
from mlconsole.domain.sources import Condition, SourceState
from mlconsole.domain.telemetry import Glance
from mlconsole.engine import alertcause, protocol
from mlconsole.engine.alerts import Alerts
from mlconsole.engine.alertsources import AlertSources
from mlconsole.engine.alertstate import AlertState
from mlconsole.engine.engine import Engine
from mlconsole.engine.offload import WorkerError
from mlconsole.engine.watching import Watching
from mlconsole.metrics.alertmanager import Others, Silence
from mlconsole.metrics.answers import Failure, Reply

from .conftest import until

NOW = 1_700_000_000.0
GREEN = Color("green", "fraud-green", 1, 1, release=Release("fraud", "13"))
BLUE = Color("blue", "fraud-blue", 1, 1, release=Release("fraud", "12"))
FRAUD = ModelService("ml", "fraud", Shape.BLUE_GREEN, color_key="color", live="green", colors=(BLUE, GREEN))
QUICK = Settings(
    defaults=ServiceSettings(thresholds=Thresholds(None, None)),
    alerts={"slow": Alert("p95 > 0.5", hold=10.0, keep_firing_for=0.0, clear="p95 < 0.4", severity="page")},
)


class Place:
    """What the alerts look at: a scope, feeds, sources and a worker, all of them the test."""

    def __init__(self, folder, settings=QUICK):
        self.now = NOW
        self.p95 = 0.2
        self.prometheus_url = self.alertmanager_url = ""
        self.told = Others()
        self.silenced = []
        self.moves = ()
        self.scope = self.another("demo")
        self.changes = 0
        self.alerts = Alerts(
            settings, self, self, self, self, lambda: self.scope, self._changed, AlertState(folder), self.clock
        )

    def clock(self):
        return self.now

    def _changed(self):
        self.changes += 1

    def another(self, context):
        """A scope that is connected."""
        state = SourceState("k8s", Condition.LIVE, NOW, NOW + 1e6)
        cache = SimpleNamespace(services={FRAUD.key: FRAUD}, inventory=Inventory())
        connection = SimpleNamespace(identity=SimpleNamespace(context=context), namespace="ml")
        return SimpleNamespace(cache=cache, connection=connection, state=state, user="ann")

    # ---- the feeds

    def glances(self, key):
        if self.p95 is None:
            return ()
        return (Glance("green", 10.0, 0.0, self.p95 / 2, self.p95, self.p95, 300.0, self.now),)

    def drift(self, key):
        return None

    def telemetry(self, key):
        return None

    def alias_moves(self, service):
        return self.moves

    # ---- the sources, and the worker

    @property
    def has_prometheus(self):
        return bool(self.prometheus_url)

    @property
    def silencing(self):
        return "" if self.alertmanager_url else "no Alertmanager is configured"

    async def ask(self, texts):
        return [Reply()] * len(texts)

    async def ranges(self, questions):
        return [Reply()] * len(questions)

    async def others(self):
        return self.told

    async def silence(self, wanted):
        self.silenced.append(wanted)
        return "s-1"

    async def run(self, function, *args, timeout):
        return function(*args)

    # ---- time

    async def look(self, *values, step=5.0):
        """A look at each value, five seconds apart; the state of the only rule after each."""
        found = []
        for value in values:
            self.p95 = value
            self.now += step
            await self.alerts.look()
            found += [alert.state for alert in self.alerts.publication().lines if alert.name == "slow"] or [None]
        return found

    def only(self):
        (alert,) = self.alerts.publication().lines
        return alert


@pytest.fixture
def place(tmp_path):
    """A place with one service and one rule."""
    return Place(tmp_path)


async def test_a_rule_fires_is_a_mark_on_the_chart_and_is_over(place):
    P, F, R = State.PENDING, State.FIRING, State.RESOLVED
    assert await place.look(0.2, 0.9, 0.9, 0.9, 0.45, None, 0.3, 0.3) == [None, P, P, F, F, F, R, R]
    (mark,) = place.alerts.marks("ml/fraud")
    assert (mark.at, mark.kind, mark.words) == (NOW + 20, "alert", "slow fires")
    assert place.alerts.marks("ml/churn") == ()


async def test_what_is_unknown_is_published_as_that(place):
    await place.look(0.9, 0.9, 0.9, None)
    alert = place.only()
    assert (alert.state, alert.unknown_since, alert.why) == (State.FIRING, NOW + 20, "no data")


async def test_it_is_published_when_it_changed_only(place):
    await place.look(0.2, 0.2, 0.2)
    before = place.changes
    await place.look(0.2, 0.2)
    assert place.changes == before


async def test_another_place_starts_from_nothing(place):
    await place.look(0.9, 0.9, 0.9)
    assert place.only().state is State.FIRING
    place.scope = place.another("other")
    place.alerts.leave()
    assert place.alerts.publication().lines == ()
    assert await place.look(0.9) == [State.PENDING]


async def test_a_cluster_that_is_not_read_says_nothing_of_what_serves(tmp_path):
    place = Place(tmp_path, replace(QUICK, alerts={}))
    dead = replace(FRAUD, colors=(BLUE, replace(GREEN, ready=0)))
    place.scope.cache.services = {FRAUD.key: dead}
    for _ in range(6):
        await place.look(0.2)
    assert (place.only().name, place.only().state, place.only().severity) == ("serving", State.FIRING, Severity.PAGE)
    place.scope.state = SourceState("k8s", Condition.DOWN)
    place.scope.cache.services = {FRAUD.key: FRAUD}
    for _ in range(10):
        await place.look(0.2)
    assert place.only().state is State.FIRING
    assert "the cluster is not read: down" in place.only().why


async def test_no_rule_waits_for_drift_to_be_asked_for(tmp_path):
    place = Place(tmp_path, replace(QUICK, alerts={**QUICK.alerts, "moved": Alert("drift.share > 0.3")}))
    place.prometheus_url = "http://slow"
    asked = asyncio.Event()

    async def ranges(questions):
        asked.set()
        await asyncio.Event().wait()

    place.ranges = ranges
    async with asyncio.timeout(30):
        assert (await place.look(0.9, 0.9, 0.9))[-1] is State.FIRING
        await asked.wait()
        place.alerts.leave()  # what is asked of the place before is asked no more
        await asyncio.gather(*place.alerts._tasks, return_exceptions=True)


async def test_whoever_asks_waits_no_longer_than_for_an_answer_though_the_worker_is_busy(place, monkeypatch):
    async def run(function, *args, timeout):
        await asyncio.Event().wait()

    monkeypatch.setattr("mlconsole.engine.alertsources.SECONDS", 0.05)
    place.run = run
    place.prometheus_url = "http://slow"
    sources = AlertSources(QUICK, place, place)
    async with asyncio.timeout(30):
        (reply,) = await sources.ask(["up"])
        found = await sources.others()
    assert "no answer within 0.05 s" in reply.failure.why
    assert "no answer within 0.05 s" in found.failures["prometheus"].why


async def test_what_fires_while_the_place_is_left_is_told(place, monkeypatch):
    told = []
    place.alerts.happened = told.append
    await place.look(0.9, 0.9)

    async def begin(name, at):
        place.alerts.leave()
        return at

    monkeypatch.setattr(place.alerts._keeping, "begin", begin)
    await place.look(0.9)
    assert [(alert.name, alert.state) for alert in told] == [("slow", State.FIRING)]


async def test_what_fired_is_told_though_the_look_breaks_after_it(tmp_path, monkeypatch):
    rules = {name: replace(QUICK.alerts["slow"], hold=10.0) for name in ("one", "two")}
    place, told = Place(tmp_path, replace(QUICK, alerts=rules)), []
    place.alerts.happened = told.append
    await place.look(0.9, 0.9)

    async def begin(name, at):
        if told:
            raise KeyError("a fault of ours")
        return at

    monkeypatch.setattr(place.alerts._keeping, "begin", begin)
    with pytest.raises(KeyError):
        await place.look(0.9)
    assert len(told) == 1


# ---- people


async def test_it_is_acknowledged_for_every_console_of_the_machine_until_it_fires_again(place, tmp_path):
    await place.look(0.9, 0.9, 0.9)
    ident = place.only().id
    notice = await place.alerts.handle(protocol.HandleAlert(ident, "acknowledge", note="on it"))
    assert notice.words == "slow: acknowledged"
    assert (place.only().handled.by, place.only().calls(place.now)) == ("ann", False)
    other = Place(tmp_path)
    other.now = place.now
    await other.look(0.9, 0.9, 0.9)
    assert other.only().id == ident
    assert not other.only().calls(other.now)
    await place.look(0.3, 0.9, 0.9, 0.9)
    assert place.only().id != ident
    assert place.only().calls(place.now)


async def test_a_snooze_holds_over_firings_until_its_time(place):
    await place.look(0.9, 0.9, 0.9)
    await place.alerts.handle(protocol.HandleAlert(place.only().id, "snooze", 60.0))
    await place.look(0.3, 0.9, 0.9, 0.9)
    assert not place.only().calls(place.now)
    await place.look(*[0.9] * 12)
    assert place.only().calls(place.now)
    await place.alerts.handle(protocol.HandleAlert(place.only().id, "snooze", 600.0))
    await place.alerts.handle(protocol.HandleAlert(place.only().id, "take back"))
    assert place.only().calls(place.now)


async def test_what_is_over_cannot_be_handled(place):
    await place.look(0.2)
    assert (await place.alerts.handle(protocol.HandleAlert("gone", "acknowledge"))).severity == "warning"


async def test_a_disk_that_refuses_is_said_and_the_alerts_go_on(tmp_path):
    (tmp_path / "file").write_text("")
    place = Place(tmp_path / "file")
    assert (await place.look(0.9, 0.9, 0.9))[-1] is State.FIRING
    assert "cannot be kept" in place.alerts.publication().problem
    assert (await place.alerts.handle(protocol.HandleAlert(place.only().id, "acknowledge"))).severity == "error"


# ---- who is told


async def test_a_command_is_told_once_though_two_consoles_look(tmp_path):
    text = f"import sys; open({str(tmp_path / 'told')!r}, 'a').write(sys.stdin.read() + '\\n')"
    settings = replace(QUICK, notify=Notify(command=(sys.executable, "-c", text)))
    one, other = Place(tmp_path, settings), Place(tmp_path, settings)
    for _ in range(3):
        await one.look(0.9)
        await other.look(0.9)
    await until(lambda: not one.alerts._tasks and not other.alerts._tasks)
    lines = [json.loads(line) for line in (tmp_path / "told").read_text().splitlines()]
    assert [(line["alert"], line["status"], line["context"]) for line in lines] == [("slow", "firing", "demo")]
    await one.alerts.handle(protocol.HandleAlert(one.only().id, "snooze", 600.0))
    await one.look(0.3)
    await until(lambda: not one.alerts._tasks)
    await one.look(0.9, 0.9, 0.9)
    await until(lambda: not one.alerts._tasks)
    lines = [json.loads(line) for line in (tmp_path / "told").read_text().splitlines()]
    assert [line["status"] for line in lines] == ["firing", "resolved"]


# ---- others' alerts

THEIRS = Told(
    "ModelSlow|abc|1",
    "ModelSlow",
    "",
    Severity.PAGE,
    State.FIRING,
    ("alertmanager",),
    NOW - 60,
    NOW - 60,
    labels={"namespace": "ml", "deployment": "fraud-green"},
)


async def test_others_alerts_are_of_their_service_stand_while_their_source_is_away_and_end(place):
    place.told = Others((THEIRS,), answered=("alertmanager",))
    await place.look(0.2)
    assert (place.only().service, place.only().state) == ("ml/fraud", State.FIRING)
    place.told = Others(failures={"alertmanager": Failure("down", "no answer within 6 s")})
    await place.look(0.2, step=20.0)
    assert (place.only().state, place.only().why) == (State.FIRING, "no answer within 6 s")
    assert place.only().unknown_since
    assert "no answer within 6 s" in place.alerts.publication().problem
    place.told = Others(answered=("alertmanager",))
    await place.look(0.2, step=20.0)
    assert (place.only().state, place.only().ends_at) == (State.RESOLVED, place.now)
    assert place.alerts.publication().problem == ""
    assert [mark.words for mark in place.alerts.marks("ml/fraud")] == ["ModelSlow fires"]


async def test_a_silence_is_made_of_all_its_labels_and_not_where_nothing_may_be_changed(tmp_path):
    settings = replace(QUICK, metrics=Metrics(alertmanager_url="http://am"))
    asked = protocol.HandleAlert(THEIRS.id, "silence", 600.0, "known")
    for more, refused in (
        ({}, ""),
        ({"read_only": True}, "read-only"),
        ({"environments": {"x": Environment(read_only=True)}}, "read-only"),
    ):
        place = Place(tmp_path, replace(settings, **more))
        place.alertmanager_url = "http://am"
        place.told = Others(
            (THEIRS,), (Silence("s", ('a="b"',), NOW, NOW + 60, "bob", "night", "active"),), ("alertmanager",)
        )
        await place.look(0.2)
        notice = await place.alerts.handle(asked)
        assert refused in notice.words
        assert bool(place.silenced) is not bool(refused)
        assert place.alerts.publication().silences[0].by == "bob"
        if not refused:
            (wanted,) = place.silenced
            assert wanted.labels == {"alertname": "ModelSlow", "namespace": "ml", "deployment": "fraud-green"}
            assert (wanted.by, wanted.comment, wanted.seconds) == ("ann", "known", 600.0)


async def test_no_silence_is_made_of_labels_that_are_not_those_of_the_alert(tmp_path):
    place = Place(tmp_path, replace(QUICK, metrics=Metrics(alertmanager_url="http://am")))
    place.alertmanager_url = "http://am"
    place.told = Others((replace(THEIRS, altered=True),), (), ("alertmanager",))
    await place.look(0.2)
    notice = await place.alerts.handle(protocol.HandleAlert(THEIRS.id, "silence", 600.0, "known"))
    assert "its labels cannot be given exactly" in notice.words
    assert not place.silenced


async def test_a_rule_of_ones_own_is_not_silenced_in_alertmanager(place):
    place.alertmanager_url = "http://am"
    await place.look(0.9, 0.9, 0.9)
    notice = await place.alerts.handle(protocol.HandleAlert(place.only().id, "silence", 600.0, "known"))
    assert "does not know this alert" in notice.words


async def test_a_worker_that_died_is_a_source_that_is_away(place):
    async def run(function, *args, timeout):
        raise WorkerError("WorkerDied", "the common worker died of ask")

    place.run = run
    place.prometheus_url = place.alertmanager_url = "http://there"
    sources = AlertSources(QUICK, place, place)
    (reply,) = await sources.ask(["up"])
    assert "the metrics worker failed: WorkerError" in reply.failure.why
    assert set((await sources.others()).failures) == {"prometheus", "alertmanager"}
    assert "the metrics worker failed" in (await sources.silence(None)).why


# ---- deploy or data


async def test_the_cause_is_asked_of_what_was_seen(place):
    await place.look(*[0.2 + 0.001 * (n % 5) for n in range(40)], *[0.9 + 0.001 * (n % 5) for n in range(20)])
    began = NOW + 5.0 * 40
    found, operation = await place.alerts.cause(place.only().id)
    assert operation is None
    assert found.verdict is Verdict.NEITHER
    assert abs(found.shift.change.at - began) <= 30
    assert found.shift.words == "202 ms -> 902 ms"
    assert await place.alerts.cause("nothing") == await place.alerts.cause("nothing")


async def test_causes_are_searched_for_one_at_a_time_and_once(place):
    await place.look(0.9, 0.9, 0.9)
    ident, searched, at_once = place.only().id, [], []

    async def run(function, *args, timeout):
        at_once.append(function)
        searched.append(len(at_once))
        await asyncio.sleep(0)
        at_once.pop()
        return function(*args)

    place.run = run
    await asyncio.gather(*(place.alerts.cause(ident) for _ in range(5)))
    assert searched == [1]


@pytest.mark.parametrize("made", [lambda: Engine(None, QUICK)._alerts, lambda: Watching(QUICK).alerts])
async def test_prometheus_does_not_wait_for_the_search_of_a_cause(made, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    alerts = made()
    assert alerts._causes._worker is not alerts._sources._worker
    assert alerts._causes._worker is alerts._sources._worker.lane("causes")


def record(at, **more):
    values = {"outcome": Outcome.VERIFIED, "verified_at": at, "to_color": "green", "to_release": GREEN.release}
    kind = more.pop("kind", Kind.SWITCH)
    return Record("r", kind, "fraud", "ml", at, "ann", **(values | more))


def test_what_happened():
    events = (
        protocol.EventLine(NOW, "Normal", "Deployment fraud-green", "ScalingReplicaSet", "Scaled down to 1"),
        protocol.EventLine(NOW, "Normal", "Deployment fraud-blue", "ScalingReplicaSet", "Scaled down to 0"),
        protocol.EventLine(NOW, "Warning", "Pod fraud-green-1", "Evicted", "low on memory"),
        protocol.EventLine(NOW, "Normal", "Pod fraud-green-1", "Pulled", "an image"),
    )
    records = (record(NOW), record(NOW, outcome=Outcome.ABORTED), record(NOW, kind=Kind.DRILL))
    found = alertcause.happenings(FRAUD, records, events)
    assert [(item.kind, item.words.split(":")[0]) for item in found] == [
        ("operation", "the switch to green v13"),
        ("scaling", "Deployment fraud-green"),
        ("idle", "Deployment fraud-blue"),
        ("node", "Pod fraud-green-1"),
    ]


@pytest.mark.parametrize(
    ("condition", "panel", "about"),
    [
        ("p99 > 1", "", "p95"),
        ("error_share > 0.1 or p95 > 1", "", "error_share"),
        ("drift.worst > 1", "", "drift.share"),
        ("result > 1", "errors", "error_share"),
        ("nothing serves", "", "rate"),
        ("", "", "p95"),
    ],
)
def test_the_figure_that_an_alert_is_about(condition, panel, about):
    assert alertcause.about_of(condition, panel) == about


async def test_it_ends_with_its_owner(place):
    task = asyncio.create_task(place.alerts.run())
    await until(lambda: place.alerts.rules())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_rules_that_nobody_judges_do_not_read_as_quiet(place, monkeypatch):
    broken = asyncio.Event()

    async def look():
        broken.set()
        raise KeyError("a fault of ours")

    monkeypatch.setattr(place.alerts, "look", look)
    monkeypatch.setattr("mlconsole.engine.alerts.PULSE", 0.01)
    task = asyncio.create_task(place.alerts.run())
    async with asyncio.timeout(30):
        await broken.wait()
        while not place.alerts.publication().problem:
            await asyncio.sleep(0.01)
    said = "the rules are not judged: KeyError('a fault of ours'); see the log file"
    assert place.alerts.publication().problem == said
    monkeypatch.undo()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def test_an_operation_may_have_had_its_effect_before_it_was_seen_to_be_done():
    (moved, *_) = alertcause.happenings(FRAUD, [record(NOW, verified_at=NOW + 3)], ())
    assert (moved.kind, moved.began, moved.at) == ("operation", NOW, NOW + 3)
    (slow, *_) = alertcause.happenings(FRAUD, [record(NOW, verified_at=NOW + 600)], ())
    assert (slow.began, slow.at) == (NOW + 570, NOW + 600)
    aside = record(NOW, kind=Kind.DEPLOY, to_color="blue", verified_at=NOW + 60)
    assert alertcause.happenings(FRAUD, [aside], ())[0].kind == "idle"


def test_the_aliases_that_moved_are_happenings():
    moves = (
        AliasMove("fraud", "champion", "12", "13", NOW - 20, NOW),
        AliasMove("fraud", "old", "", "9", NOW, NOW + 1),
    )
    first, second = alertcause.happenings(FRAUD, (), (), moves)
    assert (first.kind, first.words, first.began, first.at) == (
        "alias",
        "@champion of fraud moved v12 -> v13",
        NOW - 20,
        NOW,
    )
    assert second.words == "@old of fraud moved nothing -> v9"


async def test_the_accuracy_of_labels_that_come_late_is_a_series(place):
    steps = (None, *[0.9] * 6, *[0.6] * 5)
    accuracy = Accuracy("green", 10.0, 1.0, steps=steps, step=1800.0, until=NOW + 600)
    table = DriftTable("ml/fraud", NOW, accuracy=(accuracy, replace(accuracy, color="blue")))
    found = alertcause.accuracy_of(table, "green")
    (series,) = found
    # Steps end where they do, and the newest goes on until now.
    assert series.times[-2:] == (NOW - 1200.0, NOW)
    assert (series.times[0], len(series.values)) == (NOW + 600 - 11 * 1800.0, 12)
    assert math.isnan(series.values[0])


async def test_what_nobody_knows_is_published_with_why(place):
    await place.look(None)
    (unjudged,) = place.alerts.publication().unjudged
    assert (unjudged.rule, unjudged.services, unjudged.why) == ("slow", ("ml/fraud",), "no data")
    await place.look(0.2)
    assert place.alerts.publication().unjudged == ()
    await place.look(0.9, None)
    assert place.alerts.publication().unjudged == ()


async def test_a_firing_that_another_console_saw_begin_began_then(place, tmp_path):
    await place.look(0.9, 0.9, 0.9)
    other = Place(tmp_path)
    other.now = place.now + 100
    await other.look(0.9, 0.9, 0.9)
    assert (other.only().since, other.only().fired_at) == (place.only().since, place.only().fired_at)


def test_what_pods_complain_of_is_one_row_a_reason():
    events = tuple(
        protocol.EventLine(NOW + n, "Warning", f"Pod fraud-green-{n % 3}", "Unhealthy", "probe failed")
        for n in range(6)
    )
    (one,) = alertcause.happenings(FRAUD, (), events)
    assert (one.words, one.began, one.at) == ("Unhealthy on 3 pods: probe failed", NOW, NOW + 5)
