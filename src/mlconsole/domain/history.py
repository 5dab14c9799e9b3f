"""The bounded history of a service's operations, and the release that is known good because of it (I14, I16, I17).

The history lives in the cluster, one ConfigMap per service (`mlconsole-history-<service>`, key `records`, one JSON
record a line, oldest first), so that every console and kubectl read the same. A record is written when an operation
is begun (its intent) and once more when its outcome is known: the later line with the same id wins.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from mlconsole.domain.services import Release

KEEP = 50
"""Operations kept per service."""
LINE_LIMIT = 8_000
"""Characters of a line that is kept without being understood."""


def config_map_name(service: str) -> str:
    """The name of the ConfigMap that holds the service's history."""
    return f"mlconsole-history-{service}"


class Kind(enum.StrEnum):
    """What an operation does."""

    SWITCH = "switch"
    ROLLBACK = "rollback"
    DEPLOY = "deploy"
    SCALE = "scale"
    RESTART = "restart"
    PAUSE = "pause"
    """The rollout of a colour's Deployment is held."""
    UNPAUSE = "unpause"
    ADOPT = "adopt"
    """A plain Deployment and Service become blue-green."""
    RELEASE = "release"
    """An adoption is undone."""
    DRILL = "drill"
    """A rollback is rehearsed: nothing is written but its record."""

    @property
    def moves_traffic(self) -> bool:
        """Whether an operation of this kind leaves the traffic on another colour or revision."""
        return self in (Kind.SWITCH, Kind.ROLLBACK)


class Outcome(enum.StrEnum):
    """How an operation ended."""

    OPEN = "open"
    """Intent recorded, outcome not: running, or interrupted."""
    VERIFIED = "verified"
    """The traffic was seen on the destination (I3)."""
    UNVERIFIED = "unverified"
    """The write was applied; the traffic was not seen there within the deadline."""
    FAILED = "failed"
    """Nothing was changed, or what was is undone."""
    ABORTED = "aborted"
    """A person ended it before the traffic moved; what it had made is undone."""
    RETURNED = "returned"
    """The traffic was moved, and moved back within the operation."""
    ABANDONED = "abandoned"
    """Left as it was found, with a reason."""
    OVERTAKEN = "overtaken"
    """Somebody else changed the service meanwhile."""


NOTHING_MOVED = frozenset({Outcome.FAILED, Outcome.ABORTED})
"""Outcomes after which the traffic is where it was."""


class Record(Struct, frozen=True, omit_defaults=True):
    """One operation, as it is written down."""

    id: str
    kind: Kind
    service: str
    namespace: str
    at: float
    """When the intent was recorded, seconds since the epoch."""
    user: str
    host: str = ""
    terminal: str = ""
    context: str = ""
    plan_hash: str = ""
    reason: str = ""
    from_color: str = ""
    to_color: str = ""
    from_release: Release = Release()
    to_release: Release = Release()
    outcome: Outcome = Outcome.OPEN
    ended_at: float = 0.0
    verified_at: float = 0.0
    message: str = ""
    from_good_since: float = 0.0
    """Since when the release that was left had been seen in place at the time of leaving: live, answering through the
    Service, ready for longer than the watch window; 0 if it was not. It gives the first switch ever a way back."""
    waived: tuple[str, ...] = ()
    """Names of the gates that were waived, the reason being `reason`."""
    from_revision: int = 0
    """The Deployment's revision that a plain service left; 0 where colours were moved between."""
    to_revision: int = 0
    moved: bool = False
    """Whether it was to move the traffic too, where its kind alone does not say so: a deploy that goes on."""

    token: int = 0
    """The fencing token that it was written under: what an earlier holder says later changes nothing."""

    blameless: bool = False
    """Whether a rollback says nothing against what it left: nobody kept a switch in time."""

    @property
    def moves_traffic(self) -> bool:
        """Whether it leaves the traffic elsewhere."""
        return self.kind.moves_traffic or self.moved


def encode(records: Sequence[Record], keep: int = KEEP, foreign: Sequence[str] = ()) -> str:
    """Write records one JSON object a line, merged and bounded to `keep`, after `foreign` lines as they are."""
    lines = [*foreign[-keep:], *(msgspec.json.encode(record).decode() for record in bounded(merge(records), keep))]
    return "".join(line + "\n" for line in lines)


def bounded(records: Sequence[Record], keep: int = KEEP) -> list[Record]:
    """At most `keep` records: what changed nothing goes first, then the oldest, so that no verdict is pushed out."""
    surplus = max(0, len(records) - keep)
    idle = {record.id for record in [item for item in records if item.outcome is Outcome.FAILED][:surplus]}
    kept = [record for record in records if record.id not in idle]
    return kept[max(0, len(kept) - keep) :]


def decode(text: str) -> tuple[list[Record], list[str]]:
    """Read records; a line that is not one is returned as a complaint, never dropped silently."""
    records, complaints = [], []
    for number, line in enumerate(text.splitlines(), 1):
        found = _record(line)
        if isinstance(found, str):
            complaints.append(f"history line {number}: {found}")
        elif found is not None:
            records.append(found)
    return merge(records), complaints


