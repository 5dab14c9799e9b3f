"""Take a copy out of its Service before it is removed: nothing that ends is sent a request any more (I4).

The copy that an adoption makes shares the Service until the switch, and again once the traffic was moved back. A pod
that is deleted ends at once, while the proxies of the nodes go on sending to it until each has heard of it; so its pods
lose a label that the Service selects by, stay as they are for as long as anything may still be under way, and end then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

from mlconsole.cluster import resources
from mlconsole.cluster.errors import Conflict, Forbidden, Invalid, NotFound
from mlconsole.cluster.pods import PodRow, digest
from mlconsole.domain import adopting
from mlconsole.domain.operation import Operation
from mlconsole.domain.phases import Phase
from mlconsole.engine.execution.context import Context
from mlconsole.engine.ledger import Step

PODS = resources.Served(resources.PODS, "v1")
ROUNDS = 4
"""How often pods that came meanwhile are looked for: an autoscaler's, or one that replaces another."""
AWAY_SECONDS = 60.0
"""For the endpoints to say what the labels do (I20)."""
LOOK = 1.0


async def leave(context: Context, op: Operation) -> str:
    """Send no more requests to the copies of this operation; empty when none can reach them, else why they must stay.

    Raises PlanError and ClusterError.
    """
    for number in op.sent:
        write = op.plan.writes[number]
        selector = adopting.selector_of(write)
        label = adopting.way_out(selector, op.plan.base)
        if label and await context.gateway.made(op.plan, write):
            stays = await _taken_out(context, op, selector["matchLabels"], label)
            if stays:
                return f"{stays}: {write.name} stays"
    return ""


async def _taken_out(context: Context, op: Operation, labels: Mapping[str, str], label: str) -> str:
    waited = False
    for _ in range(ROUNDS):
        pods = await _pods_of(context, op, labels)
        inside = [pod for pod in pods if op.plan.base.items() <= pod.labels.items()]
        serving = [pod for pod in pods if pod.serves]
        if not inside and (waited or not serving):
            return ""
        if serving and inside and not await _others(context, op):
            return "no other pod is ready"
        if not await _all_out(context, op, inside, label):
            return ""
        if serving:
            await _until_unasked(context, op, pods)
            waited = True
    return ""


async def _pods_of(context: Context, op: Operation, labels: Mapping[str, str]) -> list[PodRow]:
    """The pods of a copy that are not ending, in the Service or out of it already."""
    selector = ",".join(f"{key}={value}" for key, value in labels.items())
    found = map(digest, await resources.read_all(context.connection, PODS, op.plan.target.namespace, selector))
    return [pod for pod in found if not pod.state.terminating]


async def _others(context: Context, op: Operation) -> bool:
    """Whether what the traffic is left to is ready."""
    color = (await context.gateway.read(op.plan)).service.color(op.plan.from_color)
    return color is not None and color.ready > 0


async def _all_out(context: Context, op: Operation, pods: Iterable[PodRow], label: str) -> bool:
    """Take pods out of the Service; False where that is not allowed: they end like those of any rolling update."""
    for pod in pods:
        await context.lock.assure()
        write = adopting.withdrawn(pod.namespace, pod.name, label, op.plan.base[label])
        try:
            await context.gateway.withdraw(op.plan, write, context.report)
        except Forbidden as error:
            context.report(Step(Phase.CLEAN_UP, f"{write.label} stays in the Service until it ends: {error.message}"))
            return False
        except (NotFound, Invalid, Conflict):
            continue  # it ended or changed meanwhile: looked at in the next round
    return True


async def _until_unasked(context: Context, op: Operation, pods: Iterable[PodRow]) -> None:
    """Wait until the Service has led to none of these pods for as long as a request may take."""
    names = {pod.name for pod in pods}
    seconds = context.service_settings(op).watch.drain
    context.report(Step(Phase.CLEAN_UP, f"{len(names)} pods are out of the Service and have {seconds:.0f} s to drain"))
    since = context.clock()
    end = since + seconds + AWAY_SECONDS
    while (now := context.clock()) < end:
        read = await context.gateway.read(op.plan)
        if any(point.pod in names for point in read.service.endpoints):
            since = context.clock()
        left = since + seconds - now
        if left <= 0:
            return
        await asyncio.sleep(min(LOOK, left))
