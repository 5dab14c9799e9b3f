"""Smoke test and parity against real model servers, through the API server's proxy."""

import time

import pytest
from msgspec.structs import replace

from mlconsole.cluster import fresh, proxy
from mlconsole.cluster.connection import Connection
from mlconsole.config import ServiceSettings
from mlconsole.configoperations import Parity, Smoke
from mlconsole.demo.apiserver.faults import Failure
from mlconsole.domain.plans import Verdict
from mlconsole.domain.registry import Field
from mlconsole.domain.services import Release
from mlconsole.engine.asking import AT_ONCE, Asker
from mlconsole.engine.parity import parity
from mlconsole.engine.payloads import Payloads
from mlconsole.engine.smoke import smoke

SERVICE = "fraud-scorer"
NUMBER = (Field("", "double"),)


class Place:
    """A service of the world, and what is asked of its pods."""

    def __init__(self, connection, world, service):
        self.connection, self.world, self.service = connection, world, service
        stream = next(item for item in world.load._streams if item.service == SERVICE)
        mean, scale = list(stream.mean), list(stream.scale)
        rows = [[m + s * shift for m, s in zip(mean, scale, strict=True)] for shift in (-1, -0.5, 0, 0.5, 1)]
        self.payloads = Payloads(tuple({"features": row} for row in rows), "the load's rows", outputs=NUMBER)
        self.said = []

    @property
    def live(self):
        return self.service.live_color

    @property
    def idle(self):
        return self.service.idle_color

    async def smoke(self, payloads=None, color=None, **settings):
        given = ServiceSettings(smoke=Smoke(**settings))
        colour = color or self.idle
        return await smoke(self.connection, self.service, colour, given, payloads or self.payloads, self.said.append)

    async def parity(self, live=None, target=None, payloads=None, **settings):
        given = ServiceSettings(parity=Parity(**settings))
        gates = await parity(
            self.connection,
            self.service,
            live or self.live,
            target or self.idle,
            given,
            payloads or self.payloads,
            self.said.append,
        )
        return {gate.name: gate for gate in gates}

    def fail(self, pods, **failure):
        """Fail what is posted to some pods, before it gets there."""
        names = [pod.name for pod in pods]
        matches = lambda method, path: method == "POST" and any(f"/pods/{name}:" in path for name in names)  # noqa: E731
        self.world.faults.add(Failure(matches, **{"times": 10_000, **failure}))


@pytest.fixture
async def place(world):
    """The embedded world through a connection of its own."""
    connection = await Connection.open(kubeconfig=str(world.folder / "kubeconfig"), namespace="ml")
    yield Place(connection, world, (await fresh.read(connection, "ml", SERVICE)).service)
    await connection.close()


async def test_every_ready_pod_answers_and_the_gate_says_what_was_asked(place):
    gate = await place.smoke()
    pods = [pod.name for pod in place.idle.pods]
    assert len(pods) > 1
    assert (gate.verdict, gate.blocks) == (Verdict.PASS, True), gate
    assert gate.value.startswith(f"{3 * len(pods)} right, slowest 0.")
    assert gate.limit == "all answer 'prediction' within 5 s"
    assert gate.evidence.startswith(f"POST /predict 3 times to each of {', '.join(pods)} through the API server, ")
    assert "3 payloads of the load's rows; schema: double; slowest" in gate.evidence
    assert place.said[-1] == f"{3 * len(pods)} of {3 * len(pods)} answers"


async def test_what_the_model_server_refuses_fails_with_its_words(place):
    gate = await place.smoke(Payloads(({"features": ["\x1b[31m"]},), "a test"))
    assert gate.verdict is Verdict.FAIL
    assert 'answered 400: {"error": "features: ' in gate.value
    assert gate.value.isprintable()


@pytest.mark.parametrize(
    ("settings", "outputs", "words"),
    [
        ({"answer": "label"}, NUMBER, "answered without 'label'"),
        ({}, (Field("", "int64[-1]"),), "where the signature says int64[-1]"),
        ({"path": "/nowhere"}, NUMBER, 'answered 404: {"error": "not found"}'),
        ({"path": "/metrics"}, NUMBER, "answered no JSON: # TYPE ml_predictions_total counter"),
        ({"max_seconds": 0.001}, NUMBER, "gave no answer within 0.001 s"),
    ],
)
async def test_what_is_wrong_with_an_answer_is_said(place, settings, outputs, words):
    gate = await place.smoke(replace(place.payloads, outputs=outputs), **settings)
    assert gate.verdict is Verdict.FAIL, gate
    assert words in gate.value


async def test_an_answer_of_another_version_is_not_that_of_the_release(place):
    gate = await place.smoke(color=replace(place.idle, release=Release(version="99")))
    assert gate.verdict is Verdict.FAIL
    assert "answered as v" in gate.value
    assert "not as v99" in gate.value


async def test_one_bad_pod_among_good_ones_is_found(place):
    bad = place.idle.pods[0]
    place.fail([bad], status=500)
    gate = await place.smoke()
    assert gate.verdict is Verdict.FAIL
    assert gate.value.startswith(f"3 of {3 * len(place.idle.pods)} wrong; pod {bad.name} answered 500")


@pytest.mark.parametrize(("status", "words"), [(403, "not allowed: "), (429, "too many requests: ")])
async def test_what_the_api_server_does_not_pass_on_is_unknown(place, status, words):
    place.fail(place.idle.pods, status=status)
    gate = await place.smoke()
    assert gate.verdict is Verdict.UNKNOWN
    assert words in gate.value


