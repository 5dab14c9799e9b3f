"""The settings of how an operation on a service goes: what is tried before the switch, and watched after it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta

from mlconsole.configtypes import Count, Path, Pause, Seconds, Share, Table


class Deploy(Table, frozen=True):
    """How a release is brought up on the idle colour."""

    image: str | None = None
    """Where no tag of the version names one; `{model}`, `{version}`, `{git_sha}`, `{run_id}` are filled in."""
    image_tags: tuple[str, ...] = ("mlconsole.io/image", "image", "docker_image")
    """The version's tags in the registry that may name its image, the first that is there."""
    resolve: bool = True
    """Ask the image's registry, else the Docker Engine, for the digest that its tag means now, and deploy that."""
    progress_deadline: Seconds = 600.0
    """After so long without a new ready pod the release is not going to come up."""
    on_failure: Literal["clean-up", "keep"] = "clean-up"
    """What becomes of a release that does not come up: undone, or kept for a look."""


class Smoke(Table, frozen=True):
    """The request that every pod of a colour has to answer before it gets traffic."""

    enabled: bool = True
    path: Path = "/predict"
    payload: Any = None
    """What is posted, as TOML; without it, the input example of the version in the registry."""
    payload_file: str | None = None
    """A JSON file that is posted, rather than `payload`."""
    requests: Count = 3
    """To every ready pod."""
    answer: str = "prediction"
    """The key that the JSON answer must have; empty for any JSON."""
    max_seconds: Seconds | None = 5.0
    """For each answer, the API server's proxy counted in."""


class Parity(Table, frozen=True):
    """The same payloads to both colours, and how far their answers may be apart."""

    enabled: bool = False
    payloads: str | None = None
    """A file of one JSON payload a line; without it `dataset`, else the rows of the version's input example."""
    dataset: str | None = None
    """A dataset logged with the version's training run, or the path of an artifact of it: CSV, JSON lines or JSON."""
    count: Count = 50
    """Payloads at most."""
    tolerance: Annotated[float, Meta(ge=0)] = 0.05
    """Scores that differ by no more than this agree."""
    max_disagreement: Share | None = 0.2
    """Of the payloads."""
    max_flips: Share | None = 0.05
    """Of the payloads: another class, or a score on the other side of `threshold`."""
    threshold: float = 0.5
    max_score_shift: Annotated[float, Meta(ge=0)] | None = 0.1
    """Between the mean scores."""
    max_latency_ratio: Annotated[float, Meta(gt=0)] | None = 2.0
    """Of the 95th percentiles, the new one's to the old one's."""
    max_error_difference: Share | None = 0.0
    """Errors of the new one less those of the old one, of the payloads."""


class Analysis(Table, frozen=True):
    """A measurement that is taken again and again, and what must hold of it."""

    condition: str | None = None
    """`p95 < 1.2 * live`, `error_share < 0.01`, `drift.share < 0.2`; with a `query`: `result < 0.05`."""
    query: str | None = None
    """PromQL that gives one number; `{version}`, `{color}`, `{namespace}`, `{service}`, `{since}` are filled in."""
    template: str | None = None
    """The name of an AnalysisTemplate of Argo Rollouts in the service's namespace, rather than a condition."""
    args: dict[str, str] = {}
    """Of the template."""
    when: Literal["before", "after", "both"] = "both"
    """Before the switch, in the watch window after it, or both."""
    interval: Pause = 10.0
    count: Count = 3
    """Measurements before the switch; in the watch window it is measured to its end."""
    failure_limit: Annotated[int, Meta(ge=0)] = 0
    """Failed measurements that are let pass."""
    inconclusive_limit: Annotated[int, Meta(ge=0)] = 3
    """Measurements without an answer that are let pass."""


class Watch(Table, frozen=True):
    """What follows a switch."""

    on_failure: Literal["ask", "rollback"] = "ask"
    """What a failed analysis in the watch window does."""
    keep_within: Seconds = 0.0
    """Commit-confirmed: unless somebody keeps it within this after the watch window, traffic returns; 0 for never."""
    drain: Seconds = 30.0
    """How long the colour that was left may take until no request reaches it any more."""
    alias: str | None = None
    """The registry alias that follows the traffic, such as `champion`."""


class Freeze(Table, frozen=True):
    """A time in which nothing goes forward; a rollback always may."""

    days: tuple[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"], ...] = ()
    """Every week on these days; none for every day."""
    start: str = "00:00"
    """Time of day, or a date and time (`2026-12-24T18:00`)."""
    end: str = "24:00"
    timezone: str = "UTC"
    reason: str = ""
