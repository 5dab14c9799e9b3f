import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlconsole.ui.chart.raster import BRAILLE, Plot, Stroke, line_dots, samples
from mlconsole.ui.chart.scale import Window

FIRST = 1000
values = st.one_of(st.floats(min_value=-1e6, max_value=1e6), st.just(math.nan))
lines = st.lists(st.tuples(st.floats(min_value=0, max_value=39.99), values), max_size=200)


def view_of(columns):
    return Window(cell=2.0, first=FIRST, columns=columns)


def drawn(line, *, columns=20, rows=8, dotted=False, low=-1e6, high=1e6):
    """The dots of (seconds after the window's start, value) pairs, two dot columns and four dot rows a cell."""
    view = view_of(columns)
    placed = samples([view.first * view.cell + at for at, _ in line], [value for _, value in line], view, 2)
    return line_dots(placed, low, high, columns * 2, rows * 4, dotted=dotted)


def level(value, *, low=-1e6, high=1e6, rows=8):
    return round(min(1, max(0, (value - low) / (high - low))) * (rows * 4 - 1))


def by_column(line):
    found = {}
    for at, value in line:
        if not math.isnan(value):
            found.setdefault(math.floor(at), []).append(value)
    return found


@settings(deadline=None)
@given(lines)
def test_extremes_of_each_column_have_their_dots(line):
    dots = drawn(line)
    for column, found in by_column(line).items():
        assert dots[level(max(found)), column]
        assert dots[level(min(found)), column]


@settings(deadline=None)
@given(lines)
def test_a_dotted_line_hides_less_than_two_dots_of_any_extreme(line):
    dots = drawn(line, dotted=True)
    for column, found in by_column(line).items():
        near = dots[:, max(0, column - 1) : column + 2]
        for value in (max(found), min(found)):
            rows = np.flatnonzero(near.any(axis=1))
            assert rows.size
            assert np.abs(rows - level(value)).min() <= 1


@settings(deadline=None)
@given(lines)
def test_no_dot_lies_beyond_the_values(line):
    dots = drawn(line)
    known = [value for _, value in line if not math.isnan(value)]
    rows = np.flatnonzero(dots.any(axis=1))
    assert (rows.size > 0) == bool(known)
    if known:
        assert rows.min() == level(min(known))
        assert rows.max() == level(max(known))


@settings(deadline=None)
@given(lines, lines)
def test_a_gap_is_not_crossed(before, after):
    left = sorted((at / 3, value) for at, value in before)
    right = sorted((27 + at / 4, value) for at, value in after)
    dots = drawn([*left, (20.0, math.nan), *right])
    last = max((at for at, value in left if not math.isnan(value)), default=0)
    first = min((at for at, value in right if not math.isnan(value)), default=40)
    assert not dots[:, math.floor(last) + 1 : math.floor(first)].any()


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0, 39.99), st.floats(-1e6, 1e6)), min_size=2, max_size=60))
def test_a_line_without_gaps_is_connected(line):
    dots = drawn(line)
    columns = np.flatnonzero(dots.any(axis=0))
    assert (np.diff(columns) == 1).all()
    spans = [np.flatnonzero(dots[:, column]) for column in columns]
    for span in spans:
        assert (np.diff(span) == 1).all()
    for one, other in pairwise(spans):
        assert one.min() <= other.max() + 1
        assert other.min() <= one.max() + 1


@settings(deadline=None)
@given(lines)
def test_order_of_the_samples_does_not_matter(line):
    unique = list({FIRST * 2.0 + at: (at, value) for at, value in line}.values())
    assert (drawn(unique) == drawn(sorted(unique))).all()


@settings(deadline=None)
@given(
    st.lists(st.floats(), max_size=30),
    st.lists(st.floats(), max_size=30),
    st.integers(1, 60),
    st.integers(1, 12),
    st.booleans(),
)
def test_nothing_raises_and_the_size_is_kept(times, found, columns, rows, dotted):
    placed = samples(times, found, view_of(columns), 2)
    assert line_dots(placed, 0.0, 1.0, columns * 2, rows * 4, dotted=dotted).shape == (rows * 4, columns * 2)


def test_infinity_stands_at_the_edge():
    dots = drawn([(0, math.inf), (10, math.nan), (20, -math.inf)], low=0, high=10)
    assert [tuple(place) for place in np.argwhere(dots)] == [(0, 20), (31, 0)]


def test_a_hidden_spike_among_many_samples_shows():
    line = [(index * 40 / 20_000, 1.0) for index in range(20_000)]
    line[12_345] = (line[12_345][0], 9.0)
    dots = drawn(line, low=0, high=10)
    assert dots[level(9, low=0, high=10), math.floor(line[12_345][0])]


def test_a_line_runs_in_from_before_the_window_and_out_after_it():
    dots = drawn([(-400, 0), (20, 5), (400, 5)], low=0, high=10)
    assert dots.any(axis=0).all()
    assert dots[:, 39].argmax() == level(5, low=0, high=10)


def test_samples_outside_alone_show_nothing():
    placed = samples([0, 1], [1.0, 2.0], view_of(10), 2)
    assert not placed.shown
    assert not line_dots(placed, 0, 1, 20, 4).any()


def test_a_flat_dotted_line_has_every_other_dot():
    line = [(at, 5.0) for at in range(40)]
    assert drawn(line, low=0, high=10).sum() == 40
    assert drawn(line, low=0, high=10, dotted=True).sum() == 20


def test_a_lone_sample_is_kept_in_a_dotted_line():
    assert drawn([(7, 5.0)], low=0, high=10, dotted=True).sum() == 1


@pytest.mark.parametrize(("at", "bit"), [((0, 0), 0x40), ((3, 0), 0x01), ((3, 1), 0x08), ((1, 1), 0x20)])
def test_dots_become_braille(at, bit):
    dots = np.zeros((BRAILLE[1], BRAILLE[0]), np.bool_)
    dots[at] = True
    plot = Plot(1, 1)
    plot.draw_braille(dots, Stroke(7, False, "*"))
    plot.finish_braille()
    assert plot.lines() == [(chr(0x2800 + bit), bytes([7]))]


def test_the_later_line_gives_the_colour_and_both_keep_their_dots():
    plot = Plot(1, 1)
    for slot, row in ((3, 0), (4, 2)):
        dots = np.zeros((4, 2), np.bool_)
        dots[row] = True
        plot.draw_braille(dots, Stroke(slot, False, "*"))
    plot.finish_braille()
    assert plot.lines() == [(chr(0x2800 + 0xC0 + 0x12), bytes([4]))]


def test_grid_and_marks_go_beneath():
    plot = Plot(5, 2)
    dots = np.zeros((2, 5), np.bool_)
    dots[1, 2] = True
    plot.draw_characters(dots, Stroke(6, False, "*"))
    plot.column_beneath(2, ":", 3)
    plot.row_beneath(0, "-", 2, 2)
    assert plot.lines() == [("- * -", bytes([2, 2, 6, 6, 2])), ("  :  ", bytes([0, 0, 3, 3, 3]))]
