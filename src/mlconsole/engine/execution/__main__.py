"""The executor's process: `python -m mlconsole.engine.execution`, settings and an operation on its standard input."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import time
from pathlib import Path

import msgspec

from mlconsole import logfile
from mlconsole.cluster.connection import Connection
from mlconsole.cluster.errors import ClusterError
from mlconsole.config import Settings
from mlconsole.domain.operation import Operation, Verb
from mlconsole.engine.answering import describe
from mlconsole.engine.audit import Journal, default_path
from mlconsole.engine.execution.folder import Entry, Folder, died
from mlconsole.engine.execution.runner import Runner

REQUESTS = 0.2
"""Seconds between two looks at what is asked from this machine."""


def main() -> int:
    """Wait for an operation, and carry it out; the exit code is for nobody."""
    # Terminals come and go: neither a hangup nor a Ctrl-C of theirs is for this process.
    for number in (signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    settings = msgspec.json.decode(sys.stdin.buffer.readline() or b"{}", type=Settings)
    line = sys.stdin.buffer.readline()
    if not line:
        return 0
    operation, path = msgspec.json.decode(line, type=tuple[Operation, str])
    folder = Folder(Path(path))
    _log_to(folder.log)
    try:
        asyncio.run(_execute(operation, settings, folder))
    except Exception as error:  # whatever it is: it has no other place to be told than the log and the folder
        logging.getLogger(__name__).exception("the executor ended over an error of its own")
        words = f"the executor ended over an error of its own ({type(error).__name__}); {folder.log} says which"
        folder.say(Entry(time.time(), "end", words, None, "`mlconsole operations` shows how it stands", 1, ended=True))
        return 1
    return 0


async def _execute(operation: Operation, settings: Settings, folder: Folder) -> None:
    target, cluster = operation.target, settings.cluster
    try:
        connection = await Connection.open(
            context=cluster.context or target.context, namespace=target.namespace, kubeconfig=cluster.kubeconfig
        )
    except ClusterError as error:
        message, hint, code = describe(error)
        folder.say(Entry(time.time(), "end", f"{message}; nothing was changed", None, hint, code, ended=True))
        return
    runner = Runner(operation, connection, settings, Journal(default_path(os.environ)), folder, mine=died)
    listener = asyncio.create_task(_listen(runner, folder, operation.phase_at))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, runner.stop)
    try:
        await runner.run()
    finally:
        listener.cancel()
        await connection.close()


async def _listen(runner: Runner, folder: Folder, since: float = 0.0) -> None:
    """Hand on what is asked from this machine, each request once; what is older than `since` was for another executor.

    An approval counts on the Lease alone: there the API server knows, and can log, who wrote it.
    """
    heard = 0
    while True:
        asked = list(folder.requests())
        for request in asked[heard:]:
            if request.at >= since and request.verb is not Verb.APPROVE:
                runner.ask(request)
        heard = len(asked)
        await asyncio.sleep(REQUESTS)


def _log_to(path: Path) -> None:
    try:
        handler: logging.Handler = logfile.handler(path, "executor", delay=True)
    except OSError:
        handler = logging.NullHandler()
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)


if __name__ == "__main__":
    sys.exit(main())
