"""The points of a chart whose window moves back and forth: nothing is asked for twice, and what is shown is what is."""

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from mlconsole.domain.telemetry import DAY, WEEK, ghost_words
from mlconsole.metrics.chart import KEPT, OVERLAP, STATS_OF, Chart, compared

STATS = [stat for stats in STATS_OF.values() for stat in stats]


def answer(chart, asked):
    for stat in STATS:
        chart.put(asked, stat, {"blue": {index: float(index) for index in asked}})
    chart.finish(asked)


def shown(chart):
    [line] = chart.telemetry(0.0, "prometheus", {}, {}, "").panels[2].series
    return line


@settings(deadline=None)
@given(st.lists(st.integers(1_000, 20_000), min_size=1, max_size=12))
def test_wherever_the_window_ends_its_points_are_there(ends):
    chart = Chart("ml/churn", 100.0, 10.0, ["blue"])
    for end in ends:
        asked = chart.missing(float(end))
        assert len(asked) <= chart.size
        answer(chart, asked)
        line = shown(chart)
        assert line.times[-1] == end // 10 * 10
        assert line.values == tuple(at / 10 for at in line.times)
        assert all(len(points) <= (2 * KEPT + 1) * chart.size for points in chart._points.values())


def test_a_step_back_asks_for_what_is_before_and_a_step_forward_for_nothing():
    chart = Chart("ml/churn", 100.0, 10.0, ["blue"])
    answer(chart, chart.missing(1000.0))
    back = chart.missing(970.0)
    assert back == range(88, 91)
    answer(chart, back)
    assert not chart.missing(980.0)
    chart.finish(range(0))
    assert shown(chart).times[-1] == 980.0
    now = chart.missing(1010.0)
    assert now == range(101 - OVERLAP, 102)


def test_an_earlier_time_lies_under_the_present():
    now, earlier = (Chart("ml/churn", 100.0, 10.0, ["blue"]) for _ in range(2))
    answer(now, now.missing(DAY + 1000.0))
    answer(earlier, earlier.missing(1000.0))
    both = [chart.telemetry(0.0, "prometheus", {}, {}, "") for chart in (now, earlier)]
    telemetry = compared(*both, DAY)
    ghost, line = telemetry.panels[2].series
    assert (ghost.ghost, line.ghost, telemetry.compare) == ("yesterday", "", DAY)
    assert ghost.times == line.times
    assert all(math.isclose(a + DAY / 10, b) for a, b in zip(ghost.values, line.values, strict=True))


def test_an_earlier_time_without_a_figure_gives_no_line():
    now, earlier = (Chart("ml/churn", 100.0, 10.0, ["blue"]) for _ in range(2))
    answer(now, now.missing(1000.0))
    asked = earlier.missing(500.0)
    for stat in STATS:
        earlier.put(asked, stat, {})
    earlier.finish(asked)
    both = [chart.telemetry(0.0, "prometheus", {}, {}, "") for chart in (now, earlier)]
    assert [line.ghost for line in compared(*both, 500.0).panels[2].series] == [""]


def test_a_shift_has_words():
    words = [ghost_words(seconds) for seconds in (DAY, WEEK, 3 * 3600 + 49 * 60 + 5, 30.0, 0.0)]
    assert words == ["yesterday", "last week", "3 h 49 min before", "30 s before", "0 s before"]
