"""Game days in the embedded world: a fault begins, its alert fires, and what it is likely of is told."""

import asyncio
import time

import pytest

from mlconsole.config import Cluster, Metrics, ServiceSettings, Settings, Thresholds
from mlconsole.configalerts import Alert
from mlconsole.demo.world import Options, World
from mlconsole.domain.alerts import State
from mlconsole.domain.attribution import Verdict
from mlconsole.engine import alerts
from mlconsole.engine.watching import Watching

from .conftest import until

FAULT_AFTER = 25.0
RULES = {
    "errors": Alert("error_share > 0.05", hold=4.0, severity="page"),
    "serving": Alert("rate < 0", enabled=False),
}


@pytest.fixture
async def bad_day(monkeypatch, tmp_path):
    """A world whose live colour begins to fail soon, looked at every second: the watch, and when it was ready."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(alerts, "PULSE", 1.0)
    world = World()
    await world.start(Options(scenario="errors", fault_after=FAULT_AFTER, registry=False))
    ready = time.time()
    settings = Settings(
        cluster=Cluster(kubeconfig=world.describe()["kubeconfig"], namespace="ml"),
        metrics=Metrics(refresh=1.0),
        defaults=ServiceSettings(thresholds=Thresholds(None, None)),
        alerts=RULES,
    )
    told = []
    async with Watching.open(settings, told.append) as watching:
        watching.told = told
        yield watching, ready
    await world.stop()


async def test_errors_become_pending_fire_and_are_of_no_operation(bad_day):
    watching, ready = bad_day
    seen = set()

    def fires():
        seen.update(alert.state for alert in watching.alerts.publication().lines if alert.name == "errors")
        return State.FIRING in seen

    await until(fires)
    assert State.PENDING in seen
    (alert,) = [alert for alert in watching.alerts.publication().lines if alert.name == "errors"]
    assert (alert.service, alert.panel) == ("ml/fraud-scorer", "errors")
    assert [(item.name, item.state) for item in watching.told] == [("errors", State.FIRING)]
    async with asyncio.timeout(90):
        while (found := (await watching.alerts.cause(alert.id))[0]).shift is None or found.shift.change.before > 0.05:
            watching.alerts._causes._known.clear()  # it stands for half a minute otherwise
            await asyncio.sleep(1.0)
    # The world itself came up within the two minutes that a cause may lie before its effect.
    assert found.verdict in (Verdict.NEITHER, Verdict.SCALING)
    assert "this console saw since" in found.basis
    assert found.shift.series == "error_share"
    assert found.shift.change.rises
    assert ready - 5 <= found.shift.change.at <= alert.fired_at + 10
    assert not [row for row in found.rows if row.kind == "operation"]
