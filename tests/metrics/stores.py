"""Real databases that speak Prometheus' API, with a history that is there at once: Prometheus and VictoriaMetrics.

What exporters would have said at moments of the past is written as they would have been scraped, and from the start on
they are scraped: the same series go on. `promtool` makes Prometheus' blocks of it, VictoriaMetrics imports it.
"""

import json
import shutil
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from wsgiref.simple_server import WSGIRequestHandler, make_server

SECONDS = 60.0
"""For a start."""
STEP = 2
"""Seconds between two scrapes."""


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def got(url, data=None):
    with urllib.request.urlopen(urllib.request.Request(url, data), timeout=10) as answer:
        return answer.read()


class Quiet(WSGIRequestHandler):
    """Writes nothing."""

    def log_message(self, *_):
        pass


class Pages:
    """An HTTP server of pages by path: `pages[path]()` is the text, or bytes and their kind; None where it is gone."""

    def __init__(self):
        self.pages = {}
        self.wanted = {}
        """By path: the kinds that were asked for."""
        self._server = make_server("127.0.0.1", 0, self._answer, handler_class=Quiet)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def _answer(self, environ, start_response):
        path = environ["PATH_INFO"]
        page, kind = self.pages.get(path, lambda: None)(), "text/plain; version=0.0.4; charset=utf-8"
        self.wanted.setdefault(path, set()).add(environ.get("HTTP_ACCEPT", "").partition(";")[0])
        if isinstance(page, tuple):
            page, kind = page
        start_response("200 OK" if page is not None else "404 Not Found", [("Content-Type", kind)])
        return [page.encode() if isinstance(page, str) else page or b"there is no such page"]

    def close(self):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class Target:
    """What is scraped: samples as of some moment, the labels that they get, and whose word counts if both say one."""

    def __init__(self, samples, labels, job="pods"):
        self.samples, self.labels, self.job = samples, labels, job


def lines(target, path, port, at):
    """The samples of a moment as they are kept: with the target's labels, their own beside them as the job has it."""
    given = {**target.labels, "job": target.job, "instance": f"127.0.0.1:{port}", "path": path}
    for _, name, own, value in target.samples(at):
        if target.job == "relabelled":
            own = {f"exported_{name}" if name in given else name: value for name, value in own.items()}
        inner = ",".join(f"{name}={json.dumps(value)}" for name, value in {**given, **own}.items())
        yield f"{name}{{{inner}}} {value!r}", at


class Store:
    """One database. `history` is made before `start`."""

    program = ""

    def __init__(self, folder):
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = None
        self.known = 0
        """The last moment of its history."""

    def history(self, targets, port, moments):
        """What the targets, by path and served on a port, said at some moments."""
        self.known = moments[-1]
        self.samples = [
            item for at in moments for path, target in targets.items() for item in lines(target, path, port, at)
        ]

    def scrape(self, targets, port):
        """Have the targets scraped."""
        for job in ("pods", "relabelled"):
            groups = [
                {
                    "targets": [f"127.0.0.1:{port}"],
                    "labels": {**target.labels, "__metrics_path__": path, "path": path},
                }
                for path, target in targets.items()
                if target.job == job
            ]
            (self.folder / f"{job}.json").write_text(json.dumps(groups))
        config = f"global: {{scrape_interval: {STEP}s, scrape_timeout: {STEP}s}}\nscrape_configs:\n"
        for job, honor in (("pods", "true"), ("relabelled", "false")):
            config += f"- job_name: {job}\n  honor_labels: {honor}\n"
            config += f"  file_sd_configs: [{{files: ['{self.folder}/{job}.json']}}]\n"
        (self.folder / "config.yml").write_text(config)

    def run(self, *arguments):
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen([self.program, *arguments], stdout=log, stderr=log)

    def until(self, path, true=bool):
        """Until it answers as it should."""
        end = time.monotonic() + SECONDS
        while True:
            try:
                found = true(got(self.url + path))
            except (urllib.error.URLError, OSError):
                found = False
            if found:
                return
            assert self.process.poll() is None, (self.folder / "log").read_text()[-2000:]
            assert time.monotonic() < end, (self.folder / "log").read_text()[-2000:]
            time.sleep(0.05)

    def stop(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()


class Prometheus(Store):
    """Debian's prometheus."""

    program = "prometheus"

    def start(self):
        text = self.folder / "history.om"
        with text.open("w") as file:
            file.writelines(f"{sample} {at}\n" for sample, at in self.samples)
            file.write("# EOF\n")
        subprocess.run(
            ["promtool", "tsdb", "create-blocks-from", "openmetrics", "-q", text, self.folder / "data"],
            check=True,
            capture_output=True,
        )
        self.run(
            f"--config.file={self.folder}/config.yml",
            f"--storage.tsdb.path={self.folder}/data",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--enable-feature=native-histograms",
        )
        self.until("/-/ready")


class VictoriaMetrics(Store):
    """Debian's victoria-metrics, with its own ideas of what is fresh and what is stale."""

    program = "victoria-metrics"

    def start(self):
        self.run(
            f"-storageDataPath={self.folder}/data",
            f"-httpListenAddr=127.0.0.1:{self.port}",
            f"-promscrape.config={self.folder}/config.yml",
            "-memory.allowedBytes=128MB",
        )
        self.until("/health", lambda body: body == b"OK")
        text = "".join(f"{sample} {round(at * 1000)}\n" for sample, at in self.samples)
        got(f"{self.url}/api/v1/import/prometheus", text.encode())
        got(f"{self.url}/internal/force_flush")


def missing(store):
    """Why there is no such database here, or empty."""
    programs = [store.program, *(["promtool"] if store is Prometheus else [])]
    gone = next((name for name in programs if shutil.which(name) is None), None)
    return f"no {gone} on PATH: Debian's package {store.program} has it" if gone else ""
