"""Every request of an operation's phases fails once, in every way that servers, networks and machines fail."""

import asyncio
import os
import signal

import pytest

from mlconsole.domain.history import Outcome
from mlconsole.domain.operation import Verb
from mlconsole.domain.phases import Phase

from .conftest import DEADLINE, EVERY, FAULTY, NAME, QUICK, ended, only_where_all_are_tried, staged
from .faultproxy import CUTS, REFUSALS, FaultProxy
from .test_kills import DEEDS, arrived

PATIENCE = 1.0 if EVERY else 2.0
"""A sample is taken beside other tests, on a machine that has no time of its own for this one."""
TIMES = {
    "mlconsole.engine.execution.lock:DURATION": 2.0,
    "mlconsole.engine.execution.lock:RENEW": 0.4,
    "mlconsole.engine.execution.lock:MARGIN": 0.5,
    "mlconsole.engine.execution.lock:SECONDS": 1.5,
    "mlconsole.engine.execution.performing.taking:HURRY": 0.7,
    "mlconsole.engine.gateway:WRITE_SECONDS": 2.0,
    "mlconsole.engine.gateway:LONGEST_WAIT": 0.3,
    "mlconsole.engine.ledger:FORWARD_SECONDS": 1.2,
    "mlconsole.engine.ledger:ROLLBACK_SECONDS": 0.7,
    "mlconsole.engine.ledger:CLOSE_SECONDS": 1.0,
    "mlconsole.engine.planning.grounds:READ_SECONDS": 2.0,
    "mlconsole.engine.planning.grounds:HURRY_SECONDS": 0.7,
    "mlconsole.cluster.connection:TIMEOUT": 1.5,
}
IMPATIENT = QUICK | {name: PATIENCE * seconds for name, seconds in TIMES.items()}
"""Five minutes without an API server are to this executor what three seconds are."""
FAULTS = (*REFUSALS, *CUTS[:-1])
STRIDE = 37
"""Of the pairs of a step and a fault, one in so many is tried where not all are."""
TOGETHER = {"deployments", "replicasets", "pods", "endpointslices", "endpoints", "horizontalpodautoscalers"}
"""What is read at one time with the Service: one for all."""
TRIED = {
    "switch": lambda _, verb, what: verb != "GET" or what not in TOGETHER,
    "rollback": lambda _, verb, what: verb != "GET",
    "deploy and switch": lambda phase, verb, _: verb != "GET" and phase in ("pin", "bring-up", "ready", "smoke"),
    "scale": lambda phase, verb, _: verb != "GET" and phase in ("bring-up", "restore"),
}
"""Operations, and which of their steps are tried: of the later ones what the first have not."""


@pytest.fixture
async def proxied(place, tmp_path, nursery, monkeypatch):
    """A stage whose sessions and executors reach the API server through a fault proxy; and that proxy."""
    async with (
        FaultProxy(place.kubeconfig, tmp_path, 3.0 * PATIENCE) as proxy,
        staged(place, tmp_path, nursery, monkeypatch, str(proxy.kubeconfig), IMPATIENT) as stage,
    ):
        yield stage, proxy


async def through(stage, proxy, name, fault="", step=""):
    """Carry an operation out with one fault on its way: (its plan, what there was before, its executor)."""
    kind, wish = DEEDS[name]
    before = await stage.ready_for(kind)
    plan = await stage.plan(kind, **wish)
    proxy.phase = lambda: getattr(stage.kept(plan), "phase", "")
    proxy.arm(fault, step)
    executor = await stage.begin(plan)
    proxy.pid = lambda: executor._process.pid
    return plan, before, executor


async def steps_of(stage, proxy, name):
    """What an operation asks of the API server, when nothing fails: each step once, in order."""
    plan, _, executor = await through(stage, proxy, name)
    await ended(executor)
    found = list(dict.fromkeys(proxy.steps))
    proxy.disarm()
    assert stage.kept(plan).ending is Outcome.VERIFIED, stage.said(plan)
    return found


def sensible(fault, step):
    """A read is refused by no conflict; for the rest every step has every fault."""
    return not (fault == "409" and " GET " in step)


@pytest.mark.parametrize("name", TRIED)
async def test_every_fault_at_every_step(place, proxied, tried, name):
    only_where_all_are_tried(place, name == "switch")
    stage, proxy = proxied
    lost, wrong = stage.lost(), []
    wanted = TRIED[name]
    steps = [step for step in await steps_of(stage, proxy, name) if wanted(*step.split())]
    pairs = [(step, fault) for step in steps for fault in FAULTS if sensible(fault, step)]
    first = 0 if EVERY else list(TRIED).index(name) * 4
    for step, fault in pairs[first :: 1 if EVERY else STRIDE]:
        try:
            outcome = await failed_once(stage, proxy, name, fault, step)
        except AssertionError as error:
            outcome = "WRONG"
            wrong.append(f"{name}: {fault} at {step}\n{error}")
        if outcome:
            tried(FAULTY, stage.where, name, step, fault, outcome)
    assert not wrong, "\n\n".join(wrong)
    assert stage.lost() == lost, "no request was lost"


