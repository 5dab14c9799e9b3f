"""Deploy or data out of a real Prometheus that saw the hours before anybody looked; what is said where it cannot."""

import asyncio
import random
import subprocess
import time
from types import SimpleNamespace

import aiohttp
import pytest
from msgspec.structs import replace

from metrics.conftest import REAL, RealPrometheus
from mlconsole.cluster.inventory import Inventory
from mlconsole.cluster.objects import ConfigMap, Meta
from mlconsole.config import Settings
from mlconsole.domain.alerts import Alert, Severity, State
from mlconsole.domain.attribution import Verdict
from mlconsole.domain.drift import DriftTable, DriftVerdict
from mlconsole.domain.history import Kind, Outcome, Record, encode
from mlconsole.domain.services import Color, ModelService, Release, Shape
from mlconsole.engine import alertpast
from mlconsole.engine.alertdrift import FleetDrift
from mlconsole.engine.alertlooks import Due
from mlconsole.engine.alertpast import HOUR, Past
from mlconsole.engine.alertrules import rules_of
from mlconsole.engine.alertsources import AlertSources
from mlconsole.engine.alertwhy import Causes
from mlconsole.metrics.answers import Question, Reply

pytestmark = [pytest.mark.real_prometheus, REAL]
BLUE = Color("blue", "fraud-blue", 1, 1, release=Release("fraud", "12"))
GREEN = Color("green", "fraud-green", 1, 1, release=Release("fraud", "13"))
FRAUD = ModelService("ml", "fraud", Shape.BLUE_GREEN, color_key="color", live="green", colors=(BLUE, GREEN))
ETA_BLUE = Color("blue", "eta-blue", 1, 1)
ETA = ModelService("ml", "eta", Shape.BLUE_GREEN, color_key="color", live="blue", colors=(ETA_BLUE,))
PODS = {"blue": ("fraud-blue-7d9f8b6c5-abcde", "12"), "green": ("fraud-green-5d9f8b6c5-fghij", "13")}
EVERY = 15
HOURS = 5
RATE = 10.0
AGO = 2 * HOUR
"""Before now: the switch from blue to green."""
EDGES = ("1.0", "2.0", "3.0", "+Inf")


class Traffic:
    """What the pods of both colours count, moment by moment: `slow`, `failing`, `shifted`, `wrong` say from when on."""

    def __init__(self, switch, now, **since):
        self.switch = switch
        self.now = now
        self.since = since
        self.random = random.Random(7)
        self.counts = {}

    def of(self, what, at):
        return at >= self.since.get(what, self.now + 1)

    def _grow(self, name, labels, by):
        key = (name, labels)
        self.counts[key] = self.counts.get(key, 0.0) + by

    def step(self, at):
        color = "green" if at >= self.switch else "blue"
        pod, version = PODS[color]
        labels = f'namespace="ml",pod="{pod}",color="{color}",version="{version}"'
        requests = max(0, round(self.random.gauss(RATE * EVERY, 8)))
        share = 0.4 if self.of("failing", at) else 0.01
        failed = sum(self.random.random() < share for _ in range(requests))
        self._grow("ml_predictions_total", f'{labels},status="success"', requests - failed)
        self._grow("ml_predictions_total", f'{labels},status="error"', failed)
        self._grow("ml_prediction_errors_total", labels, failed)
        slow = sum(self.random.random() < (0.5 if self.of("slow", at) else 0.02) for _ in range(requests))
        for edge, count in (("0.25", requests - slow), ("1.0", requests), ("+Inf", requests)):
            self._grow("ml_prediction_duration_seconds_bucket", f'{labels},le="{edge}"', count)
        mean = 2.6 if self.of("shifted", at) else 1.5
        values = [self.random.gauss(mean, 0.5) for _ in range(requests)]
        for edge in EDGES:
            under = sum(value <= float(edge) for value in values)
            self._grow("ml_feature_value_bucket", f'{labels},feature="amount",le="{edge}"', under)
        wrong = sum(self.random.random() < (0.4 if self.of("wrong", at) else 0.1) for _ in range(requests))
        self._grow("ml_labels_total", f'{labels},outcome="right"', requests - wrong)
        self._grow("ml_labels_total", f'{labels},outcome="wrong"', wrong)

    def text(self):
        """OpenMetrics of all of it, for promtool."""
        lines = {}
        start = (int(self.now) - HOURS * 3600) // EVERY * EVERY
        for color, (pod, version) in PODS.items():
            place = f'namespace="ml",pod="{pod}",color="{color}",version="{version}"'
            shares = dict(zip(EDGES[:3], (0.16, 0.84, 0.9987), strict=True))
            for at in range(start, int(self.now), EVERY):
                for edge, share in shares.items():
                    name = f'ml_feature_reference_share{{{place},feature="amount",le="{edge}"}}'
                    lines.setdefault(name, []).append(f"{name} {share} {at}")
        for at in range(start, int(self.now), EVERY):
            self.step(at)
            for (name, labels), value in self.counts.items():
                key = f"{name}{{{labels}}}"
                lines.setdefault(key, []).append(f"{key} {value} {at}")
        return "".join("\n".join(rows) + "\n" for _, rows in sorted(lines.items())) + "# EOF\n"


