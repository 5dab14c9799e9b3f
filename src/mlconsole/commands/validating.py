"""Judge a version by its figures, and keep what came of it: the work of `mlconsole validate`."""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from mlconsole.commands import validatepage
from mlconsole.commands.drifting import Comparison
from mlconsole.commands.driftsides import MODELS, Side, opened, registry_stop, registry_uri
from mlconsole.commands.exits import Exit, Stop
from mlconsole.commands.page import Page
from mlconsole.commands.running import failures, quiet, settings, write_json
from mlconsole.commands.usage import version as as_version
from mlconsole.commands.validateinputs import Given, limits_of, metrics_file, metrics_of, settings_of
from mlconsole.config import Settings
from mlconsole.configvalidation import Validation as Wanted
from mlconsole.domain import drift as drifts
from mlconsole.domain.plans import Verdict
from mlconsole.domain.registry import ModelVersion
from mlconsole.domain.statistics.bootstrap import Plan
from mlconsole.domain.statistics.measuring import measure
from mlconsole.domain.statistics.scores import Task
from mlconsole.domain.text import visible
from mlconsole.domain.validation import (
    Against,
    Check,
    Figure,
    Rule,
    Validation,
    find,
    judge,
    judge_slices,
    known,
    overall,
    rules_of,
    worst_slices,
)
from mlconsole.registry.errors import NoSuchVersion, RegistryError
from mlconsole.registry.reader import find as find_version
from mlconsole.registry.validations import Logged, log_validation
from mlconsole.tables import predictions
from mlconsole.tables.errors import TableError
from mlconsole.tables.files import KNOWN, open_table
from mlconsole.tables.predictions import Predictions

CODES = {Verdict.PASS: Exit.DONE, Verdict.FAIL: Exit.GATE, Verdict.UNKNOWN: Exit.UNKNOWN}
DRIFT = {drifts.DriftVerdict.OK: Verdict.PASS, drifts.DriftVerdict.DRIFTED: Verdict.FAIL}
"""What is neither is unknown."""
NOTHING = ("", "none")
NOTED = 5


class Baseline(Struct, frozen=True):
    """What a version is compared with."""

    label: str = ""
    short: str = ""
    """The same in few characters."""
    given: Given | None = None
    file: str = ""
    """Of predictions, rather than metrics."""
    note: str = ""


def run(args: argparse.Namespace) -> int:
    """Run it: 0 for PASS, 6 for FAIL, 7 for UNKNOWN."""
    quiet()
    with failures(args), tempfile.TemporaryDirectory(prefix="mlconsole-") as folder:
        config = settings(args).settings
        try:
            work = Work(args, config, Path(folder))
            found = work.validation()
        except TableError as error:
            raise Stop(error.message, error.hint, Exit.USAGE) from error
        except RegistryError as error:
            raise registry_stop(error) from error
        logged, stopped = work.log(found) if args.log else (None, None)
        code = int(CODES[found.verdict])
        if stopped is not None and not code:
            code = stopped.code
        if args.output == "json":
            write_json(validatepage.as_json(found, logged, stopped, code))
        else:
            validatepage.show(Page(), found, logged, stopped)
    return code


