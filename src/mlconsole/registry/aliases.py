"""Reads and moves an alias of a registered model, in the worker (I26).

MLflow has no compare-and-swap for aliases: what an alias points to is looked at just before it is moved and read back
after, so that a move by somebody else is noticed, though not prevented within the moment between the two.
"""

from __future__ import annotations

from typing import Any

from mlconsole.domain.text import visible
from mlconsole.registry.errors import RegistryError, address, explain
from mlconsole.registry.reader import client_of

MISSING = ("RESOURCE_DOES_NOT_EXIST",)


class AliasMoved(RegistryError):
    """The alias does not point where it was seen, or where it was set: somebody else moved it."""


def read_aliases(uri: str, model: str) -> dict[str, str]:
    """The aliases of a model, each with its version. Raises RegistryError."""
    try:
        return _aliases(client_of(uri), model)
    except Exception as error:
        raise _explained(error, uri, model) from error


def move_alias(uri: str, model: str, alias: str, seen: str, version: str) -> str:
    """Let `alias` point to `version` (empty: remove it), if it still points to `seen` (empty: to nothing).

    What was done, in words. Where it points to `version` already nothing is written. Raises AliasMoved, RegistryError;
    after a RegistryError it is not known whether it was moved: read again.
    """
    try:
        client = client_of(uri)
        found = _aliases(client, model).get(alias, "")
        if found == version:
            return f"{_at(alias)} points to {_named(version)} already"
        if found != seen:
            raise _moved(
                model, alias, f"points to {_named(found)}, not to {_named(seen)} as was seen", "nothing was set"
            )
        if version:
            client.set_registered_model_alias(model, alias, version)
        else:
            client.delete_registered_model_alias(model, alias)
        after = _aliases(client, model).get(alias, "")
    except Exception as error:
        raise _explained(error, uri, model) from error
    if after != version:
        words = f"was set to {_named(version)} and points to {_named(after)} now"
        raise _moved(model, alias, words, "somebody else moves it too: look who")
    return f"{_at(alias)} moved from {_named(found)} to {_named(version)}"


def _aliases(client: Any, model: str) -> dict[str, str]:
    return {str(alias): str(version) for alias, version in client.get_registered_model(model).aliases.items()}


def _at(alias: str) -> str:
    return f"@{visible(alias, 80)}"


def _named(version: str) -> str:
    return f"v{visible(version, 40)}" if version else "no version"


def _moved(model: str, alias: str, words: str, hint: str) -> AliasMoved:
    return AliasMoved(f"{_at(alias)} of {visible(model, 80)} {words}", hint)


def _explained(error: Exception, uri: str, model: str) -> RegistryError:
    if getattr(error, "error_code", "") in MISSING:
        words = f"MLflow at {address(uri)}: no such model or version of {visible(model, 80)}"
        return RegistryError(f"{words}: {visible(str(error), 200)}", "look at the model in the registry")
    return explain(error, uri)
