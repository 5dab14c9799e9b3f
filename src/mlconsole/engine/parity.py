"""Prediction parity: the same payloads to the live colour and to the new one, side by side.

Both colours are asked at the same time, payload by payload, so that a busy cluster slows both. A few payloads are
posted in several rounds: a 95th percentile of three answers is none.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Any

import msgspec

from mlconsole.cluster.connection import Connection
from mlconsole.config import ServiceSettings
from mlconsole.configoperations import Parity
from mlconsole.domain.parity import FEW, Given, Limits, Pair, judge, measure, score_of
from mlconsole.domain.plans import Gate, Verdict
from mlconsole.domain.services import Color, ModelService
from mlconsole.domain.smoke import Answer, Wanted, fault, value_of
from mlconsole.engine.asking import AT_ONCE, Asker
from mlconsole.engine.payloads import Payloads
from mlconsole.gathering import gather


async def parity(
    connection: Connection,
    service: ModelService,
    live: Color,
    target: Color,
    settings: ServiceSettings,
    payloads: Payloads,
    say: Callable[[str], None],
) -> list[Gate]:
    """Ask both colours and compare; a gate for each limit that is set."""
    path = settings.smoke.path
    old, new = (Asker(connection, service, color, path, None) for color in (live, target))
    rows = payloads.rows[: settings.parity.count]
    silent = next((color for color, asker in ((live, old), (target, new)) if not asker.pods), None)
    if not rows or silent is not None:
        why = payloads.problem if silent is None else f"pods of Deployment {silent.deployment}"
        value = "nothing to post" if silent is None else f"no ready pod of {silent.name} to ask"
        return [Gate("parity", Verdict.UNKNOWN, value, "answers of both colours", why)]
    rounds = math.ceil(FEW / len(rows))
    waiting = [row for _ in range(rounds) for row in rows]
    total, pairs = len(waiting), list[Pair]()

    async def work() -> None:
        while waiting:
            number, row = len(waiting), waiting.pop()
            first, second = await gather(
                old.ask(old.pods[number % len(old.pods)], row), new.ask(new.pods[number % len(new.pods)], row)
            )
            pairs.append(Pair(_given(first, settings.smoke.answer), _given(second, settings.smoke.answer)))
            say(f"{len(pairs)} of {total} payloads")

    async with asyncio.TaskGroup() as group:
        for number in range(min(AT_ONCE, total)):
            group.create_task(work(), name=f"parity of {service.key}, {number + 1}")
    limits = _limits(settings.parity)
    asked = f"POST {path} through the API server, {len(rows)} payloads of {payloads.where}"
    asked += f", {rounds} times each" if rounds > 1 else ""
    asked += f", to {live.name} (pods: {len(old.pods)}) and {target.name} (pods: {len(new.pods)})"
    return judge(measure(pairs, limits), limits, asked + _worst(pairs) + (new.again or old.again))


def _given(answer: Answer, key: str) -> Given:
    if answer.silent:
        return Given(silent=answer.silent)
    error = fault(answer, Wanted(key))
    if error:
        return Given(seconds=answer.seconds, error=f"pod {answer.pod} {error}")
    value = value_of(answer.body, key)
    return Given(value, score_of(value, _beside(answer.body)), answer.seconds)


def _beside(body: bytes) -> dict[str, Any]:
    whole = msgspec.json.decode(body)
    return whole if isinstance(whole, dict) else {}


def _worst(pairs: list[Pair]) -> str:
    """The first error of each colour, of the new one first, and why an answer is not known."""
    found = [next((pair.target.error for pair in pairs if pair.target.error), "")]
    found.append(next((pair.live.error for pair in pairs if pair.live.error), ""))
    found.append(next((words for pair in pairs if (words := pair.target.silent or pair.live.silent)), ""))
    return "".join(f"; {words}" for words in found if words)


def _limits(settings: Parity) -> Limits:
    return Limits(
        settings.tolerance,
        settings.threshold,
        settings.max_disagreement,
        settings.max_flips,
        settings.max_score_shift,
        settings.max_latency_ratio,
        settings.max_error_difference,
    )
