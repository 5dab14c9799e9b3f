"""What each pane says, by tables: from the engine's words to lines, without a terminal."""

import pytest
from msgspec.structs import replace

from mlconsole.domain.chain import Link
from mlconsole.domain.drift import DriftTable, DriftVerdict, FeatureDrift
from mlconsole.domain.history import Kind, Outcome, Record
from mlconsole.domain.meter import RollbackMeter
from mlconsole.domain.pipelines import Job, JobState, PipelineRun
from mlconsole.domain.plans import Confirmation, Diff, Gate, Plan, Right, Target, Verdict, Write
from mlconsole.domain.registry import ModelVersion, RegisteredModel, Run
from mlconsole.domain.services import Color, Health, ModelService, Release, Shape
from mlconsole.domain.sources import Condition, SourceState
from mlconsole.domain.telemetry import Glance
from mlconsole.engine import protocol
from mlconsole.ui.known import Known
from mlconsole.ui.render import audit, deployment, drift, fleet, header, pipeline, plan, registry
from mlconsole.ui.spans import Slot, plain, width_of

NOW = 1_790_000_000.0
BLUE = Color("blue", "fraud-blue", 3, 3, release=Release("fraud", "12", image="reg.local/fraud:12"))
GREEN = Color("green", "fraud-green", 3, 2, release=Release("fraud", "13", image="reg.local/fraud:13"))
SERVICE = ModelService(
    "ml", "fraud", Shape.BLUE_GREEN, selector={"color": "green"}, color_key="color", live="green", colors=(BLUE, GREEN)
)
FIGURES = Glance("green", 11.8, 0.002, 0.03, 0.212, 0.4, 900, NOW)


def text(lines):
    return "\n".join(plain(line) for line in lines)


def detail(**changes):
    meter = RollbackMeter(Health.OK, "rollback to blue v12, 3/3 ready, ~2 s", "blue", BLUE.release, NOW - 90_000, 3, 3)
    base = protocol.Detail(SERVICE, Health.WARN, "2/3 ready", (), meter, (FIGURES,))
    return replace(base, **changes)


@pytest.fixture
def known():
    """A console that looks at one service."""
    found = Known()
    found.take(protocol.Place("prod-eu", "ml"))
    found.take(protocol.Fleet((protocol.FleetRow(SERVICE, Health.WARN, "2/3 ready", FIGURES, NOW - 70),), reset=True))
    found.select("ml/fraud")
    found.take(detail())
    return found


def test_a_service_with_one_color_is_shown_as_far_as_it_goes(known):
    """The other colour is still to be deployed."""
    alone = replace(SERVICE, colors=(GREEN,))
    known.take(protocol.Fleet((protocol.FleetRow(alone, Health.WARN, "2/3 ready", FIGURES, NOW),), reset=True))
    known.take(detail(service=alone))
    shown = plain(header.service(known, NOW, 200))
    assert "LIVE green v13 2/3" in shown
    assert "idle" not in shown
    assert "GREEN" in text(deployment.pane(detail(service=alone), NOW, 100)).upper()


# ---- fleet


def test_the_sick_come_first_and_what_is_no_model_service_last():
    def row(name, health, shape=Shape.BLUE_GREEN):
        colors = () if shape is Shape.MALFORMED else (BLUE, GREEN)
        return protocol.FleetRow(replace(SERVICE, name=name, shape=shape, colors=colors), health)

    rows = [
        row("well", Health.OK),
        row("none", Health.UNKNOWN, Shape.MALFORMED),
        row("sick", Health.BAD),
        row("look", Health.WARN),
        row("also-well", Health.OK),
    ]
    assert [item.service.name for item in sorted(rows, key=fleet.rank)] == ["sick", "look", "also-well", "well", "none"]


def test_a_service_in_a_row_says_its_state_without_colour():
    made = fleet.row_of(protocol.FleetRow(SERVICE, Health.BAD, "errors 31 %", FIGURES), FIGURES, True, "4m")
    assert [plain(cell) for cell in made.cells] == [
        "▲", "ml/fraud", "green v13", "2/3", "212 ms", "0.2 %", "11.8/s", "4m", "errors 31 %"
    ]  # fmt: skip


def test_figures_that_are_not_known_are_dashes_never_zeros():
    made = fleet.row_of(protocol.FleetRow(SERVICE, Health.OK, "", FIGURES), None, False, "")
    assert [plain(cell) for cell in made.cells][4:7] == ["–", "–", "–"]


