"""What `mlconsole watch --headless` does: look until it is told to stop, and say what happens, a line each."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import time
from typing import Any

import msgspec

from mlconsole.commands.exits import Exit
from mlconsole.commands.running import quiet, settings
from mlconsole.config import Settings
from mlconsole.domain.alerts import Alert, State
from mlconsole.domain.redaction import redacted
from mlconsole.domain.sources import Condition, SourceState
from mlconsole.engine.alertnotify import payload
from mlconsole.engine.watching import Watching


def run(args: argparse.Namespace) -> int:
    """Run it."""
    config = settings(args).settings
    quiet()
    return asyncio.run(_run(config))


class Voice:
    """Says what happens, a line each; what was said of a source is not said twice."""

    def __init__(self, settings: Settings) -> None:
        self.place = settings.cluster.context or ""
        """The context, once it is known."""
        self._conditions: dict[str, Condition] = {}
        self._problem = ""

    def say(self, event: str, **more: Any) -> None:
        """One line."""
        line = msgspec.json.encode({"at": round(time.time(), 3), "event": event, **more})
        sys.stdout.write(line.decode() + "\n")
        sys.stdout.flush()

    def happened(self, alert: Alert) -> None:
        """An alert fires, or is over."""
        self.say("resolved" if alert.state is State.RESOLVED else "firing", **payload(alert, self.place))

    def sources(self, states: tuple[SourceState, ...], problem: str) -> None:
        """How the sources are, where that changed."""
        for state in states:
            if self._conditions.get(state.name) is not state.condition and state.condition is not Condition.STARTING:
                self._conditions[state.name] = state.condition
                told = {"name": state.name, "condition": str(state.condition)}
                self.say("source", **told, message=redacted(state.message), hint=state.hint)
        if problem != self._problem:
            self._problem = problem
            self.say("problem", words=redacted(problem))


async def _run(config: Settings) -> int:
    voice, over = Voice(config), asyncio.Event()
    caught: list[str] = []

    def stop(number: signal.Signals) -> None:
        caught.append(number.name)
        over.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number)
    notify = config.notify
    means = [name for name, there in (("command", notify.command), ("webhook", notify.webhook.url)) if there]
    rules = sorted({*config.alerts, *(name for item in config.services.values() for name in item.alerts)})
    async with Watching.open(config, voice.happened) as watching:
        place = config.cluster
        namespace = "" if place.all_namespaces else place.namespace
        voice.say("started", context=place.context, namespace=namespace, notify=means, rules=rules)

        def changed() -> None:
            connection = watching.scope.connection
            voice.place = connection.identity.context if connection is not None else voice.place
            voice.sources(watching.sources(), watching.alerts.publication().problem)

        watching.changed = changed
        await over.wait()
    voice.say("stopped", signal=caught[0])
    return Exit.DONE
