"""The embedded model server tells of its predictions what the monitor library tells."""

import asyncio
import json
import os
import socket
import sys
import urllib.error
import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families

from mlconsole.demo import plainmodels
from mlconsole.monitor.families import ALL, WHO

DEADLINE = 30.0
ROWS = [[40.0, 10.0, 30.0], [None, 10.0, 30.0], [40.0, None, None]]


class Served:
    """A server as a process of its own."""

    def __init__(self, port):
        self._address = f"http://127.0.0.1:{port}"

    async def ask(self, path, body=None):
        def asked():
            data = None if body is None else json.dumps(body).encode()
            try:
                with urllib.request.urlopen(self._address + path, data, timeout=DEADLINE) as answer:
                    return answer.status, answer.read().decode()
            except urllib.error.HTTPError as error:
                return error.code, error.read().decode()

        return await asyncio.to_thread(asked)

    async def families(self):
        _, text = await self.ask("/metrics")
        return {family.name: family for family in text_string_to_metric_families(text)}

    async def values(self, family):
        return [sample.value for sample in (await self.families())[family].samples]


@pytest.fixture
async def served(tmp_path, unused_tcp_port):
    file = plainmodels.write(tmp_path)["churn", "8"]
    model = json.loads(file.read_text()) | {"prediction_edges": [0.25, 0.5, 0.75], "prediction_share": [0.2, 0.6, 0.9]}
    file.write_text(json.dumps(model))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "mlconsole.demo.modelserver"),
        env={**os.environ, "MODEL_PATH": str(file), "COLOR": "green", "PORT": str(unused_tcp_port), "COMPUTE_MS": "20"},
        stdout=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(DEADLINE):
        assert b"start" in await process.stdout.readline()
    yield Served(unused_tcp_port)
    process.kill()
    await process.wait()


@pytest.fixture
def unused_tcp_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


async def test_names_and_labels_are_the_librarys(served):
    await served.ask("/predict", {"features": ROWS[0]})
    known = {family.name.removesuffix("_total"): family for family in ALL}
    found = {name: family for name, family in (await served.families()).items() if name.startswith("ml_")}
    assert {"ml_feature_missing", "ml_predictions_in_flight", "ml_prediction_value"} < found.keys() <= known.keys()
    for name, family in found.items():
        assert family.type == known[name].kind
        for sample in family.samples:
            assert sample.labels.keys() - {"le"} == {*WHO, *known[name].labels} - {"le"}


async def test_a_missing_feature_is_counted_and_scored_as_the_average(served):
    answers = [json.loads((await served.ask("/predict", {"features": row}))[1])["prediction"] for row in ROWS]
    assert len(set(answers)) == 3
    assert (await served.ask("/predict", {"features": [None, 1.0]}))[0] == 400
    assert (await served.ask("/predict", {"features": [None, 1.0, float("nan")]}))[0] == 400
    assert await served.values("ml_feature_missing") == [1, 1, 1]
    buckets = [s for s in (await served.families())["ml_prediction_value"].samples if s.name.endswith("_bucket")]
    for bucket in buckets:
        assert bucket.value == sum(answer <= float(bucket.labels["le"]) for answer in answers)
    assert buckets[-1].value == 3


async def test_what_is_under_way_is_told(served):
    asking = [asyncio.create_task(served.ask("/predict", {"features": ROWS[0]})) for _ in range(40)]
    async with asyncio.timeout(DEADLINE):
        while not (await served.values("ml_predictions_in_flight"))[0]:
            pass
    await asyncio.gather(*asking)
    assert await served.values("ml_predictions_in_flight") == [0]
