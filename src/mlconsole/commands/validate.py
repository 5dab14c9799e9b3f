"""`mlconsole validate`: whether a version is as good as it has to be, by its metrics or its predictions."""

from __future__ import annotations

import argparse
import math

from mlconsole.commands.exits import EPILOG

_NOTES = """\
The version's figures are from --predictions, from --metrics, from both (what the predictions do not give), or, without
either, from its run in the registry. FILE.json of --metrics and --baseline is {"f1": 0.91, ...}, or has that under
"metrics" and the number of rows under "rows". --predictions is .parquet, .csv, .tsv or .jsonl (and .csv.gz ...) with
columns y_true and y_pred, or score (how sure of the positive class), or both.

The baseline (--baseline, else that of the settings: @champion) is one of
  @ALIAS, 13        the metrics of that version's run
  FILE.json         metrics
  FILE.parquet ...  predictions on the same rows: the difference gets an interval of its own, and slices a baseline
  none              nothing: floors and ceilings alone

What is judged are the metrics of the settings' [defaults.validation.metrics] and [services.X.validation.metrics], and
those that --min, --max and --max-drop METRIC=X name; where there are none, every metric that is known by its name and
that the baseline has. The figure decides; its interval (bootstrap, BCa) says whether beyond doubt. A slice fails where
it is beyond its limit and that is no chance among all slices; small ones are unknown and told. docs/validation.md.

exit code 0: PASS   6: FAIL   7: UNKNOWN (a metric is missing, too few rows, no baseline): never taken for a pass
2: a file, a column, a version that is not there or cannot be read   3, 5: the registry refuses, or does not answer.
A result that could not be logged ends with 3 or 5 where it would have been 0.

with --output json, one object:
  model, version, at, baseline, source, verdict (PASS, FAIL, UNKNOWN), why, rows, confidence, resamples, notes,
  exit_code, metrics (all that is known of the version), worst (metric to its worst slice), drift, drift_why,
  logged (what was written, or null)
  checks, slices: lists of
    metric, against (min, max, baseline), verdict, value, baseline, limit (the worst value that passes), max_drop,
    relative, loss (how much worse than the baseline, as max_drop counts it), n, low, high (of the value; against a
    baseline, of the loss), certainty (beyond doubt, may be, empty), p_value, q_value, slice, words

"""


def parser(common: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """What it takes."""
    found = argparse.ArgumentParser(
        prog="mlconsole validate",
        description="Hold a version's metrics to limits and to a baseline. Changes nothing but with --log.",
        epilog=_NOTES + EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[common],
        allow_abbrev=False,
    )
    found.add_argument("model", metavar="MODEL", help="the registered model's name")
    found.add_argument("--version", default="", metavar="N", help="a version of it, or @ALIAS")
    found.add_argument("--service", default="", metavar="NAME", help="whose settings (default: that of the model)")
    found.add_argument("--baseline", metavar="B", help="what it is compared with")
    found.add_argument("--metrics", metavar="FILE", help="its metrics, rather than its run's")
    found.add_argument("--predictions", metavar="FILE", help="its predictions")
    found.add_argument("--log", action="store_true", help="keep the result with the version's run, and as its tag")
    found.add_argument("--output", choices=("table", "json"), default="table", help="for people, or one JSON object")
    _limits(found.add_argument_group("limits, over those of the settings"))
    _columns(found.add_argument_group("of predictions"))
    return found


def _limits(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--min", action="append", default=[], type=_named, metavar="METRIC=X", help="at least")
    group.add_argument("--max", action="append", default=[], type=_named, metavar="METRIC=X", help="at most")
    words = "how much worse than the baseline: of one metric, or of all that nothing else is said of"
    group.add_argument("--max-drop", action="append", default=[], type=_perhaps, metavar="[METRIC=]X", help=words)
    group.add_argument("--min-rows", type=_count, metavar="N", help="fewer are unknown (100)")
    group.add_argument("--sure", action="store_true", help="a pass has to be beyond doubt, else it is unknown")


def _columns(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--truth", default="", metavar="COLUMN", help="what was so (y_true, label, target)")
    group.add_argument("--prediction", default="", metavar="COLUMN", help="what was said (y_pred, prediction)")
    group.add_argument("--score", default="", metavar="COLUMN", help="how sure (score, y_score, probability)")
    group.add_argument("--id", default="", metavar="COLUMN", help="names each row, here and in the baseline's file")
    group.add_argument("--task", choices=("classification", "regression"), help="default: as the values have it")
    group.add_argument("--positive", default="", metavar="CLASS", help="the class of precision, recall, F1 and score")
    words = "from which score on it is the positive class, without a column of what was said (0.5)"
    group.add_argument("--threshold", type=_number, default=0.5, metavar="X", help=words)
    group.add_argument("--slice", action="append", default=[], metavar="COLUMN", help="each of its values by itself")
    words = "also drift: two sides as `mlconsole drift` takes them, or the current one against the version's reference"
    group.add_argument("--data", default="", metavar="[R,]C", help=words)
    words = "columns of them left out, besides the truth, the prediction, the score and the id"
    group.add_argument("--ignore", default="", metavar="A,B", help=words)


def run(args: argparse.Namespace) -> int:
    """Run it."""
    from mlconsole.commands import validating

    return validating.run(args)


def _number(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        raise argparse.ArgumentTypeError(f"{text!r} is no number")
    return found


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of rows")
    return int(text)


def _named(text: str) -> tuple[str, float]:
    name, sign, value = text.rpartition("=")
    if not sign or not name:
        raise argparse.ArgumentTypeError(f"{text!r}: METRIC=X is wanted, such as f1=0.8")
    return name, _number(value)


def _perhaps(text: str) -> tuple[str, float]:
    found = _named(text) if "=" in text else ("", _number(text))
    if found[1] < 0:
        raise argparse.ArgumentTypeError(f"{text!r}: 0 or more is wanted")
    return found
