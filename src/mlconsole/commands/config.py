"""`mlconsole config`: write a commented mlconsole.toml from what is found, or say what is in force and why."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from mlconsole.cluster.errors import redact
from mlconsole.commands import configwrite
from mlconsole.commands.exits import EPILOG, Exit, Stop
from mlconsole.commands.options import add_output, chosen
from mlconsole.commands.page import Page
from mlconsole.commands.running import complete, failures, settings, write_json
from mlconsole.config import ConfigError, Loaded, default_path, load

_SHOW = """\
with --output json, one object:
  path: the file in force, or null
  settings: by dotted key, each an object of value and from
    (mlconsole.toml:LINE, environment VARIABLE, --OPTION, default)

"""


def parser(common: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """What it takes."""
    found = argparse.ArgumentParser(
        prog="mlconsole config",
        description="Write a configuration, or say what is in force and where each value is from.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=EPILOG,
        allow_abbrev=False,
    )
    actions = found.add_subparsers(dest="action", metavar="ACTION", required=True)
    init = actions.add_parser(
        "init",
        help="write a commented mlconsole.toml from what is found",
        description="Write a commented mlconsole.toml from what is found: contexts, model services, models.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=EPILOG,
        parents=[common],
        allow_abbrev=False,
    )
    where = f"where (default: {_shown(default_path(os.environ))}; - is standard output)"
    init.add_argument("--path", metavar="FILE", help=where)
    init.add_argument("--force", action="store_true", help="overwrite it")
    show = actions.add_parser(
        "show",
        help="what is in force and where each value is from",
        description="What is in force and where each value is from.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=_SHOW + EPILOG,
        parents=[common],
        allow_abbrev=False,
    )
    add_output(show)
    return found


def _shown(path: Path) -> str:
    home = str(Path.home())
    text = str(path)
    return (f"~{text.removeprefix(home)}" if text.startswith(home) else text).replace("%", "%%")


def run(args: argparse.Namespace) -> int:
    """Run it."""
    if args.action == "show":
        with failures(args):
            return _show(args, settings(args))
    return _init(args)


# ---- show


def _show(args: argparse.Namespace, loaded: Loaded) -> int:
    values = flat(loaded)
    if args.output == "json":
        entries = {key: {"value": value, "from": origin} for key, (value, origin) in values.items()}
        write_json({"path": str(loaded.path) if loaded.path else None, "settings": entries})
        return Exit.DONE
    page = Page()
    page.title(f"{loaded.path}" if loaded.path else "no mlconsole.toml")
    # A service holds the defaults where it says nothing itself: what it says itself is what there is to see.
    shown = [
        (key, _words(value), origin)
        for key, (value, origin) in values.items()
        if not key.startswith("services.") or key in loaded.origins
    ]
    page.table(("KEY", "VALUE", "FROM"), shown)
    return Exit.DONE


def _words(value: Any) -> str:
    if value is None:
        return "-"
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def flat(loaded: Loaded) -> dict[str, tuple[Any, str]]:
    """Every setting by its dotted key: value and origin. What may hold a secret is not shown (I27)."""
    found: dict[str, tuple[Any, str]] = {}

    def walk(value: Any, key: str) -> None:
        if isinstance(value, dict) and value:
            for name, inner in value.items():
                walk(inner, f"{key}.{name}" if key else str(name))
        elif not key.startswith("environments.") or not key.endswith(".(its table's name)"):
            found[key] = (_safe(key, value), _origin(key, loaded.origins))

    walk(msgspec.to_builtins(replace(loaded.settings, origins={})), "")
    found.pop("(where its keys stand)")
    return found


def _safe(key: str, value: Any) -> Any:
    if key.startswith("metrics.auth.headers."):
        return "<hidden>"
    return redact(value) if isinstance(value, str) and "://" in value else value


def _origin(key: str, origins: dict[str, str]) -> str:
    """Where a value was said. A service's that says nothing itself has it from `[defaults]`."""
    for prefix, instead in ((key, key), *((f"services.{name}", "defaults") for name in _services(key))):
        if key.startswith(prefix) and (origin := origins.get(instead + key.removeprefix(prefix))):
            return origin
    return "default"


def _services(key: str) -> list[str]:
    """What may be the service's name in `services.NAME...`: a name may hold dots."""
    if not key.startswith("services."):
        return []
    parts = key.split(".")[1:]
    return [".".join(parts[:number]) for number in range(1, len(parts))]


# ---- init


def _init(args: argparse.Namespace) -> int:
    target = default_path(os.environ) if args.path is None else Path(args.path).expanduser()
    if args.path != "-" and target.exists() and not args.force:
        raise Stop(f"{target} exists already", "--force overwrites it; nothing was written", Exit.USAGE)
    try:
        loaded = load(chosen(args), os.environ)
    except ConfigError:
        # The file that is there is broken: that may be why a new one is wanted.
        loaded = load(chosen(args), os.environ, file=False)
    text = complete(lambda: configwrite.compose(loaded.settings))
    if args.path == "-":
        sys.stdout.write(text)
        return Exit.DONE
    try:
        write(target, text)
    except OSError as error:
        raise Stop(f"{target} cannot be written: {error.strerror}", "--path names another place") from error
    page = Page()
    page.line(f"written: {target}")
    page.line("look it through: what it could not know is commented out; `mlconsole config show` says what is in force")
    return Exit.DONE


def write(target: Path, text: str) -> None:
    """Put `text` in place whole, never half of it. Raises OSError."""
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        draft.write_text(text, encoding="utf-8")
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
