"""The rules of a place, on a cluster that says who asks."""

import pytest
from msgspec.structs import replace

from cluster import conftest as clusters
from mlconsole.cluster.connection import Connection, Who
from mlconsole.config import load
from mlconsole.demo.apiserver.auth import User
from mlconsole.demo.apiserver.faults import Failure
from mlconsole.demo.apiserver.server import serve
from mlconsole.demo.apiserver.store import Store
from mlconsole.domain import phases
from mlconsole.domain.history import Kind
from mlconsole.domain.plans import Gate, PlanError, Verdict
from mlconsole.domain.services import Color, ModelService, PodState, Shape
from mlconsole.engine import policy
from mlconsole.engine.consent import Consent, check_consent

NOW = 1_790_000_000.0
GREEN = Color("green", "m-green", 1, 1, pods=(PodState("g", True, "Running", ready_since=NOW - 60),))
SERVICE = ModelService("ml", "m", Shape.BLUE_GREEN, color_key="color", live="blue", colors=(GREEN,))
ANSWERS = (Gate("answers", Verdict.FAIL),)
RULES = """\
[environments.prod]
groups = ["ml-ops"]
min_idle = "1h"
required_gates = ["answers", "parity", "slow", "later"]
[environments.prod.freeze.now]
reason = "a [bold]freeze[/bold]\\u001b[31m"
[defaults.analysis]
slow = { condition = "p95 < 1" }
later = { condition = "p95 < 1", when = "after" }
"""


@pytest.fixture
def rules(tmp_path):
    """Load settings from a file's text."""

    def loaded(text=RULES, **options):
        path = tmp_path / "mlconsole.toml"
        path.write_text(text)
        return load({"config": str(path), **options}, {}).settings

    return loaded


@pytest.fixture
async def member(tmp_path):
    """A connection of somebody who is in a group."""
    server = await serve(Store(), users={"t": User("eve", ("dev", "ml-ops"))})
    path = clusters.kubeconfig_of(tmp_path, server.kubeconfig(namespace="ml"))
    connection = await Connection.open(kubeconfig=path, namespace="ml")
    yield connection
    await connection.close()
    await server.close()


def about_me(method, path):
    return method == "POST" and path.endswith("/selfsubjectreviews")


async def judged(connection, settings, kind=Kind.SWITCH, gates=ANSWERS):
    route = phases.route(kind, without=frozenset({phases.Phase.PARITY}))
    return await policy.policy_gates(connection, settings, kind, SERVICE, GREEN, route, gates, NOW)


async def test_who_asks_and_in_which_groups(member):
    assert await member.whois() == Who("eve", ("dev", "ml-ops"))
    assert await member.whoami() == "eve"


async def test_a_server_that_does_not_say_who_asks(embedded):
    embedded.faults.add(Failure(about_me, status=403))
    assert await embedded.connection.whois() == Who(embedded.connection.identity.user, None)


async def test_each_refusal_says_its_rule_and_the_line_it_is_written_on(member, rules):
    found = {gate.name: gate for gate in await judged(member, rules())}
    told = {name: (gate.verdict, gate.evidence) for name, gate in found.items()}
    assert told == {
        "freeze": (Verdict.FAIL, "mlconsole.toml:6: environments.prod.freeze.now"),
        "groups": (Verdict.PASS, "mlconsole.toml:2: environments.prod.groups"),
        "min-idle": (Verdict.FAIL, "mlconsole.toml:3: environments.prod.min_idle"),
        "required.parity": (Verdict.FAIL, "mlconsole.toml:4: environments.prod.required_gates"),
        "required.later": (Verdict.FAIL, "mlconsole.toml:4: environments.prod.required_gates"),
        "answers": (Verdict.FAIL, ""),
    }
    assert not any(gate.waivable for gate in found.values())
    assert "\x1b" not in found["freeze"].value


async def test_the_way_back_has_no_rule_but_read_only(member, rules):
    assert await judged(member, rules(), Kind.ROLLBACK) == list(ANSWERS)
    (refused, _) = await judged(member, rules(RULES, read_only=True), Kind.ROLLBACK)
    assert (refused.name, refused.evidence, refused.waivable) == ("policy", "--read-only", False)
    text = RULES.replace("[environments.prod]\n", "[environments.prod]\nread_only = true\n")
    (refused, _) = await judged(member, rules(text), Kind.ROLLBACK)
    assert refused.evidence == "mlconsole.toml:2: environments.prod.read_only"
    (refused, _) = await judged(member, rules("read_only = true\n"), Kind.ROLLBACK)
    assert refused.evidence == "mlconsole.toml:1: read_only"


async def test_nobody_is_asked_where_no_group_counts(embedded, rules):
    asked = Failure(about_me, status=503)
    embedded.faults.add(asked)
    assert [gate.name for gate in await judged(embedded.connection, rules("[environments.prod]\n"))] == ["answers"]
    assert asked.times == 1


def test_a_freeze_that_began_after_the_plan_refuses_the_write(rules):
    settings = rules()
    environment = settings.environments["prod"]
    environment = replace(environment, name="prod")
    assert policy.still_allowed(settings, environment, Kind.SWITCH, NOW).name == "freeze"
    assert policy.still_allowed(settings, environment, Kind.ROLLBACK, NOW) is None
    assert policy.still_allowed(settings, replace(environment, freeze={}), Kind.SWITCH, NOW) is None


def test_a_freeze_that_this_machine_cannot_read_is_not_good(rules):
    settings = rules()
    environment = settings.environments["prod"]
    freeze = replace(environment.freeze["now"], timezone="Mars/Olympus")
    gate = policy.still_allowed(settings, replace(environment, freeze={"now": freeze}), Kind.SWITCH, NOW)
    assert (gate.verdict, gate.stops, gate.waivable) == (Verdict.UNKNOWN, True, False)


def test_what_is_required_may_not_be_waived_on_the_way_either(rules):
    environment = rules().environments["prod"]
    assert not policy.may_waive(environment, Kind.SWITCH, "parity.flips")
    assert policy.may_waive(environment, Kind.SWITCH, "smoke")
    assert policy.may_waive(environment, Kind.ROLLBACK, "parity.flips")


async def test_a_refused_operation_says_which_rule_and_where_it_is_written(desk, rules):
    plan = await desk.plan(Kind.SWITCH)
    found = await judged(desk.cluster.connection, rules(), gates=())
    refused = replace(plan, gates=tuple(gate for gate in found if gate.name == "freeze"))
    with pytest.raises(
        PlanError, match=r"freeze FAIL: frozen .* \(mlconsole.toml:6: environments.prod.freeze.now\)"
    ) as told:
        check_consent(refused, Consent(refused.hash, waived=("freeze",)), refused.created_at)
    assert told.value.exit_code == 3
    assert "cannot be waived" in told.value.hint
