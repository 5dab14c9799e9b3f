"""A version that was not validated, or failed, gets no traffic where that is asked for; the way back never asks."""

import time

import pytest
from msgspec.structs import replace

from mlconsole.config import Environment, Gates, ServiceSettings, Settings, Verify
from mlconsole.config import Registry as RegistrySettings
from mlconsole.domain.history import Kind
from mlconsole.domain.plans import PlanError, Verdict
from mlconsole.domain.registry import ModelVersion
from mlconsole.domain.services import ModelService, Release, Shape
from mlconsole.domain.validated import TAG, Stamp, encode
from mlconsole.domain.validation import Validation
from mlconsole.engine.offload import Offload, WorkerError
from mlconsole.engine.planner import Planner, Wish
from mlconsole.engine.validated import validation_gate, wanted
from mlconsole.registry.errors import RegistryError
from mlconsole.registry.validations import log_validation

from .conftest import Desk, change

NOW = 1_790_000_000.0
DAY = 86_400.0
URI = "sqlite:///nowhere.db"
SERVICE = ModelService("ml", "fraud", Shape.BLUE_GREEN)
RELEASE = Release(model="fraud", version="14")


class Lane:
    """A registry that answers with one thing."""

    def __init__(self, answer):
        self.answer, self.asked = answer, []

    def lane(self, _name):
        return self

    async def run(self, _function, *args, timeout):
        self.asked.append(args)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def version(stamp):
    tags = {TAG: stamp if isinstance(stamp, str) else encode(stamp)} if stamp else {}
    return ModelVersion("fraud", "14", tags=tags)


def settings(**gates):
    return ServiceSettings(gates=Gates(**gates))


async def gate_of(answer, release=RELEASE, uri=URI, **gates):
    return await validation_gate(Lane(answer), settings(**gates), SERVICE, release, uri, NOW, blocks=True)


GOOD = Stamp(Verdict.PASS, NOW - 2 * DAY, "v13", "6 checks passed", rows=5000)


@pytest.mark.parametrize(
    ("stamp", "gates", "verdict", "words"),
    [
        (GOOD, {}, Verdict.PASS, "PASS on 5,000 rows against v13: 6 checks passed"),
        (GOOD, {"max_validation_age": 3 * DAY}, Verdict.PASS, "6 checks passed"),
        (GOOD, {"max_validation_age": DAY}, Verdict.UNKNOWN, "2 d old"),
        (replace(GOOD, at=0.0), {}, Verdict.PASS, "6 checks passed"),
        (replace(GOOD, at=0.0), {"max_validation_age": DAY}, Verdict.UNKNOWN, "when it was made is not known"),
        (replace(GOOD, at=NOW + DAY), {"max_validation_age": DAY}, Verdict.UNKNOWN, "is not known"),
        (replace(GOOD, verdict=Verdict.FAIL, why="f1: 0.03 worse"), {}, Verdict.FAIL, "against v13: f1: 0.03 worse"),
        (replace(GOOD, verdict=Verdict.UNKNOWN, why="few rows"), {}, Verdict.UNKNOWN, "few rows"),
        (None, {}, Verdict.UNKNOWN, "fraud v14 was never validated"),
        ("{broken", {}, Verdict.UNKNOWN, "a validation that cannot be read"),
    ],
    ids=["good", "young", "old", "undated", "undated, asked", "ahead", "failed", "unknown", "never", "garbage"],
)
async def test_the_gate_says_what_the_validation_is_worth_now(stamp, gates, verdict, words):
    found = await gate_of(version(stamp), **gates)
    assert (found.name, found.verdict, words in found.value) == ("validation", verdict, True), found
    assert found.limit.startswith("PASS")
    assert TAG in found.evidence
    assert "fraud v14" in found.evidence
    assert found.stops == (verdict is not Verdict.PASS)
    assert found.waivable


async def test_its_age_is_that_of_the_validation():
    assert (await gate_of(version(GOOD))).age == 2 * DAY
    assert (await gate_of(version(GOOD), max_validation_age=7 * DAY)).limit == "PASS, at most 7 d old"


@pytest.mark.parametrize(
    ("answer", "release", "uri", "words"),
    [
        (RegistryError("MLflow does not answer"), RELEASE, URI, "MLflow does not answer"),
        (TimeoutError("late"), RELEASE, URI, "gave no answer: late"),
        (WorkerError("Died", "of it"), RELEASE, URI, "gave no answer: Died: of it"),
        (version(GOOD), RELEASE, None, "no registry is configured"),
        (version(GOOD), Release(), URI, "names no version"),
    ],
)
async def test_what_nobody_can_say_is_unknown(answer, release, uri, words):
    found = await gate_of(answer, release, uri)
    assert (found.verdict, words in found.value) == (Verdict.UNKNOWN, True), found


