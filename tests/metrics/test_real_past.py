"""Against a real Prometheus: a window that ends in the past, and an earlier time beneath the present."""

import math
import time

import pytest

from . import stores
from .conftest import REAL, service, until

pytestmark = [pytest.mark.real_prometheus, REAL]
BLUE = "churn-blue-7d9f8b6c5-abcde"
KEY = "ml/churn"
SERVICE = service({"blue": [BLUE]})
BACK = 180


def swelling(at):
    """A server whose traffic grows by the second: no two points are the same."""
    return [("counter", "ml_predictions_total", {"status": "success"}, (at % 100_000) ** 2 / 1000)]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A Prometheus that has seen three minutes of traffic, until now."""
    made = stores.Prometheus(tmp_path_factory.mktemp("past"))
    now = int(time.time())
    targets = {"/metrics": stores.Target(swelling, {"namespace": "ml", "pod": BLUE})}
    made.history(targets, 1, range(now - BACK, now + 1))
    made.scrape({}, 1)
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture
async def asking(store, feed):
    """A feed on it."""
    found = feed(prometheus_url=store.url, scrape=False, refresh=1.0, range=60.0)
    found.fleet([SERVICE])
    found.select(SERVICE)
    # Once it is known how often is scraped, rates look back as far as they will from then on.
    await until(lambda: found._observer._fleet.window == 30 and len(known(found)) >= 24 and "[30s]" in query(found))
    return found


def query(found):
    return next(panel.query for panel in found.telemetry(KEY).panels if panel.id == "rate")


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
