"""`mlconsole demo`: the world, with a console on it or (--headless) for other programs."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mlconsole.demo.scenarios import SCENARIOS

if TYPE_CHECKING:
    from mlconsole.demo.world import World


def parser(parents: Sequence[argparse.ArgumentParser] = ()) -> argparse.ArgumentParser:
    """The options of `mlconsole demo`; `parents` add the console's."""
    found = argparse.ArgumentParser(
        prog="mlconsole demo",
        description="An embedded world to try and to practise on: an API server, model servers, load, a registry.",
        parents=list(parents),
        allow_abbrev=False,
    )
    found.add_argument("--headless", action="store_true", help="run only the world, until SIGINT or SIGTERM")
    found.add_argument("--output", choices=("text", "json"), default="text", help="how --headless says where it is")
    found.add_argument("--scenario", choices=SCENARIOS, default="", help="what goes wrong with the live colour")
    found.add_argument("--fault-after", type=float, default=25.0, metavar="SECONDS", help="when (default: 25)")
    found.add_argument("--no-registry", action="store_true", help="no MLflow: the models are drawn, not trained")
    found.add_argument("--no-load", action="store_true", help="no requests")
    found.add_argument("--watch-parent", type=int, metavar="FD", help=argparse.SUPPRESS)
    return found


def run(arguments: Sequence[str] | argparse.Namespace) -> int:
    """Run the command; the exit code: 0 done, 1 failed, 2 usage."""
    args = arguments if isinstance(arguments, argparse.Namespace) else parser().parse_args(arguments)
    if args.headless:
        return asyncio.run(headless(args))
    from mlconsole.demo.console import with_console

    return with_console(args)


async def headless(args: argparse.Namespace) -> int:
    """The world alone."""
    from mlconsole.demo.world import Options, World  # heavy: the console's process has its world beside it

    loop, end = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, end.set)
    if args.watch_parent is not None:
        loop.add_reader(args.watch_parent, _parent, args.watch_parent, end)
    world = World()
    options = Options(
        scenario=args.scenario,
        fault_after=args.fault_after,
        registry=not args.no_registry,
        load=not args.no_load,
        progress=_progress,
    )
    stopped = asyncio.create_task(end.wait())
    try:
        starting = asyncio.create_task(world.start(options))
        await asyncio.wait((starting, stopped), return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
            return 0
        starting.result()
        _say(world, args.output)
        watching = asyncio.create_task(world.watch_over())
        await asyncio.wait((watching, stopped), return_when=asyncio.FIRST_COMPLETED)
        if watching.done():
            watching.result()
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    except (OSError, RuntimeError, ValueError) as error:
        sys.stderr.write(f"mlconsole demo: {error}\n")
        return 1
    finally:
        stopped.cancel()
        await world.stop()
    return 0


def _parent(fd: int, end: asyncio.Event) -> None:
    if not os.read(fd, 4096):
        asyncio.get_running_loop().remove_reader(fd)
        end.set()


def _progress(*what: object) -> None:
    text = " ".join(map(str, what))
    bar = text.startswith("training [") and sys.stderr.isatty()
    sys.stderr.write(f"{text}\x1b[K\r" if bar else f"{text}\n")
    sys.stderr.flush()


def _say(world: World, output: str) -> None:
    facts = world.describe()
    if output == "json":
        sys.stdout.write(json.dumps(facts) + "\n")
    else:
        sys.stdout.write(f"export KUBECONFIG={facts['kubeconfig']}\n")
        if facts["tracking_uri"]:
            sys.stdout.write(f"export MLFLOW_TRACKING_URI={facts['tracking_uri']}\n")
        for service in facts["services"]:
            sys.stdout.write(f"# {service['name']}: {service['url']}\n")
    sys.stdout.flush()