# ---- header


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (SourceState("k8s", Condition.LIVE, last_contact=NOW - 2), "k8s ok"),
        (SourceState("k8s", Condition.LIVE, last_contact=NOW - 25), "k8s ok 20s"),
        (SourceState("k8s", Condition.LIVE, last_contact=NOW - 300, limit=90), "k8s STALE 5m"),
        (SourceState("prom", Condition.DOWN, since=NOW - 240), "prom DOWN 4m"),
        (SourceState("prom", Condition.DOWN, since=NOW - 1), "prom DOWN"),
        (SourceState("mlflow", Condition.DENIED, since=NOW - 3700), "mlflow DENIED 1h"),
        (SourceState("docker", Condition.OFF), "docker off"),
        (SourceState("k8s", Condition.STARTING), "k8s …"),
    ],
)
def test_a_source_in_a_word_and_its_age(state, words):
    assert plain(header.source(state, NOW)) == words


@pytest.mark.parametrize("width", [10, 20, 40, 80, 120, 200])
def test_the_header_fits_and_keeps_what_is_wrong(known, width):
    known.take(
        protocol.Sources(
            (
                SourceState("k8s", Condition.LIVE, last_contact=NOW),
                SourceState("prom", Condition.DOWN, since=NOW - 240, message="no answer"),
                SourceState("mlflow", Condition.LIVE, last_contact=NOW),
            )
        )
    )
    for line in (header.place(known, NOW, width), header.service(known, NOW, width), header.meter(known, NOW, width)):
        assert width_of(line) <= width
    if width >= 80:
        assert "prom DOWN 4m" in plain(header.place(known, NOW, width))
        assert "prod-eu" in plain(header.place(known, NOW, width))


def test_production_and_read_only_are_said(known):
    known.take(protocol.Place("prod-eu", "ml", production=True, read_only=True))
    line = plain(header.place(known, NOW, 120))
    assert "PRODUCTION" in line
    assert "read-only" in line


def test_the_service_in_a_line(known):
    line = plain(header.service(known, NOW, 200))
    assert line.startswith("◆ fraud · 2/3 ready · LIVE green v13 2/3 · idle blue v12 3/3 · p95 212 ms · errors 0.2 %")


def test_a_split_of_traffic_and_alias_is_said_first_and_loudly(known):
    assert "SPLIT" not in plain(header.service(known, NOW, 200))
    known.take(detail(split="traffic is on green v13, @champion names v12"))
    line = header.service(known, NOW, 80)
    assert plain(line).startswith("◆ fraud · SPLIT traffic is on green v13, @champion names v12 · 2/3 ready")
    assert [span.slot for span in line if "SPLIT" in span.text] == [Slot.BAD]


@pytest.mark.parametrize(
    ("meter", "words"),
    [
        ({}, "READY · rollback to blue v12, 3/3 ready, ~2 s · rights not known yet"),
        ({"allowed": True}, "· allowed ·"),
        ({"allowed": False, "health": Health.BAD}, "NOT READY"),
        ({"allowed": False}, "NOT ALLOWED"),
        ({"health": Health.BAD, "color": ""}, "way back NONE"),
        ({"health": Health.WARN}, "way back CARE"),
        ({"warm_until": NOW + 720}, "warm for 12m"),
        ({"warm_until": NOW - 5}, "its retention has passed"),
        ({"warm_until": 0.0}, "no time limit"),
    ],
)
def test_the_rollback_meter(known, meter, words):
    known.take(detail(meter=replace(detail().meter, **meter)))
    assert words in plain(header.meter(known, NOW, 300))


def test_little_room_gives_the_meter_a_shorter_form_and_the_sources_a_sign(known):
    found = replace(detail().meter, allowed=True, expected_seconds=2.0)
    known.take(detail(meter=found))
    line = plain(header.meter(known, NOW, 78))
    assert "READY · blue v12 3/3 ~2 s · allowed · good since" in line
    known.take(
        protocol.Sources(
            (
                SourceState("k8s", Condition.LIVE, last_contact=NOW),
                SourceState("prom", Condition.DOWN, since=NOW - 240),
                SourceState("mlflow", Condition.OFF),
                SourceState("docker", Condition.STARTING),
            )
        )
    )
    rows = [protocol.FleetRow(replace(SERVICE, name=f"s{i}"), Health.BAD) for i in range(3)]
    known.take(protocol.Fleet(tuple(rows)))
    line = plain(header.place(known, NOW, 70))
    assert "k8s✔ prom✖4m mlflow· docker…  ▲ 3 sick" in line


def test_a_colour_without_a_ready_pod_has_no_figures_and_old_ones_are_not_shown(known):
    known.take(detail(service=replace(SERVICE, colors=(BLUE, replace(GREEN, ready=0)))))
    assert "no figures" in plain(header.service(known, NOW, 200))
    known.take(detail())
    assert "p95 212 ms" in plain(header.service(known, NOW + 59, 200))
    assert "no figures" in plain(header.service(known, NOW + 61, 200))


