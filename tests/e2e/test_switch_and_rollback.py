"""Switch and rollback on a real cluster under load: not one request is lost, and everything is on record."""

import json

import pytest

from mlconsole.domain.history import Kind, Outcome
from mlconsole.domain.recording import record_of
from mlconsole.engine.consent import Consent
from mlconsole.engine.session import Session

from .conftest import BLUE, DEADLINE, GREEN, NAME, within

pytestmark = pytest.mark.real_cluster


async def carry_out(session, kind):
    """Plan, consent, execute; the record."""
    plan = await session.plan(kind, NAME)
    assert plan.dry_run == "accepted"
    assert not plan.missing_rights
    assert not plan.stopping(), plan.gates
    steps = []
    consent = Consent(plan.hash, reason="a test of the way there and back")
    record = record_of(await session.execute(plan, consent, steps.append, to_the_end=True))
    assert record.outcome is Outcome.VERIFIED, (record.message, steps)
    return record


async def test_the_engine_moves_the_traffic_and_moves_it_back(service, load_on, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", service.environ["XDG_STATE_HOME"])
    # Both colours stay up here: there is nothing to wait for.
    service.write_config('[defaults.watch]\ndrain = "200ms"\n')
    async with Session.open(service.settings()) as session:
        before = await session.detail(NAME)
        assert before.service.live == "blue"
        assert [color.ready for color in before.service.colors] == [2, 2]
        await service.proven()

        switched = await carry_out(session, Kind.SWITCH)
        assert (switched.from_color, switched.to_color) == ("blue", "green")
        assert await service.kubectl_live() == "green"
        await within(DEADLINE, lambda: load_on.seen(GREEN, 20))
        meter = (await session.detail(NAME)).meter
        assert (meter.color, meter.ready) == ("blue", 2), meter

        back = await carry_out(session, Kind.ROLLBACK)
        assert (back.from_color, back.to_color) == ("green", "blue")
        assert await service.kubectl_live() == "blue"
    count = load_on.versions[BLUE]
    await within(DEADLINE, lambda: load_on.seen(BLUE, count + 20))
    await load_on.drain()
    assert load_on.lost == []
    outcomes = {record["id"]: (record["kind"], record["outcome"]) for record in await service.records()}
    assert list(outcomes.values()) == [("switch", "verified"), ("rollback", "verified")]
    assert sorted(await service.events()) == ["Rollback", "Switch"]
    journal = (service.folder / "state" / "mlconsole" / "audit.jsonl").read_text().splitlines()
    assert len(journal) == 4, "an intent and an outcome for each"


async def test_the_shell_moves_the_traffic_and_moves_it_back(service, load_on):
    await service.proven()
    code, out, err = await service.shell("status", "--output", "json")
    assert code == 0, err
    assert '"live": "blue"' in out

    code, out, err = await service.shell("switch", NAME, "--dry-run", "--output", "json")
    assert (code, json.loads(out)["outcome"]) == (0, "planned"), err
    assert await service.kubectl_live() == "blue"

    code, out, err = await service.shell("switch", NAME)
    assert code == 2, "there is nobody to say yes"
    assert await service.kubectl_live() == "blue"

    code, out, err = await service.shell("switch", NAME, "--yes", "--reason", "v13", "--output", "json")
    assert (code, json.loads(out)["outcome"]) == (0, "verified"), err
    assert await service.kubectl_live() == "green"
    await within(DEADLINE, lambda: load_on.seen(GREEN, 20))

    code, out, err = await service.shell("rollback", NAME, "--yes", "--reason", "slow", "--output", "json")
    assert (code, json.loads(out)["outcome"]) == (0, "verified"), err
    assert await service.kubectl_live() == "blue"
    await load_on.drain()
    assert load_on.lost == []

    code, out, err = await service.shell("switch", NAME, "--yes", "--output", "json")
    assert code == 6, "the release that was rolled back from is not good until a person says so"
    assert "quarantine" in out + err
    assert await service.kubectl_live() == "blue"
