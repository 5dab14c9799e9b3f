"""Who else has the selected service open, in the header and in the deployment pane."""

import pytest

from mlconsole.domain.meter import RollbackMeter
from mlconsole.domain.services import Color, Health, ModelService, Release, Shape
from mlconsole.engine import protocol
from mlconsole.ui.known import Known
from mlconsole.ui.panes.deployment import DeploymentPane
from mlconsole.ui.render import header
from mlconsole.ui.render.presence import also_here
from mlconsole.ui.spans import Slot, plain, width_of

NOW = 1_790_000_000.0
BLUE, GREEN = (
    Color(name, f"fraud-{name}", 3, 3, release=Release("fraud", number))
    for name, number in (("blue", "12"), ("green", "13"))
)
SERVICE = ModelService(
    "ml", "fraud", Shape.BLUE_GREEN, selector={"color": "green"}, color_key="color", live="green", colors=(BLUE, GREEN)
)
BOB = protocol.Present("bob", "bastion2", "ml/fraud")
PLANS = protocol.Present("carol", "b3", "ml/fraud", "rollback to blue v12")


@pytest.fixture
def known():
    """A console that looks at one service of two."""
    found = Known()
    found.take(protocol.Place("prod-eu", "ml"))
    found.take(protocol.Fleet((protocol.FleetRow(SERVICE, Health.WARN, "2/3 ready"),), reset=True))
    found.select("ml/fraud")
    meter = RollbackMeter(Health.OK, "rollback to blue v12", "blue", BLUE.release)
    found.take(protocol.Detail(SERVICE, Health.WARN, "2/3 ready", (), meter))
    return found


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ((), ""),
        ((BOB,), "also here: bob@bastion2"),
        ((BOB, PLANS), "also here: carol@b3 (plans rollback to blue v12), bob@bastion2"),
        ((protocol.Present("bob", ""), protocol.Present("eve", "b", "ml/other")), ""),
        ((protocol.Present("bob", "", "ml/fraud"),), "also here: bob"),
        (
            (BOB, BOB, BOB, BOB, PLANS),
            "also here: carol@b3 (plans rollback to blue v12), bob@bastion2, bob@bastion2 +2",
        ),
    ],
)
def test_those_on_the_same_service_who_plans_something_first(lines, words):
    assert plain(also_here(lines, "ml/fraud")) == words


def test_a_plan_is_said_loudly():
    assert Slot.WARN not in {span.slot for span in also_here((BOB,), "ml/fraud")}
    assert Slot.WARN in {span.slot for span in also_here((PLANS,), "ml/fraud")}


def test_the_header_says_a_plan_before_everything_and_company_after_it(known):
    known.take(protocol.Presence((BOB,)))
    shown = plain(header.service(known, NOW, 200)).rstrip()
    assert shown.endswith("· also here: bob@bastion2")
    known.take(protocol.Presence((PLANS,)))
    narrow = header.service(known, NOW, 80)
    assert "also here: carol@b3 (plans rollback to blue v12)" in plain(narrow)
    assert width_of(narrow) == 80


def test_the_pane_says_all_of_it_in_its_width(known):
    known.take(protocol.Presence((BOB, PLANS)))
    lines = DeploymentPane._content(DeploymentPane.__new__(DeploymentPane), known, NOW, 120)
    assert plain(lines[0]) == "also here: carol@b3 (plans rollback to blue v12), bob@bastion2"


def test_another_place_has_its_own_company(known):
    known.take(protocol.Presence((BOB,)))
    known.leave()
    assert known.presence == ()