def test_the_headline_is_not_said_twice(known):
    known.take(detail(headline="p95 212 ms over 100 ms", health=Health.BAD))
    assert plain(header.service(known, NOW, 200)).count("p95") == 1


def test_a_cluster_that_is_down_is_said_where_the_service_would_be(known):
    known.leave()
    state = SourceState("k8s", Condition.DOWN, since=NOW, message="connection refused", hint="is it up?")
    known.take(protocol.Sources((state,)))
    assert "connection refused" in plain(header.service(known, NOW, 100))
    assert "is it up?" in plain(header.meter(known, NOW, 100))


# ---- deployment


def test_the_chain_is_red_at_the_first_link_that_disagrees_and_says_why():
    links = (
        Link("selector", "color=green", Verdict.PASS, "Service ml/fraud"),
        Link("image", "0640a731", Verdict.FAIL, "imageID of the ready pods", "the registry's digest says 9d"),
        Link("run", "r1", Verdict.FAIL, "MLflow", "later"),
    )
    found = deployment.chain(links, 100)
    bad = [span.text for span in found[0] if span.slot is Slot.BAD]
    assert bad == ["✖", "image 0640a731 ✖"]
    assert "the registry's digest says 9d (known from imageID of the ready pods)" in text(found)


@pytest.mark.parametrize(("verdicts", "sign"), [("PPP", "✔"), ("PUP", "?"), ("PUF", "✖"), ("", "?")])
def test_the_sign_of_a_chain(verdicts, sign):
    kinds = {"P": Verdict.PASS, "U": Verdict.UNKNOWN, "F": Verdict.FAIL}
    links = [Link(str(i), "x", kinds[letter], "s") for i, letter in enumerate(verdicts)]
    assert f"chain {sign}" in text(deployment.chain(links, 80))


def test_the_pane_says_what_each_colour_runs_and_what_was_done_last():
    record = Record(
        "1", Kind.SWITCH, "fraud", "ml", NOW - 600, "ann", reason="better recall", from_color="blue", to_color="green",
        from_release=BLUE.release, to_release=GREEN.release, outcome=Outcome.OPEN,
    )  # fmt: skip
    found = text(deployment.pane(detail(history=(record,)), NOW, 100))
    assert "○ blue   idle  v12  3/3 ready" in found
    assert "● green  LIVE  v13  2/3 ready" in found
    assert "switch blue v12 → green v13  open: begun, and no outcome on record  10m ago by ann  better recall" in found


# ---- plan


def a_plan(**changes):
    base = Plan(
        id="p1",
        kind=Kind.SWITCH,
        target=Target("prod-eu", "https://k8s", "ca", "ann", "ml", "uid"),
        service="fraud",
        created_at=NOW,
        from_color="green",
        to_color="blue",
        from_release=GREEN.release,
        to_release=BLUE.release,
        base={},
        writes=(Write("services", "ml", "fraud", ()),),
        diffs=(Diff("Service ml/fraud", "spec.selector[color]", "green", "blue"),),
        gates=(Gate("capacity", Verdict.FAIL, "1 ready", "3 or more", "pods of fraud-blue"),),
        rights=(Right("patch", "services", "fraud", False),),
        confirmation=Confirmation.NAME,
        dry_run="refused: quota",
        requests_per_second=None,
        way_back="green v13 stays up",
        warnings=("history unreadable",),
    )
    return replace(base, **changes)


def test_a_plan_shows_everything_that_a_yes_is_bound_to():
    found = text(plan.lines(a_plan(), frozenset(), 100))
    for words in (
        "prod-eu / ml", "https://k8s", "ann", "Service ml/fraud  spec.selector[color]", "- green", "+ blue",
        "refused: quota", "capacity FAIL", "1 ready, needed 3 or more", "pods of fraud-blue",
        "w waives it with a reason", "missing: patch services", "green v13 stays up", "requests/s not known",
        "history unreadable", a_plan().hash,
    ):  # fmt: skip
        assert words in found, words


def test_a_gate_that_was_waived_and_one_that_cannot_be():
    assert "WAIVED" in text(plan.lines(a_plan(), frozenset({"capacity"}), 100))
    gate = Gate("capacity", Verdict.FAIL, "0 ready", "3", waivable=False)
    assert "cannot be waived" in text(plan.lines(a_plan(gates=(gate,)), frozenset(), 100))
    informs = Gate("answers", Verdict.UNKNOWN, "no answer", blocks=False)
    assert "informs only" in text(plan.lines(a_plan(gates=(informs,)), frozenset(), 100))