def test_it_is_asked_for_by_the_service_or_the_place():
    nothing = Environment()
    assert not wanted(settings(), nothing)
    assert wanted(settings(validation=True), nothing)
    assert wanted(settings(max_validation_age=DAY), nothing)
    assert wanted(settings(), Environment(required_gates=("validation",)))


# ---- in a plan, on a real registry


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    """The tracking URI of a registry with `fraud` 1 to 20."""
    from mlconsole.registry.reader import _mlflow

    folder = tmp_path_factory.mktemp("registry")
    uri = f"sqlite:///{folder}/mlflow.db"
    client = _mlflow().MlflowClient(uri, uri)
    client.create_registered_model("fraud")
    for _ in range(20):
        client.create_model_version("fraud", str(folder))
    return uri


@pytest.fixture
async def offload():
    found = Offload()
    yield found
    await found.close()


@pytest.fixture
def desk(good, tmp_path, registry, offload):
    """A desk whose live colour is blue, and where a validation is asked for."""
    change(good, "services", "fraud", {"spec": {"selector": {"color": "blue"}}})

    def made(**environments):
        given = Settings(
            defaults=ServiceSettings(verify=Verify(deadline=0.3), model="fraud", gates=Gates(validation=True)),
            registry=RegistrySettings(tracking_uri=registry),
            environments=environments,
        )
        found = Desk(good.cluster, tmp_path, given)
        found.planner = Planner(found.connection, given, lambda _: (), found.clock, offload)
        return found

    return made


def of(plan):
    return next((gate for gate in plan.gates if gate.name == "validation"), None)


async def test_a_switch_is_refused_until_the_version_is_validated_or_somebody_says_why_not(desk, registry):
    switching = desk()
    plan = await switching.plan()
    assert (of(plan).verdict, of(plan).stops) == (Verdict.UNKNOWN, True)
    with pytest.raises(PlanError) as refused:
        await switching.carry_out(plan)
    assert refused.value.exit_code == 6
    assert "was never validated" in refused.value.message
    with pytest.raises(PlanError, match="a reason is needed"):
        await switching.carry_out(plan, waived=("answers", "validation"), reason=" ")
    assert (await switching.selector())["color"] == "blue"
    number = plan.to_release.version
    failed = Validation(model="fraud", version=number, at=time.time(), verdict=Verdict.FAIL, why="f1: 0.1 worse")
    log_validation(registry, failed, "v1")
    assert of(await switching.plan()).verdict is Verdict.FAIL
    log_validation(registry, replace(failed, verdict=Verdict.PASS, why="1 check passed", rows=900), "v1")
    plan = await switching.plan()
    assert (of(plan).verdict, of(plan).value) == (Verdict.PASS, "PASS on 900 rows against v1: 1 check passed")
    await switching.carry_out(plan)
    assert (await switching.selector())["color"] == "green"


async def test_a_waiver_with_a_reason_goes_on_record(desk):
    switching = desk()
    plan = await switching.plan()
    plan = replace(plan, gates=tuple(_never(gate) for gate in plan.gates))
    record = await switching.carry_out(plan, waived=("answers", "validation"), reason="the holdout is being relabelled")
    assert "validation" in record.waived
    assert record.reason == "the holdout is being relabelled"


def _never(gate):
    return replace(gate, verdict=Verdict.UNKNOWN) if gate.name == "validation" else gate


async def test_where_the_place_requires_it_nobody_waives_it(desk):
    plan = await desk(prod=Environment(required_gates=("validation",))).plan()
    assert not of(plan).waivable


async def test_a_deploy_says_so_before_and_a_rollback_never_asks(desk):
    planning = desk()
    deploy = await planning.plan(Kind.DEPLOY, wish=Wish("3", "registry.local/fraud:3"))
    assert (of(deploy).verdict, of(deploy).stops) == (Verdict.UNKNOWN, False)
    going_on = await planning.plan(Kind.DEPLOY, wish=Wish("3", "registry.local/fraud:3", go_on=True))
    assert of(going_on).stops
    assert of(await planning.plan(Kind.ROLLBACK, to_color="green")) is None
