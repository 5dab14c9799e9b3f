import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlconsole.domain.telemetry import Series, histogram_quantile, increase

COUNTS = st.lists(st.integers(0, 50), min_size=2, max_size=12)


def cumulative(counts):
    edges = [float(number + 1) for number in range(len(counts) - 1)] + [math.inf]
    return list(zip(edges, itertools.accumulate(counts), strict=True))


@pytest.mark.parametrize(
    ("q", "buckets", "expected"),
    [
        (0.5, [(1.0, 10), (2.0, 20), (math.inf, 20)], 1.0),
        (0.75, [(1.0, 10), (2.0, 20), (math.inf, 20)], 1.5),
        (0.25, [(1.0, 10), (2.0, 20), (math.inf, 20)], 0.5),
        (0.99, [(1.0, 10), (2.0, 20), (math.inf, 40)], 2.0),
        (0.5, [(-1.0, 10), (2.0, 10), (math.inf, 10)], -1.0),
        (0.5, [(1.0, 10), (2.0, 9), (math.inf, 20)], 1.0),
        (1.5, [(1.0, 1), (math.inf, 1)], math.inf),
        (-0.5, [(1.0, 1), (math.inf, 1)], -math.inf),
        (0.5, [(1.0, 0), (math.inf, 0)], math.nan),
        (0.5, [(1.0, 1), (2.0, 3)], math.nan),
        (0.5, [(math.inf, 3)], math.nan),
        (0.5, [], math.nan),
        (math.nan, [(1.0, 1), (math.inf, 1)], math.nan),
        (0.5, [(1.0, math.nan), (math.inf, math.nan)], math.nan),
    ],
)
def test_quantiles_as_prometheus_has_them(q, buckets, expected):
    assert histogram_quantile(q, buckets) == pytest.approx(expected, nan_ok=True)


@given(COUNTS, st.floats(0.01, 1))
def test_a_quantile_lies_in_the_bucket_that_holds_its_rank(counts, q):
    buckets = cumulative(counts)
    total = sum(counts)
    found = histogram_quantile(q, buckets)
    if not total:
        assert math.isnan(found)
        return
    index = next(i for i, (_, count) in enumerate(buckets) if count >= q * total)
    if index == len(buckets) - 1:
        assert found == buckets[-2][0]
    else:
        assert (buckets[index - 1][0] if index else 0.0) <= found <= buckets[index][0]


@given(COUNTS, st.floats(0.01, 1), st.floats(0.01, 1), st.floats(0.5, 1e6))
def test_a_quantile_rises_with_q_and_knows_no_scale(counts, one, other, scale):
    buckets = cumulative(counts)
    low, high = (histogram_quantile(q, buckets) for q in sorted((one, other)))
    assert low <= high + 1e-9 or math.isnan(low)
    scaled = histogram_quantile(one, [(edge, count * scale) for edge, count in buckets])
    near = histogram_quantile(min(1.0, one + 1e-9), buckets), histogram_quantile(max(0.0, one - 1e-9), buckets)
    assert math.isnan(scaled) or any(scaled == pytest.approx(value, abs=1e-3) for value in near)


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=20), st.lists(st.integers(0, 1000), min_size=1, max_size=20))
def test_an_increase_is_what_was_counted_before_and_after_a_reset(first, second):
    before, after = list(itertools.accumulate(first)), list(itertools.accumulate(second))
    whole = increase([*before, *after])
    crossing = after[0] - before[-1] if after[0] >= before[-1] else after[0]
    assert whole == (before[-1] - before[0]) + crossing + (after[-1] - after[0])
    assert whole >= 0


@pytest.mark.parametrize(
    ("samples", "expected"), [([], 0), ([5], 0), ([5, 5], 0), ([5, 9], 4), ([9, 5], 5), ([9, 0, 2], 2)]
)
def test_increases(samples, expected):
    assert increase(samples) == expected


def test_the_last_value_is_the_last_number():
    assert Series("blue", "p50", (1.0, 2.0, 3.0), (1.0, 2.0, math.nan)).last == 2.0
    assert Series("blue", "p50", (1.0,), (math.nan,)).last is None
