"""The parts of the kubernetes package that the console uses, without the 1,200 modules that it does not.

`import kubernetes.aio` runs the whole of the generated client, and of the synchronous one, whose packages import it on
the way: 610 ms and 121 MB here. Configuration, credentials and transport are seven modules of it. They are
imported with their parent packages stood in for by empty ones, which are taken away again afterwards, so that anyone
who imports `kubernetes` later gets the real thing. Measured: see `benchmarks/decode.py`.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

_PARENTS = ("kubernetes", "kubernetes.aio", "kubernetes.aio.client", "kubernetes.aio.config")


class Kube(NamedTuple):
    """What was imported. The package ships no types: each is what its name says there."""

    Configuration: Any
    RESTClientObject: Any
    KubeConfigLoader: Any
    KubeConfigMerger: Any
    ConfigNode: Any
    ConfigException: type[Exception]
    InClusterConfigLoader: Any
    forget_files: Any
    """Deletes the certificate files that the loader wrote."""


@functools.cache
def load() -> Kube:
    """Import what is needed of the kubernetes package, once."""
    return _import_all() if _whole_is_there() else _import_lean()


def _whole_is_there() -> bool:
    return any(name in sys.modules for name in _PARENTS)


def _import_all() -> Kube:
    rest = importlib.import_module("kubernetes.aio.client.rest")
    configuration = importlib.import_module("kubernetes.aio.client.configuration")
    files = importlib.import_module("kubernetes.aio.config.kube_config")
    incluster = importlib.import_module("kubernetes.aio.config.incluster_config")
    return Kube(
        configuration.Configuration,
        rest.RESTClientObject,
        files.KubeConfigLoader,
        files.KubeConfigMerger,
        files.ConfigNode,
        files.ConfigException,
        incluster.InClusterConfigLoader,
        files._cleanup_temp_files,
    )


def _import_lean() -> Kube:
    spec = importlib.util.find_spec("kubernetes")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("the kubernetes package is not installed", name="kubernetes")
    root = Path(spec.submodule_search_locations[0]).parent
    try:
        for name in _PARENTS:
            sys.modules[name] = _empty_package(name, root)
        client: Any = sys.modules["kubernetes.aio.client"]
        client.Configuration = importlib.import_module("kubernetes.aio.client.configuration").Configuration
        client.ApiClient = _whole_client
        return _import_all()
    finally:
        for name in [name for name in sys.modules if name == "kubernetes" or name.startswith("kubernetes.")]:
            del sys.modules[name]


def _empty_package(name: str, root: Path) -> ModuleType:
    package = ModuleType(name)
    package.__path__ = [str(root.joinpath(*name.split(".")))]
    return package


def _whole_client(*args: Any, **kwargs: Any) -> Any:
    """The generated client, imported when it is really asked for."""
    return importlib.import_module("kubernetes.aio.client").ApiClient(*args, **kwargs)
