import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from mlconsole.domain.history import Kind
from mlconsole.domain.patches import pinned
from mlconsole.domain.phases import Phase
from mlconsole.domain.plans import (
    Confirmation,
    Diff,
    Gate,
    Plan,
    PlanError,
    Target,
    Verdict,
    Write,
    capacity_gate,
    changes,
    confirmation_for,
    held,
    needed,
    selector_write,
    well_formed,
)
from mlconsole.domain.services import Color, ModelService, PodState, Release, Shape


def color(name, ready=3, wish=3, **more):
    pods = tuple(PodState(f"{name}-{i}", True, "Running", ready_since=100.0) for i in range(ready))
    return Color(name, f"m-{name}", wish, ready, pods=pods, **more)


def service(key="color", live="blue", **more):
    base = {"app": "m"}
    selector = {**base, key: live} if live else base
    values = {
        "shape": Shape.BLUE_GREEN if live else Shape.BOTH,
        "selector": selector,
        "color_key": key,
        "base": base,
        "live": live,
        "colors": (color("blue"), color("green")),
    } | more
    return ModelService("ml", "m", **values)


def apply(patch, selector):
    """The two operations that a selector write may hold, applied as RFC 6902 says."""
    result = dict(selector)
    for step in patch:
        if step["op"] == "test":
            assert step["value"] == result
        else:
            name = step["path"].removeprefix("/spec/selector/").replace("~1", "/").replace("~0", "~")
            assert (name in result) == (step["op"] == "replace")
            result[name] = step["value"]
    return result


@given(st.sampled_from(["color", "slot", "mlconsole.io/color", "a~b/c~1"]), st.sampled_from(["blue", "green", ""]))
def test_a_selector_is_well_formed_after_any_write(key, live):
    subject = service(key, live)
    after = apply(selector_write(subject, "green").patch, subject.selector)
    assert well_formed(after, subject)
    assert after[key] == "green"


def test_the_write_tests_exactly_what_was_seen():
    first = selector_write(service(), "green").patch[0]
    assert first == {"op": "test", "path": "/spec/selector", "value": {"app": "m", "color": "blue"}}


def test_no_write_for_a_colour_that_is_not_there_or_a_selector_that_is_something_else():
    with pytest.raises(PlanError, match="no colour 'red'"):
        selector_write(service(), "red")
    with pytest.raises(PlanError, match="not its base"):
        selector_write(service(selector={"app": "m", "color": "blue", "extra": "x"}), "green")
    with pytest.raises(PlanError, match="not blue-green"):
        selector_write(service(shape=Shape.PLAIN), "green")


@pytest.mark.parametrize(
    ("selector", "fine"),
    [
        ({"app": "m", "color": "green"}, True),
        ({"app": "m"}, False),
        ({"app": "m", "color": "red"}, False),
        ({"app": "m", "color": "green", "x": "y"}, False),
        ({"color": "green"}, False),
    ],
)
def test_well_formed(selector, fine):
    assert well_formed(selector, service()) is fine


def test_a_switch_needs_what_the_current_colour_has_and_a_rollback_only_its_own_wish():
    assert needed(color("green", wish=2), color("blue", ready=5), Kind.SWITCH) == 5
    assert needed(color("green", wish=2), color("blue", ready=5), Kind.ROLLBACK) == 2
    assert needed(color("green", wish=0), None, Kind.SWITCH) == 1
    assert needed(color("green", wish=1, minimum=4), None, Kind.ROLLBACK) == 4


def test_none_ready_is_never_waivable():
    gate = capacity_gate(color("green", ready=0), color("blue"), Kind.SWITCH, 1000.0)
    assert gate.verdict is Verdict.FAIL
    assert not gate.waivable
    assert capacity_gate(color("green", ready=1), color("blue"), Kind.SWITCH, 1000.0).waivable


def test_pods_count_only_when_ready_for_min_ready_seconds_and_not_ending():
    subject = color("green", min_ready_seconds=60)
    assert held(subject, 150.0) == 0
    assert held(subject, 160.0) == 3
    ending = replace(subject, pods=(replace(subject.pods[0], terminating=True), *subject.pods[1:]))
    assert held(ending, 160.0) == 2


@given(st.integers(0, 6), st.integers(0, 6), st.integers(0, 6), st.sampled_from(Kind))
def test_capacity_passes_only_with_enough(ready, wish, current, kind):
    gate = capacity_gate(color("green", ready, wish), color("blue", current), kind, 1000.0)
    enough = ready >= max(1, wish, current if kind in (Kind.SWITCH, Kind.DEPLOY) else 0)
    assert (gate.verdict is Verdict.PASS) == enough


def test_rollback_never_asks_for_a_name():
    assert confirmation_for(Kind.ROLLBACK, True) is Confirmation.ROLLBACK
    assert confirmation_for(Kind.SWITCH, True) is Confirmation.NAME
    assert confirmation_for(Kind.SWITCH, False) is Confirmation.KEY


