"""When a series changed: nothing in noise, a step where it is, whatever the noise is made of."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlconsole.domain.changepoints import LEAST, Shape, changes

NOISES = {
    "normal": lambda random, n: random.normal(size=n),
    "Cauchy": lambda random, n: random.standard_cauchy(n),
    "log-normal": lambda random, n: random.lognormal(size=n),
    "few values": lambda random, n: random.integers(0, 3, n).astype(float),
}


def found(values, step=1.0, window=0.0):
    return changes(np.arange(len(values)) * step, values, window)


def share(made, count):
    return sum(map(bool, made)) / count


@pytest.mark.parametrize("name", NOISES)
def test_in_noise_a_change_is_found_at_the_nominal_rate(name):
    random = np.random.default_rng(5)
    count = 300
    flagged = share((found(NOISES[name](random, 80)) for _ in range(count)), count)
    # 5 %, and three standard deviations of a share of 300.
    assert flagged <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / count)


def test_a_figure_that_looks_back_does_not_make_changes_of_its_own_memory():
    random = np.random.default_rng(6)
    count = 150

    def smooth():
        return np.convolve(random.normal(size=185), np.ones(6) / 6, "valid")

    assert share((found(smooth(), 5.0, window=30.0) for _ in range(count)), count) <= 0.1
    assert share((found(smooth(), 5.0) for _ in range(20)), 20) > 0.5


def test_a_step_of_four_sigma_is_found_within_two_samples_wherever_it_is():
    random, near = np.random.default_rng(11), 0
    for _ in range(200):
        n, sign = int(random.integers(40, 150)), random.choice([-1.0, 1.0])
        cut = max(2 * LEAST, min(n - 2 * LEAST, round(n * random.uniform(0.15, 0.85))))
        values = random.normal(size=n)
        values[cut:] += 4 * sign
        steps = [one for one in found(values) if one.shape is Shape.STEP and one.rises == (sign > 0)]
        near += any(abs(one.at - (cut - 0.5)) <= 2 and one.confidence >= 0.95 for one in steps)
    assert near >= 196


def test_a_step_of_three_sigma_is_found_within_two_samples_and_its_interval_holds_it():
    random = np.random.default_rng(7)
    near = inside = 0
    for _ in range(100):
        values = random.normal(size=100)
        values[60:] += 3
        one = min(found(values), key=lambda one: abs(one.at - 59.5))
        near += abs(one.at - 59.5) <= 2
        inside += one.earliest <= 59.5 <= one.latest
    assert near >= 97
    assert inside >= 90


def test_heavy_tails_hide_no_step_and_place_it_right():
    random = np.random.default_rng(8)
    near = 0
    for _ in range(100):
        values = random.standard_t(1.5, size=100)
        values[40:] += 5
        near += any(abs(one.at - 39.5) <= 3 for one in found(values))
    assert near >= 95


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.floats(0.1, 0.5))
def test_gaps_are_neither_values_nor_changes(seed, missing):
    random = np.random.default_rng(seed)
    values = random.normal(size=120)
    values[60:] += 6
    gone = random.random(120) < missing
    values[gone] = random.choice([math.nan, math.inf, -math.inf], gone.sum())
    times = np.arange(120.0)
    surest = max(changes(times, values), key=lambda one: abs(one.after - one.before))
    known = times[~gone]
    around = known[known < 60].max(), known[known >= 60].min()
    assert around[0] - 2 <= surest.at <= around[1] + 2
    assert surest.n <= len(known)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.floats(8.0, 20.0), st.sampled_from([-1.0, 1.0]))
def test_a_steady_trend_has_no_moment(seed, rise, sign):
    values = np.random.default_rng(seed).normal(size=100) + sign * np.linspace(0, rise, 100)
    (one,) = found(values)
    assert one.shape is Shape.TREND
    assert one.rises is (sign > 0)


def test_a_trend_that_its_noise_nearly_hides_is_hardly_ever_taken_for_steps():
    taken = 0
    for seed in range(100):
        values = np.random.default_rng(seed).normal(size=100) + np.linspace(0, 4.0, 100)
        taken += [one.shape for one in found(values)] != [Shape.TREND]
    assert taken <= 5


def test_a_bump_is_two_changes():
    values = np.random.default_rng(9).normal(size=120)
    values[40:70] += 6
    assert [round(one.at) for one in found(values)] == [40, 70]
    assert [one.rises for one in found(values)] == [True, False]


def test_a_change_that_a_window_smears_is_set_back():
    raw = np.random.default_rng(10).normal(1.0, 0.1, size=185)
    raw[100:] += 2
    smooth = np.convolve(raw, np.ones(6) / 6)[:185]
    (one,) = found(smooth, 5.0, window=30.0)
    assert abs(one.at - 500.0) <= 10.0
    assert one.earliest <= 500.0 <= one.latest


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=60))
@settings(deadline=None)
def test_anything_is_looked_at(values):
    for one in found(values):
        assert one.earliest <= one.latest
        assert 0.95 <= one.confidence < 1


@pytest.mark.parametrize("values", [[], [1.0] * 50, [1.0, 2.0] * 3, [math.nan] * 50])
def test_too_little_says_nothing(values):
    assert found(values) == ()


def test_the_same_series_has_the_same_changes():
    values = np.random.default_rng(11).normal(size=900)
    values[500:] += 3
    assert found(values) == found(values)
    assert abs(found(values)[0].at - 499.5) <= 3