class Here:
    """What the causes are given: no feeds, a worker in this process, Prometheus' address, a scope with records."""

    def __init__(self, url, now):
        self.prometheus_url, self.alertmanager_url = url, ""
        self.now = now
        self.moves = ()
        self.questions = []

    def glances(self, key):
        return ()

    def telemetry(self, key):
        return None

    def drift(self, key):
        return None

    def alias_moves(self, service):
        return self.moves

    async def run(self, function, *args, timeout):
        return await asyncio.to_thread(function, *args)

    def clock(self):
        return self.now

    def sources(self):
        made, asked = AlertSources(Settings(), self, self), self.questions
        ranges = made.ranges

        async def counting(questions):
            asked.extend(questions)
            return await ranges(questions)

        made.ranges = counting
        return made

    def causes(self):
        return Causes(Settings(), self, self, self.sources(), lambda key: DriftTable(key, self.now), self.clock)

    def scope(self, *records):
        inventory = Inventory()
        meta = Meta(name="mlconsole-history-fraud", namespace="ml")
        inventory.configmaps.put(ConfigMap(meta, {"records": encode(records)}))
        return SimpleNamespace(cache=SimpleNamespace(services={FRAUD.key: FRAUD}, inventory=inventory))


@pytest.fixture
async def story(tmp_path):
    """A Prometheus that saw five hours with a switch two hours ago: `here, switch = await story(slow=0.0)`."""
    running = []
    session = aiohttp.ClientSession()

    async def tell(**since):
        now = time.time() // EVERY * EVERY
        switch = now - AGO
        traffic = Traffic(switch, now, **{what: switch + after for what, after in since.items()})
        folder = tmp_path / f"prometheus-{len(running)}"
        (folder / "data").mkdir(parents=True)
        (folder / "past").write_text(traffic.text())
        command = ["promtool", "tsdb", "create-blocks-from", "openmetrics", "past", "data"]
        await asyncio.to_thread(subprocess.run, command, cwd=folder, check=True, capture_output=True)
        made = RealPrometheus(folder, session)
        made.target_ports([])
        running.append(made)
        await made.start()
        return Here(made.url, now), switch

    yield tell
    for made in running:
        await made.stop()
    await session.close()


def alert(condition, fired_at, panel=""):
    return Alert(
        "a|ml/fraud|1", "a", "ml/fraud", Severity.PAGE, State.FIRING, ("rule",), fired_at, fired_at,
        condition=condition, panel=panel,
    )  # fmt: skip


def switched(at):
    seen = {"outcome": Outcome.VERIFIED, "verified_at": at + 3, "ended_at": at + 3}
    return Record(
        "op-1", Kind.SWITCH, "fraud", "ml", at - 5, "ann", from_color="blue", to_color="green",
        from_release=BLUE.release, to_release=GREEN.release, **seen,
    )  # fmt: skip


async def test_a_switch_hours_ago_is_named_though_nobody_looked_then(story):
    here, switch = await story(slow=0.0)
    causes, record = here.causes(), switched(switch)
    found, operation = await causes.of(here.scope(record), alert("p95 > 0.5", switch + 90))
    assert (found.verdict, operation) == (Verdict.DEPLOY, record)
    assert abs(found.shift.change.at - switch) <= 60
    assert "the switch to green v13" in found.words
    assert found.basis.startswith("Prometheus, the last 6 h by")
    assert found.basis.endswith("the hour around it by 10 s")
    # A switch moves the traffic from colour to colour and changes nothing of how much there is.
    assert not [row for row in found.rows if row.kind == "rate"]


