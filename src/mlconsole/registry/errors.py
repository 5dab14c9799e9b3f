"""What goes wrong with a registry, in words that say what to do, and never with a credential in them."""

from __future__ import annotations

import os
import re

from mlconsole.domain.redaction import redacted
from mlconsole.domain.sources import Condition
from mlconsole.domain.text import visible

SECRETS = (
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AZURE_STORAGE_ACCESS_KEY",
    "DATABRICKS_TOKEN",
)
"""Variables whose values must not be shown, wherever a message got them from."""
TRY = "look at the MLflow server's own log; R tries again"
_CAUSES = (
    ("SSLError", "its certificate is not trusted", "MLFLOW_TRACKING_SERVER_CERT_PATH names the CA to trust"),
    ("ConnectTimeout", "it does not answer", "is the server up, and is the network (VPN, proxy) the right one?"),
    ("ReadTimeout", "it took the request and gives no answer", "look at the MLflow server's own log"),
    ("Read timed out", "it took the request and gives no answer", "look at the MLflow server's own log"),
    ("NameResolutionError", "its name cannot be resolved", "check the address in MLFLOW_TRACKING_URI"),
    ("NewConnectionError", "the connection was refused", "is the MLflow server up? check MLFLOW_TRACKING_URI"),
    ("InvalidURL", "the address is none", "check MLFLOW_TRACKING_URI"),
)
"""What a class in the chain of an exception, or its text, says; the most telling first."""


class RegistryError(Exception):
    """The registry did not give what was asked; raised in the worker, shown by the feed."""

    def __init__(self, message: str, hint: str = "", condition: Condition = Condition.DOWN) -> None:
        super().__init__(message, hint, condition)
        self.message = message
        """What failed, on what, and why."""
        self.hint = hint
        """What to do."""
        self.condition = condition

    def __str__(self) -> str:
        return self.message


class NoSuchVersion(RegistryError):
    """The registry answered: there is none of that name."""


def address(uri: str) -> str:
    """A tracking URI without user, password and query: fit to be shown."""
    return visible(redact(uri.partition("?")[0]), 120)


def redact(text: str) -> str:
    """`text` without the user part of URIs, the values of the variables that hold secrets, and what looks like one."""
    text = re.sub(r"([a-z][\w+.-]*://)[^\s/]*@", r"\1", text, flags=re.IGNORECASE)
    for variable in SECRETS:
        value = os.environ.get(variable)
        if value:
            text = text.replace(value, "***")
    return redacted(text)


def explain(error: BaseException, uri: str) -> RegistryError:
    """What an exception of MLflow or of what it rests on means."""
    if isinstance(error, RegistryError):
        return error
    where, text = f"MLflow at {address(uri)}", visible(redact(str(error)), 300)
    if getattr(error, "error_code", "") in ("UNAUTHENTICATED", "PERMISSION_DENIED", "CUSTOMER_UNAUTHORIZED"):
        hint = "check MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN, and their rights"
        return RegistryError(f"{where} refuses: {text}", hint, Condition.DENIED)
    why, hint = _transport(error) or _known(error, uri) or (f"{type(error).__name__}: {text}", TRY)
    return RegistryError(f"{where}: {why}", hint)


def _transport(error: BaseException) -> tuple[str, str] | None:
    text = str(error)
    status = re.search(r"too many (\d{3}) error responses", text)
    if status:
        return f"it answers {status[1]}", TRY
    chain = _chain(error)
    return next(((why, hint) for name, why, hint in _CAUSES if name in chain or name in text), None)


def _known(error: BaseException, uri: str) -> tuple[str, str] | None:
    text, code = str(error), getattr(error, "error_code", "")
    if isinstance(error, ModuleNotFoundError):
        return f"it needs the Python package {error.name}", f"pip install {error.name}"
    if "valid JSON" in text or code == "ENDPOINT_NOT_FOUND":
        return "it answers, but not as MLflow does", "check the address; a proxy's login page, or a path prefix?"
    if "out-of-date database schema" in text:
        return "its schema is older than the MLflow in use", f"mlflow db upgrade {address(uri)}"
    if "UnsupportedModelRegistryStoreURI" in type(error).__name__:
        return "there is no such kind of registry", "MLFLOW_TRACKING_URI is http(s)://, sqlite:/// or a folder"
    return None


def _chain(error: BaseException) -> set[str]:
    """The classes' names of an exception and of all that it came from."""
    names: set[str] = set()
    todo: list[object] = [error]
    while todo and len(names) < 50:
        item = todo.pop()
        if isinstance(item, BaseException) and type(item).__name__ not in names:
            names.add(type(item).__name__)
            todo += [item.__cause__, item.__context__, getattr(item, "reason", None), *item.args]
    return names