class Work:
    """One validation."""

    def __init__(self, args: argparse.Namespace, config: Settings, folder: Path) -> None:
        self._args, self._config, self._folder = args, config, folder
        self._wanted: Wanted = settings_of(args.model, args.service, config)
        self._rules, self._drop = limits_of(self._wanted, args)
        self._min_rows: int = args.min_rows or self._wanted.min_rows
        self._sure: bool = args.sure or self._wanted.sure
        self._plan = Plan(self._wanted.confidence, self._wanted.resamples)
        self._check_usage()
        self._version = self._of_registry(as_version(args.version)) if args.version else None
        self.baseline = Baseline()

    def _check_usage(self) -> None:
        args = self._args
        if args.log and self._config.read_only:
            where = self._config.written("read_only")
            raise Stop("this is read-only: nothing is logged", f"read_only by {where}", Exit.DENIED)
        if args.log and not args.version:
            raise Stop("--log keeps the result with a version", "--version 14", Exit.USAGE)
        if not (args.version or args.metrics or args.predictions):
            words = "there is nothing to judge: no version, no metrics, no predictions"
            raise Stop(words, "--version 14, --metrics FILE.json, --predictions FILE.parquet", Exit.USAGE)
        if args.slice and not args.predictions:
            raise Stop("slices are made of predictions", "--predictions FILE", Exit.USAGE)

    def _of_registry(self, wanted: str) -> ModelVersion:
        return find_version(registry_uri(self._config), self._args.model, wanted)

    # ---- what is compared

    def validation(self) -> Validation:
        """All of it. Raises Stop, TableError, RegistryError."""
        self.baseline = self._baseline()
        read = self._predictions()
        given = self._given()
        measured = measure(read.rows, self._rules or self._usual(), self._plan) if read else {}
        figures = {name: Figure(value, given.rows) for name, value in given.metrics.items()} if given else {}
        figures |= measured
        rules, notes = self._chosen(figures, measured)
        checks = [check for name, rule in rules.items() for check in self._judged(name, rule, figures)]
        if read and read.unanswered:
            words = f"{read.unanswered} rows have a truth and no prediction"
            checks.append(Check(metric="rows", n=len(read.rows), words=words))
        found = Validation(
            model=visible(self._args.model, 120),
            version=self._version.version if self._version else "",
            at=time.time(),
            baseline=self.baseline.label,
            source=self._source(read, given),
            checks=tuple(checks),
            metrics={name: figure.value for name, figure in figures.items() if math.isfinite(figure.value)},
            rows=len(read.rows) if read else given.rows if given else None,
            confidence=self._plan.confidence,
            resamples=self._plan.resamples if read else 0,
            notes=tuple(part for part in (self.baseline.note, *notes, *(read.notes if read else ())) if part),
        )
        if read and read.slices:
            found = self._sliced(found, read, rules)
        if self._args.data:
            found = self._drifted(found)
        verdict, why = overall(found)
        return replace(found, verdict=verdict, why=why)

    def _given(self) -> Given | None:
        """Metrics that were not measured here."""
        if self._args.metrics:
            return metrics_file(self._args.metrics)
        if self._args.predictions or self._version is None:
            return None
        run = self._version.run
        if run is None:
            words = f"v{self._version.version} has no metrics: {self._version.run_problem}"
            raise Stop(words, "--predictions or --metrics gives them", Exit.UNKNOWN)
        return metrics_of(self._version, f"run {run.name or run.run_id}")

    def _predictions(self) -> Predictions | None:
        args = self._args
        if not args.predictions:
            return None
        wanted = predictions.Wanted(
            truth=args.truth,
            said=args.prediction,
            score=args.score,
            row=args.id,
            task=Task(args.task) if args.task else None,
            positive=args.positive,
            threshold=args.threshold,
            slices=tuple(dict.fromkeys(args.slice)),
        )
        other = open_table(Path(self.baseline.file).expanduser()) if self.baseline.file else None
        return predictions.read(open_table(Path(args.predictions).expanduser()), wanted, other)

    def _baseline(self) -> Baseline:
        said: str | None = self._args.baseline
        spec = self._wanted.baseline if said is None else said
        if spec in NOTHING:
            return Baseline("none", "none", note="compared with nothing, as was said")
        if spec.lower().endswith(".json"):
            given = metrics_file(spec)
            return Baseline(given.label, Path(given.label).name, given)
        if spec.lower().endswith(KNOWN):
            if not self._args.predictions:
                raise Stop("a baseline of predictions is compared with predictions", "--predictions FILE", Exit.USAGE)
            return Baseline(visible(spec, 200), visible(Path(spec).name, 40), file=spec)
        if said is None and not self._config.registry.tracking_uri:
            return Baseline(note="nothing to compare with: no registry is configured, and no --baseline given")
        return self._of_version(spec, said is not None)

    def _of_version(self, spec: str, said: bool) -> Baseline:
        try:
            found = self._of_registry(as_version(spec))
        except NoSuchVersion as error:
            if said:
                raise
            return Baseline(note=f"nothing to compare with: {error.message}")
        alias = f" {visible(spec, 80)}" if spec.startswith("@") else ""
        label, short = f"v{found.version}{alias}", f"v{found.version}"
        its_own = self._version is not None and found.version == self._version.version
        if its_own and not (self._args.predictions or self._args.metrics):
            return Baseline(note=f"nothing to compare with: v{found.version} is{alias or ' the baseline'} itself")
        if found.run is None:
            return Baseline(note=f"nothing to compare with: {label}: {found.run_problem}")
        return Baseline(label, short, metrics_of(found, label))

    # ---- judging

    def _usual(self) -> dict[str, Rule]:
        return rules_of({}, ("accuracy", *_MEASURED), self._drop)

    def _chosen(self, figures: dict[str, Figure], measured: dict[str, Figure]) -> tuple[dict[str, Rule], list[str]]:
        """What is judged: what was named; else what is known by its name, and the baseline has too."""
        if self._rules:
            return self._rules, []
        given = self.baseline.given
        if given is None:
            there = {name for name, figure in figures.items() if not self.baseline.file or figure.baseline is not None}
            return rules_of({}, there, self._drop), []
        its = [name for name in given.metrics if known(name)]
        if not measured:
            # Both were written by a training: what one has and the other has not is missing.
            return rules_of({}, its, self._drop), []
        left = [name for name in its if find(figures, name) is None]
        note = f"not judged, the baseline's alone: {_some(left)}" if left else ""
        return rules_of({}, [name for name in its if name not in left], self._drop), [note]

    def _judged(self, metric: str, rule: Rule, figures: dict[str, Figure]) -> list[Check]:
        given = self.baseline.given
        baseline = find(given.metrics, metric) if given else None
        checks = judge(visible(metric, 80), rule, find(figures, metric), baseline, self._min_rows, sure=self._sure)
        if given or self.baseline.file:
            return checks
        return [
            replace(check, words="there is no baseline") if check.against is Against.BASELINE else check
            for check in checks
        ]

    def _sliced(self, found: Validation, read: Predictions, rules: dict[str, Rule]) -> Validation:
        """Each slice by itself. Against metrics alone it has no baseline: those are of other rows."""
        with_baseline = read.rows.baseline is not None
        kept = {name: rule if with_baseline else replace(rule, max_drop=None) for name, rule in rules.items()}
        checks: list[Check] = []
        for part in read.slices:
            figures = measure(read.rows.at(part.rows), kept, self._plan)
            for name, rule in kept.items():
                figure = find(figures, name)
                judged = judge(visible(name, 80), rule, figure, None, self._min_rows)
                if not judged and figure is not None:
                    words = "nothing to hold it to: a baseline's predictions, or a floor"
                    judged = [Check(metric=visible(name, 80), value=figure.value, n=figure.n, words=words)]
                checks += [replace(check, slice=part.name) for check in judged]
        settled = judge_slices(checks, 1 - self._plan.confidence)
        return replace(
            found, slices=settled, worst=worst_slices(settled, {visible(n, 80): r for n, r in rules.items()})
        )

    # ---- drift, by the same function as `mlconsole drift`

    def _drifted(self, found: Validation) -> Validation:
        one, comma, two = self._args.data.rpartition(",")
        if not comma:
            if self._version is None:
                raise Stop("--data has one side, and no version to be compared with", "--data R,C", Exit.USAGE)
            one = f"{MODELS}{self._args.model}/{self._version.version}"
        sides = [opened(spec, self._config, self._folder / str(at), None) for at, spec in enumerate((one, two))]
        table = Comparison(self._drift_options(sides), *sides).table()
        told = f"{table.verdict}: {table.why}"
        return replace(found, drift=DRIFT.get(table.verdict, Verdict.UNKNOWN), drift_why=told)

    def _drift_options(self, sides: list[Side]) -> argparse.Namespace:
        args = self._args
        there = {name for side in sides for name in side.names}
        ours = [*args.ignore.split(","), args.truth, args.prediction, args.score, args.id]
        ours += [*predictions.TRUTH, *predictions.SAID, *predictions.SCORE]
        limits = drifts.Limits()
        return argparse.Namespace(
            features=(),
            ignore=tuple(name for name in dict.fromkeys(ours) if name in there),
            categorical=(),
            prediction="",
            alpha=limits.alpha,
            min_effect=limits.min_effect,
            max_share=limits.max_share,
            output=args.output,
        )

    # ---- keeping it

    def log(self, found: Validation) -> tuple[Logged | None, Stop | None]:
        """Keep it with the version; why that could not be done, where it could not."""
        try:
            return log_validation(registry_uri(self._config), found, self.baseline.short), None
        except RegistryError as error:
            return None, registry_stop(error)

    def _source(self, read: Predictions | None, given: Given | None) -> str:
        parts = [f"{visible(self._args.predictions, 200)} ({len(read.rows)} rows)"] if read else []
        return " and ".join([*parts, *([given.label] if given else [])])


_MEASURED = ("precision", "recall", "f1", "auc", "log_loss", "brier", "rmse", "mse", "mae", "mape", "r2")


def _some(names: list[str]) -> str:
    more = f" and {len(names) - NOTED} more" if len(names) > NOTED else ""
    return ", ".join(visible(name, 40) for name in names[:NOTED]) + more
