"""The serving chain of a colour, link by link, from the selector to the training run.

Each link is checked against the one before it, and says where it is known from. The first that disagrees is where the
truth about what serves traffic breaks: a pod that runs another image than its template says, a version that the
registry does not have, a run trained from another commit.
"""

from __future__ import annotations

from msgspec import Struct

from mlconsole.domain.plans import Verdict
from mlconsole.domain.registry import ModelVersion, RegisteredModel
from mlconsole.domain.services import Color, ModelService, Shape

LIVE_ALIASES = ("champion", "production", "live")
"""Aliases that claim to be what serves traffic."""
DIGEST_TAGS = ("mlconsole.io/image-digest", "image_digest", "image.digest")
"""Tags of a registered version that may hold the digest of the image built from it."""


class Link(Struct, frozen=True):
    """One link: what it says, whether it agrees, and where it is known from."""

    name: str
    value: str
    verdict: Verdict
    source: str
    why: str = ""


def serving_chain(
    service: ModelService, color: Color | None, model: RegisteredModel | None, registry_problem: str = ""
) -> tuple[Link, ...]:
    """The chain of `color`, which need not be the live one. `model` is None while the registry has not said."""
    if color is None:
        words = "; ".join(service.problems) or "the selector names no single colour"
        return (Link("selector", _selector(service), Verdict.FAIL, f"Service {service.key}", words),)
    version = model.find(color.release.version) if model else None
    missing = registry_problem or ("" if model else "the registry has not answered yet")
    return (
        _selector_link(service, color),
        _pods_link(service, color),
        _digest_link(color, version),
        _model_version_link(color),
        _sha_link(color, version),
        _registry_link(service, color, model, version, missing),
        _run_link(color, version, missing),
    )


def first_broken(chain: tuple[Link, ...]) -> Link | None:
    """The first link that disagrees, or None."""
    return next((link for link in chain if link.verdict is Verdict.FAIL), None)


def _selector(service: ModelService) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted(service.selector.items())) or "none"


def _selector_link(service: ModelService, color: Color) -> Link:
    source = f"Service {service.key}"
    if service.shape is Shape.PLAIN:
        return Link("selector", _selector(service), Verdict.PASS, source, "not blue-green")
    value = f"{service.color_key}={service.live or '?'}"
    if service.shape is not Shape.BLUE_GREEN:
        return Link("selector", value, Verdict.FAIL, source, "; ".join(service.problems))
    why = "" if color.name == service.live else f"{color.name} is idle"
    return Link("selector", value, Verdict.PASS, source, why)


def _pods_link(service: ModelService, color: Color) -> Link:
    value, source = f"{color.ready}/{color.wish} ready", f"pods of Deployment {color.deployment}"
    live = service.live_color is color
    strangers = sorted({point.color or "?" for point in service.endpoints if point.color != color.name}) if live else []
    if color.ready == 0 and (live or color.wish):
        return Link("ready pods", value, Verdict.FAIL, source, "; ".join(color.problems) or "none is ready")
    if strangers:
        return Link("ready pods", value, Verdict.FAIL, source, f"the endpoints also lead to {', '.join(strangers)}")
    why = "" if color.ready >= color.wish else f"{color.wish - color.ready} not ready"
    return Link("ready pods", value, Verdict.PASS, source, why)


def _digest_link(color: Color, version: ModelVersion | None) -> Link:
    digests = sorted({pod.digest for pod in color.pods if pod.digest and pod.ready})
    source = "imageID of the ready pods"
    if not digests:
        return Link("image", color.release.image or "?", Verdict.UNKNOWN, source, "no running pod names a digest")
    value = short_digest(digests[0])
    if len(digests) > 1:
        return Link("image", value, Verdict.FAIL, source, f"{len(digests)} digests serve at once")
    for tag in DIGEST_TAGS:
        expected = version.tags.get(tag, "") if version else ""
        if expected and expected != digests[0]:
            return Link("image", value, Verdict.FAIL, source, f"the registry's {tag} says {short_digest(expected)}")
    return Link("image", value, Verdict.PASS, source)


def short_digest(digest: str) -> str:
    """The first 8 hex digits of a digest."""
    return digest.rpartition(":")[2][:8]


def _model_version_link(color: Color) -> Link:
    source = f"pod template of Deployment {color.deployment}"
    if not color.release.version:
        return Link("version", "?", Verdict.UNKNOWN, source, "neither annotation nor MODEL_VERSION is set")
    return Link("version", color.release.label, Verdict.PASS, source)


def _sha_link(color: Color, version: ModelVersion | None) -> Link:
    source, sha = f"pod template of Deployment {color.deployment}", color.release.git_sha
    trained = version.run.git_sha if version and version.run else ""
    if not sha:
        return Link("git", trained[:7] or "?", Verdict.UNKNOWN, source, "mlconsole.io/git-sha is not set")
    if trained and not (trained.startswith(sha) or sha.startswith(trained)):
        return Link("git", sha[:7], Verdict.FAIL, source, f"the run was trained from {trained[:7]}")
    return Link("git", sha[:7], Verdict.PASS, source)


def _registry_link(
    service: ModelService, color: Color, model: RegisteredModel | None, version: ModelVersion | None, missing: str
) -> Link:
    source = f"registered model {color.release.model or '?'}"
    if model is None or not color.release.version:
        return Link("registry", "?", Verdict.UNKNOWN, source, missing or "the version served is not known")
    if version is None:
        return Link("registry", color.release.label, Verdict.FAIL, source, "the registry has no such version")
    value = " ".join((color.release.label, *(f"@{alias}" for alias in version.aliases)))
    if service.live_color is color:
        for alias in LIVE_ALIASES:
            named = model.aliases.get(alias)
            if named and named != version.version:
                return Link("registry", value, Verdict.FAIL, source, f"@{alias} is v{named}, traffic is on this one")
    return Link("registry", value, Verdict.PASS, source)


def _run_link(color: Color, version: ModelVersion | None, missing: str) -> Link:
    if version is None:
        return Link("run", color.release.run_id[:8] or "?", Verdict.UNKNOWN, "MLflow", missing or "no registry version")
    if version.run is None:
        return Link("run", color.release.run_id[:8] or "?", Verdict.UNKNOWN, "MLflow", version.run_problem)
    value = version.run.name or version.run.run_id[:8]
    if color.release.run_id and color.release.run_id != version.run.run_id:
        why = f"the template names run {color.release.run_id[:8]}, the version was made by {version.run.run_id[:8]}"
        return Link("run", value, Verdict.FAIL, "MLflow", why)
    if version.run.status not in ("", "FINISHED"):
        return Link("run", value, Verdict.FAIL, "MLflow", f"the run is {version.run.status}")
    return Link("run", value, Verdict.PASS, "MLflow")
