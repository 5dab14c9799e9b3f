"""What the commands that talk to a cluster share: settings, an event loop, failures as `Stop`, JSON as one object."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import msgspec

from mlconsole import logfile
from mlconsole.cluster.errors import ClusterError, ConfigInvalid, Conflict
from mlconsole.commands import options
from mlconsole.commands.exits import Exit, Stop
from mlconsole.config import ConfigError, Loaded, load
from mlconsole.domain.plans import PlanError
from mlconsole.engine.answering import describe
from mlconsole.logplace import place

T = TypeVar("T")


def settings(args: argparse.Namespace) -> Loaded:
    """The settings in force. Raises Stop."""
    try:
        return load(options.chosen(args), os.environ)
    except ConfigError as error:
        raise Stop(str(error), code=Exit.USAGE) from error


def stop_of(error: PlanError | ClusterError | TimeoutError) -> Stop:
    """A refusal or a failure, as a command ends with it."""
    message, hint, code = describe(error)
    if isinstance(error, ConfigInvalid):
        code = Exit.USAGE
    elif isinstance(error, Conflict):
        code = Exit.CONFLICT
    return Stop(message, hint, code)


@contextmanager
def failures(args: argparse.Namespace) -> Iterator[None]:
    """Turn what goes wrong inside into Stop, told as JSON too where that was asked for."""
    try:
        try:
            yield
        except (PlanError, ClusterError, TimeoutError) as error:
            raise stop_of(error) from error
    except Stop as stop:
        if args.output == "json":
            write_json({"error": stop.message, "hint": stop.hint, "exit_code": int(stop.code)})
        raise


def complete(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run `work` in an event loop of its own."""
    quiet()
    return asyncio.run(work())


def quiet() -> None:
    """Send what libraries and tasks log to the log file: the screen is for answers."""
    try:
        handler: logging.Handler = logfile.handler(place(os.environ), "command", delay=True)
    except OSError:
        handler = logging.NullHandler()
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)


def write_json(value: Any) -> None:
    """One object on standard output. NaN and infinities, which JSON has not, are null."""
    text = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
