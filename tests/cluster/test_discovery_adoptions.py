"""What a service is taken for in each state that an adoption, and its undoing, go through."""

import msgspec
import pytest

from mlconsole.cluster import objects
from mlconsole.cluster.discovery import describe
from mlconsole.domain import adopting
from mlconsole.domain.deploying import COLOR_LABEL
from mlconsole.domain.health import Thresholds, judge
from mlconsole.domain.services import Health, Shape

from .test_discovery import inventory_of, make, meta

KEY = COLOR_LABEL
PLAIN = {"app": "x"}
BLUE, GREEN, BACK = {**PLAIN, KEY: "blue"}, {**PLAIN, KEY: "green"}, {**PLAIN, KEY: "plain"}
NOTE = adopting.encode(adopting.Adopted("fraud", "x-blue", KEY, 2))


def described(selector, *deployments, pods=(), note=NOTE, template=PLAIN, replicas=2):
    """The service `fraud`: Deployment `x` says that it was adopted, others (name, labels) stand beside it."""
    found = inventory_of(*deployments, pods=pods)
    annotations = {adopting.ADOPTED: note} if note else {}
    spec = {"replicas": replicas, "template": {"metadata": {"labels": template}, "spec": {"containers": []}}}
    found.deployments.put(make(objects.Deployment, metadata=meta("x", annotations=annotations), spec=spec))
    points = [
        {"ip": "10.0.0.1", "targetRef": {"kind": "Pod", "name": name}}
        for name, labels in pods
        if selector.items() <= labels.items()
    ]
    body = {"metadata": meta("fraud"), "subsets": [{"addresses": points}]}
    found.endpoints.put(msgspec.convert(body, objects.Endpoints))
    return describe(make(objects.Service, metadata=meta("fraud"), spec={"selector": selector}), found)


ONE = (("x-1", PLAIN),)
BOTH = (*ONE, ("x-blue-1", BLUE))


@pytest.mark.parametrize(
    ("selector", "template", "deployments", "pods", "shape", "live", "colors", "plain"),
    [
        # Marked, and nothing made of it yet; the copy beside it; the traffic on the copy; retired.
        (PLAIN, PLAIN, (), ONE, Shape.PLAIN, "", [("", 1)], None),
        (PLAIN, PLAIN, (("x-blue", BLUE),), BOTH, Shape.PLAIN, "", [("", 1), ("blue", 1)], None),
        (BLUE, PLAIN, (("x-blue", BLUE),), BOTH, Shape.BLUE_GREEN, "blue", [("blue", 1)], ("", 1)),
        (BLUE, PLAIN, (("x-blue", BLUE),), BOTH[1:], Shape.BLUE_GREEN, "blue", [("blue", 1)], ("", 0)),
        # With another colour; on its way back; the colours removed.
        (
            GREEN,
            PLAIN,
            (("x-blue", BLUE), ("x-green", GREEN)),
            (("x-green-1", GREEN),),
            Shape.BLUE_GREEN,
            "green",
            [("blue", 0), ("green", 1)],
            ("", 0),
        ),
        (
            BACK,
            BACK,
            (("x-blue", BLUE), ("x-green", GREEN)),
            (("x-1", BACK), ("x-green-1", GREEN)),
            Shape.BLUE_GREEN,
            "plain",
            [("blue", 0), ("green", 1)],
            ("plain", 1),
        ),
        (BACK, BACK, (), (("x-1", BACK),), Shape.PLAIN, "", [("", 1)], None),
        (PLAIN, BACK, (), (("x-1", BACK),), Shape.PLAIN, "", [("", 1)], None),
        # Adopted once more after it was given back.
        (PLAIN, BACK, (("x-blue", BLUE),), (("x-1", BACK), BOTH[1]), Shape.PLAIN, "", [("", 1), ("blue", 1)], None),
        (
            BLUE,
            BACK,
            (("x-blue", BLUE),),
            (("x-1", BACK), BOTH[1]),
            Shape.BLUE_GREEN,
            "blue",
            [("blue", 1)],
            ("plain", 1),
        ),
    ],
)
def test_each_state(selector, template, deployments, pods, shape, live, colors, plain):
    found = described(selector, *deployments, pods=pods, template=template)
    assert (found.shape, found.live) == (shape, live)
    assert found.base == PLAIN
    assert [(color.name, color.ready) for color in found.colors] == colors
    assert (found.plain and (found.plain.name, found.plain.ready)) == plain
    assert found.live_color is not None
    assert found.live_color.ready == 1
    if plain is not None:
        assert found.color("") is found.color(found.plain.name) is found.plain
        assert found.plain not in found.colors
    assert {point.color for point in found.endpoints} <= {live, *(name for name, _ in colors)}


def test_a_copy_beside_the_plain_one_is_told_and_is_no_incident():
    found = described(PLAIN, ("x-blue", BLUE), pods=BOTH)
    assert found.problems == ("x-blue gets traffic too: an adoption of x that has not ended",)
    assert found.color_key == KEY
    health, words = judge(found, None, Thresholds())
    assert health is not Health.BAD
    assert words


def test_i2_colours_that_the_selector_does_not_name_are_an_incident_once_the_plain_one_is_retired():
    colors, pods = (("x-blue", BLUE), ("x-green", GREEN)), (BOTH[1], ("x-green-1", GREEN))
    found = described(PLAIN, *colors, pods=pods, replicas=0)
    assert (found.shape, found.live_color) == (Shape.BOTH, None)
    assert "both colours get traffic" in found.problems[0]


def test_a_selector_that_names_what_is_gone_is_told():
    found = described(BLUE, ("x-green", GREEN), pods=ONE)
    assert found.shape is Shape.BLUE_GREEN
    assert "nothing gets traffic" in found.problems[0]


@pytest.mark.parametrize("note", ["", "{", '{"service": "other", "deployment": "x-blue", "key": "k", "replicas": 1}'])
def test_what_says_nothing_of_this_service_is_no_part_of_it(note):
    found = described(BLUE, ("x-blue", BLUE), pods=BOTH, note=note)
    assert found.plain is None
    assert [color.name for color in found.colors] == ["blue"]
