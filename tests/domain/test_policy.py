"""The rules of a place: what each refuses, and where it says that it is written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlconsole.domain import phases, policy
from mlconsole.domain.freezes import window
from mlconsole.domain.history import Kind
from mlconsole.domain.phases import Phase
from mlconsole.domain.plans import Gate, Verdict
from mlconsole.domain.services import Color, PodState

NOW = 1_790_000_000.0
ALWAYS = window("christmas", (), "00:00", "24:00", "UTC", "nobody is at work")
LINES = {"groups": "mlconsole.toml:4", "freeze.christmas": "mlconsole.toml:9"}
FORWARD = sorted(set(Kind) - policy.FREE)


def place(**rules):
    return policy.Place(policy.Rules("prod", **rules), lambda key: LINES.get(key, ""))


def color(*since, wish=None, **more):
    pods = tuple(PodState(f"p{number}", True, "Running", ready_since=at) for number, at in enumerate(since))
    return Color("green", "m-green", len(since) if wish is None else wish, len(since), pods=pods, **more)


def test_a_freeze_names_its_rule_its_line_its_reason_and_its_end():
    (gate,) = [policy.freeze_gate(place(windows=(ALWAYS,)), Kind.SWITCH, NOW)]
    assert (gate.name, gate.verdict, gate.waivable, gate.stops) == ("freeze", Verdict.FAIL, False, True)
    assert gate.value == "frozen and no end is in sight: nobody is at work"
    assert gate.evidence == "mlconsole.toml:9: environments.prod.freeze.christmas"


@pytest.mark.parametrize("kind", list(Kind))
def test_a_freeze_stops_what_goes_forward_and_nothing_that_keeps_alive_or_goes_back(kind):
    stopped = policy.freeze_gate(place(windows=(ALWAYS,)), kind, NOW) is not None
    assert stopped == (kind in {Kind.DEPLOY, Kind.SWITCH, Kind.ADOPT, Kind.RELEASE, Kind.UNPAUSE})


@pytest.mark.parametrize("kind", [Kind.ROLLBACK, Kind.DRILL])
def test_no_rule_holds_the_way_back(kind):
    rules = place(
        windows=(ALWAYS,),
        groups=("ops",),
        min_idle=9.0,
        required_gates=("smoke",),
        require_reason=True,
        confirm=True,
        approval=True,
    )
    route = phases.route(Kind.ROLLBACK)
    assert policy.freeze_gate(rules, kind, NOW) is None
    assert policy.groups_gate(rules, kind, "eve", None) is None
    assert policy.min_idle_gate(rules, kind, route, color(), NOW) is None
    assert policy.required_gates(rules, kind, route, (), ()) == []
    assert policy.demands(rules, kind, route) == []
    smoke = Gate("smoke", Verdict.FAIL)
    assert policy.bound(rules, kind, [smoke]) == [smoke]


@pytest.mark.parametrize(
    ("groups", "verdict", "value"),
    [
        (("dev", "ml-ops"), Verdict.PASS, "eve is in ml-ops"),
        (("dev",), Verdict.FAIL, "eve is in none of them"),
        ((), Verdict.FAIL, "eve is in none of them"),
        (None, Verdict.UNKNOWN, "the server does not say in which groups eve is"),
    ],
)
@pytest.mark.parametrize("kind", FORWARD)
def test_only_members_go_forward(kind, groups, verdict, value):
    gate = policy.groups_gate(place(groups=("sre", "ml-ops")), kind, "eve", groups)
    assert (gate.verdict, gate.value, gate.limit) == (verdict, value, "a member of sre or ml-ops")
    assert gate.stops == (verdict is not Verdict.PASS)
    assert gate.evidence == "mlconsole.toml:4: environments.prod.groups"


def test_without_groups_everybody_may():
    assert policy.groups_gate(place(), Kind.SWITCH, "eve", None) is None


@pytest.mark.parametrize(
    ("idle", "verdict", "value"),
    [
        (color(NOW - 3700, NOW - 3600), Verdict.PASS, "ready for 1 h"),
        (color(NOW - 7200, NOW - 600), Verdict.FAIL, "ready for 10 m, 50 m to go"),
        (color(NOW - 7200, NOW - 7200, NOW - 600, wish=2), Verdict.PASS, "ready for 2 h"),
        (color(NOW - 7200, wish=2), Verdict.UNKNOWN, "not all of its pods are ready"),
        (color(0.0, NOW - 7200), Verdict.UNKNOWN, "not all of its pods are ready"),
        (color(wish=0), Verdict.UNKNOWN, "not all of its pods are ready"),
        (color(NOW + 50), Verdict.FAIL, "ready for 0.0 s, 1 h to go"),
    ],
)
def test_a_release_must_have_been_ready_for_a_time(idle, verdict, value):
    gate = policy.min_idle_gate(place(min_idle=3600.0), Kind.SWITCH, phases.route(Kind.SWITCH), idle, NOW)
    assert (gate.name, gate.verdict, gate.value, gate.limit) == ("min-idle", verdict, value, "ready for 1 h")
    assert not gate.waivable


def test_what_is_brought_up_and_switched_to_at_once_was_not_idle():
    more = frozenset({Phase.SWITCH})
    rules, route = place(min_idle=60.0), phases.route(Kind.DEPLOY, more=more)
    assert policy.min_idle_gate(rules, Kind.DEPLOY, route, color(NOW - 999), NOW).stops
    assert policy.min_idle_gate(rules, Kind.DEPLOY, phases.route(Kind.DEPLOY), color(), NOW) is None


@given(st.lists(st.floats(1.0, NOW), max_size=6), st.integers(0, 6), st.floats(1.0, 1e6))
def test_long_enough_means_that_enough_pods_were_ready_all_that_time(since, wish, least):
    gate = policy.min_idle_gate(
        place(min_idle=least), Kind.SWITCH, phases.route(Kind.SWITCH), color(*since, wish=wish), NOW
    )
    long_enough = sum(NOW - moment >= least for moment in since)
    assert (gate.verdict is Verdict.PASS) == (long_enough >= max(1, wish))


def test_each_gate_that_is_required_and_missing_is_told_by_name():
    rules = place(required_gates=("smoke", "parity", "latency", "answers", "errors"))
    route = phases.route(Kind.SWITCH, without=frozenset({Phase.PARITY}))
    found = policy.required_gates(rules, Kind.SWITCH, route, [Gate("answers", Verdict.PASS)], ["latency"])
    assert [gate.name for gate in found] == ["required.parity", "required.errors"]
    assert all(gate.stops and not gate.waivable for gate in found)
    without = phases.route(Kind.SWITCH, without=frozenset({Phase.ANALYSIS}))
    names = [gate.name for gate in policy.required_gates(rules, Kind.SWITCH, without, [], ["latency"])]
    assert names == ["required.latency", "required.answers", "required.errors"]
    assert policy.required_gates(rules, Kind.DEPLOY, phases.route(Kind.DEPLOY), [], []) == []


def test_what_is_required_is_not_waived():
    gates = [Gate("parity.flips", Verdict.FAIL), Gate("answers", Verdict.FAIL), Gate("parityx", Verdict.FAIL)]
    found = policy.bound(place(required_gates=("parity",)), Kind.SWITCH, gates)
    assert [gate.waivable for gate in found] == [False, True, True]


def test_what_is_asked_of_persons_is_told_and_a_missing_approval_stops():
    rules = place(require_reason=True, confirm=True, approval=True)
    route = phases.route(Kind.SWITCH)
    assert [(gate.name, gate.stops) for gate in policy.demands(rules, Kind.SWITCH, route)] == [
        ("reason", False),
        ("confirm", False),
        ("approval", False),
    ]
    without = tuple(phase for phase in route if phase is not Phase.APPROVAL)
    assert policy.demands(rules, Kind.SWITCH, without)[-1].stops
    assert policy.demands(place(), Kind.SWITCH, route) == []


def test_a_rule_is_told_from_a_measurement():
    assert [name for name in ("freeze", "required.smoke", "capacity", "groups", "smoke") if policy.is_rule(name)] == [
        "freeze",
        "required.smoke",
        "groups",
    ]


@pytest.mark.parametrize("kind", [Kind.ADOPT, Kind.RELEASE])
def test_an_adoption_promotes_nothing_and_has_no_release_to_prove(kind):
    rules, route = place(min_idle=60.0, required_gates=("parity",), approval=True), phases.route(kind)
    assert policy.min_idle_gate(rules, kind, route, color(), NOW) is None
    assert policy.required_gates(rules, kind, route, (), ()) == []
    assert policy.demands(rules, kind, route) == []
