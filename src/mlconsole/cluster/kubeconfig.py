"""Which contexts there are, read from the kubeconfig files alone: no network, no credential plugin, no secret kept.

The rules are kubectl's: `KUBECONFIG` may name several files, the first to define a name wins, without it
`~/.kube/config` counts. A file that cannot be read or parsed is an error that names it; one that is not there is not.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from mlconsole.cluster.errors import ConfigInvalid

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class ContextInfo(Struct, frozen=True):
    """A context of the kubeconfig."""

    name: str
    cluster: str = ""
    namespace: str = ""
    """Its own namespace; empty where it names none (`default` is meant then)."""
    user: str = ""
    server: str = ""
    current: bool = False


def paths(kubeconfig: str | None = None, environ: Mapping[str, str] = os.environ) -> list[Path]:
    """The kubeconfig files that exist, in the order in which they count. `kubeconfig` may name several."""
    named = kubeconfig or environ.get("KUBECONFIG") or "~/.kube/config"
    files = (Path(part).expanduser() for part in str(named).split(os.pathsep) if part)
    return [path for path in files if path.is_file()]


def contexts(kubeconfig: str | None = None) -> list[ContextInfo]:
    """Every context, in the order of the files. Raises ConfigInvalid for a file that cannot be used."""
    found: dict[str, dict[str, Any]] = {}
    servers: dict[str, str] = {}
    current = ""
    for path in paths(kubeconfig):
        config = read(path)
        current = current or str(config.get("current-context") or "")
        for name, cluster in _named(config, "clusters", "cluster"):
            servers.setdefault(name, str(cluster.get("server") or ""))
        for name, context in _named(config, "contexts", "context"):
            found.setdefault(name, context)
    return [
        ContextInfo(
            name=name,
            cluster=str(context.get("cluster") or ""),
            namespace=str(context.get("namespace") or ""),
            user=str(context.get("user") or ""),
            server=servers.get(str(context.get("cluster") or ""), ""),
            current=name == current,
        )
        for name, context in found.items()
    ]


def read(path: Path) -> dict[str, Any]:
    """One kubeconfig file. Raises ConfigInvalid; the parser's excerpt of the file stays out of it."""
    import yaml

    what = f"cannot use kubeconfig {path}"
    try:
        text = path.read_bytes()
        # The C parser, where PyYAML has it, reads a large kubeconfig ten times as fast.
        config = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except OSError as error:
        raise ConfigInvalid(what, error.strerror or "it cannot be read", "check its owner and mode") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark else ""
        raise ConfigInvalid(what, f"it is not YAML{where}: {getattr(error, 'problem', '')}", "repair it") from None
    if config is None:
        return {}
    if not isinstance(config, dict):
        raise ConfigInvalid(what, "it is not a mapping", "is this a kubeconfig?")
    return config


def _named(config: dict[str, Any], plural: str, singular: str) -> Iterator[tuple[str, dict[str, Any]]]:
    items = config.get(plural)
    for item in items if isinstance(items, list) else []:
        if isinstance(item, dict) and item.get("name"):
            value = item.get(singular)
            yield str(item["name"]), value if isinstance(value, dict) else {}


def in_cluster(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether this process runs in a pod with a service account."""
    return bool(environ.get("KUBERNETES_SERVICE_HOST")) and (SERVICE_ACCOUNT / "token").is_file()