async def test_nothing_to_post_and_nobody_to_ask_are_unknown(place):
    gate = await place.smoke(Payloads(problem="no registry is configured: set smoke.payload"))
    assert (gate.verdict, gate.evidence) == (Verdict.UNKNOWN, "no registry is configured: set smoke.payload")
    gate = await place.smoke(color=replace(place.idle, pods=()))
    assert (gate.verdict, gate.value) == (Verdict.UNKNOWN, "no ready pod to ask")


async def test_never_more_than_a_few_are_asked_at_once(place, monkeypatch):
    under_way, most = 0, 0
    exchange = Connection.exchange

    async def counted(self, method, *args, **more):
        nonlocal under_way, most
        under_way += method == "POST"
        most = max(most, under_way)
        try:
            return await exchange(self, method, *args, **more)
        finally:
            under_way -= method == "POST"

    monkeypatch.setattr(Connection, "exchange", counted)
    assert (await place.smoke(requests=10)).verdict is Verdict.PASS
    assert most == AT_ONCE


async def test_a_release_is_on_a_par_with_itself(place):
    gates = await place.parity(target=place.live, max_latency_ratio=20.0)
    assert {gate.verdict for gate in gates.values()} == {Verdict.PASS}, gates
    assert gates["parity.disagreement"].value == "0.0%"
    evidence = gates["parity.errors"].evidence
    assert "5 payloads of the load's rows, 4 times each" in evidence
    assert "20 of 20 answered by both; errors 0.0% and 0.0%" in evidence
    assert place.said[-1] == "20 of 20 payloads"


async def test_another_model_disagrees(place):
    gates = await place.parity(tolerance=1e-6, max_latency_ratio=None, max_flips=None)
    assert set(gates) == {"parity.disagreement", "parity.score", "parity.errors"}
    assert gates["parity.disagreement"].verdict is Verdict.FAIL
    assert gates["parity.disagreement"].value == "100.0%"
    assert gates["parity.errors"].verdict is Verdict.PASS
    alike = await place.parity(tolerance=1.0, max_latency_ratio=None)
    assert alike["parity.disagreement"].verdict is Verdict.PASS


async def test_a_slower_release_fails_on_latency(place):
    place.fail(place.idle.pods, delay=0.6)
    gates = await place.parity(tolerance=1.0, max_latency_ratio=1.2)
    assert gates["parity.latency"].verdict is Verdict.FAIL, gates


async def test_errors_of_the_new_one_only_fail_and_those_of_both_do_not(place):
    place.fail(place.idle.pods, status=500)
    gates = await place.parity()
    assert gates["parity.errors"].verdict is Verdict.FAIL
    assert gates["parity.errors"].value == "+100.0%"
    assert "answered 500" in gates["parity.errors"].evidence
    assert gates["parity.flips"].verdict is Verdict.UNKNOWN
    wrong = Payloads(({"features": []},), "a test")
    gates = await place.parity(target=place.live, payloads=wrong)
    assert gates["parity.errors"].verdict is Verdict.PASS


async def test_parity_of_what_cannot_be_asked_is_unknown(place):
    place.fail(place.idle.pods, status=403)
    gates = await place.parity()
    assert {gate.verdict for gate in gates.values()} == {Verdict.UNKNOWN}
    assert "not allowed" in gates["parity.errors"].evidence
    [gate] = (await place.parity(target=replace(place.idle, pods=()))).values()
    assert (gate.name, gate.verdict) == ("parity", Verdict.UNKNOWN)


async def test_an_asker_tells_a_late_answer_from_a_silent_server(place):
    place.fail(place.idle.pods, delay=30.0)
    asker = Asker(place.connection, place.service, place.idle, "/predict", 0.2)
    began = time.monotonic()
    answer = await asker.ask(asker.pods[0], place.payloads.rows[0])
    assert time.monotonic() - began < 25
    assert (answer.wrong, answer.silent) == ("gave no answer within 0.2 s", "")


async def test_a_payload_goes_through_the_service_too(place):
    row = place.payloads.rows[0]
    reply = await proxy.service_post(place.connection, "ml", SERVICE, "", "/predict", row)
    assert (reply.status, b'"prediction"' in reply.body) == (200, True)
    assert reply.headers["x-model-version"] == place.live.release.version


async def test_one_hiccup_of_the_proxy_is_asked_again_and_told(place):
    place.fail(place.idle.pods[:1], status=503, times=1)
    gate = await place.smoke()
    assert gate.verdict is Verdict.PASS, gate
    assert f"; 1 sent twice, the first time pod {place.idle.pods[0].name}: 503: " in gate.evidence
    place.fail(place.idle.pods[:1], status=503, times=2)
    gate = await place.smoke(requests=1)
    assert gate.verdict is Verdict.FAIL, "twice is no hiccup"
    assert "sent twice" in gate.evidence


async def test_what_a_pod_itself_answers_is_not_asked_again(place, monkeypatch):
    asked = []
    exchange = Connection.exchange

    async def refused(self, method, path, *args, **more):
        reply = await exchange(self, method, path, *args, **more)
        if method != "POST":
            return reply
        asked.append(path)
        return reply._replace(status=503, body=b'{"error": "overloaded"}')

    monkeypatch.setattr(Connection, "exchange", refused)
    asker = Asker(place.connection, place.service, place.idle, "/predict", 5.0)
    answer = await asker.ask(asker.pods[0], place.payloads.rows[0])
    assert (answer.status, asker.again, len(asked)) == (503, "", 1)
