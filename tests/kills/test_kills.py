"""Every operation is killed with SIGKILL before and after each of its writes, and taken up by another executor."""

import json

import pytest

from mlconsole.domain.history import Kind, Outcome
from mlconsole.engine.fence import OPERATION

from .conftest import NAME

ALLOWED = {
    "resume": {Outcome.VERIFIED},
    "abort": {Outcome.ABORTED, Outcome.RETURNED, Outcome.VERIFIED},
}
"""How what was taken up may end; a rollback whose traffic has moved is not moved back by an abort."""


async def tidy(stage, plan):
    """Nothing is left of an operation: not in the history's ConfigMap, not on the Service, no record open."""
    data = await stage.history()
    assert "operation" not in data
    service = await stage.get(f"/api/v1/namespaces/ml/services/{NAME}")
    assert OPERATION not in (service["metadata"].get("annotations") or {})
    records = {item["id"]: item for item in map(json.loads, data.get("records", "").splitlines())}
    assert records.get(plan.id, {}).get("outcome") != "open"
    return records.get(plan.id)


@pytest.mark.parametrize("how", ["resume", "abort"])
@pytest.mark.parametrize("kind", [Kind.SWITCH, Kind.ROLLBACK])
async def test_killed_at_every_write(stage, kind, how, record_property):
    lost, died, number = stage.lost(), True, 0
    while died:
        number += 1
        for when in ("before", "after"):
            before = await stage.live()
            plan, died, writes = await stage.begin(number, when, kind)
            state, ended = await stage.go_on(how)
            stage.outcomes[f"{when} {writes[-1].split()[0]} {state} -> {ended.ending if ended else 'as it was'}"] += (
                died
            )
            record = await tidy(stage, plan)
            live = await stage.live()
            assert live in (plan.from_color, plan.to_color)
            if ended is None:
                # Killed before anything was on record, or after everything was.
                assert live == (plan.to_color if record else plan.from_color)
                continue
            assert not (await stage.lease())["spec"].get("holderIdentity")
            assert ended.ending in ALLOWED[how], (number, when, writes, ended.why)
            home = ended.ending in (Outcome.ABORTED, Outcome.RETURNED)
            assert live == (plan.from_color if home else plan.to_color), (number, when, writes, before)
    assert number > 5, f"an operation has more writes than that: {writes}, {stage.said(plan)}"
    assert stage.lost() == lost, "no request was lost"
    for line, count in sorted(stage.outcomes.items()):
        record_property(line, count)
        print(f"{kind:9} {how:7} {line}: {count}")  # noqa: T201
