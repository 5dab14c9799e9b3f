"""The result of a validation, kept with the version: metrics and an artifact of its run, and a tag of its own.

The tag is written last and holds a digest of the result: where it is there already, all of it is, and nothing is
written again. What was cut off half-way is written once more.
"""

from __future__ import annotations

import hashlib
import math
import re
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from mlconsole.domain.plans import Verdict
from mlconsole.domain.text import visible
from mlconsole.domain.validated import ARTIFACT, METRICS, TAG, Stamp, encode, stamp_of
from mlconsole.domain.validation import Validation
from mlconsole.registry.errors import NoSuchVersion, RegistryError, explain
from mlconsole.registry.reader import client_of
from mlconsole.registry.references import NoSuchArtifact, fetch_artifact

BYTES = 16 << 20
NAME = 225
"""Characters of a metric's name: MLflow takes 250, what we put around it counted in."""


class Logged(Struct, frozen=True):
    """What was written, or why not."""

    words: str
    run_id: str = ""
    written: bool = True


def log_validation(uri: str, found: Validation, short_baseline: str) -> Logged:
    """Keep a result with its version. The same one again writes nothing. Raises NoSuchVersion, RegistryError."""
    label = f"{visible(found.model, 80)} v{visible(found.version, 40)}"
    stamp = Stamp(found.verdict, found.at, short_baseline, found.why, digest(found), found.rows or 0)
    try:
        client = client_of(uri)
        item = client.get_model_version(found.model, found.version)
        before = stamp_of(dict(item.tags or {}))
        if before is not None and before.digest == stamp.digest:
            return Logged(f"{label} has this result already", item.run_id or "", written=False)
        run_id = _kept(client, item.run_id, found)
        client.set_model_version_tag(found.model, found.version, TAG, encode(stamp))
    except Exception as error:
        if getattr(error, "error_code", "") in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise NoSuchVersion(f"the registry has no {label}: {visible(str(error), 120)}") from error
        raise explain(error, uri) from error
    where = f"run {visible(run_id, 40)} and the tag {TAG}" if run_id else f"the tag {TAG} alone: it has no run"
    return Logged(f"logged with {label}: {where}", run_id)


def read_validation(uri: str, run_id: str, folder: Any) -> Validation | None:
    """The whole result, from the artifact of a run; None where it has none. Raises RegistryError."""
    try:
        file = fetch_artifact(uri, run_id, ARTIFACT, folder, BYTES)
    except NoSuchArtifact:
        return None
    try:
        return msgspec.json.decode(file.read_bytes(), type=Validation)
    except (msgspec.DecodeError, RecursionError) as error:
        words = f"{ARTIFACT} of run {visible(run_id, 40)} is no validation: {visible(str(error), 200)}"
        raise RegistryError(words, "mlconsole validate --log writes another") from error


def digest(found: Validation) -> str:
    """Of all but when it was made."""
    return hashlib.sha256(msgspec.json.encode(replace(found, at=0.0))).hexdigest()[:16]


def figures(found: Validation) -> dict[str, float]:
    """The metrics of a result: what was judged, how much worse than the baseline, and whether it passed."""
    told = {METRICS + "passed": float(found.verdict is Verdict.PASS)}
    for check in found.checks:
        name = METRICS + re.sub(r"[^\w\-. /]", "_", check.metric, flags=re.ASCII)[:NAME]
        for end, value in (("", check.value), (".baseline", check.baseline), (".loss", check.loss)):
            if value is not None and math.isfinite(value):
                told[name + end] = value
    return told


def _kept(client: Any, run_id: str | None, found: Validation) -> str:
    """Write what is not there yet to the run; its id, or nothing where there is none to write to."""
    if not run_id:
        return ""
    try:
        run = client.get_run(run_id)
    except Exception as error:
        if getattr(error, "error_code", "") == "RESOURCE_DOES_NOT_EXIST":
            return ""
        raise
    if run.info.lifecycle_stage == "deleted":
        return ""
    from mlflow.entities import Metric

    new = {name: value for name, value in figures(found).items() if run.data.metrics.get(name) != value}
    if new:
        client.log_batch(run_id, [Metric(name, value, round(found.at * 1000), 0) for name, value in new.items()])
    client.log_text(run_id, msgspec.json.format(msgspec.json.encode(found), indent=1).decode(), ARTIFACT)
    return run_id
