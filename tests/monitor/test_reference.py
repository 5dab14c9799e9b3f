"""A reference says of the training data what the monitor would have counted of it."""

import datetime
import itertools
import logging
import math
import random
import statistics
from bisect import bisect_left

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from mlconsole.domain.reference import BadReference, Categorical, Numeric, decode, encode
from mlconsole.monitor import ModelMonitor
from mlconsole.monitor.reference import distribution_of, from_columns, from_frame, load

from .conftest import scrape

floats = st.lists(st.floats(), max_size=80)
few = st.lists(st.integers(-3, 3).map(float), max_size=80)


@given(floats | few, st.integers(2, 12), st.booleans())
def test_bins_hold_what_they_say(values, bins, as_array):
    found = distribution_of(np.array(values) if as_array else values, bins)
    there = [value for value in values if not math.isnan(value)]
    expected = [0] * (len(found.edges) + 1)
    for value in there:
        expected[bisect_left(found.edges, value)] += 1
    assert list(found.counts) == expected
    assert found.missing == len(values) - len(there)
    assert len(found.edges) <= bins + 1
    assert all(low < high for low, high in itertools.pairwise(found.edges))
    assert decode(encode(from_columns({"x": values}, bins=bins))).features["x"].counts == found.counts


@given(st.lists(st.floats(-1e9, 1e9), min_size=12, max_size=50, unique=True))
def test_bins_are_as_full_as_each_other(values):
    smallest, *inner, above = distribution_of(values, 6).counts
    assert (smallest, above) == (1, 0)
    assert sum(inner) == len(values) - 1
    assert max(inner) - min(inner) <= 1


@pytest.mark.parametrize(
    ("values", "edges"),
    [
        ([0.0] * 50, (-0.5, 0.5)),
        ([7.25] * 50, (7.2, 7.3)),
        ([1, 2, 3] * 20, (0.5, 1.5, 2.5, 3.5)),
        ([0.1, 0.2], (0.05, 0.15, 0.25)),
        ([None, math.nan], ()),
        ([], ()),
    ],
    ids=["zero", "constant", "integers", "floats", "missing", "nothing"],
)
def test_few_values_have_a_bin_each_with_room_on_both_sides(values, edges):
    found = distribution_of(values)
    assert found.edges == pytest.approx(edges)
    if edges:
        assert found.counts[0] == found.counts[-1] == 0  # what is none of the values is seen


def test_many_of_the_smallest_do_not_hide_what_is_smaller_still():
    found = distribution_of([0.0] * 900 + [float(n) for n in range(1, 101)])
    assert found.edges[0] < 0.0 == found.edges[1]
    assert found.counts[:2] == (0.0, 900.0)


def test_edges_are_short_where_they_can_be():
    drawn = random.Random(1)
    found = distribution_of([drawn.gauss(84, 21) for _ in range(5000)])
    assert statistics.median(len(repr(edge)) for edge in found.edges) <= 7
    near = distribution_of([n / 8 - 1e9 for n in range(1000)])
    assert len(near.edges) == 20
    assert near.edges[-1] == pytest.approx(124.875 - 1e9, abs=1.25)


def frame(rows):
    drawn = np.random.default_rng(3)
    return pd.DataFrame(
        {
            "amount": drawn.normal(84, 21, rows),
            "count": drawn.integers(0, 5, rows),
            "nullable": pd.array(drawn.integers(0, 1000, rows), dtype="Int64"),
            "flag": drawn.random(rows) < 0.3,
            "country": drawn.choice(["at", "de", "fr", ""], rows),
            "kind": pd.Categorical(drawn.choice(["a", "b"], rows)),
            "mixed": [value if value != "1" else None for value in drawn.choice(["1", "x"], rows)],
            "when": pd.Timestamp("2026-01-01"),
            "day": datetime.date(2026, 1, 1),
            "list": [[1, 2]] * rows,
        }
    ).mask(lambda table: drawn.random(table.shape) < 0.1)


def test_what_the_monitor_counts_of_the_training_data_is_the_reference(caplog):
    rows = frame(600)
    predicted = np.linspace(0, 1, 600)
    with caplog.at_level(logging.WARNING):
        reference = from_frame(rows, predicted, categories=2)
    assert [record.args[0] for record in caplog.records] == ["when", "day", "list"]
    assert {name for name, one in reference.features.items() if isinstance(one, Categorical)} == {
        "flag",
        "country",
        "kind",
        "mixed",
    }
    registry = CollectorRegistry()
    monitor = ModelMonitor("m", "1", reference=reference, registry=registry)
    monitor.log_batch(rows, predicted)
    for row, prediction in zip(rows.to_dict("records"), predicted, strict=True):
        monitor.log_prediction(row, prediction)
    page = scrape(registry)
    for name, one in reference.features.items():
        assert page.value("ml_feature_missing_total", feature=name) == 2 * one.missing
        assert page.value("ml_feature_reference_rows", feature=name) == 600
        if isinstance(one, Numeric):
            assert page.buckets("ml_feature_value", feature=name) == [2 * count for count in one.counts]
        else:
            counted = page.all("ml_feature_category_total", feature=name)
            assert {dict(key)["category"]: value for key, value in counted.items() if value} == {
                category: 2 * count for category, count in one.counts.items()
            }
    assert page.buckets("ml_prediction_value") == [2 * count for count in reference.prediction.counts]
    assert page.all("ml_monitor_errors_total") == {}


def test_no_value_leaves_unless_it_is_asked_for():
    rows = frame(300)[["amount", "country"]]
    assert from_frame(rows).features["amount"].sample == ()
    sample = from_frame(rows, sample=50).features["amount"].sample
    assert len(sample) == 50
    assert set(sample) <= set(rows["amount"])
    assert list(sample) == sorted(sample)


def test_a_million_rows_take_no_time_of_python(monkeypatch):
    column = np.random.default_rng(1).normal(size=1_000_000)
    monkeypatch.setattr("mlconsole.monitor.reference.as_number", None)  # not a call per value
    assert sum(distribution_of(column).counts) == 1_000_000


def test_a_file_that_is_no_reference_is_said_to_be_none(tmp_path):
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "none.json")
    (tmp_path / "other.json").write_text('{"features": 3}')
    with pytest.raises(BadReference, match="no reference of mlconsole"):
        load(tmp_path / "other.json")
    with (tmp_path / "huge.json").open("wb") as huge:
        huge.truncate(65 << 20)
    with pytest.raises(BadReference, match="64 MiB"):
        load(tmp_path / "huge.json")
