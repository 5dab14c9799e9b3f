"""One look at a rule: which figures count, and what is unknown."""

from types import SimpleNamespace

import pytest
from msgspec.structs import replace

from mlconsole.config import ServiceSettings, Settings, Thresholds
from mlconsole.configalerts import Alert
from mlconsole.domain.alerts import Rule, Severity
from mlconsole.domain.drift import DriftTable, DriftVerdict, FeatureDrift
from mlconsole.domain.services import Color, ModelService, PodState, Release, Shape
from mlconsole.domain.telemetry import Glance
from mlconsole.engine import alertlooks
from mlconsole.engine.alertdrift import LATE, FleetDrift
from mlconsole.engine.alertlooks import Due, Looks
from mlconsole.engine.alertrules import SERVING, rules_of
from mlconsole.metrics.answers import Failure, Reply, Row

NOW = 1_700_000_000.0
POD = PodState("fraud-green-1", True, "Running")
BLUE = Color("blue", "fraud-blue", 1, 1, release=Release("fraud", "12"))
GREEN = Color("green", "fraud-green", 1, 1, release=Release("fraud", "13"), pods=(POD,))
FRAUD = ModelService("ml", "fraud", Shape.BLUE_GREEN, color_key="color", live="green", colors=(BLUE, GREEN))
FINE = Glance("green", 10.0, 0.001, 0.05, 0.2, 0.4, samples=300.0, at=NOW)


async def look(rule, *glances, drift=None, reply=None, service=FRAUD):
    asked = []

    async def ask(texts):
        asked.extend(texts)
        return [reply] * len(texts)

    table = drift or DriftTable(service.key, NOW, problem="not asked yet")
    looks = Looks(lambda _: glances, lambda _: table, ask, lambda: NOW)
    (found,) = await looks.look([Due(service, rule)])
    return (found, asked) if rule.query else found


def rule(condition, **more):
    return Rule("r", condition, **more)


@pytest.mark.parametrize(
    ("condition", "glance", "holds"),
    [
        ("p95 > 0.1", FINE, True),
        ("p95 > 0.3", FINE, False),
        ("p95 > 0.1", replace(FINE, samples=5.0), None),
        ("rate < 20", replace(FINE, samples=5.0), True),
        ("p95 > 0.1", replace(FINE, at=NOW - 600), None),
        ("p95 > 0.1", replace(FINE, p95=None), None),
        ("p95 > 0.1", replace(FINE, color="blue"), None),
        ("p95 > 0.1 or error_share > 0.5", replace(FINE, error_share=None), True),
    ],
)
async def test_the_live_colour_s_figures(condition, glance, holds):
    found = await look(rule(condition), glance)
    assert found.holds is holds
    assert bool(found.why) or holds is not None


async def test_the_idle_colour_beside_the_live_one():
    blue = replace(FINE, color="blue", p95=0.9)
    found = await look(rule("p95 > 2 * live", color="idle"), FINE, blue)
    assert (found.holds, found.value) == (True, "live.p95 = 200 ms, p95 = 900 ms")
    assert (await look(rule("p95 > 1", color="idle"), FINE, service=replace(FRAUD, colors=(GREEN,)))).holds is None


@pytest.mark.parametrize(("p95", "clear"), [(0.3, False), (0.2, True), (None, None)])
async def test_when_it_is_clear(p95, clear):
    found = await look(rule("p95 > 0.5", clear="p95 < 0.25"), replace(FINE, p95=p95))
    assert found.clear is clear


@pytest.mark.parametrize(("age", "known"), [(LATE, True), (LATE + 1, False)])
def test_drift_that_was_read_long_ago_says_nothing_of_now(age, known):
    row = FeatureDrift(feature="amount", color="green", verdict=DriftVerdict.DRIFTED)
    read = SimpleNamespace(drift=lambda key: DriftTable(key, NOW - age, (row,)))
    found = FleetDrift(read, None, None, lambda: NOW).of(FRAUD.key)
    assert found.features == ((row,) if known else ())
    assert found.problem == ("" if known else "its features were read 181 s ago")


