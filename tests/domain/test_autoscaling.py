"""No autoscaler takes away what a plan counts on, and what is pinned is put back (I5)."""

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlconsole.demo.apiserver.errors import ApiError
from mlconsole.demo.apiserver.patches import json_patch
from mlconsole.domain import autoscaling
from mlconsole.domain.autoscaling import pin_writes
from mlconsole.domain.patches import reversed_write
from mlconsole.domain.phases import Phase
from mlconsole.domain.services import Color, ModelService, Shape

SERVICE = ModelService("ml", "fraud", Shape.BLUE_GREEN)


def scaler(name="green", low=1, high=10, desired=0, kind="Deployment"):
    spec = {"scaleTargetRef": {"kind": kind, "name": f"fraud-{name}"}, "minReplicas": low, "maxReplicas": high}
    if low is None:
        del spec["minReplicas"]
    status = {"desiredReplicas": desired} if desired else {}
    return {"metadata": {"name": f"{name}-hpa"}, "spec": spec, "status": status}


def color(name, wish=3, ready=3):
    return Color(name, f"fraud-{name}", wish, ready)


def applied(item, write):
    return json_patch(item, list(write.patch))


def test_the_target_gets_what_the_live_one_has():
    (write,) = pin_writes(SERVICE, color("blue", 3, 5), color("green", 0, 0), [scaler()])
    assert (write.resource, write.name, write.phase) == ("horizontalpodautoscalers", "green-hpa", Phase.PIN)
    assert applied(scaler(), write)["spec"]["minReplicas"] == 5


def test_the_live_one_keeps_what_it_has():
    (write,) = pin_writes(SERVICE, color("blue", 4, 2), color("green"), [scaler("blue")])
    assert applied(scaler("blue"), write)["spec"]["minReplicas"] == 4


def test_its_own_wish_counts():
    (write,) = pin_writes(SERVICE, color("blue", 1, 1), color("green"), [scaler(desired=7)])
    assert applied(scaler(), write)["spec"]["minReplicas"] == 7


def test_a_maximum_in_the_way_is_lifted():
    item = scaler(high=2)
    (write,) = pin_writes(SERVICE, color("blue", 6, 6), color("green"), [item])
    assert applied(item, write)["spec"] == {**item["spec"], "minReplicas": 6, "maxReplicas": 6}
    words = [(diff.path, diff.before, diff.after) for diff in autoscaling.diffs([write])]
    assert words == [
        ("spec.maxReplicas", "2", "6 while it goes on"),
        ("spec.minReplicas", "1", "6 while it goes on"),
    ]


def test_a_minimum_that_nobody_set_is_set_and_taken_away():
    item = scaler(low=None)
    (write,) = pin_writes(SERVICE, color("blue"), color("green"), [item])
    assert autoscaling.diffs([write])[0].before == "1 (default)"
    pinned = applied(item, write)
    assert pinned["spec"]["minReplicas"] == 3
    assert applied(pinned, reversed_write(write)) == item


def test_what_scales_something_else_is_let_be():
    others = [scaler("red"), scaler("green", kind="StatefulSet"), {"metadata": {"name": "empty"}}]
    assert pin_writes(SERVICE, color("blue"), color("green"), others) == ()


def test_in_an_incident_the_targets_own_wish_is_kept():
    (write,) = pin_writes(SERVICE, None, color("green"), [scaler("blue"), scaler(desired=4)])
    assert write.name == "green-hpa"


def test_an_autoscaler_that_changed_meanwhile_is_not_overwritten():
    (write,) = pin_writes(SERVICE, color("blue"), color("green"), [scaler()])
    with pytest.raises(ApiError, match="testing path /spec/minReplicas"):
        applied(scaler(low=2), write)


def test_the_wish_of_a_color():
    assert autoscaling.wish_of(color("green"), [scaler(desired=4), scaler("blue", desired=9)]) == 4
    assert autoscaling.wish_of(color("green"), [scaler(low=2)]) == 2
    assert autoscaling.wish_of(color("red"), [scaler()]) == 0


count = st.integers(0, 12)
scalers = st.builds(
    lambda name, low, more, desired: scaler(name, low, (low or 1) + more, desired),
    st.sampled_from(["blue", "green"]),
    st.one_of(st.none(), st.integers(1, 8)),
    count,
    count,
)


@given(st.tuples(count, count), st.tuples(count, count), scalers)
def test_a_pin_is_enough_valid_done_once_and_undone_exactly(live, target, item):
    blue, green = color("blue", *live), color("green", *target)
    seen = copy.deepcopy(item)
    writes = pin_writes(SERVICE, blue, green, [item])
    assert item == seen
    pinned = item
    for write in writes:
        pinned = applied(pinned, write)
    spec = pinned["spec"]
    low = spec.get("minReplicas", 1)
    assert low >= max(blue.wish, blue.ready, 1)
    if item["metadata"]["name"] == "green-hpa":
        assert low >= item["status"].get("desiredReplicas", 0)
    assert low >= item["spec"].get("minReplicas", 1), "a pin never lowers"
    assert spec["maxReplicas"] >= low
    assert spec["maxReplicas"] >= item["spec"]["maxReplicas"]
    assert pin_writes(SERVICE, blue, green, [pinned]) == (), "live = desired means no write (I19)"
    for write in writes:
        assert applied(pinned, reversed_write(write)) == item
