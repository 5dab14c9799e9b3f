"""The options that several commands take, before their name or after: declared once, for `config.load`."""

from __future__ import annotations

import argparse
from typing import Any

_PLACE = ("kubeconfig", "context", "namespace", "all_namespaces", "config")
_LOOK = ("theme", "ascii", "read_only")


def place() -> argparse.ArgumentParser:
    """Where to look."""
    found = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS, allow_abbrev=False)
    group = found.add_argument_group("where to look")
    group.add_argument("--kubeconfig", metavar="FILE", help="default: KUBECONFIG, ~/.kube/config, the pod's account")
    group.add_argument("--context", metavar="NAME", help="context of the kubeconfig (default: its current one)")
    group.add_argument("-n", "--namespace", metavar="NAME", help="namespace (default: the context's)")
    group.add_argument("-A", "--all-namespaces", action="store_true", help="every namespace")
    group.add_argument("--config", metavar="FILE", help="the mlconsole.toml to use")
    return found


def limits() -> argparse.ArgumentParser:
    """What it may do."""
    found = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS, allow_abbrev=False)
    group = found.add_argument_group("what it may do")
    group.add_argument("--read-only", action="store_true", help="refuse every change")
    return found


def look() -> argparse.ArgumentParser:
    """How the console looks; for what opens one."""
    found = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS, allow_abbrev=False)
    group = found.add_argument_group("how the console looks")
    group.add_argument("--theme", metavar="NAME", help="colours of the console")
    group.add_argument("--ascii", action="store_true", help="draw with ASCII only")
    return found


def add_output(parser: argparse.ArgumentParser) -> None:
    """`--output text|json`."""
    parser.add_argument("--output", choices=("text", "json"), default="text", help="for people, or one JSON object")


def chosen(args: argparse.Namespace) -> dict[str, Any]:
    """The options that were given, as `config.load` takes them."""
    return {name: getattr(args, name) for name in (*_PLACE, *_LOOK) if getattr(args, name, None) not in (None, False)}


def elsewhere(args: argparse.Namespace) -> list[str]:
    """The options that say where to look, as they are written; for a command that brings its own place."""
    return ["--" + name.replace("_", "-") for name in _PLACE if getattr(args, name, None)]
