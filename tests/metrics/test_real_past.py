"""Against a real Prometheus: a window that ends in the past, and an earlier time beneath the present."""

import asyncio
import math

import pytest
import pytest_asyncio

from .conftest import REAL, feeds, model_servers, real_prometheus, service, settled, until

pytestmark = [pytest.mark.real_prometheus, REAL, pytest.mark.asyncio(loop_scope="module")]
BLUE = "churn-blue-7d9f8b6c5-abcde"
KEY = "ml/churn"
SERVICE = service({"blue": [BLUE]})


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def url(tmp_path_factory):
    """Of a Prometheus that sees a model server's traffic, as long as the tests of this file run."""
    folder = tmp_path_factory.mktemp("past")
    async with model_servers(folder) as pods, real_prometheus(folder / "prometheus", pods.session) as prometheus:
        await pods.start(BLUE, "blue", "7")
        prometheus.targets(pods)
        load = asyncio.create_task(pods.load(BLUE))
        yield prometheus.url
        load.cancel()
        await asyncio.gather(load, return_exceptions=True)


@pytest_asyncio.fixture(loop_scope="module")
async def asking(url):
    """A feed on that Prometheus, once it has seen half a minute of traffic."""
    async with feeds() as feed:
        found = feed(prometheus_url=url, scrape=False, refresh=1.0, range=60.0)
        found.fleet([SERVICE])
        found.select(SERVICE)
        await until(lambda: settled(found) and len(known(found)) >= 24)
        yield found


def known(found, ghost=""):
    """The instants and values of the request rate on the chart."""
    telemetry = found.telemetry(KEY)
    panel = next((panel for panel in telemetry.panels if panel.id == "rate"), None) if telemetry else None
    lines = [line for line in panel.series if bool(line.ghost) is bool(ghost)] if panel else []
    return {
        at: value for line in lines for at, value in zip(line.times, line.values, strict=True) if math.isfinite(value)
    }


async def test_back_in_time_is_what_was_shown_then_and_forward_again_is_now(asking):
    before = known(asking)
    end = sorted(before)[-8]
    asking.show_range(60.0, end)
    await until(lambda: asking.telemetry(KEY).end == end)
    past = known(asking)
    assert max(past) <= end
    same = [at for at in past if at in before and at < end - 5]
    assert len(same) >= 8
    assert [past[at] for at in same] == [before[at] for at in same]
    asking.show_range(60.0)
    await until(lambda: asking.telemetry(KEY).end > max(before))
    assert max(known(asking)) > end


async def test_a_held_window_stays_and_asks_for_nothing_more(asking):
    end = sorted(known(asking))[-1]
    asking.show_range(60.0, end)
    await until(lambda: asking.telemetry(KEY).end == end)
    held = known(asking)
    window = asking._observer._fleet.window
    asked = [item.question for item in asking._observer._board.questions(end + 70, window) if item.question.step]
    assert asked == []
    await until(lambda: asking._observer._last_contact > end + 3)
    assert known(asking).keys() >= held.keys()
    assert asking.telemetry(KEY).end == end


async def test_an_earlier_time_lies_under_the_present_shifted(asking):
    shift = 10.0
    asking.show_range(60.0, 0.0, shift)
    ghosts = await until(lambda: known(asking, "ghost"))
    telemetry = asking.telemetry(KEY)
    assert telemetry.compare == shift
    now = known(asking)
    same = [at for at in ghosts if at - shift in now and at < max(ghosts) - 5]
    assert len(same) >= 5
    assert [ghosts[at] for at in same] == [now[at - shift] for at in same]
    names = {line.ghost for panel in telemetry.panels for line in panel.series if line.ghost}
    assert names == {"10 s before"}
