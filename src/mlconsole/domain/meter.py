"""The rollback meter: whether there is a way back, before it is needed (design, section 8)."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from mlconsole.domain.history import Good, Kind, Outcome, Record, is_bad, is_bad_revision
from mlconsole.domain.plans import place_of
from mlconsole.domain.services import Color, Health, ModelService, Release, Shape


class RollbackMeter(Struct, frozen=True):
    """Where a rollback would go, and whether it would arrive."""

    health: Health
    words: str
    """One line that stands alone: `rollback to blue v12, 3/3 ready, ~2 s`."""
    color: str = ""
    release: Release = Release()
    verified_at: float = 0.0
    """When the destination was verified good; 0 if it is not on record."""
    ready: int = 0
    wish: int = 0
    warm_until: float = 0.0
    """When its retention ends; 0 for no limit."""
    allowed: bool | None = None
    """Whether this user may do it; None while unknown."""
    expected_seconds: float = 0.0
    drilled_at: float = 0.0
    """When it was last rehearsed to where it would go now; 0 for never."""
    drill: str = ""
    """What came of that, in words."""
    drill_passed: bool = False


def expected_seconds(records: Sequence[Record], round_trip: float) -> float:
    """Seconds from confirmation to seen traffic: the median of this service's verified moves, else an estimate.

    The estimate is five API round trips (fresh read, intent, write, endpoints, request) and a second for the proxies.
    """
    took = sorted(
        record.verified_at - record.at
        for record in records
        if record.kind.moves_traffic and record.outcome is Outcome.VERIFIED and record.verified_at > record.at
    )
    return took[len(took) // 2] if took else 1.0 + 5 * round_trip


def read_meter(
    service: ModelService,
    goods: Sequence[Good],
    records: Sequence[Record],
    *,
    allowed: bool | None,
    round_trip: float,
    keep_warm: float,
    kept: Sequence[Release] = (),
) -> RollbackMeter:
    """Read the meter of a service. `goods` are the known good releases, the last that had the traffic first.

    `keep_warm` is the retention after traffic left, seconds; 0 for no limit. `kept` are the releases whose template
    the history holds.
    """
    return _drilled(_read(service, goods, records, allowed, round_trip, keep_warm, kept), records)


def _drilled(meter: RollbackMeter, records: Sequence[Record]) -> RollbackMeter:
    """The meter with its last rehearsal: of another destination, or of this one before it changed, it says nothing."""
    drills = [item for item in records if item.kind is Kind.DRILL and item.ended_at]
    last = next((item for item in reversed(drills) if item.to_release.same_as(meter.release)), None)
    if last is None:
        return meter
    passed = last.outcome is Outcome.VERIFIED
    return replace(meter, drilled_at=last.ended_at, drill=last.message, drill_passed=passed)


def _read(
    service: ModelService,
    goods: Sequence[Good],
    records: Sequence[Record],
    allowed: bool | None,
    round_trip: float,
    keep_warm: float,
    kept: Sequence[Release],
) -> RollbackMeter:
    seconds = expected_seconds(records, round_trip)
    if service.shape is Shape.PLAIN:
        return _plain(service, goods, records, allowed, seconds)
    idle = service.idle_color
    cold = _cold(service, goods, kept, allowed)
    found = place_of(service, goods)
    if found is None and cold is not None:
        return cold
    if found is None and idle is not None:
        return _nowhere(idle, goods, records, allowed)
    if found is None:
        why = "nothing was deployed beside it yet" if len(service.colors) == 1 else "there is no single idle colour"
        return RollbackMeter(Health.BAD, f"no way back: {why}", allowed=allowed)
    good, place = found
    left_at = good.left_at
    return _warm(
        RollbackMeter(
            health=Health.OK,
            words=f"rollback to {place.name} {place.release.label}, {place.ready}/{place.wish} ready, ~{seconds:.0f} s",
            color=place.name,
            release=place.release,
            verified_at=good.verified_at,
            ready=place.ready,
            wish=place.wish,
            warm_until=left_at + keep_warm if keep_warm and left_at else 0.0,
            allowed=allowed,
            expected_seconds=seconds,
        )
    )


def _cold(
    service: ModelService, goods: Sequence[Good], kept: Sequence[Release], allowed: bool | None
) -> RollbackMeter | None:
    """The way back to a release that nothing runs any more, if there is what to make it of (I15)."""
    colors = sorted(service.colors, key=lambda color: color.name == service.live)
    for good in goods:
        label, of = good.release.label, ""
        for color in colors:
            if any(item.release.same_as(good.release) for item in color.revisions[1:]):
                of = f"from an older ReplicaSet of {color.name}"
                break
        if not of and any(item.same_as(good.release) for item in kept):
            of = "from the template that the history keeps"
        if of:
            words = f"rollback to {label} is cold: it is brought up first, {of}"
            return _allowed(RollbackMeter(Health.WARN, words, "", good.release, good.verified_at, allowed=allowed))
    return None


def _allowed(meter: RollbackMeter) -> RollbackMeter:
    if meter.allowed is False:
        return replace(meter, health=Health.BAD, words=f"{meter.words}; you may not do it")
    return meter


def _nowhere(idle: Color, goods: Sequence[Good], records: Sequence[Record], allowed: bool | None) -> RollbackMeter:
    """No release that is known good stands on the idle colour."""
    label = idle.release.label
    if is_bad(idle.release, records):
        words = f"no way back: {idle.name} {label} was itself rolled back from"
        return RollbackMeter(Health.BAD, words, "", allowed=allowed)
    if goods:
        good = goods[0]
        words = f"last known good {good.release.label} stands on no idle colour; {idle.name} has {label}"
        return RollbackMeter(Health.BAD, words, "", good.release, good.verified_at, allowed=allowed)
    words = f"{idle.name} {label} is not on record as good; {idle.ready}/{idle.wish} ready"
    health = Health.WARN if idle.ready else Health.BAD
    return RollbackMeter(health, words, idle.name, idle.release, 0.0, idle.ready, idle.wish, allowed=allowed)


def _warm(meter: RollbackMeter) -> RollbackMeter:
    if meter.allowed is False:
        return _allowed(meter)
    if meter.ready == 0:
        how = "none of its pods is ready" if meter.wish else "a rollback scales it up first"
        words = f"{meter.color} {meter.release.label} is cold: 0/{meter.wish} ready; {how}"
        return replace(meter, health=Health.BAD, words=words)
    if meter.ready < max(1, meter.wish):
        return replace(meter, health=Health.WARN)
    return meter


def _plain(
    service: ModelService, goods: Sequence[Good], records: Sequence[Record], allowed: bool | None, seconds: float
) -> RollbackMeter:
    color = service.colors[0] if service.colors else None
    earlier = [item for item in (color.revisions[1:] if color else ()) if not is_bad_revision(item.number, records)]
    if not earlier:
        return RollbackMeter(Health.BAD, "no earlier revision to go back to", allowed=allowed)
    known = (item for good in goods for item in earlier if item.release.same_as(good.release))
    revision = next(known, earlier[0])
    words = f"not blue-green: back to a revision ({len(earlier)} kept), pods are replaced one by one"
    health = Health.BAD if allowed is False else Health.WARN
    return RollbackMeter(health, words, "", revision.release, allowed=allowed, expected_seconds=seconds)


def moves(records: Sequence[Record]) -> list[Record]:
    """The operations that moved traffic, for the marks on the charts, oldest first."""
    applied = (Outcome.VERIFIED, Outcome.UNVERIFIED)
    return [record for record in records if record.outcome in applied and record.moves_traffic]
