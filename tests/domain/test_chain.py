import pytest
from msgspec.structs import replace

from mlconsole.domain.chain import first_broken, serving_chain
from mlconsole.domain.plans import Verdict
from mlconsole.domain.registry import ModelVersion, RegisteredModel, Run
from mlconsole.domain.services import Color, Endpoint, ModelService, PodState, Release, Shape

DIGEST = "sha256:" + "a" * 64
SHA = "3f2c1a9" + "0" * 33
GREEN = Color(
    "green",
    "m-green",
    2,
    2,
    release=Release("m", "13", "run13", "m:13", DIGEST, SHA),
    pods=(PodState("g0", True, "Running", digest=DIGEST), PodState("g1", True, "Running", digest=DIGEST)),
)
BLUE = replace(GREEN, name="blue", deployment="m-blue", release=replace(GREEN.release, version="12"))
SERVICE = ModelService(
    "ml",
    "m",
    Shape.BLUE_GREEN,
    selector={"app": "m", "color": "green"},
    color_key="color",
    base={"app": "m"},
    live="green",
    colors=(BLUE, GREEN),
    endpoints=(Endpoint("g0", "green", True), Endpoint("g1", "green", True)),
)
V13 = ModelVersion("m", "13", aliases=("champion",), run=Run("run13", "train-13", git_sha=SHA, status="FINISHED"))
MODEL = RegisteredModel("m", aliases={"champion": "13"}, versions=(V13, ModelVersion("m", "12")))


def broken(service=SERVICE, color=GREEN, model=MODEL):
    link = first_broken(serving_chain(service, color, model))
    return (link.name, link.why) if link else None


def test_a_whole_chain_names_every_link_and_where_it_is_known_from():
    chain = serving_chain(SERVICE, GREEN, MODEL)
    assert [link.name for link in chain] == ["selector", "ready pods", "image", "version", "git", "registry", "run"]
    assert all(link.verdict is Verdict.PASS and link.source for link in chain)


@pytest.mark.parametrize(
    ("color", "link"),
    [
        (replace(GREEN, ready=0), "ready pods"),
        (replace(GREEN, pods=(*GREEN.pods, PodState("g2", True, "Running", digest="sha256:" + "b" * 64))), "image"),
        (replace(GREEN, release=replace(GREEN.release, git_sha="feedbee")), "git"),
        (replace(GREEN, release=replace(GREEN.release, version="99")), "registry"),
        (replace(GREEN, release=replace(GREEN.release, run_id="other")), "run"),
    ],
)
def test_the_first_link_that_disagrees_is_red(color, link):
    service = replace(SERVICE, colors=(BLUE, color))
    found = broken(service, color)
    assert found is not None
    assert found[0] == link
    assert found[1]


def test_endpoints_that_lead_elsewhere_break_the_chain():
    service = replace(SERVICE, endpoints=(*SERVICE.endpoints, Endpoint("b0", "blue", True)))
    assert broken(service) == ("ready pods", "the endpoints also lead to blue")


def test_an_alias_that_claims_the_traffic_for_another_version_breaks_the_chain():
    model = replace(MODEL, aliases={"champion": "12"})
    found = broken(model=model)
    assert found is not None
    assert found[0] == "registry"


def test_a_registry_that_is_down_is_unknown_and_not_red():
    chain = serving_chain(SERVICE, GREEN, None, "the registry does not answer")
    assert first_broken(chain) is None
    assert [link.verdict for link in chain[-2:]] == [Verdict.UNKNOWN, Verdict.UNKNOWN]
    assert chain[-1].why == "the registry does not answer"


def test_a_digest_that_is_not_the_registered_one_breaks_the_chain():
    tagged = replace(V13, tags={"mlconsole.io/image-digest": "sha256:" + "c" * 64})
    found = broken(model=replace(MODEL, versions=(tagged,)))
    assert found is not None
    assert found[0] == "image"


def test_both_colours_getting_traffic_is_red_at_the_selector():
    service = replace(SERVICE, shape=Shape.BOTH, live="", problems=("both colours get traffic",))
    chain = serving_chain(service, None, MODEL)
    assert [link.verdict for link in chain] == [Verdict.FAIL]
