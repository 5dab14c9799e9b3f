"""Pipeline runs and their jobs, newest first."""

from __future__ import annotations

from collections.abc import Iterable

from mlconsole.domain.pipelines import Job, JobState, PipelineRun
from mlconsole.ui.render import words
from mlconsole.ui.spans import Line, Slot, Span, line
from mlconsole.ui.widgets.columns import Column
from mlconsole.ui.widgets.table import Row

GLYPHS = {
    JobState.SUCCEEDED: Span("✔", Slot.GOOD),
    JobState.FAILED: Span("✖", Slot.BAD),
    JobState.RUNNING: Span("▶", Slot.MARK),
    JobState.QUEUED: Span("·", Slot.DIM),
    JobState.UNKNOWN: Span("?", Slot.DIM),
}
COLUMNS = (
    Column("run", 24, 70, grows=True),
    Column("state", 4, 10, drop=4),
    Column("git", 0, 7, drop=2),
    Column("took", 2, 6, right=True, drop=1),
    Column("ago", 2, 5, right=True, drop=3),
    Column("from", 0, 10, drop=5),
)


def rows(runs: Iterable[PipelineRun], now: float) -> list[Row]:
    """A row for each run, and one for each job of a run that has more than one or did not go well."""
    found = []
    for run in runs:
        found.append(_run(run, now))
        if len(run.jobs) > 1 or run.state in (JobState.FAILED, JobState.RUNNING):
            found += [_job(run, index, job, now) for index, job in enumerate(run.jobs)]
    return found


def _run(run: PipelineRun, now: float) -> Row:
    number = run.id if run.source == "kubernetes" and len(run.id) <= 8 else ""
    cells: tuple[Line, ...] = (
        line(GLYPHS[run.state], Span(f" {run.name} ", Slot.STRONG), Span(number, Slot.DIM)),
        line(run.state),
        line(Span(run.git_sha[:7], Slot.DIM)),
        line(_took(run.started_at, run.ended_at, run.state, now)),
        line(Span(words.rough_age(now - run.started_at) if run.started_at else "", Slot.DIM)),
        line(Span(run.source, Slot.DIM)),
    )
    return Row(f"{run.source}/{run.name}/{run.id}", cells)


def _job(run: PipelineRun, index: int, job: Job, now: float) -> Row:
    last = index == len(run.jobs) - 1
    message = Span(f"  {job.message}", Slot.BAD if job.state is JobState.FAILED else Slot.DIM) if job.message else ""
    cells: tuple[Line, ...] = (
        line(Span("└ " if last else "├ ", Slot.DIM), GLYPHS[job.state], f" {job.name}", message),
        line(job.state),
        (),
        line(_took(job.started_at, job.ended_at, job.state, now)),
        (),
        (),
    )
    return Row(f"{run.source}/{run.name}/{run.id}/{index}", cells)


def _took(started: float, ended: float, state: JobState, now: float) -> str:
    if not started:
        return ""
    if ended:
        return words.age(ended - started)
    return words.rough_age(now - started) if state is JobState.RUNNING else ""
