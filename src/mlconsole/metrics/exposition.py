"""A model server's page of figures: the few families of the text format that the panels and the drift table need.

prometheus_client has a parser of the whole format; it takes 3.1 ms for the page of an embedded model server (136
lines), with 50 pods every 5 s 3 % of a core, of the 5 % that all processes together may use. What is read here is the
same to the digit (a property test holds it to the library) in 0.17 ms a page once its labels are known: from one scrape
to the next only the values change, so the text before a value is the key to what it means.
`benchmarks/scrape.py` prints the figures. The format:
https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from msgspec import Struct

PREDICTIONS = "ml_predictions_total"
ERRORS = "ml_prediction_errors_total"
DURATION = "ml_prediction_duration_seconds"
FEATURE = "ml_feature_value"
REFERENCE = "ml_feature_reference_share"
REFERENCE_ROWS = "ml_feature_reference_rows"
PREDICTION_VALUE = "ml_prediction_value"
PREDICTION_REFERENCE = "ml_prediction_reference_share"
MISSING = "ml_feature_missing_total"
MISSING_REFERENCE = "ml_feature_reference_missing_share"
CATEGORY = "ml_feature_category_total"
CATEGORY_REFERENCE = "ml_feature_reference_category_share"
CLASS = "ml_prediction_class_total"
CLASS_REFERENCE = "ml_prediction_reference_class_share"
LABELS = "ml_labels_total"
PREDICTION = ""
"""The name under which the values of the prediction stand among the features: no feature has it."""
STARTED = "process_start_time_seconds"
FAILED_STATUSES = frozenset({"error", "errors", "failed", "failure", "exception"})
"""What the label `status` says of a prediction that failed, where no family counts the errors."""
_WANTED = (PREDICTIONS, ERRORS, f"{DURATION}_bucket", STARTED)
_FEATURES = (
    f"{FEATURE}_bucket",
    REFERENCE,
    REFERENCE_ROWS,
    f"{PREDICTION_VALUE}_bucket",
    PREDICTION_REFERENCE,
    MISSING,
    MISSING_REFERENCE,
    CATEGORY,
    CATEGORY_REFERENCE,
    CLASS,
    CLASS_REFERENCE,
    LABELS,
)
MAX_LABELS = 4096
"""Characters of a line before its value; a longer one is none of a model server's own and is left out."""
MAX_LINES = 50_000
MAX_BODY = 2 * 2**20
"""As much as is read of a page through the API server; one that long was cut."""

_HEAD = re.compile(r"\s*([a-zA-Z_:][a-zA-Z0-9_:]*)\s*(\{)?")
_LABEL = re.compile(r'\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*=\s*"((?:[^"\\]|\\.)*)"\s*(,|\})')
_CLOSED = re.compile(r"\s*\}")
_ESCAPE = re.compile(r"\\(.)")

Labels = dict[str, str]


class Malformed(Exception):
    """A page that is none, or was cut short; the text says why."""


class Sample(Struct, frozen=True):
    """One line."""

    name: str
    labels: Labels
    value: float


class Page(Struct):
    """What one scrape of one pod said. Counters are totals since the process started; None is unknown."""

    requests: float | None = None
    errors: float | None = None
    """By the family of the errors; where there is none, by `status`; None where neither tells."""
    buckets: dict[float, float] = {}
    """Cumulative counts of the durations by upper edge."""
    started: float | None = None
    features: dict[str, dict[float, float]] = {}
    references: dict[str, dict[float, float]] = {}
    """Cumulative shares of the training data by upper edge."""
    rows: dict[str, float] = {}
    """Rows that the shares rest on, those without a value too."""
    categories: dict[str, dict[str, float]] = {}
    """Counts by category, and of the prediction by class."""
    category_shares: dict[str, dict[str, float]] = {}
    """Of the training data."""
    missing: dict[str, float] = {}
    """Rows without a value."""
    missing_shares: dict[str, float] = {}
    labels: dict[str, float] = {}
    """Labels that came late, by `right` and `wrong`."""
    color: str = ""
    version: str = ""
    odd: tuple[str, ...] = ()
    """Families with a value that no count can have (NaN, infinite, negative): they are unknown."""

    @property
    def empty(self) -> bool:
        """Whether none of the families is there: not the page of a model server."""
        return self.requests is None and not self.buckets and not self.features and not self.categories


