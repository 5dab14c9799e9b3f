"""Drift: what is said of a feature, and of all of them together.

Words and facts alone, which the screen imports too. The arithmetic is in `domain.statistics`, which wants numpy.

One unit of effect holds for everything: the share of rows that lie elsewhere. Of numbers it is the KS distance (the
share that crossed the worst threshold), of categories the total variation distance (the share that would have to move
back), of missing values the change of their share. A feature has drifted when the change is sure (its q-value is below
alpha) and large enough to matter (its effect reaches the limit): either alone cries wolf.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence

from msgspec import Struct

MINIMUM_SAMPLE = 200
"""Values on either side, at least."""
ALPHA = 0.05
"""The share of false ones among the features that are called changed, at most."""
MIN_EFFECT = 0.1
"""The share of rows that must lie elsewhere. A normal feature that moves by half a standard deviation moves 0.20."""
SEEN = 2.0
"""An effect of this many times the limit would have been seen, or nothing is said to be ok. One right at the limit is
seen half of the time however much is counted."""
POWER = 0.8
"""Of the minimum detectable effect."""
ASSUMED_ROWS = 1000
"""What a reference is taken to rest on that does not say how many rows it rests on."""
PSI_LOOK = 0.25
LOOK_SHARE = 0.01
"""Rows with a category never seen, or newly missing, that are worth a look."""
OTHER = "__other__"
"""The category under which a server counts the values that its reference has not."""


class DriftVerdict(enum.StrEnum):
    """What the figures of a feature say."""

    DRIFTED = "drifted"
    LOOK = "look"
    """Surely changed, in few rows: outliers, a rare category, some values gone. It counts as not drifted."""
    UNKNOWN = "unknown"
    OK = "ok"


class Kind(enum.StrEnum):
    """What a row is about."""

    NUMERIC = "numeric"
    CATEGORICAL = "categorical"
    PREDICTION = "prediction"


class Method(enum.StrEnum):
    """Where a p-value is from."""

    RAW = "KS"
    BINS = "KS on bins"
    CHI_SQUARE = "chi-square"
    NONE = ""


class Limits(Struct, frozen=True):
    """What is held to be drift."""

    alpha: float = ALPHA
    min_effect: float = MIN_EFFECT
    max_share: float = 0.0
    """The share of features that may drift before all of it has."""


class FeatureDrift(Struct, frozen=True, kw_only=True):
    """One feature against its reference. None is unknown, or does not apply to its kind."""

    feature: str
    color: str = ""
    kind: Kind = Kind.NUMERIC
    method: Method = Method.NONE
    n_reference: int | None = None
    n_current: int = 0
    ks: float | None = None
    """Of raw values Kolmogorov's distance; from bins its lower bound, the largest one at an edge."""
    ks_upper: float | None = None
    """From bins: the distance cannot be larger than this."""
    variation: float | None = None
    """Of categories: the total variation distance, less what sampling alone would make of it."""
    chi2: float | None = None
    bins: int = 0
    """Bins or categories that were compared."""
    p_value: float | None = None
    q_value: float | None = None
    """The same, by Benjamini and Hochberg's rule, among all features."""
    psi: float | None = None
    js: float | None = None
    """Jensen-Shannon distance, 0 to 1."""
    wasserstein: float | None = None
    """In standard deviations of the reference (its interquartile range / 1.349)."""
    missing_reference: float | None = None
    """A share of rows."""
    missing_current: float | None = None
    missing_p_value: float | None = None
    missing_q_value: float | None = None
    effect: float | None = None
    """The share of rows that lie elsewhere: of the distance and of the change in what is missing, the larger."""
    mde: float | None = None
    """The smallest distance that this many values show, four times out of five."""
    unseen: tuple[str, ...] = ()
    """Categories that the reference has not, the most frequent first."""
    unseen_share: float = 0.0
    gone: bool = False
    """Whether the current data has no such feature, or one of another kind."""
    verdict: DriftVerdict = DriftVerdict.UNKNOWN
    why: str = ""

    @property
    def distance(self) -> float | None:
        """How far the values went, whatever kind they are."""
        return self.variation if self.method is Method.CHI_SQUARE else self.ks


class Picture(Struct, frozen=True):
    """Two distributions to be drawn on each other: the shares of both, bin by bin."""

    reference: tuple[float, ...]
    current: tuple[float, ...]
    edges: tuple[float, ...] = ()
    """Of numbers: the first bin is below the first edge, the last above the last."""
    names: tuple[str, ...] = ()
    """Of categories, fit to be shown."""


class Trend(Struct, frozen=True):
    """How a feature got where it is, as far as it was watched."""

    since: float
    """When its verdict became what it is."""
    watched: float
    """Since when it is watched: a verdict as old may be older."""
    distances: tuple[float | None, ...] = ()
    """The newest last, one a table."""
    earlier: tuple[float | None, ...] = ()
    """Of whole windows before it was watched, where that is known."""
    step: float = 0.0
    """Seconds between those."""


