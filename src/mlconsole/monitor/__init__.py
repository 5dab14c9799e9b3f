"""What a model server imports to be watched: `ModelMonitor`, its ASGI middleware, and the reference of a training.

It needs prometheus_client, msgspec and the standard library; mlflow only where it is used (docs/monitor.md).
"""

from mlconsole.monitor.asgi import MonitorMiddleware
from mlconsole.monitor.block import Block
from mlconsole.monitor.monitor import ModelMonitor

__all__ = ["Block", "ModelMonitor", "MonitorMiddleware"]
