"""The phases that prove a release before it gets traffic: ready, smoke test, parity, analysis (I1, I21, I22)."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from msgspec.structs import replace

from mlconsole.domain.history import Kind
from mlconsole.domain.operation import Event, Expired, Failed, Operation, Passed
from mlconsole.domain.phases import Phase
from mlconsole.domain.plans import FRESH_SECONDS, Gate, PlanError, Verdict, needed
from mlconsole.domain.services import Color, ModelService
from mlconsole.engine import bringup
from mlconsole.engine.analysis import Analyst
from mlconsole.engine.execution.context import Context
from mlconsole.engine.execution.performing.rehearsing import rehearse
from mlconsole.engine.ledger import Step
from mlconsole.engine.parity import parity as compare
from mlconsole.engine.payloads import parity_payloads_for, payloads_for
from mlconsole.engine.policy import may_waive
from mlconsole.engine.smoke import smoke as ask_all

SAID_SECONDS = 1.0


async def ready(context: Context, op: Operation) -> Event:
    """Wait until the destination has the pods that the plan counts on.

    Where nothing was changed for it they were counted when the lock was taken, and are again before the write; where
    somebody answers for too few of them, there is nothing to wait for.
    """
    plan = op.plan
    if not plan.writes_of(Phase.BRING_UP) and (not plan.writes_of(Phase.PIN) or "capacity" in op.waived):
        return Passed()
    settings = context.service_settings(op)
    want = plan.replicas
    if not plan.writes_of(Phase.BRING_UP):
        service, target = await _target(context, op)
        want = needed(target, service.live_color, plan.kind)
    come, words = await bringup.ready(
        context.connection,
        op.key,
        plan.to_color,
        want,
        settings.deploy.progress_deadline,
        lambda words: context.report(Step(Phase.READY, words)),
        settings,
        base=plan.base,
    )
    return Passed(words) if come else Expired(words)


async def smoke(context: Context, op: Operation) -> Event:
    """Ask every pod of the destination for an answer; a drill asks for more than that."""
    if op.plan.kind is Kind.DRILL:
        return await rehearse(context, op)
    service, target = await _target(context, op)
    settings, release = context.service_settings(op), op.plan.to_release
    # The way back does not wait for a registry (I12).
    registry = None if op.plan.backward else context.settings.registry.tracking_uri
    payloads = await payloads_for(
        context.offload, settings, registry, release.model, release.version, settings.smoke.requests
    )
    gate = await ask_all(context.connection, service, target, settings, payloads, _say(context, Phase.SMOKE))
    if op.plan.backward:
        gate = replace(gate, blocks=gate.verdict is Verdict.FAIL)
    elif not payloads.rows:
        # Who has no payload has not asked for a smoke test, unless the rules of the place do; it is told all the same.
        environment = context.environment(op)
        gate = replace(gate, blocks=not may_waive(environment, op.plan.kind, gate.name))
    return _judged(context, op, [gate])


async def parity(context: Context, op: Operation) -> Event:
    """The same payloads to both colours."""
    service, target = await _target(context, op)
    live = service.live_color
    if live is None:
        return Failed("there is no live colour to compare with")
    settings, release = context.service_settings(op), op.plan.to_release
    registry = context.settings.registry.tracking_uri
    payloads = await parity_payloads_for(context.offload, settings, registry, release.model, release.version)
    said = _say(context, Phase.PARITY)
    return _judged(context, op, await compare(context.connection, service, live, target, settings, payloads, said))


async def analysis(context: Context, op: Operation) -> Event:
    """Measure the candidate before it gets traffic."""
    service, target = await _target(context, op)
    analyst = analyst_of(context, op)
    specs = await analyst.specs(service, "before")

    def said(words: str) -> None:
        context.report(Step(Phase.ANALYSIS, words))

    return _judged(context, op, await analyst.run(service, target, service.live_color, specs, say=said))


def analyst_of(context: Context, op: Operation) -> Analyst:
    """Who measures, with the Prometheus that knows the operation's place."""
    url = context.settings.prometheus_url(op.target.context, op.target.namespace)
    return Analyst(context.connection, context.settings, context.offload, prometheus_url=url, clock=context.clock)


async def _target(context: Context, op: Operation) -> tuple[ModelService, Color]:
    """The service now, and the destination in it. Raises PlanError, ClusterError.

    What was read with the lock is young enough where nothing was written since.
    """
    seen = context.seen
    young = seen is not None and not op.sent and context.clock() - seen.at <= FRESH_SECONDS
    service = (seen.fresh if seen is not None and young else await context.gateway.read(op.plan)).service
    target = service.color(op.plan.to_color)
    if target is None:
        raise PlanError(f"{op.key} has no colour {op.plan.to_color} any more", "look again and plan again", 4)
    return service, target


def _judged(context: Context, op: Operation, gates: Sequence[Gate]) -> Event:
    """Whether every gate passed, or somebody answers for it with a reason; unknown is not good (I21)."""
    environment = context.environment(op)

    def waived(gate: Gate) -> bool:
        named = {gate.name, gate.name.partition(".")[0], str(op.phase)} & set(op.waived)
        return gate.waivable and bool(named) and may_waive(environment, op.plan.kind, gate.name)

    bad = [gate for gate in gates if gate.stops and not waived(gate)]
    words = "; ".join(f"{gate.name} {gate.verdict}: {gate.value}" for gate in (bad or gates))
    return Failed(words, tuple(gates)) if bad else Passed(words, tuple(gates))


def _say(context: Context, phase: Phase) -> Callable[[str], None]:
    """Tell what goes on, once a second at most: the phase's own last word comes in any case."""
    last = float("-inf")

    def say(words: str) -> None:
        nonlocal last
        if time.monotonic() - last >= SAID_SECONDS:
            last = time.monotonic()
            context.report(Step(phase, words))

    return say