class Basis(enum.StrEnum):
    """Where the reference of a colour is from, the best first."""

    REGISTRY = "registry"
    """The artifact that was logged when the version was trained."""
    SERVERS = "servers"
    """The same as its servers export it."""
    COLOR = "colour"
    """What another colour sees at the same time."""
    PAST = "past"
    """What was seen in an earlier window."""
    NONE = "none"


class Against(Struct, frozen=True):
    """What a colour is held against."""

    basis: Basis = Basis.NONE
    words: str = "nothing"
    detail: str = ""
    """What is known of it beside: rows, when it was made."""
    instead: str = ""
    """Why nothing better is used."""

    @property
    def weak(self) -> bool:
        """Whether it is none of the version's own training."""
        return self.basis not in (Basis.REGISTRY, Basis.SERVERS)


class Accuracy(Struct, frozen=True):
    """How many predictions of a colour were right, by labels that came late."""

    color: str
    right: float
    wrong: float
    low: float = 0.0
    high: float = 1.0
    """Within this 95 times out of a hundred (Wilson)."""
    steps: tuple[float | None, ...] = ()
    """The same step by step, the newest last."""
    step: float = 0.0
    """Seconds of each."""
    trained: float | None = None
    """What the version's run says of itself."""
    verdict: DriftVerdict = DriftVerdict.UNKNOWN
    why: str = ""
    until: float = 0.0
    """When the newest of the steps ends, which may be soon."""

    @property
    def value(self) -> float | None:
        """The share that was right."""
        return self.right / self.n if self.n else None

    @property
    def n(self) -> float:
        """Labels."""
        return self.right + self.wrong


class DriftTable(Struct, frozen=True):
    """Every feature of a service or of a table, the largest effect first."""

    service: str
    at: float
    features: tuple[FeatureDrift, ...] = ()
    problem: str = ""
    reference: str = ""
    current: str = ""
    share: float | None = None
    """Of the features that can be judged, those that drifted."""
    verdict: DriftVerdict = DriftVerdict.UNKNOWN
    why: str = ""
    """The rule by which it is so, in words."""
    limits: Limits = Limits()
    pictures: dict[str, Picture] = {}
    """Of the features with the largest effects, by `key_of`."""
    trends: dict[str, Trend] = {}
    """By `key_of`."""
    references: dict[str, Against] = {}
    """What each colour is held against."""
    accuracy: tuple[Accuracy, ...] = ()
    """Of the colours that labels came for."""


def key_of(row: FeatureDrift) -> str:
    """What names a row in its table."""
    return f"{row.kind is Kind.PREDICTION:d}/{row.color}/{row.feature}"


def by_effect(rows: Sequence[FeatureDrift]) -> tuple[FeatureDrift, ...]:
    """Rows with the largest effect first, those without one last, ties by name."""
    return tuple(sorted(rows, key=lambda row: (row.effect is None, -(row.effect or 0.0), row.feature, row.color)))


def overall(rows: Sequence[FeatureDrift], limits: Limits) -> tuple[float | None, DriftVerdict, str]:
    """The share of the features that drifted, what is said of all of them, and by which rule."""
    features = [row for row in rows if row.kind is not Kind.PREDICTION]
    predictions = [row for row in rows if row.kind is Kind.PREDICTION]
    judged = [row for row in features if row.verdict is not DriftVerdict.UNKNOWN]
    drifted = sum(row.verdict is DriftVerdict.DRIFTED for row in judged)
    share = drifted / len(judged) if judged else None
    counted = f"{drifted} of {len(judged)} features drifted"
    if any(row.verdict is DriftVerdict.DRIFTED for row in predictions):
        return share, DriftVerdict.DRIFTED, f"the prediction drifted; {counted}"
    if share is not None and share > limits.max_share:
        allowed = f"{limits.max_share:.0%} may" if limits.max_share else "none may"
        return share, DriftVerdict.DRIFTED, f"{counted}, {allowed}"
    gone = [row.feature for row in rows if row.gone]
    if gone:
        more = f" and {len(gone) - 1} more" if len(gone) > 1 else ""
        return share, DriftVerdict.UNKNOWN, f"{gone[0]}{more} cannot be compared; {counted}"
    unknown = len(features) - len(judged)
    if not judged or unknown > len(judged):
        return share, DriftVerdict.UNKNOWN, f"{unknown} of {len(features)} features cannot be judged"
    if any(row.verdict is DriftVerdict.UNKNOWN for row in predictions):
        return share, DriftVerdict.UNKNOWN, f"the prediction cannot be judged; {counted}"
    return share, DriftVerdict.OK, counted
