"""The command line. One word chooses, and only what that word needs is imported: `--help` answers at once.

Without a command it is the console's own start, where every millisecond is seen: the engine has to be on its way before
Textual is imported, so nothing heavy may be imported here either.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import importlib
import os
import sys
from collections.abc import Sequence

from mlconsole import __version__
from mlconsole.commands import options
from mlconsole.commands.exits import EPILOG, Exit, Stop

GROUPS = {
    "look": {
        "status": "how the model services are, or all about one of them",
        "operations": "what is under way or was interrupted: its progress, its holder, what can be asked of it",
        "drift": "what a model sees beside what it was trained on: files, references of the registry",
        "validate": "whether a version is as good as it has to be: its metrics, its predictions, against a baseline",
        "alerts": "what is wrong by the rules, and by Prometheus' and Alertmanager's word",
        "watch": "judge the rules without a screen, and tell people: --headless, for a deployment in the cluster",
        "audit": "who did what to a service, when and why, and what came of it",
    },
    "act": {
        "deploy": "bring a registered version up on the idle colour, and prove it there",
        "switch": "move a service's traffic to its other colour",
        "rollback": "move it back to the last release that was live and good",
        "scale": "give one colour another number of pods",
        "restart": "replace one colour's pods, a few at a time",
        "pause": "hold the rollout of one colour's Deployment",
        "unpause": "let it go on",
        "adopt": "make a plain Deployment and Service blue-green, or take that back",
        "drill": "rehearse the rollback, and time it",
    },
    "what is under way": {
        "keep": "the release stays: before its time to be kept is over, or where a gate asked",
        "approve": "say yes, as the second person that an operation waits for",
        "abort": "end an operation: undone, or the traffic moved back",
        "handover": "have its executor stop where it is safe to, for somebody else to go on with it",
        "resume": "go on with one that was interrupted",
        "abandon": "leave an interrupted one as it is, with a reason",
    },
    "set up": {
        "config": "write a configuration (init), or say what is in force and why (show)",
        "doctor": "check every connection and every permission",
        "rbac": "print the Kubernetes rules that the console needs",
    },
    "try": {"demo": "an embedded world to try and to practise on, with a console on it"},
}
ACTIONS = ("config",)
"""Those with commands of their own."""
COMMANDS = [name for group in GROUPS.values() for name in group]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; what the process ends with."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal without UTF-8 gets a `?`, not a traceback.
        with contextlib.suppress(AttributeError, ValueError):
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    try:
        code = _run(list(sys.argv[1:] if arguments is None else arguments))
        sys.stdout.flush()
        return code
    except Stop as stop:
        _say(f"{stop.message} ({stop.hint})" if stop.hint else stop.message)
        return stop.code
    except KeyboardInterrupt:
        _say("interrupted")
        return Exit.INTERRUPTED
    except BrokenPipeError:
        return _pipe_closed()
    except Exception as error:  # the last line of defence: logged whole, told in one line
        crash = importlib.import_module("mlconsole.commands.crash")
        _say(crash.keep(error))
        return Exit.FAILED


def _run(arguments: list[str]) -> int:
    common = argparse.ArgumentParser(add_help=False, parents=[options.place(), options.limits()], allow_abbrev=False)
    args = parser(common).parse_args(arguments)
    if args.command is None:
        return _console(args)
    if args.command not in COMMANDS:
        near = difflib.get_close_matches(args.command, COMMANDS, 1)
        hint = f"did you mean `{near[0]}`?" if near else f"there are: {', '.join(COMMANDS)}"
        raise Stop(f"there is no command `{args.command}`", hint, Exit.USAGE)
    command = importlib.import_module(f"mlconsole.commands.{args.command}")
    # An option may stand between two names: `scale SERVICE --yes COLOUR 3`.
    taken = command.parser(common)
    read = taken.parse_args if args.command in ACTIONS else taken.parse_intermixed_args
    code: int = command.run(read(args.rest, args))
    return code


def _console(args: argparse.Namespace) -> int:
    launch = importlib.import_module("mlconsole.ui.launch")
    code: int = launch.run(options.chosen(args))
    return code


def parser(common: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """What stands before the command; the rest is the command's own."""
    found = argparse.ArgumentParser(
        prog="mlconsole",
        usage="mlconsole [OPTIONS] [COMMAND [ARGUMENTS]]",
        description="Operate machine-learning services on Kubernetes. Without a command: open the console.",
        epilog=_epilog(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[common, options.look()],
        allow_abbrev=False,
    )
    found.add_argument("--version", action="version", version=f"mlconsole {__version__}")
    found.add_argument("command", nargs="?", help=argparse.SUPPRESS)
    found.add_argument("rest", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    return found


def _epilog() -> str:
    lines = []
    for title, commands in GROUPS.items():
        lines += [f"{title}:", *(f"  {name:<12}{words}" for name, words in commands.items()), ""]
    lines += ["`mlconsole COMMAND --help` says more. Its options may stand before the command or after it.", ""]
    return "\n".join(lines) + "\n" + EPILOG


def _say(words: str) -> None:
    with contextlib.suppress(OSError):
        sys.stderr.write(f"mlconsole: {words}\n")


def _pipe_closed() -> int:
    """Whoever read our output has gone (`| head`): nothing more is written, the flush at exit included."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return Exit.FAILED


if __name__ == "__main__":
    sys.exit(main())
