"""Which image a registered version is served by: what its tags say, else the service's pattern, else a person.

A registry that is away stops nobody who names version and image: what only it knows (run, commit) is then not told.
"""

from __future__ import annotations

import re

from msgspec import Struct
from msgspec.structs import replace

from mlconsole.config import ServiceSettings
from mlconsole.domain.plans import PlanError
from mlconsole.domain.registry import ModelVersion
from mlconsole.domain.services import Release
from mlconsole.domain.text import visible
from mlconsole.engine.offload import Offload, WorkerError
from mlconsole.images import digests
from mlconsole.registry.errors import NoSuchVersion, RegistryError
from mlconsole.registry.reader import find

SECONDS = 15.0
_FIELD = re.compile(r"\{(\w+)\}")


class Found(Struct, frozen=True):
    """A release that can be deployed."""

    release: Release
    image_by: str
    """What named its image: `tag image`, `deploy.image`, `--image`."""
    digest: str
    """What is known of its digest, in words."""
    warnings: tuple[str, ...] = ()


async def release_of(
    offload: Offload,
    settings: ServiceSettings,
    registry: str | None,
    model: str,
    wanted: str,
    image: str = "",
    docker: str | None = None,
) -> Found:
    """The release of a version, a number or `@alias`, of a model. Raises PlanError.

    `registry` is the tracking URI, `docker` the address of the Docker Engine where one is configured.
    """
    wanted = wanted.strip()
    wanted = wanted.removeprefix("v") if wanted[1:2].isdigit() else wanted
    if not wanted and not image:
        raise PlanError("there is no version to deploy", "name one: --version N or --version @alias", 2)
    version, warnings = await _version(offload, registry, model, wanted, image)
    release = _release(version, model, wanted)
    reference, by = _image(settings, version, release, image)
    if digests.parse(reference) is None:
        raise PlanError(f"{visible(reference, 120)} is no image's name", f"correct it: {by} names it", 2)
    if not settings.deploy.resolve:
        known = digests.Resolved(reference, why="deploy.resolve is off")
    else:
        known = await digests.resolve(offload, reference, docker)
    digest = known.digest or release.digest
    return Found(replace(release, image=known.pinned, digest=digest), by, known.words, tuple(warnings))


async def _version(
    offload: Offload, registry: str | None, model: str, wanted: str, image: str
) -> tuple[ModelVersion | None, list[str]]:
    """What the registry has of it, and what has to be told where that is nothing."""
    if not wanted:
        return None, ["no version is named: the release is told apart by its image alone"]
    code = 5
    if not registry or not model:
        what = "no registry is configured" if not registry else "nobody says which registered model this service serves"
        why, hint = what, "set MLFLOW_TRACKING_URI" if not registry else "set model under [services] in mlconsole.toml"
    else:
        try:
            found = await offload.lane("mlflow").run(find, registry, model, wanted, timeout=SECONDS)
        except RegistryError as error:
            why, hint = error.message, error.hint
            code = 2 if isinstance(error, NoSuchVersion) else code
        except (WorkerError, TimeoutError) as error:
            why, hint = f"the registry gave no answer: {visible(str(error))}", "try again"
        else:
            return _ready(found), []
    if wanted.startswith("@") or not image:
        more = "" if wanted.startswith("@") else "; or name version and image: --version N --image REF"
        raise PlanError(f"{visible(model or 'the model', 80)} {visible(wanted, 40)}: {why}", f"{hint}{more}", code)
    return None, [f"{why}: run and commit of {_release(None, model, wanted).label} are not known"]


def _ready(version: ModelVersion) -> ModelVersion:
    if version.status not in ("", "READY"):
        words = f"{version.model} v{version.version} is {version.status} in the registry, not READY"
        raise PlanError(words, "wait for it, or register it again", 6)
    return version


def _release(version: ModelVersion | None, model: str, wanted: str) -> Release:
    if version is None:
        return Release(model=model, version=visible(wanted, 80))
    run = version.run
    return Release(
        model=version.model,
        version=version.version,
        run_id=run.run_id if run else "",
        git_sha=run.git_sha if run else "",
    )


def _image(settings: ServiceSettings, version: ModelVersion | None, release: Release, image: str) -> tuple[str, str]:
    """(reference, what named it). A person's word comes first."""
    if image:
        return image.strip(), "--image"
    deploy, tags = settings.deploy, version.tags if version else {}
    for name in deploy.image_tags:
        if tags.get(name):
            return tags[name].strip(), f"tag {name}"
    if deploy.image:
        return _filled(deploy.image, release), "deploy.image"
    names = ", ".join(deploy.image_tags)
    words = f"nothing says which image serves {release.model} {release.label}"
    raise PlanError(words, f"tag the version ({names}), set deploy.image in mlconsole.toml, or give --image", 2)


def _filled(pattern: str, release: Release) -> str:
    """The pattern with what is known of the release put in."""
    values = {
        "model": release.model,
        "version": release.version,
        "git_sha": release.git_sha,
        "run_id": release.run_id,
    }

    def value(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in values:
            raise PlanError(f"deploy.image asks for {{{name}}}", f"it knows {', '.join(values)}", 2)
        if not values[name]:
            words = f"deploy.image asks for {{{name}}}, and nobody knows it of {release.label}"
            raise PlanError(words, "give --image", 2)
        return values[name]

    return _FIELD.sub(value, pattern)
