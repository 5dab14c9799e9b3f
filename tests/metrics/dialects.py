"""Exporters as others wrote them: their metrics' names and labels, and figures that are known beforehand.

Each says by prometheus_client what its original says after so many seconds of a steady traffic: latencies lie evenly
between 0 and `longest`, an edge of its buckets, so that every percentile is known without them. What is counted has
fractions, so that a rate is exact. Names and labels are those of the pages that `panels.toml` cites.
"""

import math
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.utils import floatToGoString

GO_EDGES = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
PYTHON_EDGES = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
MIB = 2**20


@dataclass(frozen=True)
class Traffic:
    """What reaches one colour."""

    rate: float
    errors: float
    """The share that fails."""
    gauge: float
    """Of whatever is a level: requests in flight, waiting, bytes, cores."""


BLUE, GREEN = Traffic(40.0, 0.125, 3.0), Traffic(24.0, 0.5, 7.0)


@dataclass(frozen=True)
class Exporter:
    """One dialect: `page` gives its samples, `figures` what the panels must make of them."""

    name: str
    page: object
    """(traffic, seconds, pod) to [(type, name, labels, value)]."""
    figures: object
    """traffic to {panel: {line: value}}."""
    labels: dict = field(default_factory=dict)
    """The target's own, where it is not the pod itself that is scraped."""
    job: str = "pods"


def counter(name, labels, value):
    return ("counter", name, labels, value)


def gauge(name, labels, value):
    return ("gauge", name, labels, value)


def histogram(name, edges, longest, count, labels=None, unit=1.0):
    """Latencies that lie evenly between 0 and `longest` seconds; edges and sum in the exporter's own unit."""
    labels = labels or {}
    found = []
    for edge in (*edges, math.inf):
        share = min(1.0, edge / unit / longest)
        found.append(("histogram", f"{name}_bucket", {**labels, "le": floatToGoString(edge)}, count * share))
    found.append(("histogram", f"{name}_count", labels, count))
    found.append(("histogram", f"{name}_sum", labels, count * longest / 2 * unit))
    return found


def percentiles(longest):
    return {"p50": 0.5 * longest, "p95": 0.95 * longest, "p99": 0.99 * longest}


def heat(traffic, edges, longest, unit=1.0):
    shares = {floatToGoString(edge): min(1.0, edge / unit / longest) for edge in (*edges, math.inf)}
    return {edge: traffic.rate * share for edge, share in shares.items()}


def served(traffic, seconds):
    """How many were answered well, and how many not."""
    count = traffic.rate * seconds
    return count * (1 - traffic.errors), count * traffic.errors


# ---- our own


def ours_page(traffic, seconds, pod):
    own = {"model": "churn", "version": "8" if "green" in pod else "7", "color": "green" if "green" in pod else "blue"}
    good, bad = served(traffic, seconds)
    return [
        counter("ml_predictions_total", {**own, "status": "success"}, good),
        counter("ml_predictions_total", {**own, "status": "error"}, bad),
        counter("ml_prediction_errors_total", own, bad),
        *histogram("ml_prediction_duration_seconds", GO_EDGES, 0.5, good + bad, own),
        gauge("ml_predictions_in_flight", own, traffic.gauge),
        counter("ml_labels_total", {**own, "outcome": "right"}, seconds * 0.9),
        counter("ml_labels_total", {**own, "outcome": "wrong"}, seconds * 0.1),
        gauge("ml_model_accuracy", own, 0.5),
        counter("ml_prediction_class_total", {**own, "class": "0"}, good * 0.75),
        counter("ml_prediction_class_total", {**own, "class": "1"}, good * 0.25),
        counter("process_cpu_seconds_total", {}, seconds * traffic.gauge / 10),
        gauge("process_resident_memory_bytes", {}, traffic.gauge * MIB),
    ]


def ours_figures(traffic):
    good = traffic.rate * (1 - traffic.errors)
    return {
        "latency": percentiles(0.5),
        "errors": {"errors": traffic.errors},
        "rate": {"rate": traffic.rate},
        "heat": heat(traffic, GO_EDGES, 0.5),
        "in_flight": {"in flight": traffic.gauge},
        "accuracy": {"accuracy": 0.9},
        "predictions": {"0": good * 0.75, "1": good * 0.25},
        "cpu": {"used": traffic.gauge / 10},
        "memory": {"used": traffic.gauge * MIB},
    }


