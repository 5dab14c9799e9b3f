"""An adoption and its undoing are killed at their writes, and taken up by another executor: whole, or as it was."""

import itertools

import pytest

from mlconsole.domain import adopting
from mlconsole.domain.deploying import COLOR_LABEL
from mlconsole.domain.history import Kind, Outcome
from mlconsole.domain.services import Shape

from .conftest import EVERY, KILLED, Stage, ended, staged
from .places import Embedded
from .test_kills import short

NAME, COPY = "eta", "eta-blue"
ALLOWED = {"resume": {Outcome.VERIFIED}, "abort": {Outcome.ABORTED, Outcome.RETURNED, Outcome.VERIFIED}}
"""How what was taken up may end: what is being retired is not moved back by an abort any more."""
WAYS = tuple(ALLOWED)
STRIDE = 5
CASES = (
    [(kind, how) for kind in (Kind.ADOPT, Kind.RELEASE) for how in WAYS]
    if EVERY
    else [(Kind.ADOPT, "in turn"), (Kind.RELEASE, "in turn")]
)


class Plain(Stage):
    """`Stage` on the world's plain service."""

    name, features = NAME, 3

    async def plan(self, kind, **_):
        await self.forget()
        await self.settled()
        return await self.session.plan(kind, NAME)

    async def adopted(self, where=""):
        """Whether it is adopted and whole, else plain and whole; anything between fails."""
        service = (await self.session.detail(NAME)).service
        apps = await self.get(self.deployment())
        sizes = {item["metadata"]["name"]: item["spec"]["replicas"] for item in apps["items"]}
        sizes = {name: size for name, size in sizes.items() if name.startswith(NAME)}
        plain = await self.get(self.deployment(NAME))
        note = adopting.of(plain)
        selector = {"app": NAME}
        if service.shape is Shape.PLAIN:
            assert (service.selector, sizes, note) == (selector, {NAME: 1}, None), where
            return False
        assert service.selector == {**selector, COLOR_LABEL: "blue"}, where
        assert sizes == {NAME: 0, COPY: 1}, where
        assert note == adopting.Adopted(NAME, COPY, COLOR_LABEL, 1), where
        return True

    async def be(self, adopted):
        """Adopt it, or give it back, where it is not so."""
        if await self.adopted() is not adopted:
            plan = await self.plan(Kind.ADOPT if adopted else Kind.RELEASE)
            assert await ended(await self.begin(plan)) == 0, self.said(plan)
            assert await self.adopted() is adopted, self.said(plan)


@pytest.fixture
async def plain(world, tmp_path, nursery, monkeypatch):
    """Where adoptions are killed."""
    async with staged(Embedded(world), tmp_path, nursery, monkeypatch, kind=Plain) as found:
        yield found


@pytest.mark.parametrize(("kind", "how"), CASES)
async def test_an_adoption_killed_at_its_writes_is_whole_or_as_it_was(plain, tried, kind, how):
    lost, count = plain.lost(), 0
    points = ((number, when) for number in itertools.count(1) for when in ("before", "after"))
    first = 0 if EVERY or kind is Kind.ADOPT else STRIDE // 2
    for number, when in itertools.islice(points, first, None, 1 if EVERY else STRIDE):
        way = WAYS[count % len(WAYS)] if how == "in turn" else how
        died, write, end = await killed(plain, kind, number, when, way)
        count += 1
        if not died:
            break
        tried(KILLED, plain.where, str(kind), when, write, way, str(end.ending) if end else "as it was")
    assert count > (10 if EVERY else 3), "an operation has more writes than that"
    assert plain.lost() == lost, "no request was lost"


async def killed(plain, kind, number, when, way):
    """Kill it once, take it up, and look at what is there; (whether it died, the write, how it ended)."""
    there = kind is Kind.ADOPT
    await plain.be(not there)
    plan = await plain.plan(kind)
    died, writes = await plain.killed(plan, number, when)
    _, end = await plain.go_on(way)
    record = await plain.tidy(plan)
    where = "\n".join((str(kind), when, *writes, *plain.said(plan)))
    adopted = await plain.adopted(where)
    if end is None:
        # Killed before anything was on record, or after everything was.
        assert adopted is (there if record else not there), where
        return died, short(writes[-1]), None
    assert not await plain.holder(), where
    assert end.ending in ALLOWED[way], where
    assert adopted is (there if end.ending is Outcome.VERIFIED else not there), where
    assert record is not None, where
    assert record["outcome"] == end.ending, where
    return died, short(writes[-1]), end
