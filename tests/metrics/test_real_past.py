"""Against a real Prometheus: a window that ends in the past, and an earlier time beneath the present."""

import asyncio
import math

import pytest

from .conftest import REAL, service, until

pytestmark = [pytest.mark.real_prometheus, REAL]
BLUE = "churn-blue-7d9f8b6c5-abcde"
KEY = "ml/churn"
SERVICE = service({"blue": [BLUE]})


@pytest.fixture
async def asking(pods, prometheus, feed):
    """A feed on a Prometheus that has seen half a minute of traffic."""
    await pods.start(BLUE, "blue", "7")
    prometheus.targets(pods)
    load = asyncio.create_task(pods.load(BLUE))
    found = feed(prometheus_url=prometheus.url, refresh=1.0, range=60.0)
    found.fleet([SERVICE])
    found.select(SERVICE)
    await until(lambda: len(known(found)) >= 24)
    yield found
    load.cancel()
    await asyncio.gather(load, return_exceptions=True)


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


async def test_a_held_window_stays_and_asks_for_nothing_more(asking, prometheus):
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