def simple_page(traffic, seconds, pod):
    """A server that counts by status alone, and predicts a value rather than a class."""
    good, bad = served(traffic, seconds)
    return [
        counter("ml_predictions_total", {"status": "ok"}, good),
        counter("ml_predictions_total", {"status": "FAILED"}, bad),
        gauge("ml_model_accuracy", {}, 0.875),
        *histogram("ml_prediction_value", (0.0, 0.5, 1.0), 1.0, good),
    ]


def simple_figures(traffic):
    good = traffic.rate * (1 - traffic.errors)
    return {
        "errors": {"errors": traffic.errors},
        "rate": {"rate": traffic.rate},
        "accuracy": {"accuracy": 0.875},
        "predictions": {"0.0": 0.0, "0.5": good / 2, "1.0": good, "+Inf": good},
    }


# ---- model servers


def kserve_page(traffic, seconds, pod):
    count = traffic.rate * seconds
    return [
        line
        for stage in ("preprocess", "predict", "postprocess")
        for line in histogram(
            f"request_{stage}_seconds", PYTHON_EDGES, 0.5 if stage == "predict" else 0.01, count, {"model_name": "m"}
        )
    ]


def kserve_figures(traffic):
    return {
        "latency": percentiles(0.5),
        "rate": {"rate": traffic.rate},
        "heat": heat(traffic, PYTHON_EDGES, 0.5),
    }


def seldon1_page(traffic, seconds, pod):
    good, bad = served(traffic, seconds)
    own = {
        "deployment_name": "churn",
        "method": "post",
        "model_image": "registry.example/churn",
        "model_name": "classifier",
        "model_version": "1.2",
        "predictor_name": "default",
        "predictor_version": "",
        "service": "predictions",
    }
    name = "seldon_api_executor_server_requests_seconds"
    return [
        *histogram(name, GO_EDGES, 0.25, good, {**own, "code": "200"}),
        *histogram(name, GO_EDGES, 0.25, bad, {**own, "code": "500"}),
    ]


def seldon1_figures(traffic):
    return {
        "latency": percentiles(0.25),
        "errors": {"errors": traffic.errors},
        "rate": {"rate": traffic.rate},
        "heat": heat(traffic, GO_EDGES, 0.25),
    }


def seldon2_page(traffic, seconds, pod):
    good, bad = served(traffic, seconds)
    own = {"model": "iris", "model_internal": "iris_1", "server": "mlserver", "server_replica": "0"}
    return [
        counter("seldon_model_infer_total", {**own, "method_type": "rest", "code": "200"}, good / 2),
        counter("seldon_model_infer_total", {**own, "method_type": "grpc", "code": "OK"}, good / 2),
        counter("seldon_model_infer_total", {**own, "method_type": "rest", "code": "500"}, bad),
        *histogram("seldon_model_infer_api_seconds", GO_EDGES, 1.0, good + bad, {**own, "method_type": "rest"}),
    ]


def seldon2_figures(traffic):
    return {
        "latency": percentiles(1.0),
        "errors": {"errors": traffic.errors},
        "rate": {"rate": traffic.rate},
        "heat": heat(traffic, GO_EDGES, 1.0),
    }


VLLM_EDGES = (0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0)


def vllm_page(traffic, seconds, pod):
    own = {"engine": "0", "model_name": "facebook/opt-125m"}
    count = traffic.rate * seconds
    return [
        *histogram("vllm:e2e_request_latency_seconds", VLLM_EDGES, 10.0, count, own),
        *histogram("vllm:request_queue_time_seconds", VLLM_EDGES, 5.0, count, own),
        gauge("vllm:num_requests_running", own, traffic.gauge),
        gauge("vllm:num_requests_waiting", own, traffic.gauge * 2),
    ]


def vllm_figures(traffic):
    return {
        "latency": percentiles(10.0),
        "rate": {"rate": traffic.rate},
        "heat": heat(traffic, VLLM_EDGES, 10.0),
        "in_flight": {"in flight": traffic.gauge},
        "queue": {"waiting": traffic.gauge * 2},
        "queue_time": {"mean": 2.5},
    }