class Parser:
    """Reads pages and remembers what the text before a value means."""

    def __init__(self, remembered: int = 20_000) -> None:
        self._remembered = remembered
        self._known: dict[str, tuple[str, Labels]] = {}

    def samples(self, text: str, wanted: tuple[str, ...]) -> Iterator[Sample]:
        """The samples of the families in `wanted`, in order. Raises Malformed for a line of them that is none."""
        names = frozenset(wanted)
        for number, whole in enumerate(text.split("\n"), 1):
            line = whole if whole.startswith(wanted) else whole.lstrip(" \t")
            if not line.startswith(wanted):
                continue
            before, _, last = line.rpartition(" ")
            known = self._known.get(before)
            if known is not None:
                if known[0] in names:
                    yield Sample(known[0], known[1], _number(last, number))
                continue
            name, labels, rest, before = _split(line, number)
            fields = rest.split("#", 1)[0].split()
            if not fields or len(fields) > 2:
                raise Malformed(f"line {number}: a value is missing or followed by more than a time")
            if name in names:
                yield Sample(name, labels, _number(fields[0], number))
            if len(before) <= MAX_LABELS and rest[:1] == " " and rest[1:] == fields[0]:
                self._remember(before, name, labels)

    def families(self, body: bytes, wanted: tuple[str, ...]) -> list[Sample]:
        """The samples of some families of a page. Raises Malformed."""
        return list(self.samples(_text(body), wanted))

    def page(self, body: bytes, *, features: bool = True) -> Page:
        """The page in `body`, the histograms of the features left out if so wished: they are most of it.

        Raises Malformed.
        """
        text = _text(body)
        page = Page(buckets={}, features={}, references={}, rows={}, categories={}, category_shares={})
        page.missing, page.missing_shares, page.labels = {}, {}, {}
        counted: dict[str, float] = {}
        odd: set[str] = set()
        for sample in self.samples(text, (*_WANTED, *_FEATURES) if features else _WANTED):
            if math.isfinite(sample.value) and sample.value >= 0:
                _TAKE[sample.name](page, sample, counted)
            else:
                odd.add(sample.name)
        if ERRORS in counted:
            page.errors = counted[ERRORS]
        elif page.requests is not None and "status" in counted:
            page.errors = counted.get("failed", 0.0)
        return _without(page, odd)

    def _remember(self, before: str, name: str, labels: Labels) -> None:
        if len(self._known) >= self._remembered:
            self._known.clear()
        self._known[before] = (name, labels)


def _text(body: bytes) -> str:
    """The body as text. Raises Malformed for what cannot be a page, and for one that was cut in the middle."""
    start = body[:200].lstrip()
    if start[:1] == b"<":
        raise Malformed("the answer is HTML, not figures: a login page, or another server's port")
    if start[:1] in (b"[", b'"') or start[:2] in (b'{"', b"{}"):
        raise Malformed("the answer is JSON, not figures")
    if (body and not body.endswith(b"\n")) or len(body) >= MAX_BODY:
        # A counter's last digits would be missing: the next scrape would look like a burst of requests.
        raise Malformed("the page is cut short: its last line has no end, or it is over 2 MiB")
    if body.count(b"\n") > MAX_LINES:
        raise Malformed(f"the page has more than {MAX_LINES} lines")
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise Malformed("the page is not UTF-8 text") from error


def _split(line: str, number: int) -> tuple[str, Labels, str, str]:
    """Name, labels, what follows them, and what stands before it."""
    head = _HEAD.match(line)
    if head is None:
        raise Malformed(f"line {number}: no metric's name")
    if not head[2]:
        end = head.end(1)
        return head[1], {}, line[end:], line[:end]
    labels: Labels = {}
    at = head.end()
    closed = _CLOSED.match(line, at)
    while closed is None:
        label = _LABEL.match(line, at)
        if label is None:
            raise Malformed(f"line {number}: labels that do not end or are not quoted")
        labels[label[1]] = _ESCAPE.sub(_unescape, label[2]) if "\\" in label[2] else label[2]
        at = label.end()
        if label[3] == "}":
            break
        closed = _CLOSED.match(line, at)
    end = closed.end() if closed else at
    return head[1], labels, line[end:], line[:end]


def _unescape(found: re.Match[str]) -> str:
    return {"n": "\n", '"': '"', "\\": "\\"}.get(found[1], found[0])


def _number(text: str, number: int) -> float:
    try:
        return float(text)
    except ValueError:
        raise Malformed(f"line {number}: a value that is no number") from None


# ---- families


