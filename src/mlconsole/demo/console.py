"""A console on a world of its own: the world is a process beside it, and ends when this one does, however it ends."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import signal
import subprocess
import sys
from typing import Any

from mlconsole.commands.options import chosen

END = 10.0
"""Seconds that the world has to clean up."""


def with_console(args: argparse.Namespace) -> int:
    """Start a world, open the console on it, end the world; the console's exit code."""
    theirs, ours = os.pipe()
    world = subprocess.Popen(
        [sys.executable, "-m", "mlconsole.demo", *_options(args), "--watch-parent", str(theirs)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        pass_fds=(theirs,),
        start_new_session=True,  # Ctrl-C is the console's; the world ends after it
    )
    os.close(theirs)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    signal.signal(signal.SIGHUP, lambda *_: sys.exit(128 + signal.SIGHUP))
    try:
        assert world.stdout
        line = world.stdout.readline()
        if not line:
            return world.wait() or 1
        return _open(json.loads(line), chosen(args))
    finally:
        os.close(ours)
        try:
            world.wait(END)
        except subprocess.TimeoutExpired:
            world.kill()
            world.wait()


def _options(args: argparse.Namespace) -> list[str]:
    options = ["--headless", "--output", "json", "--fault-after", str(args.fault_after)]
    if args.scenario:
        options += ["--scenario", args.scenario]
    return options + ["--no-registry"] * args.no_registry + ["--no-load"] * args.no_load


def _open(facts: dict[str, Any], options: dict[str, Any]) -> int:
    """Run the console in this process, with the world in its environment."""
    os.environ.update(KUBECONFIG=facts["kubeconfig"], MLCONSOLE_CONFIG=facts["config"])
    if facts["tracking_uri"]:
        os.environ["MLFLOW_TRACKING_URI"] = facts["tracking_uri"]
    os.environ.pop("PROMETHEUS_URL", None)
    launch = importlib.import_module("mlconsole.ui.launch")  # heavy: only once the world stands

    code: int = launch.run(options)
    return code
