"""The smoke test: every ready pod of a colour answers payloads as its version should, before it gets traffic."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from mlconsole.cluster.connection import Connection
from mlconsole.config import ServiceSettings
from mlconsole.domain.plans import Gate, Verdict
from mlconsole.domain.services import Color, ModelService
from mlconsole.domain.smoke import Answer, Wanted, judge
from mlconsole.engine.asking import Asker
from mlconsole.engine.payloads import Payloads, payloads_for

__all__ = ["Payloads", "payloads_for", "smoke"]


async def smoke(
    connection: Connection,
    service: ModelService,
    color: Color,
    settings: ServiceSettings,
    payloads: Payloads,
    say: Callable[[str], None],
) -> Gate:
    """Post `requests` payloads to every ready pod, those in turn that there are, and judge every answer."""
    rule = settings.smoke
    asker = Asker(connection, service, color, rule.path, rule.max_seconds)
    wanted = Wanted(rule.answer, rule.max_seconds, payloads.outputs)
    if not payloads.rows:
        return Gate("smoke", Verdict.UNKNOWN, "nothing to post", "an answer of every pod", payloads.problem)
    if not asker.pods:
        evidence = f"pods of Deployment {color.deployment}"
        return Gate("smoke", Verdict.UNKNOWN, "no ready pod to ask", "an answer of every pod", evidence)
    total, found = len(asker.pods) * rule.requests, list[Answer]()

    async def ask(pod: str, number: int) -> None:
        found.append(await asker.ask(pod, payloads.rows[number % len(payloads.rows)]))
        say(f"{len(found)} of {total} answers")

    async with asyncio.TaskGroup() as group:
        for number in range(rule.requests):
            for pod in asker.pods:
                group.create_task(ask(pod, number), name=f"smoke test of {pod}")
    used = min(rule.requests, len(payloads.rows))
    asked = f"POST {rule.path} {rule.requests} times to each of {', '.join(asker.pods)} through the API server"
    return judge(found, wanted, f"{asked}, {used} payload{'s' if used > 1 else ''} of {payloads.where}{asker.again}")
