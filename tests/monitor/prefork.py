"""A pre-fork server in small: `python prefork.py WORKERS ROWS`, with PROMETHEUS_MULTIPROC_DIR in the environment.

The master counts too, and forks while its threads are busy. Workers end as workers do: by returning, or at once after
their writer has written. The last one holds a prediction in flight until the master has been scraped twice.
"""

import asyncio
import json
import os
import struct
import sys
import threading
import time

from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import mark_process_dead

from mlconsole.domain.reference import Categorical, Numeric, Reference
from mlconsole.monitor import ModelMonitor, MonitorMiddleware, export
from mlconsole.monitor.counting import LOCK

WORKERS, ROWS = int(sys.argv[1]), int(sys.argv[2])
THREADS = 4
export.EVERY = 0.002  # as often as it takes to meet a fork in the middle of a write
REFERENCE = Reference(
    {
        "amount": Numeric((1e-07, 50.0, 1e6), (10.0, 40.0, 40.0, 10.0), missing=25.0),
        "country": Categorical({"at": 60.0, "de": 40.0}),
    }
)
monitor = ModelMonitor("fraud-scorer", "13", color="green", reference=REFERENCE)


def serve():
    for number in range(ROWS):
        monitor.log_prediction([5.0, "at"], 0.3, 0.3 if number % 4 else 0.9, latency=0.02)


def serve_in_threads():
    threads = [threading.Thread(target=serve) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    return threads


FAMILIES = {
    "counter": ("ml_predictions_total", "ml_feature_category_total", "ml_labels_total"),
    "histogram": ("ml_feature_value_bucket", "ml_prediction_duration_seconds_bucket"),
}


def written():
    """The predictions that are in this process's files: of each family, the fewest."""
    counts = dict.fromkeys((name for names in FAMILIES.values() for name in names), 0)
    for kind in FAMILIES:
        file = os.path.join(os.environ["PROMETHEUS_MULTIPROC_DIR"], f"{kind}_{os.getpid()}.db")
        try:
            found = list(MmapedDict.read_all_values_from_file(file))
        except (FileNotFoundError, ValueError, struct.error):  # not yet, or as it grows
            return 0
        for key, value, *_ in found:
            name = json.loads(key)[1]
            if name in counts:
                counts[name] += value
    return min(counts.values())


def work(number):
    for thread in serve_in_threads():
        thread.join()
    if number % 2:
        deadline = time.monotonic() + 30
        while written() < THREADS * ROWS:
            assert time.monotonic() < deadline
            time.sleep(0.002)
        with LOCK:  # what is being written is written whole
            os._exit(0)


async def over_asgi():
    """The page as the middleware serves it."""
    sent = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/metrics", "headers": [], "query_string": b""}
    await MonitorMiddleware(None, monitor)(scope, receive, send)
    return sent[1]["body"].decode()


def main():
    busy = serve_in_threads()
    children = []
    for number in range(WORKERS):
        child = os.fork()
        if child == 0:
            work(number)
            sys.exit(0)
        children.append(child)
    for thread in busy:
        thread.join()
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    (ready, say), (listen, go) = os.pipe(), os.pipe()
    holder = os.fork()
    if holder == 0:
        os.close(go)
        with monitor.prediction([5.0, "at"]):
            monitor.flush()
            os.write(say, b".")
            os.read(listen, 1)
        sys.exit(0)
    os.read(ready, 1)
    during = asyncio.run(over_asgi())
    os.close(go)
    codes.append(os.waitstatus_to_exitcode(os.waitpid(holder, 0)[1]))
    for child in (*children, holder):
        mark_process_dead(child)
    sys.stdout.write(json.dumps({"codes": codes, "during": during, "after": asyncio.run(over_asgi())}))


main()