def triton_page(traffic, seconds, pod):
    good, bad = served(traffic, seconds)
    found = []
    for model in ("a", "b"):
        own = {"model": model, "version": "1"}
        found += [
            counter("nv_inference_request_success", own, good / 2),
            counter("nv_inference_request_failure", {**own, "reason": "OTHER"}, bad / 2),
            counter("nv_inference_request_duration_us", own, good / 2 * 40_000),
            counter("nv_inference_queue_duration_us", own, good / 2 * 5_000),
            gauge("nv_inference_pending_request_count", own, traffic.gauge),
        ]
    for number, busy in (("GPU-0", 0.25), ("GPU-1", 0.75)):
        found += [
            gauge("nv_gpu_utilization", {"gpu_uuid": number}, busy),
            gauge("nv_gpu_memory_used_bytes", {"gpu_uuid": number}, traffic.gauge * MIB),
            gauge("nv_gpu_memory_total_bytes", {"gpu_uuid": number}, 16_384 * MIB),
        ]
    return found


def triton_figures(traffic):
    return {
        "latency": {"mean": 0.04},
        "errors": {"errors": traffic.errors},
        "rate": {"rate": traffic.rate},
        "queue": {"waiting": 2 * traffic.gauge},
        "queue_time": {"mean": 0.005},
        "gpu": {"busy": 0.5},
        "gpu_memory": {"used": 2 * traffic.gauge * MIB, "all": 32_768 * MIB},
    }


def torchserve_page(traffic, seconds, pod):
    own = {"model_name": "resnet", "model_version": "default", "hostname": pod}
    count = traffic.rate * seconds
    return [
        counter("ts_inference_requests_total", own, count),
        counter("ts_inference_latency_microseconds", own, count * 30_000),
        counter("ts_queue_latency_microseconds", own, count * 2_000),
    ]


def torchserve_figures(traffic):
    return {"latency": {"mean": 0.03}, "rate": {"rate": traffic.rate}, "queue_time": {"mean": 0.002}}


def bentoml_page(traffic, seconds, pod):
    good, bad = served(traffic, seconds)
    own = {"service_name": "churn", "service_version": "k7xq2f", "runner_name": "churn"}
    asked = {**own, "endpoint": "/classify"}
    probe = {**own, "endpoint": "/readyz", "http_response_code": "200"}
    name = "bentoml_service_request_duration_seconds"
    return [
        counter("bentoml_service_request_total", {**asked, "http_response_code": "200"}, good),
        counter("bentoml_service_request_total", {**asked, "http_response_code": "500"}, bad),
        counter("bentoml_service_request_total", probe, 1000.0 * seconds),
        *histogram(name, GO_EDGES, 0.5, good, {**asked, "http_response_code": "200"}),
        *histogram(name, GO_EDGES, 0.5, bad, {**asked, "http_response_code": "500"}),
        *histogram(name, GO_EDGES, 0.005, 1000.0 * seconds, probe),
        gauge("bentoml_service_request_in_progress", asked, traffic.gauge),
    ]


def starlette_page(traffic, seconds, pod):
    good, bad = served(traffic, seconds)
    own = {"app_name": "starlette", "method": "POST", "path": "/predict"}
    probe = {"app_name": "starlette", "method": "GET", "path": "/metrics", "status_code": "200"}
    name = "starlette_request_duration_seconds"
    return [
        counter("starlette_requests_total", {**own, "status_code": "200"}, good),
        counter("starlette_requests_total", {**own, "status_code": "503"}, bad),
        counter("starlette_requests_total", probe, 1000.0 * seconds),
        *histogram(name, GO_EDGES, 0.5, good, {**own, "status_code": "200"}),
        *histogram(name, GO_EDGES, 0.5, bad, {**own, "status_code": "503"}),
        *histogram(name, GO_EDGES, 0.005, 1000.0 * seconds, probe),
        gauge("starlette_requests_in_progress", {"app_name": "starlette", "method": "POST"}, traffic.gauge),
    ]


HIGHR_EDGES = (0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5, 7.5, 10, 30, 60)


def instrumentator_page(traffic, seconds, pod):
    good, bad = served(traffic, seconds)
    own = {"handler": "/predict", "method": "POST"}
    probe = {"handler": "/health", "method": "GET"}
    return [
        counter("http_requests_total", {**own, "status": "2xx"}, good),
        counter("http_requests_total", {**own, "status": "5xx"}, bad),
        counter("http_requests_total", {**probe, "status": "2xx"}, 1000.0 * seconds),
        *histogram("http_request_duration_seconds", (0.1, 0.5, 1), 0.5, good + bad, own),
        *histogram("http_request_duration_seconds", (0.1, 0.5, 1), 0.1, 1000.0 * seconds, probe),
        *histogram("http_request_duration_highr_seconds", HIGHR_EDGES, 0.5, good + bad),
        gauge("http_requests_inprogress", {}, traffic.gauge),
    ]


