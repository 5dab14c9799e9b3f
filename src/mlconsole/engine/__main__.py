"""The engine process: `python -m mlconsole.engine --fd N --options JSON`, started by `spawn` beside the UI."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import signal
import socket
import sys
from pathlib import Path

from mlconsole import logfile
from mlconsole.config import ConfigError, load
from mlconsole.engine import protocol
from mlconsole.engine.channel import engine_end


def main() -> int:
    """Serve the UI at the other end of the socket until it is gone."""
    parser = argparse.ArgumentParser(prog="mlconsole-engine")
    parser.add_argument("--fd", type=int, required=True)
    parser.add_argument("--options", type=json.loads, default={})
    parser.add_argument("--log", type=Path, help="the log file; without it errors go to stderr")
    arguments = parser.parse_args()
    _log_to(arguments.log)
    # The terminal's keys are the UI's; this process ends when the channel does.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        asyncio.run(_serve(socket.socket(fileno=arguments.fd), arguments.options))
    except (ConnectionError, asyncio.CancelledError):
        return 0
    except Exception:  # the UI sees that it ended, and starts another
        logging.getLogger(__name__).exception("the engine ended over an error of its own")
        return 1
    return 0


def _log_to(path: Path | None) -> None:
    handler: logging.Handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logfile.Redacting("%(asctime)s engine %(name)s: %(message)s"))
    if path is not None:
        try:
            handler = logfile.handler(path, "engine")
        except OSError:
            handler = logging.NullHandler()
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)


async def _serve(sock: socket.socket, options: dict[str, object]) -> None:
    channel = await engine_end(sock)
    try:
        loaded = load(options, os.environ)
    except ConfigError as error:
        # Which places are production or read-only is not known now: nothing is changed until it is.
        await channel.send(protocol.Notice("error", f"{error}; read-only until that is corrected"))
        loaded = load({**options, "read_only": True}, os.environ, file=False)
    from mlconsole.engine.engine import Engine

    engine = Engine(channel, loaded.settings)
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    loop.add_signal_handler(signal.SIGTERM, task.cancel)
    await engine.run()


if __name__ == "__main__":
    sys.exit(main())
