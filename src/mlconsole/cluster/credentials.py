"""Where to connect and as whom: a kubeconfig's context or the pod's own service account, kept fresh.

The kubernetes package reads the files; what it does not do, or not in the open, is added here: credential plugins with
a deadline and their words (`exec_plugin`), OIDC refresh with the identity provider's certificate checked, tokens read
again before they end. A reload takes new credentials only: a context that meanwhile points to another server is
refused, never followed (I8).
"""

from __future__ import annotations

import base64
import difflib
import hashlib
import json
import os
import ssl
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct

from mlconsole.cluster import exec_plugin, kubeconfig
from mlconsole.cluster.errors import ClusterError, ConfigInvalid, explain
from mlconsole.cluster.kube import Kube, load

EARLY = 20.0
"""Seconds before its end at which a token is replaced."""
CONTEXTS_NAMED = 10
REREAD = 60.0
"""Seconds after which a token file is read again: service account tokens are rotated in place."""
OIDC_SECONDS = 15.0


class Identity(Struct, frozen=True):
    """What a connection is pinned to (I8)."""

    context: str
    server: str
    ca_digest: str
    """First 16 hex digits of SHA-256 over the CA bundle; `system` or `unchecked` where there is none."""
    user: str
    """The kubeconfig's name for the user; what the server calls them is `Connection.whoami`."""


