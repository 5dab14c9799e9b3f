"""Registered models and their versions, as MLflow has them."""

from __future__ import annotations

from msgspec import Struct


class Field(Struct, frozen=True):
    """One column of a model's signature."""

    name: str
    type: str
    required: bool = True


class Run(Struct, frozen=True):
    """The training run behind a version."""

    run_id: str
    name: str = ""
    experiment: str = ""
    status: str = ""
    user: str = ""
    git_sha: str = ""
    source: str = ""
    started_at: float = 0.0
    ended_at: float = 0.0
    metrics: dict[str, float] = {}
    params: dict[str, str] = {}
    tags: dict[str, str] = {}
    """Without the `mlflow.*` ones; each value cut to a size that a screen can use."""


class ModelVersion(Struct, frozen=True):
    """One version of a registered model."""

    model: str
    version: str
    aliases: tuple[str, ...] = ()
    stage: str = ""
    """Deprecated in MLflow; shown where still used, empty for `None`."""
    status: str = ""
    description: str = ""
    user: str = ""
    created_at: float = 0.0
    tags: dict[str, str] = {}
    source: str = ""
    run: Run | None = None
    run_problem: str = ""
    """Why `run` is missing, if it is: deleted, not allowed, never linked."""
    inputs: tuple[Field, ...] = ()
    outputs: tuple[Field, ...] = ()
    has_input_example: bool = False


class RegisteredModel(Struct, frozen=True):
    """A registered model with its versions, newest first."""

    name: str
    description: str = ""
    tags: dict[str, str] = {}
    aliases: dict[str, str] = {}
    """Alias to version."""
    versions: tuple[ModelVersion, ...] = ()

    def find(self, version: str) -> ModelVersion | None:
        """The version numbered `version`, or None."""
        return next((item for item in self.versions if item.version == version), None)


class AliasMove(Struct, frozen=True):
    """An alias that was seen on another version than the time before: a registry keeps no record of that."""

    model: str
    alias: str
    before: str
    """Empty where the alias is new."""
    after: str
    """Empty where it was taken off."""
    since: float
    """When it was seen where it was before."""
    at: float
    """When it was first seen where it is."""
