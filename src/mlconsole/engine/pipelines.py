"""Pipeline runs from what the cluster's Jobs and the registry's runs say."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from mlconsole.cluster import objects
from mlconsole.domain.pipelines import Job, JobState, PipelineRun, overall
from mlconsole.domain.registry import ModelVersion, RegisteredModel
from mlconsole.domain.text import visible

PREFIX = "mlconsole.io/"
_RUN_STATES = {
    "FINISHED": JobState.SUCCEEDED,
    "FAILED": JobState.FAILED,
    "KILLED": JobState.FAILED,
    "RUNNING": JobState.RUNNING,
    "SCHEDULED": JobState.QUEUED,
}
SHOWN = 50


def from_jobs(jobs: Iterable[objects.Job], namespace: str, service: str) -> list[PipelineRun]:
    """The runs that Jobs of a namespace belong to: those that name `service`, and those that name none.

    Jobs of one run carry the labels or annotations `mlconsole.io/pipeline`, `mlconsole.io/run`, `mlconsole.io/service`
    and `mlconsole.io/git-sha`; a Job without them is a run of its own.
    """
    groups: defaultdict[tuple[str, str], list[objects.Job]] = defaultdict(list)
    for job in jobs:
        meta = job.metadata
        if meta.namespace != namespace or _said(meta, "service") not in ("", service):
            continue
        groups[_said(meta, "pipeline") or meta.name, _said(meta, "run") or meta.uid].append(job)
    return [_run(name, number, members) for (name, number), members in groups.items()]


def from_registry(model: RegisteredModel | None, service: str) -> list[PipelineRun]:
    """The training runs behind the versions of a model."""
    return [_trained(version, service) for version in (model.versions if model else ()) if version.run]


def newest_first(runs: Iterable[PipelineRun]) -> tuple[PipelineRun, ...]:
    """At most `SHOWN` runs."""
    return tuple(sorted(runs, key=lambda run: -run.started_at)[:SHOWN])


def _said(meta: objects.Meta, key: str) -> str:
    said = (meta.labels or {}).get(PREFIX + key) or (meta.annotations or {}).get(PREFIX + key, "")
    return visible(said, 80)


def _run(name: str, number: str, members: list[objects.Job]) -> PipelineRun:
    jobs = tuple(sorted((_job(item) for item in members), key=lambda job: (job.started_at or 9e12, job.name)))
    state = overall(jobs)
    meta = members[0].metadata
    started = min((job.started_at for job in jobs if job.started_at), default=meta.created)
    ended = max((job.ended_at for job in jobs), default=0.0) if state in (JobState.SUCCEEDED, JobState.FAILED) else 0.0
    return PipelineRun(
        id=number,
        name=visible(name, 80),
        source="kubernetes",
        state=state,
        service=_said(meta, "service"),
        git_sha=next((sha for item in members if (sha := _said(item.metadata, "git-sha"))), ""),
        started_at=started,
        ended_at=ended,
        jobs=jobs,
        user=_said(meta, "user"),
    )


def _job(item: objects.Job) -> Job:
    status = item.status
    conditions = {condition.type: condition for condition in status.conditions or () if condition.status == "True"}
    failed = conditions.get("Failed")
    if failed:
        state, message = JobState.FAILED, f"{failed.reason}: {failed.message}"
    elif "Complete" in conditions:
        state, message = JobState.SUCCEEDED, ""
    elif status.active:
        state, message = JobState.RUNNING, f"{status.failed} failed so far" if status.failed else ""
    else:
        state, message = JobState.QUEUED, ""
    ended = status.completion_time or (failed.last_transition_time if failed else None)
    return Job(
        name=visible(_said(item.metadata, "job") or item.metadata.name, 80),
        state=state,
        started_at=status.start_time.timestamp() if status.start_time else 0.0,
        ended_at=ended.timestamp() if ended else 0.0,
        message=visible(message, 200),
    )


def _trained(version: ModelVersion, service: str) -> PipelineRun:
    run = version.run
    assert run is not None
    state = _RUN_STATES.get(run.status, JobState.UNKNOWN)
    job = Job(f"train v{version.version}", state, run.started_at, run.ended_at)
    return PipelineRun(
        id=run.run_id,
        name=f"v{version.version} {run.name}".strip(),
        source="mlflow",
        state=state,
        service=service,
        git_sha=run.git_sha,
        started_at=run.started_at,
        ended_at=run.ended_at,
        jobs=(job,),
        user=run.user,
    )
