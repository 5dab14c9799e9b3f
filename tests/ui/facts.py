"""Facts for the tests of the screens, a service, a plan, an operation under way, and how a test tells them."""

from msgspec.structs import replace

from mlconsole.domain import phases
from mlconsole.domain.history import Kind
from mlconsole.domain.meter import RollbackMeter
from mlconsole.domain.operation import Operation
from mlconsole.domain.phases import Phase
from mlconsole.domain.plans import Confirmation, Diff, Gate, Plan, Target, Verdict, Write
from mlconsole.domain.registry import ModelVersion, RegisteredModel, Run
from mlconsole.domain.services import Color, Health, ModelService, Release, Shape
from mlconsole.engine import protocol

NOW = 1_790_000_000.0
BLUE = Color("blue", "fraud-blue", 3, 3, release=Release("fraud", "12", image="reg.local/fraud:12"))
GREEN = Color("green", "fraud-green", 3, 3, release=Release("fraud", "13", image="reg.local/fraud:13"))
SERVICE = ModelService(
    "ml", "fraud", Shape.BLUE_GREEN, selector={"color": "green"}, color_key="color", live="green", colors=(BLUE, GREEN)
)
MODEL = RegisteredModel(
    "fraud",
    versions=tuple(
        ModelVersion("fraud", str(number), run=Run(f"r{number}", metrics={"f1": 0.9})) for number in (14, 13)
    ),
)


def a_plan(kind=Kind.SWITCH, **changes):
    """A switch to blue, or what `changes` make of it."""
    base = Plan(
        id="p1",
        kind=kind,
        target=Target("prod-eu", "https://k8s", "ca", "ann", "ml", "uid"),
        service="fraud",
        created_at=NOW,
        from_color="green",
        to_color="blue",
        from_release=GREEN.release,
        to_release=BLUE.release,
        base={},
        writes=(Write("services", "ml", "fraud", ({"op": "replace", "path": "/x", "value": "blue"},)),),
        diffs=(Diff("Service ml/fraud", "spec.selector[color]", "green", "blue"),),
        gates=(Gate("capacity", Verdict.PASS, "3 ready", "3 or more", "pods of fraud-blue"),),
        rights=(),
        confirmation=Confirmation.ROLLBACK if kind is Kind.ROLLBACK else Confirmation.KEY,
        dry_run="accepted",
        way_back="green v13 stays up",
        route=phases.route(kind),
    )
    return replace(base, **changes)


def an_operation(phase=Phase.WATCH, plan=None, **changes):
    """An operation that ann began."""
    plan = plan or a_plan()
    return replace(Operation(plan, "ann", NOW - 60, phase=phase, phase_at=NOW - 10, host="bastion"), **changes)


def under_way(*lines):
    """The publication of operations under way."""
    return protocol.Operations(tuple(lines))


def a_line(phase=Phase.WATCH, *, alive=True, verbs=("abort",), until=0.0, standing="", here=False, **changes):
    """One operation under way, as every console sees it."""
    operation = an_operation(phase, **changes)
    holder = f"ann@bastion/{operation.id}" if alive else ""
    return protocol.OperationLine(operation, alive, holder, here, standing, verbs, until)


def facts(service=SERVICE, **detail):
    """What an engine says of a place with one service."""
    meter = RollbackMeter(Health.OK, "rollback to blue v12, 3/3 ready, ~2 s", "blue", BLUE.release, NOW, 3, 3)
    return (
        protocol.Place("prod-eu", "ml", user="bob"),
        protocol.Fleet((protocol.FleetRow(service, Health.OK),), reset=True, complete=True),
        protocol.Detail(service, Health.OK, "", (), meter, **detail),
    )


async def ready(driver, service=SERVICE, **detail):
    """The service is there and looked at."""
    place, fleet, about = facts(service, **detail)
    await driver.filled()
    driver.told(place, fleet)
    await driver.until("fraud")
    await driver.selected(service.key)
    driver.told(about)
    await driver.until("way back")


def last(driver, kind=protocol.MakePlan):
    """What was sent to the engine last, of one kind."""
    return driver.sent(kind)[-1]


def planned(driver, plan):
    """The engine answers the last wish."""
    driver.told(protocol.Planned(last(driver).request, plan, plan.hash))
