"""`mlconsole watch --headless`: the alerts without a screen, for a small deployment in the cluster."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import time
from typing import Any

import msgspec

from mlconsole.commands import usage
from mlconsole.commands.exits import Exit, Stop
from mlconsole.commands.running import quiet, settings
from mlconsole.config import Settings
from mlconsole.domain.alerts import Alert, State
from mlconsole.domain.redaction import redacted
from mlconsole.domain.sources import Condition, SourceState
from mlconsole.engine.alertnotify import payload
from mlconsole.engine.watching import Watching

_JSON = """\
one JSON object a line on standard output, each with at and event:
  started: context (as asked for), namespace, notify (what tells people), rules
  firing, resolved: alert, severity, service, value, condition, and what else a webhook gets (docs/alerts.md)
  source: name, condition, message, hint (a source that went, or came back)
  problem: words (an alert that could not be told; others' alerts that are not read; empty when it is over)
  stopped: signal
ends with 0 on SIGTERM and SIGINT. The log file of mlconsole has what libraries say.

"""


def parser(common: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """What it takes."""
    words = (
        "Judge the rules of mlconsole.toml without a screen, and tell the command or the webhook that [notify] names.\n"
        "Listens on no port and changes nothing in the cluster; what goes away is waited for."
    )
    found = usage.plain("watch", words, common, _JSON)
    found.add_argument("--headless", action="store_true", help="say that no screen is wanted; there is one without it")
    return found


def run(args: argparse.Namespace) -> int:
    """Run it."""
    if not args.headless:
        raise Stop("with a screen it is the console", "`mlconsole`, or mlconsole watch --headless", Exit.USAGE)
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
