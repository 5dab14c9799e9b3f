"""Pipeline runs as the cluster's Jobs and the registry's runs tell of them."""

from __future__ import annotations

import enum

from msgspec import Struct


class JobState(enum.StrEnum):
    """How a job stands; the words of GitHub Actions."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    UNKNOWN = "unknown"


class Job(Struct, frozen=True):
    """One job of a pipeline run, or a Job that stands alone."""

    name: str
    state: JobState
    started_at: float = 0.0
    ended_at: float = 0.0
    message: str = ""


class PipelineRun(Struct, frozen=True):
    """One run, its jobs in the order they started."""

    id: str
    name: str
    source: str
    """Where it is known from: `kubernetes` or `mlflow`."""
    state: JobState
    service: str = ""
    git_sha: str = ""
    started_at: float = 0.0
    ended_at: float = 0.0
    jobs: tuple[Job, ...] = ()
    user: str = ""


def overall(jobs: tuple[Job, ...]) -> JobState:
    """The state of a run from those of its jobs: the worst that still matters."""
    states = {job.state for job in jobs}
    for state in (JobState.FAILED, JobState.RUNNING, JobState.QUEUED, JobState.UNKNOWN):
        if state in states:
            return state
    return JobState.SUCCEEDED if states else JobState.UNKNOWN
