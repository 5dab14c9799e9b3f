"""Which content a tag means now: asked of the image's registry, else of the Docker Engine, in a worker process.

A tag can be moved between a smoke test and a restart; a digest cannot. Where nobody can say, that is told and the tag
is deployed as it is: pods pull from where this console may not even look.
"""

from __future__ import annotations

import hashlib
import ipaddress
import os
import re
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct

from mlconsole.domain.text import visible
from mlconsole.engine.offload import Offload, WorkerError
from mlconsole.images.engine import address, where

SECONDS = 5.0
LONGEST = 4 * 1024 * 1024
"""Bytes of a manifest."""
MANIFESTS = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')
_NAME = re.compile(r"[a-z0-9]+(?:[._/-]+[a-z0-9]+)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")


class Reference(Struct, frozen=True):
    """An image's name, taken apart."""

    registry: str
    """Host and port; empty where the name has none."""
    name: str
    tag: str
    digest: str = ""


class Resolved(Struct, frozen=True):
    """What is known of an image."""

    image: str
    digest: str = ""
    by: str = ""
    """Who said so: `registry reg.local:5000`, `the Docker Engine`."""
    why: str = ""
    """Why nobody could, where nobody could."""

    @property
    def pinned(self) -> str:
        """The reference to deploy: by digest where there is one."""
        return f"{self.image}@{self.digest}" if self.digest and "@" not in self.image else self.image

    @property
    def words(self) -> str:
        """What a plan says of it."""
        if self.digest:
            return f"{visible(self.image, 200)} is {self.digest[:19]}, says {self.by}"
        return f"the digest of {visible(self.image, 200)} is not known: {self.why}"


def parse(image: str) -> Reference | None:
    """An image's name, taken apart; None for what is no image's name."""
    rest, _, digest = image.partition("@")
    first, slash, tail = rest.partition("/")
    registry = first if slash and (first == "localhost" or "." in first or ":" in first) else ""
    name, _, tag = (tail if registry else rest).partition(":")
    bad = not _NAME.fullmatch(name) or (tag and not _TAG.fullmatch(tag)) or (digest and not _DIGEST.fullmatch(digest))
    return None if bad else Reference(registry, name, tag or "latest", digest)


async def resolve(offload: Offload, image: str, host: str | None) -> Resolved:
    """The digest of an image now, by its registry or by the Docker Engine at `host`. Raises nothing of theirs."""
    reference = parse(image)
    if reference is None:
        return Resolved(image, why="this is no image's name")
    if reference.digest:
        return Resolved(image, reference.digest, "its own name")
    try:
        return await offload.lane("images").run(look_up, image, where(host, os.environ), timeout=3 * SECONDS)
    except (WorkerError, TimeoutError, OSError) as error:
        return Resolved(image, why=visible(str(error) or "no answer in time"))


def look_up(image: str, engine: str) -> Resolved:
    """Ask the registry, then the engine: in the worker."""
    reference = parse(image)
    if reference is None:
        return Resolved(image, why="this is no image's name")
    digest, why = _by_registry(reference)
    if digest:
        return Resolved(image, digest, f"registry {reference.registry}")
    if engine:
        digest, other = _by_engine(image, engine)
        if digest:
            return Resolved(image, digest, f"the Docker Engine at {address(engine)}")
        why = f"{why}; {other}"
    return Resolved(image, why=why)


# ---- a registry


def _by_registry(reference: Reference) -> tuple[str, str]:
    """(digest, why there is none)."""
    import requests

    if not reference.registry:
        return "", "its name says no registry"
    scheme = "http" if _loopback(reference.registry) else "https"
    url = f"{scheme}://{reference.registry}/v2/{reference.name}/manifests/{reference.tag}"
    said = f"registry {reference.registry}"
    try:
        with requests.Session() as session:
            answer = _asked(session, "HEAD", url, {})
            headers: dict[str, str] = {}
            if answer.status_code == 401:
                token = _token(session, answer.headers.get("WWW-Authenticate", ""), reference)
                if not token:
                    return "", f"{said} wants a login"
                headers = {"Authorization": f"Bearer {token}"}
                answer = _asked(session, "HEAD", url, headers)
            if answer.status_code != 200:
                return "", f"{said} {_status(answer.status_code)}"
            digest = answer.headers.get("Docker-Content-Digest", "")
            return (digest, "") if _DIGEST.fullmatch(digest) else _counted(session, url, headers, said)
    except (requests.RequestException, ValueError) as error:
        return "", f"{said} does not answer ({type(error).__name__})"


def _asked(session: Any, method: str, url: str, headers: dict[str, str]) -> Any:
    return session.request(
        method,
        url,
        headers={"Accept": ", ".join(MANIFESTS), **headers},
        timeout=SECONDS,
        allow_redirects=False,
        stream=True,
    )


def _counted(session: Any, url: str, headers: dict[str, str], said: str) -> tuple[str, str]:
    """A registry need not tell the digest: it is that of the manifest's bytes."""
    answer = _asked(session, "GET", url, headers)
    body = answer.raw.read(LONGEST + 1, decode_content=True)
    if answer.status_code != 200 or len(body) > LONGEST:
        return "", f"{said} gives no manifest that can be read"
    return f"sha256:{hashlib.sha256(body).hexdigest()}", ""


def _token(session: Any, challenge: str, reference: Reference) -> str:
    """A token for whoever comes, as the registry's challenge says; empty where it wants more than that.

    No credentials are sent, and nothing is asked in clear but of this machine.
    """
    scheme, _, rest = challenge.partition(" ")
    fields = dict(_CHALLENGE.findall(rest))
    realm = urlsplit(fields.get("realm", ""))
    if scheme.lower() != "bearer" or not (
        realm.scheme == "https" or (realm.scheme == "http" and _loopback(realm.netloc))
    ):
        return ""
    params = {"scope": f"repository:{reference.name}:pull"}
    if "service" in fields:
        params["service"] = fields["service"]
    answer = session.get(realm.geturl(), params=params, timeout=SECONDS, allow_redirects=False)
    if answer.status_code != 200:
        return ""
    body = answer.json()
    token = (body.get("token") or body.get("access_token")) if isinstance(body, dict) else None
    return token if isinstance(token, str) else ""


def _status(code: int) -> str:
    if code in (401, 403):
        return f"wants a login ({code})"
    return "does not have it" if code == 404 else f"answered {code}"


def _loopback(netloc: str) -> bool:
    host = urlsplit(f"//{netloc}").hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


# ---- the Docker Engine


def _by_engine(image: str, host: str) -> tuple[str, str]:
    """The digest by which this engine pulled or pushed an image: (digest, why there is none)."""
    import docker
    import requests
    from docker.errors import DockerException, ImageNotFound

    try:
        client = docker.from_env(timeout=int(SECONDS), environment={**os.environ, "DOCKER_HOST": host})
        try:
            attributes = client.images.get(image).attrs
        finally:
            client.close()
    except ImageNotFound:
        return "", "the Docker Engine does not have it"
    except (DockerException, requests.RequestException, OSError, ValueError) as error:
        return "", f"the Docker Engine does not answer ({type(error).__name__})"
    name = image.rpartition(":")[0] if ":" in image.rpartition("/")[2] else image
    for item in attributes.get("RepoDigests") or ():
        repository, _, digest = str(item).partition("@")
        if repository == name and _DIGEST.fullmatch(digest):
            return digest, ""
    return "", "the Docker Engine has it, from no registry"
