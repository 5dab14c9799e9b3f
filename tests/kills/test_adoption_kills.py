"""An adoption and its undoing are killed at their writes, and taken up by another executor: whole, or as it was."""

import itertools

import pytest

from mlconsole.domain import adopting
from mlconsole.domain.deploying import COLOR_LABEL
from mlconsole.domain.history import Kind, Outcome
from mlconsole.domain.services import Shape

from . import places
from .conftest import EVERY, KILLED, PLACES, Stage, ended, only_where_all_are_tried, staged
from .places import Embedded
from .test_kills import short

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

    name, features, size = "eta", 3, 1

    async def plan(self, kind, **_):
        await self.forget()
        await self.settled()
        return await self.session.plan(kind, self.name)

    async def adopted(self, where=""):
        """Whether it is adopted and whole, else plain and whole; anything between fails."""
        name, copy = self.name, f"{self.name}-blue"
        service = (await self.session.detail(name)).service
        apps = await self.get(self.deployment())
        sizes = {item["metadata"]["name"]: item["spec"]["replicas"] for item in apps["items"]}
        sizes = {item: size for item, size in sizes.items() if item.startswith(name)}
        plain = await self.get(self.deployment(name))
        note = adopting.of(plain)
        selector = {"app": name}
        if service.shape is Shape.PLAIN:
            assert (service.selector, sizes, note) == (selector, {name: self.size}, None), where
            return False
        assert service.selector == {**selector, COLOR_LABEL: "blue"}, where
        assert sizes == {name: 0, copy: self.size}, where
        assert note == adopting.Adopted(name, copy, COLOR_LABEL, self.size), where
        return True

    async def be(self, adopted):
        """Adopt it, or give it back, where it is not so."""
        if await self.adopted() is not adopted:
            plan = await self.plan(Kind.ADOPT if adopted else Kind.RELEASE)
            assert await ended(await self.begin(plan)) == 0, self.said(plan)
            assert await self.adopted() is adopted, self.said(plan)


class RealPlain(Plain):
    """`Stage` on the plain service of a real cluster."""

    name, features, size = places.NAME, 5, 2


@pytest.fixture(scope="module", params=PLACES)
def plain_place(request, tmp_path_factory):
    """Where adoptions are killed."""
    if request.param == "embedded":
        yield Embedded(request.getfixturevalue("world"))
        return
    only_where_all_are_tried(places.Real, tried=False)
    with places.real(tmp_path_factory.mktemp("real"), places.PatientPlain) as found:
        yield found


@pytest.fixture
async def plain(plain_place, tmp_path, nursery, monkeypatch):
    """A service that is to be adopted, or given back."""
    kind = RealPlain if plain_place.real else Plain
    async with staged(plain_place, tmp_path, nursery, monkeypatch, kind=kind) as found:
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
