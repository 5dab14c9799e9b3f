import pytest
from msgspec.structs import replace

from mlconsole.domain.health import Thresholds, judge
from mlconsole.domain.history import Good, Kind, Outcome, Record
from mlconsole.domain.meter import expected_seconds, read_meter
from mlconsole.domain.services import Color, Health, ModelService, Release, Revision, Shape
from mlconsole.domain.telemetry import Glance

V12, V13 = (Release("m", v, image=f"m:{v}", digest=f"sha256:{v}") for v in ("12", "13"))
BLUE = Color("blue", "m-blue", 2, 2, release=V12)
GREEN = Color("green", "m-green", 2, 2, release=V13)
SERVICE = ModelService("ml", "m", Shape.BLUE_GREEN, live="green", colors=(BLUE, GREEN))
GOOD = Good(V12, "blue", 10.0, 100.0)


def with_colors(blue=BLUE, green=GREEN, **more):
    return replace(SERVICE, colors=(blue, green), **more)


@pytest.mark.parametrize(
    ("service", "glance", "health", "words"),
    [
        (SERVICE, None, Health.OK, ""),
        (with_colors(green=replace(GREEN, ready=0)), None, Health.BAD, "no pod is ready"),
        (with_colors(green=replace(GREEN, ready=1)), None, Health.WARN, "1/2 ready"),
        (with_colors(blue=replace(BLUE, ready=0)), None, Health.WARN, "idle blue: 0/2 ready"),
        (with_colors(green=replace(GREEN, wish=0, ready=0)), None, Health.BAD, "nothing serves: green is scaled to 0"),
        (SERVICE, Glance("green", error_share=0.2, samples=100), Health.BAD, "errors 20.0%"),
        (SERVICE, Glance("green", error_share=0.2, samples=5), Health.OK, ""),
        (SERVICE, Glance("green", p95=0.9, samples=100), Health.BAD, "p95 900 ms over 500 ms"),
        (replace(SERVICE, shape=Shape.BOTH, live=""), None, Health.BAD, "both colours get traffic"),
        (replace(SERVICE, shape=Shape.MALFORMED, problems=("no selector",)), None, Health.UNKNOWN, "no selector"),
        (
            replace(SERVICE, colors=(BLUE,), problems=("nothing gets traffic",)),
            None,
            Health.BAD,
            "nothing gets traffic",
        ),
        (ModelService("ml", "x", Shape.PLAIN), None, Health.UNKNOWN, "not a model service"),
        (replace(SERVICE, colors=(GREEN,)), None, Health.OK, ""),
    ],
)
def test_health(service, glance, health, words):
    assert judge(service, glance, Thresholds(p95_seconds=0.5)) == (health, words)


def meter(service=SERVICE, good=GOOD, records=(), allowed=True, keep_warm=0.0):
    return read_meter(service, [good] if good else [], records, allowed=allowed, round_trip=0.1, keep_warm=keep_warm)


@pytest.mark.parametrize("astray", [{"live": "purple"}, {"live": "", "shape": Shape.BOTH}])
def test_what_is_known_good_is_a_way_back_where_no_colour_has_the_traffic_alone(astray):
    found = meter(replace(SERVICE, **astray))
    assert (found.health, found.color) == (Health.OK, "blue")


def test_a_warm_way_back_is_green_and_says_everything():
    found = meter(keep_warm=600)
    assert found.health is Health.OK
    assert (found.color, found.ready, found.wish, found.warm_until) == ("blue", 2, 2, 700.0)
    assert "blue v12" in found.words


@pytest.mark.parametrize(
    ("change", "health", "words"),
    [
        ({"service": with_colors(blue=replace(BLUE, ready=0))}, Health.BAD, "cold"),
        ({"service": with_colors(blue=replace(BLUE, ready=1))}, Health.WARN, "1/2 ready"),
        ({"service": with_colors(blue=replace(BLUE, release=V13))}, Health.BAD, "stands on no idle colour"),
        ({"good": None}, Health.WARN, "not on record"),
        ({"service": replace(SERVICE, colors=(GREEN,))}, Health.BAD, "nothing was deployed beside it yet"),
        ({"allowed": False}, Health.BAD, "may not"),
    ],
)
def test_the_meter_turns_before_it_is_needed(change, health, words):
    found = meter(**change)
    assert found.health is health
    assert words in found.words


def test_a_plain_service_goes_back_by_revision():
    revisions = (Revision(2, "rs2", V13, 2.0), Revision(1, "rs1", V12, 1.0))
    plain = ModelService("ml", "m", Shape.PLAIN, colors=(replace(GREEN, name="", revisions=revisions),))
    assert meter(plain, None).release == V12
    alone = replace(plain, colors=(replace(plain.colors[0], revisions=revisions[:1]),))
    assert meter(alone, None).health is Health.BAD


def test_expected_seconds_is_measured_where_it_can_be():
    assert expected_seconds([], 0.1) == pytest.approx(1.5)
    done = [
        Record(str(i), Kind.SWITCH, "m", "ml", 100.0 * i, "u", outcome=Outcome.VERIFIED, verified_at=100.0 * i + took)
        for i, took in enumerate((1.0, 2.0, 9.0))
    ]
    assert expected_seconds(done, 0.1) == 2.0


def test_a_release_that_nothing_runs_any_more_is_a_cold_way_back():
    newer = Release("m", "14", image="m:14")
    revisions = (Revision(3, "m-blue-3", newer, 300.0), Revision(2, "m-blue-2", V12, 1.0))
    subject = with_colors(blue=replace(BLUE, release=newer, revisions=revisions))

    def read(subject, kept=()):
        return read_meter(subject, [GOOD], [], allowed=True, round_trip=0.1, keep_warm=0.0, kept=kept)

    found = read(subject)
    assert (found.health, found.release) == (Health.WARN, V12)
    assert "is cold" in found.words
    assert "older ReplicaSet of blue" in found.words
    alone = replace(SERVICE, colors=(GREEN,))
    assert read(alone).health is Health.BAD
    assert "the history keeps" in read(alone, [V12]).words