class Credentials:
    """The configuration of one context, and its token for the next request."""

    def __init__(self, context: str | None, files: str | None) -> None:
        self._context = context
        self._files = files
        self._kube: Kube = load()
        self._loader: Any = None
        self._token_file: Path | None = None
        self._token = ""
        self._expires = float("inf")
        self.configuration: Any = None
        self.namespace = "default"
        self.identity = Identity("", "", "", "")

    async def load(self) -> None:
        """Read files, run plugins. Raises ConfigInvalid; keeps what was there when it fails."""
        if kubeconfig.paths(self._files):
            loader, configuration = await self._from_files()
            fresh, namespace = self._identify(loader, configuration)
        elif self._files is None and not os.environ.get("KUBECONFIG") and kubeconfig.in_cluster():
            loader, configuration = None, self._from_pod()
            fresh = Identity("in-cluster", configuration.host, _digest(configuration), "service account")
            namespace = (kubeconfig.SERVICE_ACCOUNT / "namespace").read_text().strip() or "default"
        else:
            where = self._files or os.environ.get("KUBECONFIG") or "~/.kube/config"
            hint = "set KUBECONFIG, or try `mlconsole demo`, which needs no cluster"
            raise ConfigInvalid("no cluster is configured", f"there is no kubeconfig at {where}", hint)
        pinned = self.identity
        if pinned.server and (pinned.server, pinned.ca_digest) != (fresh.server, fresh.ca_digest):
            why = f"it was {pinned.server}, the kubeconfig now says {fresh.server} or another CA"
            raise ConfigInvalid(f"context {pinned.context} points elsewhere now", why, "change the context to go there")
        self._loader, self.configuration, self.identity = loader, configuration, pinned if pinned.server else fresh
        self.namespace = namespace
        self._take_token(configuration, loader)

    async def headers(self) -> dict[str, str]:
        """The Authorization header for the next request, renewed when it is about to end."""
        if time.time() > self._expires - EARLY:
            await self._renew()
        return {"Authorization": self._token} if self._token else {}

    # ---- from the pod

    def _from_pod(self) -> Any:
        folder, configuration = kubeconfig.SERVICE_ACCOUNT, self._kube.Configuration()
        try:
            self._kube.InClusterConfigLoader(
                token_filename=str(folder / "token"), cert_filename=str(folder / "ca.crt"), try_refresh_token=False
            ).load_and_set(configuration)
        except (self._kube.ConfigException, OSError) as error:
            raise ConfigInvalid("cannot use the pod's service account", str(error), "") from error
        self._token_file = folder / "token"
        return configuration

    # ---- from files

    async def _from_files(self) -> tuple[Any, Any]:
        files = kubeconfig.paths(self._files)
        current = [str(named) for path in files if (named := kubeconfig.read(path).get("current-context"))]
        wanted = self._context or next(iter(current), "")
        what = f"cannot use context {wanted or '(current)'} of {os.pathsep.join(map(str, files))}"
        configuration = self._kube.Configuration()
        try:
            merger = self._kube.KubeConfigMerger(os.pathsep.join(map(str, files)))
            loader = self._loader_class()(
                config_dict=merger.config,
                # The package takes the last file's current context where kubectl takes the first one's.
                active_context=wanted or None,
                # None: paths in a file are relative to that file.
                config_base_path=None,
                config_persister=_Persist(merger),
            )
            await loader.load_and_set(configuration)
        except ClusterError:
            raise
        except self._kube.ConfigException as error:
            names = [context.name for context in kubeconfig.contexts(self._files)]
            why = "" if wanted in names else "there is no context of that name" if wanted else "none is current"
            raise ConfigInvalid(what, why or str(error), _hint_for_contexts(names, wanted)) from error
        except (KeyError, TypeError, ValueError, AttributeError, OSError) as error:
            raise ConfigInvalid(
                what, f"{type(error).__name__}: {error}", "check this context's cluster and user"
            ) from error
        if urlsplit(configuration.host).scheme not in ("http", "https"):
            raise ConfigInvalid(what, f"server {configuration.host!r} is not an http(s) address", "correct `server`")
        return loader, configuration

    def _loader_class(self) -> Any:
        """The package's loader with the plugin and the OIDC refresh replaced."""
        kube = self._kube

        class Loader(kube.KubeConfigLoader):  # type: ignore[misc,name-defined]
            expires = float("inf")

            def set_active_context(self, context_name: str | None = None) -> None:
                super().set_active_context(context_name)
                self._user: Any = self._user or kube.ConfigNode("user", {})

            async def load_from_exec_plugin(self) -> bool:
                user, cluster = self._user.value, self._cluster.value
                folder = Path(self._get_base_path(self._user.path) or ".")
                credential = await exec_plugin.run(user["exec"], folder, cluster)
                if credential.token:
                    self.token = f"Bearer {credential.token}"
                if credential.client_certificate_data:
                    self.cert_file = _private_file(credential.client_certificate_data)
                    self.key_file = _private_file(credential.client_key_data)
                if credential.expiration_timestamp:
                    self.expires = credential.expiration_timestamp.timestamp()
                return True

            async def _refresh_oidc(self, provider: Any) -> None:
                await _refresh_oidc(provider["config"].value)
                if self._config_persister:
                    self._config_persister(self._config.value)

        return Loader

    def _identify(self, loader: Any, configuration: Any) -> tuple[Identity, str]:
        context = loader.current_context
        inner = context.get("context") or {}
        identity = Identity(
            context=str(context.get("name", "")),
            server=configuration.host.rstrip("/"),
            ca_digest=_digest(configuration),
            user=str(inner.get("user") or "anonymous"),
        )
        return identity, str(inner.get("namespace") or "default")

    # ---- tokens

    def _take_token(self, configuration: Any, loader: Any) -> None:
        # A token file ends with a newline, which no header may.
        self._token = (configuration.api_key.get("BearerToken") or "").strip()
        self._expires = float("inf")
        if loader is None:
            self._expires = time.time() + REREAD
            return
        user = loader._user.value
        if "exec" in user:
            self._expires = loader.expires
        elif user.get("tokenFile") and not user.get("token"):
            self._token_file = Path(loader._get_base_path(loader._user.path) or ".") / user["tokenFile"]
            self._expires = time.time() + REREAD
        elif loader.provider == "oidc":
            self._expires = _jwt_end(self._token)

    async def _renew(self) -> None:
        if self._token_file is None:
            await self.load()
            return
        try:
            text = self._token_file.read_text().strip()
        except OSError as error:
            what = f"cannot read the token file {self._token_file}"
            raise ConfigInvalid(what, error.strerror or "", "log in again") from error
        self._token = f"Bearer {text}"
        self._expires = time.time() + REREAD


