"""The console in a real pseudo-terminal on a real cluster: `s`, `y`, then `r`, `y`; not one request is lost."""

import asyncio
import sys

import pytest

from terminal import Program

from .conftest import BLUE, DEADLINE, GREEN, within

pytestmark = pytest.mark.real_cluster
SIZES = [(120, 40), (80, 24)]
DONE = r"✔ verify|(arrived|done|verified|▌).* in a row by v{}"
"""The operation's last line, or the notice that may cover it; the notice of the one before names another version."""


class Console:
    """The console, looked at and typed into; waiting leaves the loop free for the load."""

    def __init__(self, program):
        self.program = program

    async def see(self, pattern, seconds=DEADLINE):
        return await asyncio.to_thread(self.program.wait_until, pattern, seconds)

    async def see_no_more(self, pattern, seconds=DEADLINE):
        await asyncio.to_thread(self.program.wait_until, rf"\A(?![\s\S]*{pattern})", seconds)

    async def leave(self):
        await self.type("q")
        code = await asyncio.to_thread(self.program.wait, 20)
        assert code == 0, f"{code} after q:\n{self.program.text}"

    async def type(self, keys):
        self.program.press(keys)


@pytest.fixture(params=SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def console(request, service):
    """The console on the service's namespace; kept connections hold up no drain for long."""
    service.write_config('[defaults.watch]\ndrain = "1s"\n')
    program = Program([sys.executable, "-m", "mlconsole"], *request.param, **service.environ)
    yield Console(program)
    program.close()


async def test_two_keys_move_the_traffic_and_two_more_bring_it_back(service, load_on, console):
    await console.see(r"fraud-scorer .*LIVE blue v12 2/2 .*idle green v13 2/2")
    await service.proven()
    await console.type("s")
    await console.see(r"Switch fraud-scorer to green v13")
    await console.see(r"dry run +. accepted")
    assert await service.kubectl_live() == "blue", "a plan that is shown changes nothing"
    await console.type("y")
    await console.see(DONE.format(13))
    assert await service.kubectl_live() == "green"
    await console.type("\x1b")
    await console.see_no_more("Switch fraud-scorer")
    await console.see(r"fraud-scorer .*LIVE green v13 2/2 .*idle blue v12 2/2")
    await within(DEADLINE, lambda: load_on.seen(GREEN, 20))

    await console.see(r"way back READY")
    await console.type("r")
    await console.see(r"Roll back fraud-scorer to blue v12")
    await console.see(r"dry run +. accepted")
    await console.type("y")
    await console.see(DONE.format(12))
    assert await service.kubectl_live() == "blue"
    count = load_on.versions[BLUE]
    await within(DEADLINE, lambda: load_on.seen(BLUE, count + 20))
    await load_on.drain()
    assert load_on.lost == []

    await console.type("\x1b")
    await console.see_no_more("Roll back fraud-scorer")
    await console.see(r"fraud-scorer .*LIVE blue v12 2/2")
    await console.leave()
    kinds = [(record["kind"], record.get("outcome")) for record in await service.records()]
    assert kinds == [("switch", "verified"), ("rollback", "verified")]


async def test_no_means_no(service, console):
    await console.see(r"LIVE blue v12 2/2")
    for no in ("\r", "n", "\x1b"):
        await console.type("s")
        await console.see(r"dry run +. accepted")
        await console.type(no)
        await console.see_no_more("dry run")
    await console.leave()
    assert await service.kubectl_live() == "blue"
