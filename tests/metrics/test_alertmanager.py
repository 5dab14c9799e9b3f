"""Others' alerts: one contract, for Alertmanager's own binary where it is, and for a server that answers alike."""

import asyncio
import json
import shutil
import socket
import subprocess
import time
import urllib.request
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web
from msgspec.structs import replace

from mlconsole.config import Auth
from mlconsole.domain.alerts import Severity, State, merged
from mlconsole.metrics import alertmanager
from mlconsole.metrics.alertmanager import Failure, Wanted
from mlconsole.metrics.prometheus import Endpoint

BINARY = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
CONFIG = "route: {receiver: nobody, group_wait: 1s}\nreceivers: [{name: nobody}]\n"
LABELS = {"alertname": "ModelSlow", "severity": "critical", "namespace": "ml", "service": "fraud"}


def stamp(seconds=0.0):
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


class Fake:
    """What Alertmanager says and does, as far as it is asked."""

    def __init__(self):
        self.alerts, self.silences, self.heard = [], [], []
        self.body = None
        self.status = 200
        self.lost = False
        """Whether the answer to a silence that was made is lost."""

    def app(self):
        app = web.Application()
        app.router.add_get("/api/v2/alerts", self._list)
        app.router.add_post("/api/v2/alerts", self._take)
        app.router.add_get("/api/v2/silences", self._silences)
        app.router.add_post("/api/v2/silences", self._silence)
        app.router.add_get("/api/v1/alerts", self._own)
        return app

    def _said(self, found, request):
        self.heard.append(dict(request.headers))
        if self.body is not None:
            return web.Response(body=self.body, content_type="application/json", status=self.status)
        return web.json_response(found, status=self.status)

    async def _take(self, request):
        for item in await request.json():
            self.alerts.append({**item, "annotations": item.get("annotations", {}), "generatorURL": ""})
        return web.Response()

    async def _list(self, request):
        return self._said([{**item, "status": self._status(item["labels"])} for item in self.alerts], request)

    def _status(self, labels):
        by = [
            item["id"]
            for item in self.silences
            if all(labels.get(one["name"]) == one["value"] for one in item["matchers"])
        ]
        return {"state": "suppressed" if by else "active", "silencedBy": by, "inhibitedBy": []}

    async def _silences(self, request):
        return self._said(self.silences, request)

    async def _silence(self, request):
        made = {**await request.json(), "id": str(uuid.uuid4()), "status": {"state": "active"}}
        self.silences.append(made)
        if self.lost:
            request.transport.close()
        return web.json_response({"silenceID": made["id"]})

    async def _own(self, request):
        items = [
            {
                "labels": item["labels"],
                "annotations": item["annotations"],
                "state": "firing",
                "activeAt": item["startsAt"],
                "value": "7e-01",
            }
            for item in self.alerts
        ]
        return self._said({"status": "success", "data": {"alerts": items}}, request)


@pytest.fixture
async def fake():
    """A server that answers as Alertmanager and Prometheus do, with its endpoint."""
    one = Fake()
    runner = web.AppRunner(one.app())
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    one.endpoint = Endpoint(f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}")
    yield one
    await runner.cleanup()


def _free():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