def http_figures(traffic):
    return {
        "latency": percentiles(0.5),
        "errors": {"errors": traffic.errors},
        "rate": {"rate": traffic.rate},
        "heat": heat(traffic, GO_EDGES, 0.5),
        "in_flight": {"in flight": traffic.gauge},
    }


def instrumentator_figures(traffic):
    return {**http_figures(traffic), "heat": heat(traffic, HIGHR_EDGES, 0.5)}


# ---- meshes

ISTIO_EDGES = (0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000)
LINKERD_EDGES = (1, 2, 3, 4, 5, 10, 20, 30, 40, 50, 100, 200, 300, 400, 500, 1000, 2000, 3000, 4000, 5000, 10_000)


def istio_page(traffic, seconds, pod):
    good, bad = served(traffic, seconds)
    own = {
        "source_workload": "istio-ingressgateway",
        "source_version": "unknown",
        "destination_workload": pod.rpartition("-")[0].rpartition("-")[0],
        "destination_version": "v1",
        "destination_service": "churn.ml.svc.cluster.local",
        "request_protocol": "http",
        "response_flags": "-",
        "connection_security_policy": "mutual_tls",
    }
    name, found = "istio_request_duration_milliseconds", []
    for code, count in (("200", good), ("503", bad / 2), ("0", bad / 2)):
        labels = {**own, "reporter": "destination", "response_code": code}
        found.append(counter("istio_requests_total", labels, count))
        found += histogram(name, ISTIO_EDGES, 0.5, count, labels, 1000.0)
    # What the pod's proxy says of the requests that the pod sends itself.
    labels = {**own, "reporter": "source", "response_code": "200"}
    found.append(counter("istio_requests_total", labels, 1000.0 * seconds))
    return found + histogram(name, ISTIO_EDGES, 10.0, 1000.0 * seconds, labels, 1000.0)


def linkerd_page(traffic, seconds, pod):
    good, bad = served(traffic, seconds)
    own = {"direction": "inbound", "tls": "true", "target_addr": "10.1.2.3:8080", "target_port": "8080"}
    out = {"direction": "outbound", "tls": "true", "authority": "db.ml.svc.cluster.local:5432"}
    name, found = "response_latency_ms", []
    for classification, code, count in (("success", "200", good), ("failure", "500", bad)):
        labels = {**own, "classification": classification, "status_code": code}
        found.append(counter("response_total", labels, count))
        found += histogram(name, LINKERD_EDGES, 0.5, count, {**own, "status_code": code}, 1000.0)
    labels = {**out, "classification": "failure", "status_code": "500"}
    found.append(counter("response_total", labels, 1000.0 * seconds))
    return found + histogram(name, LINKERD_EDGES, 10.0, 1000.0 * seconds, out, 1000.0)


def mesh_figures(traffic):
    return {"latency": percentiles(0.5), "errors": {"errors": traffic.errors}, "rate": {"rate": traffic.rate}}


# ---- what they run on: exporters that speak of other pods than their own


def cadvisor_page(traffic, seconds, pod):
    own = {"namespace": "ml", "pod": pod, "id": f"/kubepods/{pod}", "image": "i", "name": "n"}
    found = []
    for container, share in (("model", 0.75), ("proxy", 0.25), ("", 1.0)):
        labels = {**own, "container": container}
        found += [
            counter("container_cpu_usage_seconds_total", {**labels, "cpu": "total"}, seconds * traffic.gauge * share),
            gauge("container_memory_working_set_bytes", labels, traffic.gauge * MIB * share),
            counter("container_cpu_cfs_periods_total", labels, 10 * seconds * share),
            counter("container_cpu_cfs_throttled_periods_total", labels, 10 * seconds * share * traffic.errors),
        ]
    return found


def kube_state_page(traffic, seconds, pod):
    own = {"namespace": "ml", "pod": pod, "uid": f"uid-{pod}"}
    found = []
    for container in ("model", "proxy"):
        labels = {**own, "container": container}
        node = {**labels, "node": "n1"}
        found += [
            gauge("kube_pod_container_resource_limits", {**node, "resource": "cpu", "unit": "core"}, 2.0),
            gauge("kube_pod_container_resource_limits", {**node, "resource": "memory", "unit": "byte"}, 512.0 * MIB),
            counter("kube_pod_container_status_restarts_total", labels, seconds * traffic.gauge / 3600),
        ]
    return found


