"""`mlconsole drift`: what a model sees beside what it was trained on, from files and the registry."""

from __future__ import annotations

import argparse

from mlconsole.commands.exits import EPILOG

_NOTES = """\
R and C are each one of
  FILE.parquet, .csv, .tsv, .jsonl (and .csv.gz ...)   rows; Parquet is read column by column, the others whole
  FILE.json                                            a reference, as mlconsole.monitor.reference makes it
  models:/NAME/VERSION, models:/NAME@ALIAS             the reference that was logged with a registered version
  runs:/RUN_ID/PATH                                    an artifact of a run: either of the two above

A feature has drifted where the change is sure (its q-value, by Benjamini and Hochberg over all features and over what
they miss, is below --alpha) and matters (its effect is at least --min-effect). The effect is the share of rows that
lie elsewhere: of numbers the KS distance, of categories the total variation, or the change of the missing share.
`look`: sure, and in few rows. `unknown`: too few values, or nothing to compare; never taken for ok.
All of it: drifted where the prediction did or more than --max-share of the judged features; else unknown where a column
of the reference is missing or of another kind, or most features cannot be judged. docs/drift.md has the statistics.

exit code 0: ok   6: drifted   7: unknown   (2: a file, a column or a name that is not there or cannot be read)

with --output json, one object:
  reference, current (what was compared), alpha, min_effect, max_share, share (of the judged features that drifted),
  verdict (ok, drifted, unknown), why (by which rule), exit_code
  features: a list, the largest effect first, of
    feature, kind (numeric, categorical, prediction), test, ks, ks_upper, chi2, p_value, q_value, psi, js, wasserstein,
    n_reference, n_current, missing_reference, missing_current, missing_p_value, missing_q_value, effect, mde (the
    smallest distance that so many values show), unseen, unseen_share, verdict (ok, drifted, look, unknown), why
  columns: missing, new, other_kind, twice (names), skipped (name to why it was not compared)

"""


def parser(common: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """What it takes."""
    found = argparse.ArgumentParser(
        prog="mlconsole drift",
        description="Compare what a model sees with what it was trained on, feature by feature. Changes nothing.",
        epilog=_NOTES + EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[common],
        allow_abbrev=False,
    )
    found.add_argument("--reference", required=True, metavar="R", help="what it was trained on")
    found.add_argument("--current", required=True, metavar="C", help="what it sees now")
    found.add_argument("--features", type=_names, default=(), metavar="A,B", help="these alone (default: all)")
    found.add_argument("--ignore", type=_names, default=(), metavar="A,B", help="all but these")
    found.add_argument("--categorical", type=_names, default=(), metavar="A,B", help="numbers that are categories")
    found.add_argument("--prediction", default="", metavar="COLUMN", help="the model's answers, judged by themselves")
    found.add_argument("--alpha", type=_share, default=0.05, metavar="P", help="of false alarms among alarms (0.05)")
    found.add_argument("--min-effect", type=_share, default=0.1, metavar="E", help="rows that lie elsewhere (0.1)")
    found.add_argument("--max-share", type=_share_or_none, default=0.0, metavar="S", help="features that may drift (0)")
    found.add_argument("--output", choices=("table", "json", "html"), default="table", help="HTML is one page, whole")
    return found


def run(args: argparse.Namespace) -> int:
    """Run it."""
    from mlconsole.commands import drifting

    return drifting.run(args)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name for name in text.split(",") if name)


def _share(text: str) -> float:
    found = _share_or_none(text)
    if not 0 < found < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no share between 0 and 1")
    return found


def _share_or_none(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = -1.0
    if not 0 <= found < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no share from 0 to 1")
    return found