@pytest.fixture
def binary(tmp_path):
    """Debian's Alertmanager, alone on a port of loopback."""
    (tmp_path / "alertmanager.yml").write_text(CONFIG)
    port = _free()
    command = [
        BINARY,
        f"--config.file={tmp_path / 'alertmanager.yml'}",
        f"--storage.path={tmp_path / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 30
    while isinstance(alertmanager._get(Endpoint(f"http://127.0.0.1:{port}"), "/api/v2/alerts"), Failure):
        assert time.monotonic() < end, "Alertmanager does not answer"
        assert process.poll() is None, "Alertmanager ended"
    yield Endpoint(f"http://127.0.0.1:{port}")
    process.terminate()
    process.wait(10)


@pytest.fixture(
    params=[
        "fake",
        pytest.param(
            "binary",
            marks=[
                pytest.mark.real_prometheus,
                pytest.mark.skipif(not BINARY, reason="no prometheus-alertmanager on PATH"),
            ],
        ),
    ]
)
def manager(request):
    """The endpoint of either."""
    found = request.getfixturevalue(request.param)
    return found.endpoint if isinstance(found, Fake) else found


def _post(endpoint, *alerts):
    body = json.dumps(alerts).encode()
    headers = {"Content-Type": "application/json"}
    urllib.request.urlopen(urllib.request.Request(f"{endpoint.url}/api/v2/alerts", body, headers), timeout=5).close()


async def until_told(manager, wanted):
    end = time.monotonic() + 20
    while True:
        found = await asyncio.to_thread(alertmanager.read, None, manager)
        if wanted(found):
            return found
        assert time.monotonic() < end, found


async def test_an_alert_is_listed_silenced_and_shown_to_be(manager):
    item = {"labels": LABELS, "annotations": {"summary": "p95 over 500 ms"}, "startsAt": stamp(-60)}
    await asyncio.to_thread(_post, manager, {**item, "endsAt": stamp(3600)})
    found = await until_told(manager, lambda found: found.alerts)
    (alert,) = found.alerts
    assert (alert.name, alert.severity, alert.state) == ("ModelSlow", Severity.PAGE, State.FIRING)
    assert alert.labels == {"namespace": "ml", "service": "fraud"}
    assert alert.value == "p95 over 500 ms"
    assert abs(alert.since - (time.time() - 60)) < 20
    assert found.answered == ("alertmanager",)

    wanted = Wanted({"alertname": alert.name, **alert.labels}, 600.0, "ann", "known, being fixed")
    made = await asyncio.to_thread(alertmanager.silence, manager, wanted)
    assert isinstance(made, str)
    found = await until_told(manager, lambda found: found.alerts and found.alerts[0].silenced_by)
    assert found.alerts[0].silenced_by[0].startswith("ann until ")
    (silence,) = found.silences
    assert (silence.id, silence.by, silence.comment) == (made, "ann", "known, being fixed")
    assert set(silence.matchers) == {'alertname="ModelSlow"', 'namespace="ml"', 'service="fraud"'}
    assert abs(silence.ends_at - time.time() - 600) < 30


async def test_a_silence_that_is_refused_says_why(manager):
    made = await asyncio.to_thread(alertmanager.silence, Endpoint(manager.url + "/nowhere"), Wanted({}, 1.0, "a", "b"))
    assert isinstance(made, Failure)
    assert "404" in made.why


async def test_both_tell_the_same_alert_once(fake):
    await asyncio.to_thread(_post, fake.endpoint, {"labels": LABELS, "startsAt": stamp(-60)})
    found = await asyncio.to_thread(alertmanager.read, fake.endpoint, fake.endpoint)
    assert len(found.alerts) == 2
    (one,) = merged(found.alerts)
    assert one.sources == ("alertmanager", "prometheus")
    assert one.value == "value 7e-01"


async def test_the_login_goes_with_it(fake, monkeypatch):
    monkeypatch.setenv("AM_TOKEN", "s3cret")
    auth = Auth(bearer_token_env="AM_TOKEN", headers={"X-Scope-OrgID": "ml"})
    await asyncio.to_thread(alertmanager.read, None, Endpoint(fake.endpoint.url, auth))
    assert fake.heard[-1]["Authorization"] == "Bearer s3cret"
    assert fake.heard[-1]["X-Scope-OrgID"] == "ml"


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (401, b"{}", "answered 401"),
        (503, b"no \x1b[31mway", "answered 503"),
        (200, b"<html>login</html>", "no JSON"),
        (200, b"[" * 100_000, "no JSON"),
        (200, b" " * (9 << 20), "more than 8 MiB"),
    ],
)
async def test_what_is_no_answer_is_said(fake, status, body, words):
    fake.status, fake.body = status, body
    found = await asyncio.to_thread(alertmanager.read, fake.endpoint, fake.endpoint)
    assert set(found.failures) == {"prometheus", "alertmanager"}
    assert all(words in failure.why for failure in found.failures.values())
    assert "\x1b" not in found.failures["alertmanager"].why


@pytest.mark.parametrize(
    "document",
    [
        None,
        3,
        {"data": None},
        {"data": {"alerts": [None, 3, {"labels": 7}, {"labels": {}, "state": "firing"}]}},
        [None, [], {"labels": {"alertname": "x"}, "status": 7, "startsAt": "never"}],
        [{"labels": {"alertname": "x" * 10_000, "\x1b": "\x1b]0;evil\x07"}, "annotations": ["?"]}],
    ],
)
async def test_anything_that_is_json_is_read(fake, document):
    fake.body = json.dumps(document).encode()
    found = await asyncio.to_thread(alertmanager.read, fake.endpoint, fake.endpoint)
    for alert in found.alerts:
        assert alert.name.isprintable()
        assert len(alert.name) <= 200
        assert all(text.isprintable() for pair in alert.labels.items() for text in pair)


async def test_nobody_there():
    found = await asyncio.to_thread(alertmanager.read, None, Endpoint(f"http://127.0.0.1:{_free()}"))
    assert "cannot be reached" in found.failures["alertmanager"].why


async def test_a_silence_whose_answer_was_lost_is_looked_for(fake):
    wanted = Wanted({"alertname": "ModelSlow"}, 600.0, "ann", "known")
    await asyncio.to_thread(alertmanager.silence, fake.endpoint, replace(wanted, comment="of somebody else"))
    fake.lost = True
    made = await asyncio.to_thread(alertmanager.silence, fake.endpoint, wanted)
    assert made == fake.silences[-1]["id"]
    assert [item["comment"] for item in fake.silences] == ["of somebody else", "known"], "it is not asked for twice"


@pytest.mark.parametrize(
    ("label", "altered"),
    [("eu-1", False), ("\x1b[31mred", True), ("long" * 100, True)],
)
async def test_labels_that_cannot_be_shown_are_known_to_be_others(fake, label, altered):
    labels = {**LABELS, "zone": label}
    fake.alerts.append({"labels": labels, "annotations": {}, "startsAt": stamp(), "generatorURL": ""})
    (alert,) = (await asyncio.to_thread(alertmanager.read, None, fake.endpoint)).alerts
    assert alert.altered is altered
    assert "\x1b" not in alert.labels["zone"]
