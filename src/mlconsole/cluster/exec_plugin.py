"""Run a kubeconfig's credential plugin (client.authentication.k8s.io), as kubectl would.

The kubernetes package runs it without a time limit, reads its two pipes one after the other (a plugin that says much
on stderr hangs), and puts what went wrong into a log only. Here it has a deadline, its stderr becomes part of the
error, and it never gets the terminal, which belongs to the screen.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from mlconsole.cluster.errors import ConfigInvalid

SECONDS = 30.0


class Credential(Struct, frozen=True, rename="camel"):
    """`status` of the plugin's answer. Never shown."""

    token: str = ""
    client_certificate_data: str = ""
    client_key_data: str = ""
    expiration_timestamp: datetime | None = None

    def __repr__(self) -> str:
        return "Credential(...)"


class _ExecCredential(Struct, frozen=True, rename="camel"):
    status: Credential | None = None
    api_version: str = ""


async def run(
    spec: Mapping[str, Any], base: Path, cluster: Mapping[str, Any] | None = None, seconds: float = SECONDS
) -> Credential:
    """Run the plugin that `spec` (the `exec` of a kubeconfig user) names. Raises ConfigInvalid.

    `base` is the kubeconfig's folder, to which a command with a slash in it is relative; `cluster` is handed to the
    plugin where it asks for it (provideClusterInfo).
    """
    command, what = str(spec.get("command") or ""), f"credential plugin {spec.get('command')!r} failed"
    version = str(spec.get("apiVersion") or "client.authentication.k8s.io/v1beta1")
    if not command:
        raise ConfigInvalid(what, "the kubeconfig's exec names no command", "add `command`")
    if spec.get("interactiveMode") == "Always":
        raise ConfigInvalid(what, "it needs a terminal (interactiveMode: Always)", "log in with kubectl first")
    executable = _find(command, base)
    if executable is None:
        raise ConfigInvalid(
            what, "there is no such program", str(spec.get("installHint") or "install it, or correct PATH")
        )
    arguments = [str(argument) for argument in spec.get("args") or []]
    try:
        process = await asyncio.create_subprocess_exec(
            executable,
            *arguments,
            env=_environment(spec, version, cluster),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        raise ConfigInvalid(what, error.strerror or "it cannot be started", "check its mode") from error
    try:
        async with asyncio.timeout(seconds):
            stdout, stderr = await process.communicate()
    except TimeoutError:
        raise ConfigInvalid(
            what, f"no answer within {seconds:.0f} s", "run it by hand; it may want to log in"
        ) from None
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    if process.returncode:
        said = stderr[-2000:].decode(errors="replace").strip() or "it said nothing"
        raise ConfigInvalid(what, f"exit code {process.returncode}: {said}", "log in again, then try again")
    return _credential(stdout, what)


def _credential(stdout: bytes, what: str) -> Credential:
    try:
        status = msgspec.json.decode(stdout, type=_ExecCredential).status
    except (msgspec.DecodeError, UnicodeDecodeError):
        # Not a word of what it printed: a token may be in it.
        raise ConfigInvalid(what, "its answer is not an ExecCredential", "run it by hand and look") from None
    if status is None or not (status.token or (status.client_certificate_data and status.client_key_data)):
        raise ConfigInvalid(what, "its answer holds neither a token nor a certificate with its key", "log in again")
    return status


def _find(command: str, base: Path) -> str | None:
    if os.sep not in command:
        return shutil.which(command)
    path = base / Path(command).expanduser()
    return str(path) if os.access(path, os.X_OK) and path.is_file() else None


def _environment(spec: Mapping[str, Any], version: str, cluster: Mapping[str, Any] | None) -> dict[str, str]:
    environ = dict(os.environ)
    environ.update(
        {str(item["name"]): str(item.get("value", "")) for item in spec.get("env") or [] if item.get("name")}
    )
    request: dict[str, Any] = {"interactive": False}
    if spec.get("provideClusterInfo") and cluster:
        request["cluster"] = dict(cluster)
    environ["KUBERNETES_EXEC_INFO"] = json.dumps({"apiVersion": version, "kind": "ExecCredential", "spec": request})
    return environ
