"""When a rule fires and when it is over: the state machine under anything that can be looked at."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from mlconsole.domain import alerts
from mlconsole.domain.alerts import Alert, Handling, Look, Rule, Severity, State, Track, looked

RULE = Rule("slow", "p95 > 0.5", hold=30.0, clear="p95 < 0.4", keep_firing=20.0)
ALERT = Alert("a", "slow", "ml/fraud", Severity.PAGE, State.FIRING, ("rule",), 100.0, 100.0)


def judged(at, value, above=0.5, below=0.4):
    """What a rule on `value > above`, clear at `value < below`, says of a value; None is one that nobody knows."""
    if value is None:
        return Look(at, None, None, why="no data")
    return Look(at, value > above, value < below, f"{value}")


def run(rule, values, step=10.0, track=None):
    track = track or Track()
    found = []
    for index, value in enumerate(values):
        track = looked(rule, track, judged(1000.0 + index * step, value))
        found.append(track)
    return found


def states(rule, values, step=10.0):
    return [track.state.value[0] for track in run(rule, values, step)]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.3, 0.6, 0.6, 0.6, 0.6], "ipppf"),  # held 30 s
        ([0.6, 0.6, 0.3, 0.6, 0.6, 0.6], "ppippp"),  # it begins again
        ([0.6, 0.6, None, None, 0.6, 0.6, 0.6], "ppppppf"),  # what is unknown does not count
        ([0.6, 0.6, 0.6, 0.6, 0.45, 0.45, 0.6], "pppffff"),  # between the limits it goes on
        ([0.6, 0.6, 0.6, 0.6, 0.3, 0.3, 0.3, 0.3], "pppfffrr"),  # clear for 20 s
        ([0.6, 0.6, 0.6, 0.6, 0.3, 0.45, 0.3, 0.3, 0.3], "pppfffffr"),  # clear without a break
        ([0.6, 0.6, 0.6, 0.6, None, None, None, None], "pppfffff"),  # unknown is not over
        ([0.6, 0.6, 0.6, 0.6, 0.3, None, None, 0.3, 0.3, 0.3], "pppffffffr"),
    ],
)
def test_the_machine(values, expected):
    assert "".join(states(RULE, values)) == expected


def test_without_a_time_it_fires_at_once_and_is_over_at_once():
    rule = Rule("now", "p95 > 0.5")
    assert states(rule, [0.6, 0.3, 0.6]) == ["f", "r", "f"]


def test_what_is_unknown_is_said_with_its_reason_and_since_when():
    *_, firing, unknown, still = run(RULE, [0.6, 0.6, 0.6, 0.6, None, None])
    assert firing.unknown_since == 0
    assert (unknown.state, unknown.unknown_since, unknown.why) == (State.FIRING, 1040.0, "no data")
    assert (still.unknown_since, still.value) == (1040.0, "0.6")
    known = looked(RULE, still, judged(1060.0, 0.6))
    assert (known.unknown_since, known.why) == (0.0, "")


def test_a_time_without_looks_counts_for_nothing():
    track = run(RULE, [0.6])[0]
    woken = looked(RULE, track, judged(1000.0 + 3600, 0.6))
    assert woken.state is State.PENDING
    firing = run(RULE, [0.6] * 4)[-1]
    calm = looked(RULE, firing, judged(1040.0, 0.3))
    assert looked(RULE, calm, judged(1040.0 + 3600, 0.3)).state is State.FIRING


def test_an_older_look_changes_nothing():
    track = run(RULE, [0.6, 0.6])[-1]
    assert looked(RULE, track, judged(900.0, 0.1)) == track


def test_a_resolved_one_is_forgotten_after_a_while_and_may_fire_again_under_another_name():
    resolved = run(RULE, [0.6] * 4 + [0.3] * 3)[-1]
    assert resolved.state is State.RESOLVED
    first = alerts.alert_of(RULE, "ml/fraud", resolved, "latency")
    assert (first.ends_at, first.id) == (resolved.resolved_at, "slow|ml/fraud|1030")
    assert looked(RULE, resolved, judged(1060 + alerts.KEPT_RESOLVED + 1, 0.3)).state is State.INACTIVE
    track = resolved
    for index in range(4):
        track = looked(RULE, track, judged(1100.0 + index * 10, 0.6))
    again = alerts.alert_of(RULE, "ml/fraud", track, "latency")
    assert again.state is State.FIRING
    assert again.id != first.id


VALUES = st.lists(
    st.tuples(st.floats(0.5, 200.0), st.one_of(st.none(), st.sampled_from([0.3, 0.42, 0.48, 0.7]))), max_size=80
)
RULES = st.builds(
    Rule,
    name=st.just("r"),
    condition=st.just("p95 > 0.5"),
    hold=st.sampled_from([0.0, 5.0, 60.0]),
    keep_firing=st.sampled_from([0.0, 5.0, 60.0]),
)


def walked(rule, steps):
    track, now, past = Track(), 1000.0, []
    for pause, value in steps:
        now += pause
        before, track = track, looked(rule, track, judged(now, value))
        past.append((now, value, before, track))
    return past


@given(RULES, VALUES)
def test_it_fires_only_where_it_was_seen_to_hold_for_long_enough(rule, steps):
    held, last = 0.0, None
    for now, value, before, after in walked(rule, steps):
        if value is None:
            last = (now, False)
            assert after.state is before.state or before.state is State.RESOLVED
            continue
        seen = now - last[0] if last and last[1] and now - last[0] <= alerts.LONGEST_GAP else 0.0
        held = held + seen if value > 0.5 else 0.0
        last = (now, value > 0.5)
        if after.state is State.FIRING and before.state is not State.FIRING:
            assert value > 0.5
            assert held >= rule.hold - 1e-6


@given(RULES, VALUES)
def test_it_is_over_only_where_it_was_seen_to_be_clear(rule, steps):
    calm, last = 0.0, None
    for now, value, before, after in walked(rule, steps):
        if value is None:
            last = None
            assert after.state is not State.RESOLVED or before.state is State.RESOLVED
            continue
        clear = value < 0.4
        seen = now - last if last is not None and now - last <= alerts.LONGEST_GAP else 0.0
        calm = calm + seen if clear else 0.0
        last = now if clear else None
        if after.state is State.RESOLVED and before.state is State.FIRING:
            assert clear
            assert calm >= rule.keep_firing - 1e-6


@given(RULES, st.lists(st.sampled_from([0.42, 0.48]), min_size=1, max_size=40), st.booleans())
def test_within_the_hysteresis_nothing_changes(rule, values, fires):
    """From either side: what lies between the limits starts nothing and ends nothing."""
    track = Track(State.FIRING, 900.0, 900.0, looked=990.0) if fires else Track(looked=990.0)
    assert {after.state for after in run(rule, values, track=track)} == {track.state}


# ---- alerts


def test_who_has_it_in_hand():
    assert ALERT.calls(200.0)
    assert not replace(ALERT, handled=Handling("acknowledge", "ann", 150.0)).calls(200.0)
    snoozed = replace(ALERT, handled=Handling("snooze", "ann", 150.0, until=250.0))
    assert not snoozed.calls(200.0)
    assert snoozed.calls(250.0)
    assert not replace(ALERT, silenced_by=("ann until 14:00Z",)).calls(200.0)
    assert not replace(ALERT, state=State.PENDING).calls(200.0)


def test_the_same_alert_from_both_is_one():
    labels = {"namespace": "ml", "pod": "fraud-green-1"}
    by_prometheus = replace(
        ALERT, id="p", sources=("prometheus",), labels=labels, since=90.0, value="0.7", condition="p95 > 0.5"
    )
    by_manager = replace(
        ALERT, id="m", sources=("alertmanager",), labels=labels, since=95.0, value="", silenced_by=("ann",)
    )
    (one,) = alerts.merged([by_prometheus, by_manager])
    assert one.sources == ("alertmanager", "prometheus")
    assert (one.since, one.value, one.condition, one.silenced_by) == (90.0, "0.7", "p95 > 0.5", ("ann",))
    other = replace(by_manager, labels={**labels, "pod": "fraud-green-2"})
    assert len(alerts.merged([by_prometheus, other, ALERT])) == 3


def test_the_worst_stand_first():
    info = replace(ALERT, id="i", severity=Severity.INFO)
    pending = replace(ALERT, id="p", state=State.PENDING)
    assert [item.id for item in alerts.merged([pending, info, ALERT])] == ["a", "i", "p"]
    assert alerts.counted([pending, info, ALERT], 200.0) == {Severity.PAGE: 1, Severity.INFO: 1}


@pytest.mark.parametrize(
    ("labels", "service"),
    [
        ({"namespace": "ml", "service": "fraud"}, "ml/fraud"),
        ({"namespace": "ml", "deployment": "fraud-green"}, "ml/fraud"),
        ({"namespace": "ml", "pod": "fraud-green-1"}, "ml/fraud"),
        ({"namespace": "monitoring", "service": "kube-state-metrics", "exported_namespace": "ml", "exported_pod": "fraud-green-1"}, "ml/fraud"),  # noqa: E501
        ({"namespace": "other", "service": "fraud"}, ""),
        ({"service": "fraud"}, ""),
        ({}, ""),
    ],
)  # fmt: skip
def test_the_service_that_labels_are_about(labels, service):
    places = {("ml", "fraud"): "ml/fraud", ("ml", "fraud-green"): "ml/fraud", ("ml", "fraud-green-1"): "ml/fraud"}
    assert alerts.service_of(labels, places) == service


@pytest.mark.parametrize(
    ("patterns", "yes"), [((), True), (("fr*",), True), (("ml/*",), True), (("other/*", "churn"), False)]
)
def test_the_services_that_a_rule_is_for(patterns, yes):
    assert alerts.applies(patterns, "ml", "fraud") is yes


@pytest.mark.parametrize(
    ("figures", "name", "panel"),
    [
        (["p95", "live.p95"], "", "latency"),
        (["error_share"], "", "errors"),
        (["drift.share"], "", ""),
        ([], "HighErrorRate", "errors"),
        ([], "ModelLatencyHigh", "latency"),
        ([], "DiskFull", ""),
    ],
)
def test_the_chart_that_shows_it(figures, name, panel):
    assert alerts.panel_of(figures, name) == panel


@pytest.mark.parametrize(
    ("word", "severity"), [("critical", Severity.PAGE), ("Info", Severity.INFO), ("odd", Severity.WARNING)]
)
def test_what_others_call_severe(word, severity):
    assert alerts.severity_of(word) is severity
