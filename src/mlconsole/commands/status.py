"""`mlconsole status [SERVICE]`: how the model services are, read once."""

from __future__ import annotations

import argparse
from typing import TypeVar

from msgspec.structs import replace

from mlconsole.commands import asked, figures, statuspage
from mlconsole.commands.asked import Said
from mlconsole.commands.exits import EPILOG, Exit, Stop
from mlconsole.commands.options import add_output
from mlconsole.commands.page import Page
from mlconsole.commands.running import complete, failures, settings, write_json
from mlconsole.commands.statusjson import detail_json, service_json
from mlconsole.config import Settings
from mlconsole.domain.services import Health
from mlconsole.engine.protocol import Detail, FleetRow
from mlconsole.engine.session import Session

_JSON = """\
with --output json:
  context, namespace (empty: all), server, figures (where they are from, or why there are none)
  services: a list of
    service, namespace, name, shape, health (bad, warn, unknown, ok; ok only with --figures), headline,
    live (a colour), color_key, problems,
    colors: a list of color, deployment, live, ready, wish, model, version, run_id, image, digest, git_sha, problems,
      requests_per_second, error_share, p50, p95, p99 (seconds; null where unknown)
  with SERVICE also, in its one service:
    chain: a list of name, value, verdict (PASS, FAIL, UNKNOWN), source, why
    rollback: health, words, color, version, ready, wish, verified_at, expected_seconds
    history: a list, newest first, of id, kind, at, user, reason, from, to, outcome, message
    history_problem: why the history could not be read, or empty
    split: where traffic and registry alias disagree, or empty; null unless --registry asked and was answered
    registry: asked, or why not

"""


def parser(common: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """What it takes."""
    found = argparse.ArgumentParser(
        prog="mlconsole status",
        description="How the model services of a namespace are, or all about one of them. Changes nothing.",
        epilog=_JSON + EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[common],
        allow_abbrev=False,
    )
    found.add_argument("service", nargs="?", metavar="SERVICE", help="NAME or NAMESPACE/NAME (default: all of them)")
    found.add_argument("--figures", action="store_true", help="ask for rates and latencies too: some seconds more")
    found.add_argument(
        "--registry",
        action="store_true",
        help="ask the registry about SERVICE too: its chain, SPLIT; some seconds more",
    )
    add_output(found)
    return found


def run(args: argparse.Namespace) -> int:
    """Run it; 0 whenever the cluster could be read, however its services are."""
    with failures(args):
        if args.registry and not args.service:
            raise Stop("--registry asks about one service", "name it: mlconsole status SERVICE --registry", Exit.USAGE)
        return complete(lambda: _run(args, settings(args).settings))


Judged = TypeVar("Judged", FleetRow, Detail)


def _unjudged(found: Judged) -> Judged:
    """Pods that are ready are not a service that is well: without figures nobody knows (I21)."""
    if found.health is not Health.OK:
        return found
    headline = found.headline or "not asked: --figures"
    return replace(found, health=Health.UNKNOWN, headline=headline)


async def _run(args: argparse.Namespace, config: Settings) -> int:
    async with Session.open(config) as session:
        services = [(await session.detail(args.service)).service] if args.service else await session.services()
        if not services:
            await session.assert_namespace(session.connection.namespace)
        known = await figures.ask(session.connection, config, services, wanted=args.figures)
        session.glances = known.glances
        rows = [] if args.service else [session.row(service) for service in services]
        detail = await session.detail(args.service) if args.service else None
        said = Said()
        if detail and args.registry:
            said = await asked.ask(config, detail.service)
            detail = asked.told(detail, said, config)
        if not args.figures:
            rows = [_unjudged(row) for row in rows]
            detail = _unjudged(detail) if detail else None
        place = {
            "context": session.connection.identity.context,
            "namespace": session.connection.namespace,
            "server": session.connection.identity.server,
        }
    if args.output == "json":
        found = [service_json(row.service, row.health, row.headline, known.of(row.service)) for row in rows]
        write_json({**place, "figures": known.source, "services": [detail_json(detail, said)] if detail else found})
    elif detail:
        statuspage.show_detail(Page(), detail, known, said)
    else:
        statuspage.show_fleet(Page(), rows, known, place)
    return Exit.DONE
