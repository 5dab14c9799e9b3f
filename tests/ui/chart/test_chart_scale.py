import math
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlconsole.ui.chart.scale import clock_ticks, log_range, nice_step, value_range, window
from mlconsole.ui.chart.units import figure, tick_labels

HOUR = 3600.0
END = 1_764_000_000.0


@pytest.mark.parametrize(
    ("raw", "step"),
    [(0.9, 1), (1, 1), (1.01, 2), (2.1, 2.5), (2.6, 5), (7, 10), (0.03, 0.05), (120, 200), (1e12, 1e12), (3e-7, 5e-7)],
)
def test_steps_are_nice(raw, step):
    assert nice_step(raw) == pytest.approx(step)


@pytest.mark.parametrize(
    ("low", "high", "unit", "labels"),
    [
        (0.012, 0.4, "s", ["0 ms", "100 ms", "200 ms", "300 ms", "400 ms"]),
        (1.2, 3.9, "s", ["0 s", "1 s", "2 s", "3 s", "4 s"]),
        (0, 0.000004, "s", ["0 us", "1 us", "2 us", "3 us", "4 us"]),
        (0, 0.0004, "ratio", ["0.00 %", "0.01 %", "0.02 %", "0.03 %", "0.04 %"]),
        (0, 0.9, "ratio", ["0 %", "25 %", "50 %", "75 %", "100 %"]),
        (0, 40, "1/s", ["0 req/s", "10 req/s", "20 req/s", "30 req/s", "40 req/s"]),
        (0, 40_000, "1/s", ["0k req/s", "10k req/s", "20k req/s", "30k req/s", "40k req/s"]),
        (-2, 2, "", ["-2", "-1", "0", "1", "2"]),
        (0, 0, "s", ["0.00 ms", "0.25 ms", "0.50 ms", "0.75 ms", "1.00 ms"]),
        (1e12, 1e12, "s", ["0 s", "2.5e+11 s", "5e+11 s", "7.5e+11 s", "1e+12 s"]),
    ],
)
def test_ticks_of_a_range(low, high, unit, labels):
    scale = value_range(low, high, 4, unit)
    assert [label for _, label in tick_labels(scale, unit)] == labels


def test_bare_labels_leave_out_the_unit():
    assert [label for _, label in tick_labels(value_range(0, 40, 2, "1/s"), "1/s", bare=True)] == ["0", "20", "40"]


@pytest.mark.parametrize(
    ("value", "unit", "words"),
    [
        (0.2124, "s", "212 ms"),
        (1.342, "s", "1.34 s"),
        (0.00004, "s", "40 us"),
        (0.0, "s", "0 s"),
        (0.002, "ratio", "0.2 %"),
        (1.0, "ratio", "100 %"),
        (41.24, "1/s", "41.2 req/s"),
        (12_345, "1/s", "12.3k req/s"),
        (2e9, "1/s", "2G req/s"),
        (1e15, "1/s", "1e+15 req/s"),
        (-3.5, "", "-3.5"),
        (math.nan, "s", "no data"),
        (math.inf, "s", "over"),
        (-math.inf, "s", "under"),
        (1.8e306, "ratio", "over"),
    ],
)
def test_figures_in_words(value, unit, words):
    assert figure(value, unit) == words


@settings(deadline=None)
@given(st.floats(), st.floats(), st.integers(min_value=0, max_value=12), st.sampled_from(["s", "ratio", "1/s", "x"]))
def test_every_range_holds_its_values_and_few_ticks(low, high, ticks, unit):
    scale = value_range(min(low, high), max(low, high), ticks, unit)
    assert scale.low < scale.high
    assert scale.low <= 0 <= scale.high
    for value in (low, high):
        if abs(value) <= 1e300 and not math.isnan(low + high) and not math.isinf(low + high):
            slack = (scale.high - scale.low) * 1e-6
            assert scale.low - slack <= value <= scale.high + slack
    labels = tick_labels(scale, unit)
    assert 1 <= len(labels) <= max(1, ticks) + 2


@settings(deadline=None)
@given(st.floats(), st.floats(), st.integers(min_value=-1, max_value=300))
def test_a_window_is_sound_or_is_none(start, end, columns):
    view = window(start, end, columns)
    if view is not None:
        assert view.cell > 0
        assert view.columns == columns
        assert len(clock_ticks(view, 12)) <= columns