def plan(**more):
    values = {
        "id": "a",
        "kind": Kind.SWITCH,
        "target": Target("c", "https://s", "d", "u", "ml", "ns-uid", "uid"),
        "service": "m",
        "created_at": 1.0,
        "from_color": "blue",
        "to_color": "green",
        "from_release": Release(version="1"),
        "to_release": Release(version="2"),
        "base": {},
        "writes": (Write("services", "ml", "m", ({"op": "test", "path": "/x", "value": {"b": 1, "a": 2}},)),),
        "diffs": (),
        "gates": (Gate("capacity", Verdict.PASS),),
        "rights": (),
        "confirmation": Confirmation.KEY,
    } | more
    return Plan(**values)


BLUE, SERVICE = "Deployment ml/m-blue", "Service ml/m"
DEPLOYED = (
    Diff(BLUE, "template.metadata.annotations.mlconsole.io/run-id", "r1", "r2"),
    Diff(BLUE, "template.metadata.labels.app.kubernetes.io/version", "1", "2"),
    Diff(BLUE, "template.spec.containers[m].image", "m:1", "m:2"),
    Diff(BLUE, "replicas", "1", "3"),
    Diff("Deployment ml/m-blue-2", "replicas", "7", "8"),
    Diff(SERVICE, "spec.selector[color]", "green", "blue"),
)


def test_a_write_tells_all_that_it_changes_what_serves_first_and_counts_the_rest():
    made, moved = Write("deployments", "ml", "m-blue", ()), Write("services", "ml", "m", (), Phase.SWITCH)
    both = plan(writes=(made, moved), diffs=DEPLOYED, route=(Phase.BRING_UP, Phase.SWITCH))
    assert changes(both, moved) == "spec.selector[color]: green -> blue"
    assert changes(both, made) == (
        "template.spec.containers[m].image: m:1 -> m:2; replicas: 1 -> 3; "
        "template.metadata.annotations.mlconsole.io/run-id: r1 -> r2; and 1 more"
    )
    assert changes(replace(both, diffs=DEPLOYED[2:4]), made) == (
        "template.spec.containers[m].image: m:1 -> m:2; replicas: 1 -> 3"
    )


def test_of_two_writes_of_one_object_none_is_told_the_others_change():
    first, last = (Write("services", "ml", "m", (), phase) for phase in (Phase.SWITCH, Phase.RETIRE))
    away = (*DEPLOYED, Diff(SERVICE, "spec.selector[color]", "blue", "(none)"))
    both = plan(writes=(first, last), diffs=away, route=(Phase.SWITCH, Phase.RETIRE))
    assert changes(both, first) == "spec.selector[color]: green -> blue"
    assert changes(both, last) == ""


def test_what_undoes_a_write_or_marks_the_object_is_not_told_as_what_the_plan_changes():
    write = Write("services", "ml", "m")
    forward = plan(writes=(write,), diffs=DEPLOYED)
    assert changes(forward, write)
    assert changes(forward, replace(write, delete=True)) == ""
    assert changes(forward, replace(write, patch=({"op": "remove", "path": "/metadata/annotations/x"},))) == ""


@pytest.mark.parametrize(
    "change",
    [
        {"to_color": "red"},
        {"target": Target("c", "https://other", "d", "u", "ml", "ns-uid", "uid")},
        {"gates": (Gate("capacity", Verdict.FAIL),)},
        {"writes": (Write("services", "ml", "m", ()),)},
        {"replicas": 5},
        {"holder": "ann@bastion/1"},
        {"reason_required": True},
        {"to_release": Release(version="3")},
    ],
)
def test_the_hash_is_bound_to_all_that_was_shown(change):
    assert plan(**change).hash != plan().hash
    assert plan(created_at=2.0).hash == plan().hash


def test_unknown_stops_and_a_waiver_counts_only_where_it_may():
    unknown = Gate("p95", Verdict.UNKNOWN)
    hard = Gate("capacity", Verdict.FAIL, waivable=False)
    subject = plan(gates=(unknown, hard))
    assert subject.stopping() == (unknown, hard)
    assert subject.stopping(["p95", "capacity"]) == (hard,)
    assert plan(gates=(replace(unknown, blocks=False),)).stopping() == ()


def test_a_clock_behind_the_clusters_makes_no_ready_pod_unready():
    assert held(color("green"), 50.0) == 3
    assert held(color("green", min_ready_seconds=10), 50.0) == 0


def test_a_write_is_pinned_to_the_object_that_was_seen():
    write = selector_write(service(), "green")
    first, uid, change = pinned(write, "u-1").patch
    assert (first, change) == write.patch
    assert uid == {"op": "test", "path": "/metadata/uid", "value": "u-1"}
    assert pinned(write, "") == write
