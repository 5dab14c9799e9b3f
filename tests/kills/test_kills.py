"""Every operation is killed with SIGKILL before and after each of its writes, and taken up by another executor."""

import itertools

import pytest

from mlconsole.domain.history import Kind, Outcome

from .conftest import EVERY, KILLED, PAUSES, only_where_all_are_tried

ALLOWED = {
    "resume": {Outcome.VERIFIED},
    "abort": {Outcome.ABORTED, Outcome.RETURNED, Outcome.VERIFIED},
    "abandon": {Outcome.ABANDONED, Outcome.VERIFIED},
}
"""How what was taken up may end; a rollback whose traffic has moved is not moved back by an abort."""
DEEDS = {
    "switch": (Kind.SWITCH, {}),
    "rollback": (Kind.ROLLBACK, {}),
    "deploy": (Kind.DEPLOY, {}),
    "deploy and switch": (Kind.DEPLOY, {"go_on": True}),
    "scale": (Kind.SCALE, {}),
    "restart": (Kind.RESTART, {}),
    "pause": (Kind.PAUSE, {}),
    "unpause": (Kind.UNPAUSE, {}),
}
SAMPLED = ("switch", "rollback", "deploy and switch", "pause")
"""What is tried on a real cluster where not all is."""
WAYS = ("resume", "abort", "abandon")
STRIDE = 7
"""Of the kill points, one in so many is tried where not all are: the next way on each time."""
CASES = [(name, how) for name in DEEDS for how in WAYS] if EVERY else [(name, "in turn") for name in DEEDS]


@pytest.mark.parametrize(("name", "how"), CASES)
async def test_killed_at_every_write(place, stage, tried, name, how):
    only_where_all_are_tried(place, name in SAMPLED)
    lost, died, count = stage.lost(), True, 0
    points = ((number, when) for number in itertools.count(1) for when in ("before", "after"))
    first = 0 if EVERY else list(DEEDS).index(name) % STRIDE
    for number, when in itertools.islice(points, first, None, 1 if EVERY else STRIDE):
        way = WAYS[count % len(WAYS)] if how == "in turn" else how
        died, write, ended = await killed(stage, name, number, when, way)
        count += 1
        if died:
            tried(KILLED, stage.where, name, when, write, way, str(ended.ending) if ended else "as it was")
        elif when == "after" or not EVERY:
            break
    assert count > (10 if EVERY else 2), "an operation has more writes than that"
    assert stage.lost() == lost, "no request was lost"


async def killed(stage, name, number, when, way):
    """Kill an operation once, take it up, and look at what is there; (whether it died, the write, how it ended)."""
    kind, wish = DEEDS[name]
    before = await stage.ready_for(kind)
    plan = await stage.plan(kind, **wish)
    died, writes = await stage.killed(plan, number, when)
    found = await stage.shape()
    _, ended = await stage.go_on(way)
    record = await stage.tidy(plan)
    after = await stage.shape()
    where = "\n".join((name, when, *writes, *stage.said(plan)))
    assert after[0] in (plan.from_color, plan.to_color, before[0]), where
    if ended is None:
        # Killed before anything was on record, or after everything was.
        assert not changed(before, after) if record is None else arrived(plan, before, after), where
        return died, short(writes[-1]), None
    assert not await stage.holder(), where
    assert ended.ending in ALLOWED[way], where
    assert record is not None, where
    assert record["outcome"] == ended.ending, where
    if ended.ending is Outcome.ABORTED:
        assert not changed(before, after), where
    elif ended.ending is Outcome.ABANDONED:
        assert not changed(found, after), where
    elif ended.ending is Outcome.RETURNED:
        assert after[0] == before[0], where
    else:
        assert arrived(plan, before, after), where
    return died, short(writes[-1]), ended


async def test_who_sized_a_colour_meanwhile_does_not_keep_the_rest_from_being_undone(place, stage):
    only_where_all_are_tried(place, tried=False)
    _, before = await stage.ready_for(Kind.DEPLOY)
    idle = (await stage.settled()).idle_color
    for number in itertools.count(5):
        plan = await stage.plan(Kind.DEPLOY, replicas=idle.wish + 1)
        died, writes = await stage.killed(plan, number, "after")
        assert died
        if "deployments" in writes[-1]:
            break
        # An autoscaler's minimum was pinned first.
        await stage.go_on("abort")
    await stage.scale(idle.deployment, idle.wish + 2)
    _, ended = await stage.go_on("abort")
    assert ended.ending is Outcome.ABORTED
    assert f"left behind: the size of deployments {stage.namespace}/{idle.deployment}" in ended.why
    version, replicas, template, _ = (await stage.shape())[1][idle.name]
    assert replicas == idle.wish + 2, "what somebody else set is theirs"
    assert (version, template) == (before[idle.name][0], before[idle.name][2])
    await stage.scale(idle.deployment, idle.wish)


def short(write):
    """`PUT leases`."""
    method, _, path = write.partition(" ")
    parts = path.split("/namespaces/")[1].split("/")
    return f"{method} {parts[1]}"


def changed(before, after):
    """Whether anything that an operation changes is not as it was."""
    return before != after


def arrived(plan, before, after):
    """Whether what a plan is for is there."""
    live, colors = after
    if plan.moves_traffic and live != plan.to_color:
        return False
    version, replicas, template, paused = colors[plan.to_color]
    if plan.kind is Kind.RESTART:
        return template != before[1][plan.to_color][2]
    if plan.kind in PAUSES:
        return paused is (plan.kind is Kind.PAUSE)
    if plan.kind in (Kind.DEPLOY, Kind.SCALE):
        return version == plan.to_release.version and replicas == plan.replicas
    return live == plan.to_color