def node_figures(traffic):
    return {
        "cpu": {"used": traffic.gauge, "limit": 4.0},
        "memory": {"used": traffic.gauge * MIB, "limit": 1024.0 * MIB},
        "throttling": {"throttled": traffic.errors},
        "restarts": {"restarts": 2 * traffic.gauge},
    }


def dcgm_page(traffic, seconds, pod):
    found = []
    for number, busy in (("0", 20.0), ("1", 60.0)):
        own = {
            "gpu": number,
            "UUID": f"GPU-{number}-{pod}",
            "device": f"nvidia{number}",
            "modelName": "NVIDIA A100",
            "Hostname": "n1",
            "container": "model",
            "namespace": "ml",
            "pod": pod,
        }
        found += [
            gauge("DCGM_FI_DEV_GPU_UTIL", own, busy),
            gauge("DCGM_FI_DEV_FB_USED", own, 1000.0 * traffic.gauge),
            gauge("DCGM_FI_DEV_FB_FREE", own, 10_000.0),
        ]
    return found


def dcgm_figures(traffic):
    used = 2000.0 * traffic.gauge * MIB
    return {"gpu": {"busy": 0.4}, "gpu_memory": {"used": used, "all": used + 20_000.0 * MIB}}


def mig_page(traffic, seconds, pod):
    own = {"gpu": "0", "UUID": "GPU-0", "GPU_I_ID": "1", "GPU_I_PROFILE": "1g.5gb", "namespace": "ml", "pod": pod}
    return [gauge("DCGM_FI_PROF_GR_ENGINE_ACTIVE", own, traffic.errors)]


NODE = {"namespace": "monitoring", "pod": "exporter-x2x4z"}
EXPORTERS = (
    Exporter("mlconsole", ours_page, ours_figures),
    Exporter("mlconsole-simple", simple_page, simple_figures),
    Exporter("kserve", kserve_page, kserve_figures),
    Exporter("seldon-core-1", seldon1_page, seldon1_figures),
    Exporter("seldon-core-2", seldon2_page, seldon2_figures),
    Exporter("vllm", vllm_page, vllm_figures),
    Exporter("triton", triton_page, triton_figures),
    Exporter("torchserve", torchserve_page, torchserve_figures),
    Exporter("bentoml", bentoml_page, http_figures),
    Exporter("starlette", starlette_page, http_figures),
    Exporter("instrumentator", instrumentator_page, instrumentator_figures),
    Exporter("istio", istio_page, mesh_figures),
    Exporter("linkerd", linkerd_page, mesh_figures),
    Exporter("node", lambda *of: [*cadvisor_page(*of), *kube_state_page(*of)], node_figures, NODE),
    Exporter("dcgm", dcgm_page, dcgm_figures, NODE),
    Exporter("mig", mig_page, lambda traffic: {"gpu": {"busy": traffic.errors}}, NODE),
    Exporter(
        "kube-state-metrics-relabelled",
        kube_state_page,
        lambda traffic: {"restarts": {"restarts": 2 * traffic.gauge}},
        NODE,
        "relabelled",
    ),
    Exporter(
        "dcgm-relabelled",
        dcgm_page,
        lambda traffic: {name: {"busy" if name == "gpu" else "used": value} for name, value in dcgm_first(traffic)},
        NODE,
        "relabelled",
    ),
)


def dcgm_first(traffic):
    return [(name, next(iter(lines.values()))) for name, lines in dcgm_figures(traffic).items()]


# ---- as prometheus_client writes them


class Collector:
    """What prometheus_client asks for metrics."""

    def __init__(self, samples):
        self._samples = samples

    def collect(self):
        families = {}
        for kind, name, labels, value in self._samples():
            base = name
            for ending in ("_bucket", "_count", "_sum", "_total"):
                base = base.removesuffix(ending) if kind == "histogram" or ending == "_total" else base
            family = families.setdefault(base, Metric(base, f"{base} of an exporter.", kind))
            family.add_sample(name, labels, value)
        return families.values()


def written(samples):
    """The page of these samples, as an exporter's client library writes it."""
    registry = CollectorRegistry()
    registry.register(Collector(lambda: samples))
    return generate_latest(registry).decode()