@settings(deadline=None)
@given(st.floats(min_value=0, max_value=1e10), st.floats(min_value=1, max_value=1e7), st.integers(1, 240))
def test_the_end_is_in_the_last_column(end, span, columns):
    view = window(end - span, end, columns)
    assert view is not None
    assert view.column(end) == columns - 1


def test_a_window_moves_by_whole_columns():
    views = [window(END + second - HOUR, END + second, 100) for second in range(72)]
    firsts = [view.first for view in views]
    assert {view.cell for view in views} == {36.0}
    assert firsts == sorted(firsts)
    assert len(set(firsts)) in (2, 3)


def test_an_instant_outside_has_no_column():
    view = window(END - HOUR, END, 60)
    assert [view.column(at) for at in (END - 2 * HOUR, END + 120, math.nan, math.inf)] == [None] * 4
    assert view._replace(cell=0.5).column(1.7e308) is None


@pytest.mark.parametrize(
    ("span", "columns", "labels"),
    [
        (HOUR, 60, ["15:15", "15:30", "15:45", "16:00"]),
        (300, 60, ["15:56", "15:57", "15:58", "15:59", "16:00"]),
        (60, 60, ["15:59:15", "15:59:30", "15:59:45", "16:00:00"]),
        (86400, 60, ["18:00", "24 Nov", "06:00", "12:00"]),
        (7 * 86400, 60, ["18 Nov", "20 Nov", "22 Nov", "24 Nov"]),
    ],
)
def test_clock_times_are_round_and_utc(span, columns, labels):
    view = window(END - span, END, columns)
    assert [label for _, label in clock_ticks(view, 12)] == labels


def test_clock_columns_keep_their_distance():
    columns = [column for column, _ in clock_ticks(window(END - 5000, END, 117), 12)]
    assert all(b - a >= 12 for a, b in pairwise(columns))
    assert len(columns) >= 3


def test_a_time_that_no_calendar_knows_is_a_number():
    view = window(9e12, 9.1e12, 40)
    assert all("e+" in label for _, label in clock_ticks(view, 12))


@pytest.mark.parametrize(
    ("low", "high", "ticks", "labels"),
    [
        (0.002, 0.9, 5, ["1 ms", "10 ms", "100 ms", "1 s"]),
        (0.04, 0.3, 5, ["20 ms", "50 ms", "100 ms", "200 ms", "500 ms"]),
        (0.3, 0.3, 5, ["200 ms", "500 ms", "1 s", "2 s"]),
        (1e-9, 1e3, 4, ["0.001 us", "1 us", "1 ms", "1 s", "1000 s"]),
    ],
)
def test_ticks_of_a_logarithmic_range(low, high, ticks, labels):
    assert [label for _, label in tick_labels(log_range(low, high, ticks), "s")] == labels


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-1.0, 1.0), (2.0, 1.0), (1.0, math.inf), (math.inf, 0.0)])
def test_there_is_no_logarithm_of_nothing(low, high):
    assert log_range(low, high, 5) is None


@settings(deadline=None)
@given(st.floats(1e-300, 1e300), st.floats(1e-300, 1e300), st.integers(1, 12))
def test_every_logarithmic_range_holds_its_highest_value(one, other, ticks):
    scale = log_range(min(one, other), max(one, other), ticks)
    high = max(one, other)
    assert 0 < scale.low < scale.high
    assert scale.high >= high * (1 - 1e-9)
    assert scale.low <= min(one, other) * (1 + 1e-9) or scale.low >= high * 1e-13
    assert 1 <= len(scale.ticks) <= 3 * ticks + 4
    assert scale.share(high) <= 1
    assert scale.share(0.0) == scale.share(-5.0) == 0
    assert scale.share(scale.low) <= scale.share(high)


@pytest.mark.parametrize(
    ("value", "unit", "words"),
    [
        (512.0, "B", "512 B"),
        (1536.0, "B", "1.5 KiB"),
        (3.5 * 2**30, "B", "3.5 GiB"),
        (2.0**62, "B", "4096 PiB"),
        (2e6, "B/s", "1.91 MiB/s"),
        (0.25, "cores", "0.25 cores"),
        (12.0, "cores", "12 cores"),
        (0.00004, "", "4e-05"),
    ],
)
def test_sizes_and_cores_in_words(value, unit, words):
    assert figure(value, unit) == words


def test_ticks_of_sizes_are_round_sizes():
    labels = [label for _, label in tick_labels(value_range(0, 700 * 2**20, 4, "B"), "B")]
    assert labels == ["0 MiB", "200 MiB", "400 MiB", "600 MiB"]
