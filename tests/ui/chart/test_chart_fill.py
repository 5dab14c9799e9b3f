"""Areas and heat maps: sums are sums, extremes survive, more is never drawn as less, and nothing raises."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlconsole.ui.chart.fill import STEPS, heat, heat_rows, heat_steps, stack, stack_cells
from mlconsole.ui.chart.scale import Window

FIRST, COLUMNS = 1000, 20
VIEW = Window(cell=2.0, first=FIRST, columns=COLUMNS)
amounts = st.one_of(st.floats(min_value=0, max_value=1e6), st.just(math.nan))


@st.composite
def layers(draw):
    """Instants within the window, and the values of some series at them."""
    eighths = sorted(draw(st.lists(st.integers(0, 16 * COLUMNS - 1), min_size=1, max_size=60, unique=True)))
    times = [FIRST * 2.0 + at / 8 for at in eighths]
    count = draw(st.integers(1, 5))
    return times, [draw(st.lists(amounts, min_size=len(times), max_size=len(times))) for _ in range(count)]


def column(at):
    return math.floor(at / VIEW.cell) - FIRST


def sums_by_column(times, values):
    found = {}
    for index, at in enumerate(times):
        known = [line[index] for line in values if not math.isnan(line[index])]
        if known:
            found.setdefault(column(at), []).append(sum(known))
    return found


@settings(deadline=None)
@given(layers())
def test_layers_add_up_and_no_sum_is_hidden(given_layers):
    times, values = given_layers
    found = stack([(times, line) for line in values], VIEW)
    assert found.tops.shape == (len(values), COLUMNS)
    known = ~np.isnan(found.tops[-1])
    assert (np.diff(found.tops[:, known], axis=0) >= -1e-6).all()
    for place, sums in sums_by_column(times, values).items():
        assert found.tops[-1, place] == pytest.approx(max(sums), rel=1e-9)
        assert found.lowest[place] == pytest.approx(min(sums), rel=1e-9)


@settings(deadline=None)
@given(layers())
def test_a_layer_is_as_thick_as_its_value_at_the_highest_sum(given_layers):
    times, values = given_layers
    found = stack([(times, line) for line in values], VIEW)
    by_instant = [[0.0 if math.isnan(line[index]) else line[index] for line in values] for index in range(len(times))]
    for place in {column(at) for at in times}:
        thick = np.diff(found.tops[:, place], prepend=0.0)
        if not np.isnan(thick).any():
            here = [by_instant[index] for index, at in enumerate(times) if column(at) == place]
            assert any(np.allclose(thick, one, rtol=1e-9, atol=1e-6) for one in here)


@settings(deadline=None)
@given(layers(), st.integers(1, 30), st.booleans())
def test_cells_reach_as_high_as_the_sums(given_layers, rows, plain):
    times, values = given_layers
    found = stack([(times, line) for line in values], VIEW)
    high = max(1.0, float(np.nan_to_num(found.tops).max()))
    count = len(values)
    codes, slots = stack_cells(found, high, rows, "#" * count, list(range(1, count + 1)), "|", plain=plain)
    assert codes.shape == slots.shape == (rows, COLUMNS)
    for place, sums in sums_by_column(times, values).items():
        filled = int((codes[:, place] > 0).sum())
        level = max(1, round(max(sums) / high * rows * 8)) if max(sums) > 0 else 0
        assert abs(filled - math.ceil(level / 8)) <= (1 if level % 8 in (0, 1) else 0)
        assert (codes[: rows - filled, place] == 0).all()


def test_a_gap_in_a_stack_stays_a_gap_and_a_bridge_is_a_slope():
    times = [FIRST * 2.0 + 2 * place for place in (0, 4, 8, 12)]
    found = stack([(times, [8.0, 4.0, math.nan, 2.0])], VIEW)
    assert found.tops[0, :5].tolist() == [8.0, 7.0, 6.0, 5.0, 4.0]
    assert np.isnan(found.tops[0, 5:12]).all()
    assert found.tops[0, 12] == 2.0
    assert np.isnan(found.tops[0, 13:]).all()


def test_a_dip_among_the_samples_of_a_column_is_a_whisker():
    found = stack([([FIRST * 2.0, FIRST * 2.0 + 1], [8.0, 2.0])], VIEW)
    codes, _ = stack_cells(found, 8.0, 8, "#", [1], "|", plain=True)
    assert "".join(map(chr, codes[:, 0])) == "||||||##"


# ---- heat


@st.composite
def histograms(draw):
    """Instants, edges, and cumulative rates: a row an edge."""
    times, values = draw(layers())
    own = np.nan_to_num(np.array(values))
    return times, [0.1 * (1 + row) for row in range(len(values))], np.cumsum(own, axis=0), own


@settings(deadline=None)
@given(histograms())
def test_no_bucket_of_any_column_is_hidden(histogram):
    times, edges, heaped, own = histogram
    found = heat([(edge, (times, row.tolist())) for edge, row in zip(edges, heaped, strict=True)], VIEW)
    shown = dict(zip(found.edges, found.rates, strict=True))
    for row, edge in enumerate(edges):
        for place in {column(at) for at in times}:
            highest = max(own[row, index] for index, at in enumerate(times) if column(at) == place)
            if edge in shown:
                assert shown[edge][place] == pytest.approx(highest, rel=1e-6, abs=1e-6)
            else:
                # A sum of a million and less than its last digit is the million.
                assert highest <= heaped.max() * 1e-12


@given(st.lists(st.floats(0, 1e6), min_size=2, max_size=50), st.floats(1e-3, 1e6))
def test_more_is_never_a_lower_step(rates, top):
    steps = heat_steps(np.array([sorted(rates)]), top)[0]
    assert (np.diff(steps) >= 0).all()
    assert steps.max() <= STEPS
    assert [step > 0 for step in steps] == [rate > 0 for rate in sorted(rates)]


def test_a_gap_is_not_nothing():
    assert heat_steps(np.array([[math.nan, 0.0, 1e-9, 1.0]]), 1.0).tolist() == [[-1, 0, 1, STEPS]]


@given(st.lists(st.integers(-1, STEPS), min_size=1, max_size=40), st.integers(1, 60))
def test_every_bucket_has_a_row_and_the_highest_of_a_row_shows(steps, rows):
    cells = heat_rows(np.array([[step] for step in steps]), rows)[::-1, 0].tolist()
    assert len(cells) == rows
    assert max(cells) == max(steps)
    if rows >= len(steps):
        assert [step for step, before in zip(cells, [None, *cells], strict=False) if step != before] == [
            step for step, before in zip(steps, [None, *steps], strict=False) if step != before
        ]


def test_two_pods_of_one_edge_add_up_and_a_torn_scrape_is_no_negative_rate():
    times = [FIRST * 2.0]
    lines = [(0.1, (times, [3.0])), (0.1, (times, [4.0])), (0.5, (times, [5.0])), (math.inf, (times, [9.0]))]
    found = heat(lines, VIEW)
    assert found.edges == (0.1, 0.5, math.inf)
    assert found.rates[:, 0].tolist() == [7.0, 0.0, 2.0]


def test_empty_buckets_at_both_ends_are_left_out():
    times = [FIRST * 2.0]
    edges = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, math.inf)
    found = heat([(edge, (times, [4.0 if edge >= 0.4 else 0.0])) for edge in edges], VIEW)
    assert (found.edges, found.floor) == ((0.3, 0.4, 0.5), 0.2)


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(), st.lists(st.floats(), max_size=9), st.lists(st.floats(), max_size=9))))
def test_nothing_raises(lines):
    heated = heat([(edge, (times, values)) for edge, times, values in lines if not math.isnan(edge)], VIEW)
    heat_steps(heated.rates, 1.0)
    if lines:
        found = stack([(times, values) for _, times, values in lines], VIEW)
        fills, slots = "#" * len(lines), [1] * len(lines)
        codes, _ = stack_cells(found, 1.0, 7, fills, slots, "|", plain=False)
        assert codes.shape == (7, COLUMNS)