class _Persist:
    """Write a refreshed OIDC token back to the kubeconfig it came from, as kubectl does, whole or not at all."""

    def __init__(self, merger: Any) -> None:
        self._merger = merger

    def __call__(self, _config: object) -> None:
        import yaml

        for name, config in self._merger.config_files.items():
            if config == self._merger.config_saved[name]:
                continue
            path = Path(name).resolve()
            descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".kubeconfig-")
            with os.fdopen(descriptor, "w") as file:
                yaml.safe_dump(config, file, default_flow_style=False)
            os.chmod(temporary, path.stat().st_mode & 0o777)
            os.replace(temporary, path)


async def _refresh_oidc(config: dict[str, Any]) -> None:
    """Exchange the refresh token (OpenID Connect Core 1.0, section 12); new tokens go into `config`."""
    import aiohttp

    issuer = str(config.get("idp-issuer-url") or "").rstrip("/")
    what = f"cannot refresh the login at {issuer or 'the identity provider'}"
    if not config.get("refresh-token") or not issuer:
        raise ConfigInvalid(what, "the id-token has ended and there is no refresh-token", "log in again")
    context = ssl.create_default_context(cafile=config.get("idp-certificate-authority") or None)
    if config.get("idp-certificate-authority-data"):
        context.load_verify_locations(cadata=base64.b64decode(config["idp-certificate-authority-data"]).decode())
    form = {
        "grant_type": "refresh_token",
        "refresh_token": config["refresh-token"],
        "client_id": config.get("client-id", ""),
    }
    if config.get("client-secret"):
        form["client_secret"] = config["client-secret"]
    try:
        timeout = aiohttp.ClientTimeout(total=OIDC_SECONDS)
        async with aiohttp.ClientSession(trust_env=True, timeout=timeout, raise_for_status=True) as session:
            async with session.get(f"{issuer}/.well-known/openid-configuration", ssl=context) as response:
                endpoint = (await response.json(content_type=None))["token_endpoint"]
            async with session.post(endpoint, data=form, ssl=context) as response:
                answer = await response.json(content_type=None)
        config["id-token"] = answer["id_token"]
    except aiohttp.ClientResponseError as error:
        raise ConfigInvalid(what, f"HTTP {error.status}", "log in again") from None
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigInvalid(what, "its answer holds no id_token", "log in again") from error
    except (OSError, TimeoutError, aiohttp.ClientError) as error:
        raise explain(error, what) from error
    config["refresh-token"] = answer.get("refresh_token", config["refresh-token"])


def _jwt_end(token: str) -> float:
    """`exp` of a JWT, seconds since the epoch; infinity where it has none."""
    parts = token.split(".")
    if len(parts) != 3:
        return float("inf")
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        return float(claims.get("exp", "inf"))
    except (ValueError, TypeError, AttributeError):
        return float("inf")


def _digest(configuration: Any) -> str:
    if not configuration.host.startswith("https"):
        return "unchecked"
    if not configuration.verify_ssl:
        return "unchecked"
    if not configuration.ssl_ca_cert:
        return "system"
    try:
        return hashlib.sha256(Path(configuration.ssl_ca_cert).read_bytes()).hexdigest()[:16]
    except OSError as error:
        raise ConfigInvalid(f"cannot read the CA file {configuration.ssl_ca_cert}", error.strerror or "", "") from error


def _private_file(text: str) -> str:
    """A certificate or key from a plugin, in a file only its owner can read: OpenSSL takes nothing else."""
    descriptor, name = tempfile.mkstemp(prefix="mlconsole-")
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    _temporary.append(name)
    return name


_temporary: list[str] = []


def forget_files() -> None:
    """Delete the keys and certificates that were written to files: a TLS context, once made, needs them no more."""
    load().forget_files()
    while _temporary:
        Path(_temporary.pop()).unlink(missing_ok=True)


def _hint_for_contexts(names: Sequence[str], wanted: str = "") -> str:
    """Which contexts there are, the ones with the nearest names first."""
    near = difflib.get_close_matches(wanted, names, CONTEXTS_NAMED)
    ordered = [*near, *(name for name in names if name not in near)]
    more = f" and {len(names) - CONTEXTS_NAMED} more" if len(names) > CONTEXTS_NAMED else ""
    return f"there are: {', '.join(ordered[:CONTEXTS_NAMED])}{more}" if names else "it names no context at all"