async def failed_once(stage, proxy, name, fault, step):
    """What came of an operation in which one request failed; whatever that is, the record is true."""
    plan, before, executor = await through(stage, proxy, name, fault, step)
    asked = await at_rest(stage, proxy, plan, executor)
    hit = proxy.hit.is_set()
    proxy.disarm()
    own = stage.kept(plan)
    _, later = await stage.go_on("resume")
    where = "\n".join((name, step, fault, *stage.said(plan)))
    assert own.ended or own.halted, where
    record = await stage.tidy(plan)
    await true_to_life(stage, plan, before, record, where)
    if not hit:
        return ""
    words = "asks, kept: " * asked + (str(own.ending) if own.ended else "halted")
    return words if later is None else f"{words}, resumed: {later.ending}"


async def at_rest(stage, proxy, plan, executor):
    """Until an executor has ended, and there is an API server; whether it asked for a word first, and was told."""
    end, asked = asyncio.create_task(ended(executor)), False
    while not end.done():
        await asyncio.wait({end}, timeout=0.2)
        if proxy._back is not None:
            await proxy._back
        if not asked and getattr(stage.kept(plan), "phase", None) is Phase.ASK:
            await stage.session.ask(await stage.session.under_way(NAME), Verb.KEEP, "a test")
            asked = True
    if proxy._back is not None:
        await proxy._back
    await end
    return asked


@pytest.mark.parametrize("how", ["resume", "abort"])
async def test_a_machine_sleeps_while_a_console_elsewhere_takes_the_service(place, proxied, tried, how, monkeypatch):
    only_where_all_are_tried(place, how == "resume")
    stage, proxy = proxied
    lost = stage.lost()
    steps = [step for step in await steps_of(stage, proxy, "switch") if " GET " not in step and "/proxy" not in step]
    here = os.environ["XDG_STATE_HOME"]
    first = 0 if EVERY else ("resume", "abort").index(how) * 3
    for step in steps[first :: 1 if EVERY else 6]:
        plan, before, executor = await through(stage, proxy, "switch", "suspended", step)
        end, hit = asyncio.create_task(ended(executor)), asyncio.create_task(proxy.hit.wait())
        await asyncio.wait({end, hit}, return_when=asyncio.FIRST_COMPLETED)
        hit.cancel()
        if end.done():
            continue  # it did not come to it
        try:
            monkeypatch.setenv("XDG_STATE_HOME", f"{here}-elsewhere")
            proxy.arm()
            taken, later = await taken_over(stage, how)
        finally:
            os.kill(executor._process.pid, signal.SIGCONT)
        await end
        said = stage.said(plan)
        monkeypatch.setenv("XDG_STATE_HOME", here)
        own = stage.kept(plan)
        where = "\n".join((step, how, *stage.said(plan), "---", *said))
        assert own.ended or own.halted, where
        record = await stage.tidy(plan)
        await true_to_life(stage, plan, before, record, where)
        if taken:
            assert own.ending in (Outcome.OVERTAKEN, Outcome.FAILED, later.ending), where
            assert record["outcome"] == later.ending, where
        outcome = f"{own.ending}, elsewhere {how}: {later.ending if later else taken or 'nothing to take up'}"
        tried(FAULTY, stage.where, "switch", step, "suspended", outcome)
    assert stage.lost() == lost, "no request was lost"


async def taken_over(stage, how):
    """Take the service from an executor that gives no sign of life, from another machine: (what it had come to, it)."""
    async with asyncio.timeout(DEADLINE):
        while (under := await stage.session.under_way(NAME)) is not None and under.alive:
            await asyncio.sleep(0.1)
    return await stage.go_on(how) if under else ("", None)


async def true_to_life(stage, plan, before, record, where):
    """What is on record of an operation is what the live objects say."""
    after = await stage.shape()
    outcome = Outcome(record["outcome"]) if record else Outcome.FAILED
    if outcome in (Outcome.FAILED, Outcome.ABORTED):
        assert after == before, where
    elif outcome is Outcome.RETURNED:
        assert after[0] == before[0], where
    elif outcome is Outcome.VERIFIED:
        assert arrived(plan, before, after), where
    else:
        assert outcome is Outcome.UNVERIFIED, where
        assert after[0] == plan.to_color, where