async def test_drift():
    rows = [FeatureDrift(feature=f"f{n}", color="green", verdict=DriftVerdict.OK, psi=0.01) for n in range(3)]
    rows.append(FeatureDrift(feature="f3", color="green", verdict=DriftVerdict.DRIFTED, psi=0.9))
    table = DriftTable("ml/fraud", NOW, tuple(rows))
    assert (await look(rule("drift.share > 0.2"), FINE, drift=table)).holds is True
    assert (await look(rule("drift.worst > 1"), FINE, drift=table)).holds is False
    unknown = replace(table, features=(rows[0], *(replace(row, verdict=DriftVerdict.UNKNOWN) for row in rows[1:])))
    found = await look(rule("drift.share > 0.2"), FINE, drift=unknown)
    assert (found.holds, "3 of 4 features" in found.why) == (None, True)
    assert (await look(rule("drift.share > 0.2"), FINE)).why == "not asked yet"


def reply(*values, **labels):
    return Reply(tuple(Row({"n": str(n), **labels}, [NOW], [value]) for n, value in enumerate(values)))


@pytest.mark.parametrize(
    ("condition", "answer", "holds", "why"),
    [
        ("result > 5", reply(7.0), True, ""),
        ("result > 5", reply(3.0), False, ""),
        ("result > 5", reply(float("nan")), None, "no number came back"),
        ("result > 5", reply(), None, "no data: the query gave nothing"),
        ("isNil(result)", reply(), True, ""),
        ("result > 5", reply(7.0, 8.0), None, "2 series"),
        ("any(result, # > 5)", reply(1.0, 8.0), True, ""),
        ("result > 5", reply(7.0, namespace="other"), None, "namespace other"),
        ("result > 5", Reply(failure=Failure("down", "cannot be reached", "wait")), None, "cannot be reached wait"),
    ],
)
async def test_a_query(condition, answer, holds, why):
    found, asked = await look(rule(condition, query='q{s="{service}",v="{version}",c="{color}"}'), reply=answer)
    assert asked == ['q{s="fraud",v="13",c="green"}']
    assert found.holds is holds
    assert why in found.why
    assert (found.why == "") is (holds is not None)


async def test_a_name_cannot_leave_its_string():
    odd = replace(FRAUD, name='x"} or vector(1) #')
    _, asked = await look(rule("result > 5", query='q{s="{service}"}'), reply=reply(1.0), service=odd)
    assert asked == ['q{s="x\\"} or vector(1) #"}']


@pytest.mark.parametrize(
    ("service", "holds"),
    [
        (FRAUD, False),
        (replace(FRAUD, colors=(BLUE, replace(GREEN, ready=0))), True),
        (replace(FRAUD, shape=Shape.BOTH), True),
        (replace(FRAUD, shape=Shape.MALFORMED), None),
    ],
)
def test_whether_nothing_serves(service, holds):
    assert alertlooks.serving(service, NOW).holds is holds


# ---- which rules


def test_the_console_s_own_rules_are_made_of_the_limits_of_health():
    settings = Settings(defaults=ServiceSettings(thresholds=Thresholds(0.25, 0.02)))
    found = {item.name: item for item in rules_of(settings, FRAUD)}
    assert set(found) == {SERVING, "errors", "slow"}
    assert (found["slow"].condition, found["slow"].clear) == ("p95 > 0.25", "p95 < 0.225")
    assert (found["errors"].condition, found["errors"].severity) == ("error_share > 0.02", Severity.PAGE)
    without = Settings(defaults=ServiceSettings(thresholds=Thresholds(None, None)))
    assert [item.name for item in rules_of(without, FRAUD)] == [SERVING]


def test_a_rule_of_the_same_name_takes_the_place_and_one_can_be_turned_off():
    own = ServiceSettings(alerts={"errors": Alert(enabled=False), "mine": Alert("rate < 1", severity="info")})
    settings = Settings(
        alerts={"slow": Alert("p95 > 1"), "churn": Alert("p95 > 1", services=("churn*",))}, services={"fraud": own}
    )
    found = {item.name: item for item in rules_of(settings, FRAUD)}
    assert set(found) == {SERVING, "slow", "mine"}
    assert (found["mine"].severity, found["mine"].origin) == (Severity.INFO, "alerts of fraud.mine")


def test_what_is_no_model_service_has_no_rules():
    assert rules_of(Settings(), replace(FRAUD, shape=Shape.MALFORMED)) == ()
    assert rules_of(Settings(services={"fraud": ServiceSettings(hidden=True)}), FRAUD) == ()