async def test_errors_that_began_before_the_switch_are_not_of_this_deploy(story):
    here, switch = await story(failing=-420.0)
    found, operation = await here.causes().of(here.scope(switched(switch)), alert("error_share > 0.05", switch - 300))
    assert found.verdict is Verdict.NEITHER
    assert abs(found.shift.change.at - (switch - 420)) <= 60
    assert "7 min before the switch to green v13: not this deploy" in found.words
    assert operation.id == "op-1"


async def test_data_that_moved_first_speaks_for_the_data(story):
    here, switch = await story(shifted=1800.0, wrong=1800.0)
    asked = alert("result < 0.8", switch + 2100, "accuracy")
    found, operation = await here.causes().of(here.scope(switched(switch)), asked)
    assert found.verdict is Verdict.DATA
    assert operation is None
    (row,) = [row for row in found.rows if row.kind == "drift"]
    assert row.possible
    assert abs(row.at - (switch + 1800)) <= 420
    assert found.shift.series == "accuracy"
    assert found.shift.words.split(" -> ")[0].startswith(("89.", "90."))


async def test_what_is_known_is_not_asked_for_again(story):
    here, switch = await story(slow=0.0)
    causes, scope = here.causes(), here.scope()
    await causes.of(scope, alert("p95 > 0.5", switch + 90))
    first = [question for question in here.questions if question.step]
    here.questions.clear()
    here.now += 60.0
    await causes.of(scope, alert("p95 > 0.5", switch + 90))
    again = [question for question in here.questions if question.step]
    assert sum(map(points, again)) <= 0.05 * sum(map(points, first))
    assert not [question for question in here.questions if not question.step]


def points(question):
    return (question.end - question.start) / question.step + 1


async def test_a_prometheus_that_is_away_is_said_to_be(story):
    here, switch = await story(slow=0.0)
    here.prometheus_url = "http://127.0.0.1:9/"
    found, _ = await here.causes().of(here.scope(), alert("p95 > 0.5", switch + 90))
    assert found.verdict is Verdict.UNKNOWN
    assert "Prometheus cannot be asked: http://127.0.0.1:9" in found.basis


async def test_drift_is_judged_for_every_service_and_what_is_not_is_said(story):
    here, _ = await story(shifted=0.0)
    drift = FleetDrift(here, here.sources(), here, here.clock)
    rule = {"drift": {"condition": "drift.share > 0.2"}}
    settings = replace(Settings(), alerts={"drift": _alert(**rule["drift"])})
    due = [Due(service, one) for service in (FRAUD, ETA) for one in rules_of(settings, service) if one.name == "drift"]
    assert drift.of(FRAUD.key).problem == "its features are asked of Prometheus in turn, and were not yet"
    await drift.renew(due)
    table = drift.of(FRAUD.key)
    assert [(row.feature, row.color, row.verdict) for row in table.features if row.color == "green"] == [
        ("amount", "green", DriftVerdict.DRIFTED)
    ]
    assert "export no ml_feature_value" in drift.of(ETA.key).problem
    asked = len(here.questions)
    await drift.renew(due)
    assert len(here.questions) == asked
    here.now += 61.0
    await drift.renew(due)
    assert len(here.questions) == 2 * asked
    here.prometheus_url = ""
    here.now += 300.0
    assert "without metrics.prometheus_url" in drift.of(FRAUD.key).problem


def _alert(**more):
    from mlconsole.configalerts import Alert as Written

    return Written(**more)


async def test_the_distance_is_that_of_the_cumulative_shares(story):
    here, _ = await story(shifted=0.0)
    query = alertpast.distance_query(alertpast.queries.Scope([FRAUD]), 600.0)
    (reply,) = await here.sources().ranges([Question(query)])
    assert isinstance(reply, Reply)
    (row,) = [row for row in reply.rows if row.labels["deployment"] == "fraud-green"]
    # Normal(2.6, 0.5) against the reference at 2.0: 0.84 - 0.115.
    assert abs(row.values[-1] - 0.725) < 0.05


async def test_the_past_of_a_service_without_metrics(story):
    here, _ = await story(slow=0.0)
    found = await Past(Settings(), here.sources(), here.clock).series(ETA, HOUR)
    assert (found.series, found.problem) == ((), "Prometheus has none of its metrics")