def foreign_lines(text: str) -> list[str]:
    """The lines that are no record to this version: a newer one may have written them, so they are not ours to drop."""
    return [line[:LINE_LIMIT] for line in text.splitlines() if isinstance(_record(line), str)]


def _record(line: str) -> Record | str | None:
    """The record in a line, why it is none, or None for an empty line."""
    if not line.strip():
        return None
    try:
        return msgspec.json.decode(line, type=Record)
    except msgspec.DecodeError as error:
        return str(error)


def merge(records: Iterable[Record]) -> list[Record]:
    """One record an operation, the later line winning, in the order in which they were begun.

    That is the order of the lines, which the ConfigMap's compare-and-swap makes the same for everyone; by the clocks
    of two bastions a rollback could come to stand before the switch that it undid.
    """
    latest: dict[str, Record] = {}
    for record in records:
        latest[record.id] = record
    return list(latest.values())


class Good(Struct, frozen=True):
    """A release verified good: where it was, and when that was established."""

    release: Release
    color: str
    verified_at: float
    left_at: float = 0.0
    """When traffic left it; 0 while it is live."""


def is_bad(release: Release, records: Sequence[Record]) -> bool:
    """Whether the last word on `release` is that traffic was rolled back from it (I16).

    A rollback counts from its intent on: who began it had seen enough, and a console that was killed on the way must
    not make the release good again. A later verified switch to it, which took a person's reason, lifts the verdict.
    """
    bad = False
    for record in records:
        if record.blameless:
            continue
        if record.kind is Kind.ROLLBACK and record.outcome not in NOTHING_MOVED:
            bad = bad or (record.from_release.same_as(release) and not record.to_release.same_as(release))
        elif record.moves_traffic and record.outcome is Outcome.VERIFIED and record.to_release.same_as(release):
            bad = False
    return bad


def is_bad_revision(number: int, records: Sequence[Record]) -> bool:
    """Whether a plain service was rolled back from this revision of its Deployment.

    A revision that is brought up again gets a new number, so that the old one is never praised by mistake.
    """
    return any(
        record.kind is Kind.ROLLBACK and record.outcome not in NOTHING_MOVED and record.from_revision == number
        for record in records
        if record.from_revision
    )


def last_known_good(records: Sequence[Record], now: float, watch_seconds: float, live: Release | None) -> Good | None:
    """The newest release that was live, verified, outlived its watch window and was not rolled back from (I14).

    The release that is live now does not count: the question is where to go back to.
    `watch_seconds` is the watch window's length; a release that traffic left within it, by whatever way, never counts.
    """
    return next(iter(known_good(records, now, watch_seconds, live)), None)


def known_good(records: Sequence[Record], now: float, watch_seconds: float, live: Release | None) -> list[Good]:
    """Every release that there is to go back to, the one that traffic left last first."""
    stays = [good for good in verified_good(records, now, watch_seconds) if not (live and good.release.same_as(live))]
    return sorted(stays, key=lambda good: -(good.left_at or now))


def verified_good(records: Sequence[Record], now: float, watch_seconds: float) -> list[Good]:
    """Every stay of a release under traffic that counts as good, in the order of the records.

    How long a stay was is known only where the next operation found the release still there; where somebody had moved
    the traffic by other means in between, it is not, and unknown is not good (I21).
    """
    moves = [record for record in records if record.moves_traffic and record.outcome not in NOTHING_MOVED]
    stays: list[Good] = []
    for index, record in enumerate(moves):
        following = moves[index + 1] if index + 1 < len(moves) else None
        if record.from_good_since:
            stays.append(Good(record.from_release, record.from_color, record.from_good_since, record.at))
        if record.outcome is not Outcome.VERIFIED:
            continue
        if following and not following.from_release.same_as(record.to_release):
            continue
        left_at = following.at if following else 0.0
        if (left_at or now) - record.verified_at < watch_seconds:
            continue
        stays.append(Good(record.to_release, record.to_color, record.verified_at, left_at))
    return [stay for stay in stays if not is_bad(stay.release, records)]


# ---- the templates of releases, for when their Deployment is gone

TEMPLATES = 3
"""Kept per service, the newest."""
TEMPLATE_LIMIT = 64_000
"""Characters of one that is kept: the ConfigMap has to hold them all."""


class Template(Struct, frozen=True):
    """The pod template of a release that was live and verified."""

    release: Release
    template: dict[str, Any]
    at: float = 0.0


def decode_templates(text: str) -> dict[str, Template]:
    """The templates kept, by the release's label, oldest first; what cannot be read is not there."""
    try:
        return msgspec.json.decode(text, type=dict[str, Template]) if text else {}
    except msgspec.DecodeError:
        return {}


def encode_templates(known: Mapping[str, Template], new: Iterable[Template]) -> str:
    """The newest `TEMPLATES` of those known and new, as they are kept."""
    found = dict(known)
    for item in new:
        if len(msgspec.json.encode(item)) <= TEMPLATE_LIMIT:
            found.pop(item.release.label, None)
            found[item.release.label] = item
    return msgspec.json.encode(dict(list(found.items())[-TEMPLATES:])).decode()
