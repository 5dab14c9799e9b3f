"""Compare two sides, column by column, and say what came of it: the work of `mlconsole drift`."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from mlconsole.commands import drifthtml, driftpage
from mlconsole.commands.driftsides import Side, opened
from mlconsole.commands.exits import Exit, Stop
from mlconsole.commands.page import Page
from mlconsole.commands.running import failures, quiet, settings, write_json
from mlconsole.domain.drift import DriftTable, DriftVerdict, Limits
from mlconsole.domain.statistics.judging import Column, Pair, judge_all
from mlconsole.domain.statistics.pictures import picture
from mlconsole.domain.statistics.verdicts import table
from mlconsole.domain.text import visible
from mlconsole.tables.errors import TableError

CODES = {DriftVerdict.OK: Exit.DONE, DriftVerdict.DRIFTED: Exit.GATE}
"""What is neither is unknown."""
NAME = 200


class Columns(Struct):
    """Which columns were compared, and which were not."""

    missing: list[str] = []
    new: list[str] = []
    other_kind: list[str] = []
    twice: list[str] = []
    skipped: dict[str, str] = {}
    """To why."""


def run(args: argparse.Namespace) -> int:
    """Run it: 0 for ok, 6 for drifted, 7 for unknown."""
    quiet()
    with failures(args), tempfile.TemporaryDirectory(prefix="mlconsole-") as folder:
        only = {*args.features, args.prediction} if args.features else None
        config = settings(args).settings
        reference = opened(args.reference, config, Path(folder) / "reference", only)
        current = opened(args.current, config, Path(folder) / "current", only)
        comparison = Comparison(args, reference, current)
        try:
            found = comparison.table()
        except TableError as error:
            raise Stop(error.message, error.hint, Exit.USAGE) from error
        code = CODES.get(found.verdict, Exit.UNKNOWN)
        _write(args.output, found, comparison, code)
    return code


def _write(output: str, found: DriftTable, comparison: Comparison, code: int) -> None:
    if output == "json":
        write_json(driftpage.as_json(found, comparison.columns, code))
    elif output == "html":
        sys.stdout.write(drifthtml.page(found, comparison.columns, comparison.pictures, time.time()))
    else:
        driftpage.show(Page(), found, comparison.columns)


class Comparison:
    """Two sides, and what is found out on the way."""

    def __init__(self, args: argparse.Namespace, reference: Side, current: Side) -> None:
        self._reference, self._current = reference, current
        self._categorical = set(args.categorical)
        self._prediction: str = args.prediction
        self._limits = Limits(args.alpha, args.min_effect, args.max_share)
        self._draw = args.output == "html"
        self.columns = Columns(twice=_shown(sorted({*reference.twice, *current.twice})))
        self.pictures: drifthtml.Pictures = {}
        names = self._chosen(args)
        there, here = set(reference.names), set(current.names)
        self.columns.missing = _shown(name for name in names if name not in here)
        if not args.features:
            known = {*there, *args.ignore, args.prediction}
            self.columns.new = _shown(name for name in current.names if name not in known)
        self._names = names

    def _chosen(self, args: argparse.Namespace) -> list[str]:
        """The features to compare. Raises Stop for a name that is none."""
        known, here = set(self._reference.names), set(self._current.names)
        for name in (*args.features, *args.ignore, *args.categorical):
            if name not in known | here:
                raise Stop(f"{visible(name, 80)} is a column of neither side", _known(self._reference), Exit.USAGE)
        for name in args.features:
            if name not in known:
                raise Stop(f"{visible(name, 80)} is not in the reference", _known(self._reference), Exit.USAGE)
        left_out = {*args.ignore, args.prediction}
        names = [name for name in args.features or self._reference.names if name not in left_out]
        if not names and not args.prediction:
            raise Stop("there is no feature to compare", _known(self._reference), Exit.USAGE)
        return names

    def table(self) -> DriftTable:
        """Everything compared and judged. Raises Stop, TableError."""
        rows = judge_all(self._pairs())
        self.columns.other_kind = [row.feature for row in rows if row.gone and row.feature not in self.columns.missing]
        return table(rows, self._limits, reference=self._reference.label, current=self._current.label)

    def _pairs(self) -> Iterator[Pair]:
        """Column by column: of what is large no more than two are in memory."""
        here = set(self._current.names)
        for name in self._names:
            categorical = name in self._categorical
            one = self._reference.column(name, categorical=categorical)
            other = self._current.column(name, categorical=categorical) if name in here else None
            if isinstance(one, str) or isinstance(other, str):
                self.columns.skipped[visible(name, NAME)] = one if isinstance(one, str) else str(other)
            else:
                yield self._pair(name, one, other)
        yield from self._predictions()

    def _predictions(self) -> Iterator[Pair]:
        """What the model answered: where it was asked for, or both sides are references that have it."""
        name = self._prediction
        if not name and None in (self._reference.prediction(""), self._current.prediction("")):
            return
        one, other = (self._answers(side, name) for side in (self._reference, self._current))
        yield self._pair(name or "prediction", one, other, prediction=True)

    def _answers(self, side: Side, name: str) -> Column:
        found = side.prediction(name)
        if found is None:
            words = f"{side.label} has no prediction {visible(name, 80)}"
            raise Stop(words, f"its columns: {_known(side)}", Exit.USAGE)
        if isinstance(found, str):
            raise Stop(f"{visible(name, 80)} of {side.label} cannot be compared: {found}", code=Exit.USAGE)
        return found

    def _pair(self, name: str, one: Column, other: Column | None, *, prediction: bool = False) -> Pair:
        shown = visible(name, NAME)
        if self._draw and len(self.pictures) < drifthtml.MOST_ROWS:
            drawn = picture(one, other)
            if drawn is not None:
                self.pictures[shown, prediction] = drawn
        return Pair(shown, one, other, prediction=prediction)


def _shown(names: Iterator[str] | list[str]) -> list[str]:
    return [visible(name, NAME) for name in names]


def _known(side: Side) -> str:
    names = [visible(name, 40) for name in side.names[:8]]
    return ", ".join(names) + (f" and {len(side.names) - 8} more" if len(side.names) > 8 else "") or "it has none"
