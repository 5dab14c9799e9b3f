"""The whole console with 5,000 pods and live charts, in a terminal: start, keys, CPU, memory, bytes; and its budgets.

Run: python benchmarks/console.py [--kubeconfig FILE --namespace NAME] [--seconds 30]

The cluster is the embedded API server with `fleet.py`'s 5,000 pods, or the one that is named. The figures come from a
real Prometheus (`prometheus` on PATH) that scrapes an exporter for every colour; without one there are no charts, and
the table says so.
"""

from __future__ import annotations

import argparse
import asyncio
import http.server
import math
import os
import random
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil

import fleet
from terminal import Program, compiled

MIB = 2**20
COLUMNS, ROWS = 120, 40
EDGES = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
STARTS, KEYS, EDGES_MET = 5, 60, 3
RATE = 12.0
FLEET = range(4, 12)
"""The lines of the fleet pane at this size."""
DOWN, UP = "\x1b[B", "\x1b[A"


# ---- figures for every colour


def exposition(began: float) -> str:
    """What the servers of every colour would say: requests that grow with time, latencies around 60 ms."""
    passed = time.time() - began
    lines = []
    for index in range(fleet.SERVICES):
        for color in ("blue", "green"):
            name = f"svc-{index:03d}-{color}"
            labels = f'namespace="{fleet.NAMESPACE}",pod="{name}-6f7c9d4b8-abcde",color="{color}"'
            count = passed * RATE * (1 + 0.1 * math.sin(passed / 20 + index))
            lines.append(f'ml_predictions_total{{{labels},status="success"}} {count:.0f}')
            lines.append(f'ml_predictions_total{{{labels},status="error"}} {count * 0.002:.0f}')
            for edge in (*EDGES, math.inf):
                share = 1 - math.exp(-edge / 0.03)
                lines.append(
                    f'ml_prediction_duration_seconds_bucket{{{labels},le="{"+Inf" if edge == math.inf else edge}"}} '
                    f"{count * share:.0f}"
                )
    return "\n".join(lines) + "\n"