def _without(page: Page, odd: set[str]) -> Page:
    """The page without the families of which a sample was no count: part of a sum would be a wrong figure."""
    if PREDICTIONS in odd:
        page.requests = page.errors = None
    if ERRORS in odd:
        page.errors = None
    if f"{DURATION}_bucket" in odd:
        page.buckets = {}
    for name in odd & _MAPS.keys():
        told = getattr(page, _MAPS[name])
        if name.startswith("ml_prediction"):
            told.pop(PREDICTION, None)
        else:
            # The prediction has families of its own.
            setattr(page, _MAPS[name], {key: told[key] for key in told.keys() & {PREDICTION}})
    page.odd = tuple(sorted(odd))
    return page


def _predictions(page: Page, sample: Sample, counted: dict[str, float]) -> None:
    page.requests = (page.requests or 0.0) + sample.value
    page.color = sample.labels.get("color", page.color)
    page.version = sample.labels.get("version", page.version)
    status = sample.labels.get("status")
    if status is not None:
        counted["status"] = 1.0
        if status.lower() in FAILED_STATUSES:
            counted["failed"] = counted.get("failed", 0.0) + sample.value


def _errors(_page: Page, sample: Sample, counted: dict[str, float]) -> None:
    counted[ERRORS] = counted.get(ERRORS, 0.0) + sample.value


def _duration(page: Page, sample: Sample, _counted: dict[str, float]) -> None:
    edge = _edge(sample)
    if edge is not None:
        page.buckets[edge] = page.buckets.get(edge, 0.0) + sample.value


def _started(page: Page, sample: Sample, _counted: dict[str, float]) -> None:
    page.started = sample.value


def _feature(page: Page, sample: Sample, _counted: dict[str, float]) -> None:
    edge, name = _edge(sample), _subject(sample)
    if edge is not None and name is not None:
        into = page.features.setdefault(name, {})
        into[edge] = into.get(edge, 0.0) + sample.value


def _reference(page: Page, sample: Sample, _counted: dict[str, float]) -> None:
    edge, name = _edge(sample), _subject(sample)
    if edge is not None and name is not None:
        page.references.setdefault(name, {})[edge] = sample.value


def _single(page: Page, sample: Sample, _counted: dict[str, float]) -> None:
    """A figure of a whole feature."""
    name = _subject(sample)
    if name is not None:
        into = getattr(page, _MAPS[sample.name])
        into[name] = into.get(name, 0.0) + sample.value if sample.name == MISSING else sample.value


def _category(page: Page, sample: Sample, _counted: dict[str, float]) -> None:
    name, category = _subject(sample), sample.labels.get("class" if sample.name in _CLASSES else "category")
    if name is not None and category is not None:
        into = getattr(page, _MAPS[sample.name]).setdefault(name, {})
        into[category] = into.get(category, 0.0) + sample.value


def _labels(page: Page, sample: Sample, _counted: dict[str, float]) -> None:
    outcome = sample.labels.get("outcome", "")
    page.labels[outcome] = page.labels.get(outcome, 0.0) + sample.value


def _subject(sample: Sample) -> str | None:
    """The feature that a sample is of, or the prediction."""
    if sample.name.startswith("ml_prediction"):
        return PREDICTION
    return sample.labels.get("feature") or None


def _edge(sample: Sample) -> float | None:
    try:
        edge = float(sample.labels.get("le", ""))
    except ValueError:
        return None
    return None if math.isnan(edge) else edge


_CLASSES = (CLASS, CLASS_REFERENCE)
_MAPS = {
    f"{FEATURE}_bucket": "features",
    REFERENCE: "references",
    f"{PREDICTION_VALUE}_bucket": "features",
    PREDICTION_REFERENCE: "references",
    REFERENCE_ROWS: "rows",
    MISSING: "missing",
    MISSING_REFERENCE: "missing_shares",
    CATEGORY: "categories",
    CATEGORY_REFERENCE: "category_shares",
    CLASS: "categories",
    CLASS_REFERENCE: "category_shares",
    LABELS: "labels",
}
"""Where the figures of a family stand on the page."""
_TAKE = {
    PREDICTIONS: _predictions,
    ERRORS: _errors,
    f"{DURATION}_bucket": _duration,
    STARTED: _started,
    f"{FEATURE}_bucket": _feature,
    REFERENCE: _reference,
    REFERENCE_ROWS: _single,
    f"{PREDICTION_VALUE}_bucket": _feature,
    PREDICTION_REFERENCE: _reference,
    MISSING: _single,
    MISSING_REFERENCE: _single,
    CATEGORY: _category,
    CATEGORY_REFERENCE: _category,
    CLASS: _category,
    CLASS_REFERENCE: _category,
    LABELS: _labels,
}
