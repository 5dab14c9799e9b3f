"""What a model server imports to be watched: `ModelMonitor`, its ASGI middleware, and the reference of a training.

It needs prometheus_client, msgspec and the standard library; mlflow only where it is used (docs/monitor.md). A training
that makes a reference needs no prometheus_client: the names below are imported when they are asked for.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlconsole.monitor.asgi import MonitorMiddleware
    from mlconsole.monitor.block import Block
    from mlconsole.monitor.monitor import ModelMonitor

__all__ = ["Block", "ModelMonitor", "MonitorMiddleware"]

_WHERE = {"Block": "block", "ModelMonitor": "monitor", "MonitorMiddleware": "asgi"}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"{__name__}.{_WHERE[name]}"), name)
