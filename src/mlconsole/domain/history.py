"""The bounded history of a service's operations, and the release that is known good because of it (I14, I16, I17).

The history lives in the cluster, one ConfigMap per service (`mlconsole-history-<service>`, key `records`, one JSON
record a line, oldest first), so that every console and kubectl read the same. A record is written when an operation
is begun (its intent) and once more when its outcome is known: the later line with the same id wins.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence

import msgspec
from msgspec import Struct

from mlconsole.domain.services import Release

KEEP = 50
"""Operations kept per service."""


def config_map_name(service: str) -> str:
    """The name of the ConfigMap that holds the service's history."""
    return f"mlconsole-history-{service}"


class Kind(enum.StrEnum):
    """What an operation does."""

    SWITCH = "switch"
    ROLLBACK = "rollback"


class Outcome(enum.StrEnum):
    """How an operation ended."""

    OPEN = "open"
    """Intent recorded, outcome not: running, or interrupted."""
    VERIFIED = "verified"
    """The traffic was seen on the destination (I3)."""
    UNVERIFIED = "unverified"
    """The write was applied; the traffic was not seen there within the deadline."""
    FAILED = "failed"
    """Nothing was changed."""


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


def encode(records: Sequence[Record], keep: int = KEEP) -> str:
    """Write records one JSON object a line, merged and bounded to the newest `keep`."""
    return "".join(msgspec.json.encode(record).decode() + "\n" for record in merge(records)[-keep:])


def decode(text: str) -> tuple[list[Record], list[str]]:
    """Read records; a line that is not one is returned as a complaint, never dropped silently."""
    records, complaints = [], []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            records.append(msgspec.json.decode(line, type=Record))
        except msgspec.DecodeError as error:
            complaints.append(f"history line {number}: {error}")
    return merge(records), complaints


def merge(records: Iterable[Record]) -> list[Record]:
    """One record an operation, the later line winning, ordered by when it began."""
    latest: dict[str, Record] = {}
    for record in records:
        latest[record.id] = record
    return sorted(latest.values(), key=lambda record: (record.at, record.id))


class Good(Struct, frozen=True):
    """A release verified good: where it was, and when that was established."""

    release: Release
    color: str
    verified_at: float
    left_at: float = 0.0
    """When traffic left it; 0 while it is live."""


def is_bad(release: Release, records: Sequence[Record]) -> bool:
    """Whether the last word on `release` is that traffic was rolled back from it (I16).

    A later verified switch to it, which took a person's reason, lifts the verdict.
    """
    bad = False
    for record in records:
        if record.outcome not in (Outcome.VERIFIED, Outcome.UNVERIFIED):
            continue
        if record.kind is Kind.ROLLBACK and record.from_release.same_as(release):
            bad = True
        elif record.kind is Kind.SWITCH and record.outcome is Outcome.VERIFIED and record.to_release.same_as(release):
            bad = False
    return bad


def last_known_good(records: Sequence[Record], now: float, watch_seconds: float, live: Release | None) -> Good | None:
    """The newest release that was live, verified, outlived its watch window and was not rolled back from (I14).

    The release that is live now does not count: the question is where to go back to.
    `watch_seconds` is the watch window's length; a release that traffic left within it, by whatever way, never counts.
    """
    candidates = [
        good for good in verified_good(records, now, watch_seconds) if not (live and good.release.same_as(live))
    ]
    return max(candidates, key=lambda good: good.left_at or now, default=None)


def verified_good(records: Sequence[Record], now: float, watch_seconds: float) -> list[Good]:
    """Every stay of a release under traffic that counts as good, oldest first."""
    moves = [record for record in records if record.outcome in (Outcome.VERIFIED, Outcome.UNVERIFIED)]
    stays: list[Good] = []
    for index, record in enumerate(moves):
        following = moves[index + 1] if index + 1 < len(moves) else None
        if record.from_good_since:
            stays.append(Good(record.from_release, record.from_color, record.from_good_since, record.at))
        if record.outcome is not Outcome.VERIFIED:
            continue
        left_at = following.at if following else 0.0
        if (left_at or now) - record.verified_at < watch_seconds:
            continue
        stays.append(Good(record.to_release, record.to_color, record.verified_at, left_at))
    return [stay for stay in stays if not is_bad(stay.release, records)]