class Exporter(http.server.BaseHTTPRequestHandler):
    """Answers every GET with the exposition."""

    began = time.time()

    def do_GET(self) -> None:
        """The figures now."""
        body = exposition(self.began).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def prometheus(folder: Path) -> Iterator[str]:
    """A real Prometheus on the exporter; its address, or empty without the binary."""
    if shutil.which("prometheus") is None:
        yield ""
        return
    exporter = subprocess.Popen([sys.executable, __file__, "--export"], stdout=subprocess.PIPE)
    assert exporter.stdout
    port = int(exporter.stdout.readline())
    target = f"static_configs: [{{targets: ['127.0.0.1:{port}']}}]"
    config = f"global: {{scrape_interval: 5s}}\nscrape_configs:\n- {{job_name: pods, honor_labels: true, {target}}}\n"
    (folder / "prometheus.yml").write_text(config)
    url = f"http://127.0.0.1:{free_port()}"
    command = ["prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
    command += [f"--web.listen-address={url.removeprefix('http://')}", "--log.level=error"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until_ready(f"{url}/-/ready")
        yield url
    finally:
        for process in (server, exporter):
            process.terminate()
            process.wait()


def free_port() -> int:
    """A free port."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def until_ready(url: str) -> None:
    """Wait for a server. Raises TimeoutError."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            time.sleep(0.1)
    raise TimeoutError(url)


@contextmanager
def cluster(options: argparse.Namespace, folder: Path) -> Iterator[str]:
    """The kubeconfig of the cluster to look at."""
    if options.kubeconfig:
        yield options.kubeconfig
        return
    path = folder / "kubeconfig"
    command = [sys.executable, str(Path(fleet.__file__)), "--serve", str(path)]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert server.stdout
    server.stdout.readline()
    yield str(path)
    server.communicate()


@contextmanager
def changing(kubeconfig: str, namespace: str, rate: int) -> Iterator[None]:
    """Change `rate` pods a second meanwhile, from a thread of its own."""
    loop, done = asyncio.new_event_loop(), asyncio.Event()
    thread = threading.Thread(target=loop.run_until_complete, args=(fleet.churn(kubeconfig, namespace, rate, done),))
    thread.start()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(done.set)
        thread.join()


# ---- what is measured


class Console:
    """Starts consoles on one cluster."""

    def __init__(self, kubeconfig: str, namespace: str, url: str, folder: Path) -> None:
        self._command = [sys.executable, "-m", "mlconsole", "--kubeconfig", kubeconfig, "--namespace", namespace]
        self._environ = {name: str(folder) for name in ("XDG_STATE_HOME", "XDG_CONFIG_HOME", "HOME")}
        self._environ |= compiled(folder) | ({"PROMETHEUS_URL": url} if url else {})

    def start(self) -> Program:
        """One console."""
        return Program(self._command, COLUMNS, ROWS, **self._environ)


def starts(console: Console) -> tuple[float, float, float]:
    """Medians of: seconds to first paint, to the first live row, to all pods counted."""
    found = []
    for _ in range(STARTS):
        program = console.start()
        try:
            first = program.wait_for("Fleet", 30)
            row = program.wait_until(r"[▸ ] *\S svc-\d\d\d", 30) and time.perf_counter() - program.started
            program.wait_until(r"5,?000 pods|Fleet +250(?! *, reading)", 60)
            found.append((first, row, time.perf_counter() - program.started))
        finally:
            program.close()
    first, row, everything = (statistics.median(values) for values in zip(*found, strict=True))
    return first, row, everything


def selection(program: Program) -> tuple[str, str]:
    """The service that the header names, and the one that the fleet's cursor is on (empty while it is out of sight)."""
    header = re.search(r"svc-\d+", program.row(1))
    lines = (program.row(number) for number in FLEET)
    cursor = next((found[1] for line in lines if (found := re.search(r"▸\S? *\S +(svc-\d+)", line))), "")
    return (header[0] if header else "", cursor)


def moved(before: tuple[str, str], now: tuple[str, str]) -> bool:
    """Whether one of the two shows another service: both follow the key, whichever is painted first."""
    return any(new not in ("", *before) for new in now)


def keys(program: Program) -> list[float]:
    """Seconds from a key to another service under the cursor, sorted."""
    took: list[float] = []
    key, edges = DOWN, 0
    while len(took) < KEYS:
        seconds = press(program, key)
        if seconds is None:
            # The first or the last row, where this key leads nowhere: the other way then, a few times at most.
            edges += 1
            if edges > EDGES_MET:
                raise TimeoutError(f"the selection does not move:\n{program.text}")
        else:
            took.append(seconds)
        if seconds is None or len(took) % 10 == 0:
            key = UP if key == DOWN else DOWN
        program.run_for(random.uniform(0.1, 0.3))
    return sorted(took)


def press(program: Program, key: str) -> float | None:
    """Seconds until the cursor was somewhere else, or None when it stayed where it was for two."""
    before, began = selection(program), time.perf_counter()
    program.press(key)
    while not moved(before, selection(program)):
        if time.perf_counter() - began > 2 or not program.wait_for_bytes(2):
            return None
    return time.perf_counter() - began


def memory(program: Program) -> tuple[float, float, float]:
    """MiB resident: the UI, UI and engine, everything."""
    sizes = []
    for process in program.processes():
        try:
            sizes.append((process.memory_info().rss / MIB, " ".join(process.cmdline())))
        except psutil.Error:
            continue
    ui = sizes[0][0]
    engine = sum(size for size, command in sizes if "mlconsole.engine " in command)
    return ui, ui + engine, sum(size for size, _ in sizes)


def measure(options: argparse.Namespace) -> list[tuple[str, str, str]]:
    """(what, measured, budget)."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        kubeconfig = stack.enter_context(cluster(options, folder))
        url = stack.enter_context(prometheus(folder))
        console = Console(kubeconfig, options.namespace, url, folder)
        first, row, everything = starts(console)
        program = console.start()
        try:
            program.wait_until(r"Fleet +250", 60)
            program.run_for(options.warm)
            print(program.text)
            program.count = 0
            idle = program.cpu(options.seconds)
            sent = program.count / options.seconds
            with changing(kubeconfig, options.namespace, 100):
                program.run_for(3)
                took = keys(program)
                busy = program.cpu(options.seconds)
            ui, both, everyone = memory(program)
        finally:
            program.close()
    charts = "charts live" if url else "NO charts: no prometheus on PATH"
    return [
        ("start to first paint", f"{first * 1000:.0f} ms", "1.3 x an empty app: first_paint.py"),
        ("start to first live rows", f"{row:.2f} s", "1.0 s"),
        ("start to all counted and shown", f"{everything:.2f} s", "2.0 s"),
        ("key to paint, 100 changes a second, p95", f"{took[int(len(took) * 0.95)] * 1000:.0f} ms", "40 ms"),
        ("key to paint, median", f"{statistics.median(took) * 1000:.0f} ms", "-"),
        (f"idle CPU of all processes, {charts}", f"{idle:.1%}", "5 %"),
        ("CPU at 100 changes a second", f"{busy:.1%}", "-"),
        ("bytes to the terminal, steady", f"{sent / 1000:.2f} kB/s", "2 kB/s"),
        ("memory: UI", f"{ui:.0f} MiB", "80 MiB"),
        ("memory: UI and engine", f"{both:.0f} MiB", "224 MiB"),
        ("memory: all with the worker", f"{everyone:.0f} MiB", "450 MiB"),
    ]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--kubeconfig")
    parser.add_argument("--namespace", default=fleet.NAMESPACE)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--warm", type=float, default=30.0, help="seconds before it counts as steady")
    parser.add_argument("--export", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.export:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Exporter)
        print(server.server_port, flush=True)
        server.serve_forever()
    rows = measure(options)
    print(f"{f'5,000 pods, {COLUMNS}x{ROWS}, {os.cpu_count()} cores':60} {'measured':>12}   budget")
    for what, value, budget in rows:
        print(f"{what:60} {value:>12}   {budget}")


if __name__ == "__main__":
    main()