@pytest.mark.parametrize(
    ("changes", "title"),
    [
        ({}, "Switch fraud to blue v12"),
        ({"kind": Kind.ROLLBACK}, "Roll back fraud to blue v12"),
        ({"kind": Kind.ROLLBACK, "revision": 4}, "Roll back fraud to revision 4 v12"),
    ],
)
def test_what_is_asked(changes, title):
    assert plan.title(a_plan(**changes)) == title


# ---- registry, drift, pipeline, audit


MODEL = RegisteredModel(
    "fraud",
    versions=(
        ModelVersion("fraud", "14", ("challenger",), created_at=NOW - 60, run=Run("r14", metrics={"f1": 0.917})),
        ModelVersion("fraud", "13", ("champion",), created_at=NOW - 90_000, run=Run("r13", metrics={"f1": 0.913})),
        ModelVersion("fraud", "12", (), "Staging", "FAILED_REGISTRATION", run_problem="deleted"),
    ),
)  # fmt: skip


def test_versions_say_their_score_against_the_live_one_and_where_they_serve():
    rows = registry.rows(MODEL, SERVICE, NOW)
    assert [" ".join(plain(cell) for cell in row.cells).split() for row in rows] == [
        ["v14", "@challenger", "f1", ".917", "+.004", "1m"],
        ["v13", "@champion", "f1", ".913", "●", "green", "1d"],
        ["v12", "staging", "f1", "–", "○", "blue"],
    ]


def test_a_version_that_serves_nowhere_says_its_status():
    rows = registry.rows(MODEL, None, NOW)
    assert "failed registration" in plain(rows[2].cells[4])


def test_a_versions_page_has_everything_and_keeps_hostile_text_text():
    hostile = replace(MODEL.versions[0], tags={"note": "[bold]x[/bold]" * 50}, description="first line")
    found = text(registry.details(MODEL, hostile, 60, NOW))
    assert "[bold]x[/bold]" in found
    assert "r14" in found
    assert ".917" in found
    assert all(width_of(line) <= 60 for line in registry.details(MODEL, hostile, 60, NOW))


def test_drift_rows_say_the_verdict_in_a_word_and_unknown_is_a_dash():
    table = DriftTable(
        "ml/fraud",
        NOW,
        (
            FeatureDrift(
                feature="amount", color="green", n_current=12_345, psi=0.31, effect=0.2, verdict=DriftVerdict.DRIFTED
            ),
            FeatureDrift(feature="hour", color="blue", n_current=12, why="needs 200 values"),
        ),
    )
    rows = drift.rows(table, "green")
    assert [plain(cell) for cell in rows[0].cells][:6] == ["amount", "● green", "0.31", "0.20", "12k", "▲ drifted"]
    assert [plain(cell) for cell in rows[1].cells][1:] == [
        "○ blue",
        "–",
        "–",
        "12",
        "◌ 12 of 200",
        "",
        "",
        "–",
        "needs 200 values",
    ]


def test_runs_show_the_jobs_of_what_did_not_go_well():
    good = PipelineRun("a", "train", "mlflow", JobState.SUCCEEDED, jobs=(Job("train", JobState.SUCCEEDED),))
    failed = PipelineRun(
        "b", "ship", "kubernetes", JobState.FAILED, git_sha="3f2c1a9ff", started_at=NOW - 500, ended_at=NOW - 248,
        jobs=(Job("validate", JobState.FAILED, NOW - 500, NOW - 248, "BackoffLimitExceeded"),),
    )  # fmt: skip
    rows = pipeline.rows((failed, good), NOW)
    assert len(rows) == 3
    assert [plain(cell) for cell in rows[0].cells] == ["✖ ship b", "failed", "3f2c1a9", "4m12", "8m", "kubernetes"]
    assert plain(rows[1].cells[0]) == "└ ✖ validate  BackoffLimitExceeded"


def test_an_operation_on_record_tells_all_of_it():
    record = Record(
        "1", Kind.ROLLBACK, "fraud", "ml", NOW, "ann", "bastion", "pts/3", "prod-eu", "abc123", "p95 doubled", "green",
        "blue", GREEN.release, BLUE.release, Outcome.VERIFIED, NOW + 2, NOW + 1.5, "3 answers", waived=("errors",),
    )  # fmt: skip
    found = text(audit.details(record, 80))
    for words in ("rollback 1", "verified", "ann on bastion", "p95 doubled", "1.5 s to verified", "errors", "abc123"):
        assert words in found
    assert "prod-eu / ml" in found
    assert [plain(cell) for cell in audit.operations([record])[0].cells][1:5] == [
        "rollback",
        "green v13",
        "blue v12",
        "verified",
    ]
