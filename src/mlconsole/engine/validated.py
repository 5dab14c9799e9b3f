"""The gate on a version's validation: what `mlconsole validate --log` left on it in the registry.

It binds what goes forward, where the service or the place asks for it; the way back never asks the registry (I12).
"""

from __future__ import annotations

from mlconsole.config import Environment, ServiceSettings
from mlconsole.domain import policy
from mlconsole.domain.plans import Gate, Verdict
from mlconsole.domain.services import ModelService, Release
from mlconsole.domain.text import visible
from mlconsole.domain.validated import TAG, Stamp, stamp_of
from mlconsole.engine.offload import Offload, WorkerError
from mlconsole.registry.errors import RegistryError, address
from mlconsole.registry.reader import find

NAME = "validation"
SECONDS = 15.0
"""For the registry's answer."""
SKEW = 300.0
"""Seconds that the clock of whoever validated may be ahead."""


def wanted(settings: ServiceSettings, environment: Environment) -> bool:
    """Whether a version has to be validated before traffic moves to it."""
    gates = settings.gates
    asked = gates.validation or gates.max_validation_age is not None
    return asked or policy.requires(environment.required_gates, NAME)


async def validation_gate(
    offload: Offload,
    settings: ServiceSettings,
    service: ModelService,
    release: Release,
    uri: str | None,
    now: float,
    *,
    blocks: bool,
) -> Gate:
    """Whether the version of a release passed its last validation, as the registry has it (I21)."""
    live = service.live_color
    model = settings.model or release.model or (live.release.model if live else "") or service.name
    most = settings.gates.max_validation_age
    limit = "PASS" if most is None else f"PASS, at most {_span(most)} old"
    if not release.version:
        return Gate(NAME, Verdict.UNKNOWN, "the release names no version", limit, blocks=blocks)
    label = f"{visible(model, 80)} v{visible(release.version.removeprefix('v'), 40)}"
    if not uri:
        return Gate(NAME, Verdict.UNKNOWN, "no registry is configured", limit, label, blocks=blocks)
    evidence = f"tag {TAG} of {label}, MLflow at {address(uri)}"
    try:
        found = await offload.lane("mlflow").run(find, uri, model, release.version.removeprefix("v"), timeout=SECONDS)
    except RegistryError as error:
        return Gate(NAME, Verdict.UNKNOWN, visible(error.message, 200), limit, evidence, blocks=blocks)
    except (WorkerError, TimeoutError) as error:
        words = f"the registry gave no answer: {visible(str(error), 160)}"
        return Gate(NAME, Verdict.UNKNOWN, words, limit, evidence, blocks=blocks)
    stamp = stamp_of(found.tags)
    if stamp is None:
        words = "a validation that cannot be read" if found.tags.get(TAG) else f"{label} was never validated"
        return Gate(NAME, Verdict.UNKNOWN, words, limit, evidence, blocks=blocks)
    age = now - stamp.at
    verdict, why = _judged(stamp, age, most)
    value = f"{stamp.verdict}{_against(stamp)}: {why or stamp.why}".rstrip(": ")
    return Gate(NAME, verdict, value, limit, evidence, max(0.0, age) if stamp.at else 0.0, blocks=blocks)


def _judged(stamp: Stamp, age: float, most: float | None) -> tuple[Verdict, str]:
    """What it is worth now, and why less than it says."""
    if stamp.verdict is not Verdict.PASS:
        return stamp.verdict, ""
    if not stamp.at or age < -SKEW:
        return (Verdict.PASS, "") if most is None else (Verdict.UNKNOWN, "when it was made is not known")
    if most is not None and age > most:
        return Verdict.UNKNOWN, f"{_span(age)} old"
    return Verdict.PASS, ""


def _against(stamp: Stamp) -> str:
    rows = f" on {stamp.rows:,} rows" if stamp.rows else ""
    return f"{rows} against {stamp.baseline}" if stamp.baseline else rows


def _span(seconds: float) -> str:
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.0f} s"
