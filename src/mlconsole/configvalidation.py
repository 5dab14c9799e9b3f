"""The settings of validation: what a version's metrics are held to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta

from mlconsole.configtypes import Count, Table

if TYPE_CHECKING:
    from mlconsole.domain.validation import Threshold


class Limit(Table, frozen=True):
    """What one metric is held to; with nothing said, to the baseline."""

    min: float | None = None
    max: float | None = None
    max_drop: Annotated[float, Meta(ge=0)] | None = None
    """How much worse than the baseline it may be, whichever way is worse."""
    relative: bool | None = None
    """`max_drop` is a share of the baseline's; without it, of errors (`rmse`, `log_loss`) it is."""
    better: Literal["higher", "lower"] | None = None
    """Which way is better, where the metric's name does not say it."""

    def threshold(self) -> Threshold:
        """The same, as the domain has it."""
        from mlconsole.domain.validation import Threshold  # not before one is needed: a console starts without it

        return Threshold(self.min, self.max, self.max_drop, self.relative, self.better or "")


class Validation(Table, frozen=True):
    """What a version has to be, before it is one to deploy."""

    baseline: str = "@champion"
    """What it is compared with: an alias, a version, a file; empty for nothing."""
    max_drop: Annotated[float, Meta(ge=0)] = 0.05
    """How much worse than the baseline a metric may be where `metrics` names none."""
    min_rows: Count = 100
    """Of predictions, and of a slice of them; fewer are unknown."""
    sure: bool = False
    """A pass has to be beyond doubt: else it is unknown."""
    confidence: Annotated[float, Meta(gt=0.5, lt=1)] = 0.95
    """Of the intervals."""
    resamples: Annotated[int, Meta(ge=100, le=100_000)] = 2000
    metrics: dict[str, Limit] = {}
    """By name: these are judged; with none, every metric that is known by its name and that the baseline has too."""
