import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlconsole.domain.telemetry import histogram_quantile, increase
from mlconsole.metrics.exposition import Page, Parser
from mlconsole.metrics.ledger import ColorLedger, growth, points

EDGES = (0.1, 0.5, math.inf)


def page(requests, errors=0.0, started=1.0, fast=None):
    fast = requests if fast is None else fast
    return Page(requests, errors, dict(zip(EDGES, (fast, requests, requests), strict=True)), started)


def ledger(samples, width=1.0, keep=1000.0):
    made = ColorLedger(width, keep)
    for pod, at, seen in samples:
        made.add(pod, at, seen)
    return made


steps = st.lists(st.tuples(st.floats(0.1, 20), st.integers(0, 50)), min_size=1, max_size=20)


@given(st.dictionaries(st.sampled_from("abc"), steps, min_size=1), st.floats(0.2, 7))
def test_nothing_is_lost_or_counted_twice_whatever_the_moments(pods, width):
    made, expected = ColorLedger(width, 10_000.0), 0.0
    for pod, grown in pods.items():
        at, total = 1000.0, 0.0
        made.add(pod, at, page(total))
        for pause, more in grown:
            at, total = at + pause, total + more
            made.add(pod, at, page(total))
        expected += total
    found = made.over(10_000, 10_000)
    assert found.requests == pytest.approx(expected, abs=1e-6)
    assert found.buckets.get(math.inf, 0.0) == pytest.approx(expected, abs=1e-6)
    longest = max(sum(pause for pause, _ in grown) for grown in pods.values())
    assert found.span == pytest.approx(longest, abs=1e-6)


@given(st.lists(st.integers(0, 100), min_size=2, max_size=20))
def test_growth_over_resets_is_the_domains_increase(totals):
    pages = [page(float(total), started=None) for total in totals]
    found = sum(growth(before, after).requests for before, after in itertools.pairwise(pages))
    assert found == increase(totals)


def test_pods_at_different_moments_add_up_to_one_rate():
    samples = [("a", 0.3 + 5 * n, page(50.0 * n)) for n in range(8)] + [
        ("b", 2.9 + 5 * n, page(100.0 * n)) for n in range(8)
    ]
    made = ledger(samples)
    assert made.complete_until(15) == 35.3
    assert made.over(30, 20).stat("rate") == pytest.approx(30.0)


def test_a_process_that_started_again_counts_from_zero():
    made = ledger([("a", 0.0, page(100.0)), ("a", 10.0, page(30.0))])
    assert made.over(10, 10).requests == pytest.approx(30.0)
    # More than before, and yet another process: by its start.
    made = ledger([("a", 0.0, page(100.0)), ("a", 10.0, page(130.0, started=9.0))])
    assert made.over(10, 10).requests == pytest.approx(130.0)


def test_errors_that_were_not_there_before_are_counted_and_unknown_ones_are_no_zero():
    made = ledger([("a", 0.0, page(100.0, None)), ("a", 10.0, page(200.0, 5.0))])
    assert made.over(10, 10).stat("errors") == pytest.approx(0.05)
    made = ledger([("a", 0.0, page(100.0, None)), ("a", 10.0, page(200.0, None))])
    assert math.isnan(made.over(10, 10).stat("errors"))
    assert made.over(10, 10).glance("blue", 10.0).error_share is None


def test_errors_after_a_page_on_which_they_were_no_count_are_not_those_of_a_whole_life():
    read = Parser().page
    text = "ml_predictions_total {}\nml_prediction_errors_total {}\n"
    good, odd, next_ = (read(text.format(*one).encode()) for one in ((1000, 500), (1010, "NaN"), (1020, 501)))
    assert not growth(good, odd).errors_known
    found = growth(odd, next_)
    assert (found.requests, found.errors_known, found.errors) == (10.0, False, 0.0)


def test_without_requests_there_is_a_rate_and_nothing_else():
    found = ledger([("a", 0.0, page(100.0)), ("a", 10.0, page(100.0))]).over(10, 10)
    glance = found.glance("blue", 10.0)
    assert (glance.requests_per_second, glance.error_share, glance.p95, glance.samples) == (0.0, None, None, 0.0)


def test_a_gap_is_a_gap():
    made = ledger([("a", 0.0, page(0.0)), ("a", 10.0, page(10.0)), ("a", 900.0, page(99.0)), ("a", 910.0, page(109.0))])
    found = points(made, [10, 500, 910], 5)
    assert found["rate"][0] == pytest.approx(1.0)
    assert math.isnan(found["rate"][1])
    assert found["rate"][2] == pytest.approx(1.0)
    assert math.isnan(found["p95"][1])


def test_a_clock_that_goes_back_counts_nothing_twice():
    made = ledger([("a", 10.0, page(0.0)), ("a", 20.0, page(10.0)), ("a", 15.0, page(12.0)), ("a", 30.0, page(20.0))])
    assert made.over(40, 40).requests == pytest.approx(20.0)


def test_histograms_with_other_edges_meet_at_the_edges_that_both_have():
    other = {0.1: 0.0, 0.3: 0.0, math.inf: 0.0}
    made = ledger([("a", 0.0, page(0.0)), ("b", 0.0, Page(0.0, 0.0, other, 1.0))])
    made.add("a", 10.0, page(100.0, fast=90.0))
    made.add("b", 10.0, Page(100.0, 0.0, {0.1: 80.0, 0.3: 100.0, math.inf: 100.0}, 1.0))
    found = made.over(10, 10)
    assert found.buckets == pytest.approx({0.1: 170.0, math.inf: 200.0})
    assert found.stat("p50") == pytest.approx(histogram_quantile(0.5, [(0.1, 170.0), (math.inf, 200.0)]))


def test_what_is_old_is_let_go():
    made = ledger([("a", float(at), page(float(at))) for at in range(0, 1000, 10)], keep=100.0)
    assert made.oldest == 890.0
    made.retain(["b"])
    assert made.complete_until(10) == 0.0


def test_a_silent_pod_is_waited_for_no_longer_than_patience():
    made = ledger([("a", 10.0, page(1.0)), ("b", 60.0, page(1.0)), ("c", 62.0, page(1.0))])
    assert made.complete_until(100) == 10.0
    assert made.complete_until(15) == 60.0
