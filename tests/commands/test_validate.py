"""`mlconsole validate`: figures and predictions, every exit code, a real registry, and files that mean no good."""

import json

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet
from sklearn import metrics

from mlconsole.domain.plans import Verdict
from mlconsole.domain.validated import ARTIFACT, TAG, stamp_of
from mlconsole.domain.validation import Validation
from mlconsole.registry.validations import read_validation

HOSTILE = "\x1b[31mred\x1b]0;title\x07[bold]&\u202e" + "N" * 10_000


def rows(seed=1, n=3000, skill=1.5, broken=""):
    """A truth, and a score that is none where `land` is the broken one."""
    truth = np.random.default_rng(0).random(n) < 0.3
    land = np.random.default_rng(7).choice(["de", "fr", "it", "lu"], n, p=[0.5, 0.3, 0.19, 0.01])
    rng = np.random.default_rng(seed)
    score = 1 / (1 + np.exp(-(rng.normal(size=n) + skill * (2 * truth - 1))))
    score[land == broken] = rng.random((land == broken).sum())
    return {"id": np.arange(n), "y_true": truth, "y_pred": score > 0.5, "score": score, "land": land}


@pytest.fixture
def files(home):
    """Predictions of a model, of one that is about as good, of one that is broken in one country; and metrics."""
    for name, columns in {"good": rows(1), "also": rows(2), "broken": rows(3, broken="fr")}.items():
        parquet.write_table(pa.table(columns), f"{name}.parquet")
    (home / "base.json").write_text('{"f1": 0.9, "accuracy": 0.95, "log_loss": 0.3, "epochs": 12}')
    (home / "same.json").write_text('{"metrics": {"f1": 0.89, "accuracy": 0.96, "log_loss": 0.301}, "rows": 3000}')
    (home / "worse.json").write_text('{"f1": 0.80, "accuracy": 0.95, "log_loss": 0.3}')
    return home


async def judged(run, *arguments):
    ended = await run("validate", "fraud", *arguments, "--output", "json")
    return ended, {(check["metric"], check["against"]): check for check in ended.json.get("checks", ())}


# ---- figures


async def test_0_as_good_as_the_baseline(run, files):
    ended, found = await judged(run, "--metrics", "same.json", "--baseline", "base.json")
    assert (ended.code, ended.json["verdict"], ended.json["why"]) == (0, "PASS", "3 checks passed"), ended
    assert found["f1", "baseline"]["loss"] == pytest.approx(0.01)
    assert (ended.json["rows"], ended.json["baseline"]) == (3000, "base.json")


async def test_6_worse_than_the_baseline(run, files):
    ended, found = await judged(run, "--metrics", "worse.json", "--baseline", "base.json")
    assert (ended.code, ended.json["exit_code"], ended.json["verdict"]) == (6, 6, "FAIL")
    assert [key for key, check in found.items() if check["verdict"] == "FAIL"] == [("f1", "baseline")]
    assert (await judged(run, "--metrics", "worse.json", "--baseline", "base.json", "--max-drop", "0.2"))[0].code == 0


async def test_7_what_is_missing_is_never_a_pass(run, files):
    (files / "less.json").write_text('{"f1": 0.99, "log_loss": null}')
    ended, found = await judged(run, "--metrics", "less.json", "--baseline", "base.json")
    assert (ended.code, ended.json["verdict"]) == (7, "UNKNOWN")
    assert found["accuracy", "baseline"]["words"] == "there is no such metric"
    assert found["log_loss", "baseline"]["words"] == "it is no number"
    ended, found = await judged(run, "--metrics", "same.json")
    assert (ended.code, found["f1", "baseline"]["words"]) == (7, "there is no baseline")
    (files / "few.json").write_text('{"metrics": {"f1": 0.99, "accuracy": 1.0, "log_loss": 0.1}, "rows": 99}')
    ended, _ = await judged(run, "--metrics", "few.json", "--baseline", "base.json")
    assert (ended.code, ended.json["why"]) == (7, "accuracy: needs 100 rows; and 2 more")
    assert (await judged(run, "--metrics", "few.json", "--baseline", "base.json", "--min-rows", "99"))[0].code == 0


async def test_floors_and_ceilings_of_the_command_line(run, files):
    some = ("--metrics", "same.json", "--baseline", "none")
    assert (await judged(run, *some, "--min", "f1=0.89", "--max", "log_loss=0.4"))[0].code == 0
    assert (await judged(run, *some, "--min", "f1=0.9"))[0].code == 6
    assert (await judged(run, *some))[0].code == 7


async def test_the_settings_say_what_is_judged(run, files):
    (files / "mlconsole.toml").write_text(
        '[defaults.validation]\nbaseline = "base.json"\n'
        "[services.fraud.validation.metrics]\nf1 = {min = 0.8, max_drop = 0.005, relative = false}\n"
        '[services."ml/other"]\nmodel = "churn"\n[services."ml/other".validation]\nmax_drop = 0.5\n'
    )
    ended, found = await judged(run, "--metrics", "same.json")
    assert (ended.code, list(found)) == (6, [("f1", "min"), ("f1", "baseline")])
    assert (await judged(run, "--metrics", "same.json", "--max-drop", "f1=0.02"))[0].code == 0
    assert (await judged(run, "--metrics", "worse.json", "--service", "ml/other"))[0].code == 0
    ended, _ = await judged(run, "--metrics", "same.json", "--min", "gain=1", "--max-drop", "gain=1")
    assert (ended.code, "say better" in ended.json["error"]) == (2, True)


# ---- predictions


async def test_the_figures_of_predictions_are_scikit_learns(run, files):
    ended, _ = await judged(run, "--predictions", "good.parquet", "--baseline", "also.parquet")
    assert ended.code == 0, ended
    data, told = rows(1), ended.json["metrics"]
    assert told["f1"] == pytest.approx(metrics.f1_score(data["y_true"], data["y_pred"]))
    assert told["auc"] == pytest.approx(metrics.roc_auc_score(data["y_true"], data["score"]))
    assert told["log_loss"] == pytest.approx(metrics.log_loss(data["y_true"], data["score"]))
    other = rows(2)
    check = next(check for check in ended.json["checks"] if check["metric"] == "f1")
    assert check["baseline"] == pytest.approx(metrics.f1_score(other["y_true"], other["y_pred"]))
    assert check["low"] < check["loss"] < check["high"]


async def test_a_slice_that_is_broken_fails_and_is_named(run, files):
    more = ("--baseline", "good.parquet", "--slice", "land", "--max-drop", "f1=0.3")
    ended, found = await judged(run, "--predictions", "broken.parquet", *more)
    assert (ended.code, found["f1", "baseline"]["verdict"]) == (6, "PASS")
    slices = {check["slice"]: check for check in ended.json["slices"]}
    assert {name: check["verdict"] for name, check in slices.items()} == {
        "land=de": "PASS",
        "land=fr": "FAIL",
        "land=it": "PASS",
        "land=lu": "UNKNOWN",
    }
    assert slices["land=lu"]["words"] == "needs 100 rows"
    assert ended.json["worst"] == {"f1": "land=fr"}


async def test_against_metrics_alone_a_slice_has_its_floor(run, files):
    some = ("--predictions", "broken.parquet", "--baseline", "base.json", "--slice", "land")
    ended, _ = await judged(run, *some, "--min", "accuracy=0.6")
    assert {check["slice"]: check["verdict"] for check in ended.json["slices"]}["land=fr"] == "FAIL"
    ended, _ = await judged(run, *some)
    assert {check["verdict"] for check in ended.json["slices"]} == {"UNKNOWN"}


async def test_a_row_without_an_answer_is_unknown(run, files):
    columns = rows(1)
    said = pa.array([None, *columns["y_pred"][1:].tolist()])
    parquet.write_table(pa.table({**columns, "y_pred": said}), "silent.parquet")
    ended, _ = await judged(run, "--predictions", "silent.parquet", "--baseline", "good.parquet", "--id", "id")
    assert (ended.code, ended.json["why"]) == (7, "rows: 1 rows have a truth and no prediction")


async def test_where_it_has_to_be_sure_few_rows_are_unknown(run, files):
    for name, seed in (("one", 1), ("two", 2)):
        parquet.write_table(pa.table(rows(seed, n=150)), f"{name}.parquet")
    some = ("--predictions", "two.parquet", "--baseline", "one.parquet", "--max-drop")
    _, found = await judged(run, *some, "accuracy=0.05")
    between = f"accuracy={(found['accuracy', 'baseline']['loss'] + found['accuracy', 'baseline']['high']) / 2}"
    assert found["accuracy", "baseline"]["loss"] < found["accuracy", "baseline"]["high"]
    _, found = await judged(run, *some, between)
    assert (found["accuracy", "baseline"]["verdict"], found["accuracy", "baseline"]["certainty"]) == ("PASS", "may be")
    assert (await judged(run, *some, between, "--sure"))[0].code == 7


async def test_drift_is_judged_by_the_function_of_mlconsole_drift(run, files):
    moved = {**rows(1), "amount": np.random.default_rng(1).normal(3, 1, 3000)}
    parquet.write_table(pa.table({**moved, "amount": moved["amount"] - 3}), "then.parquet")
    parquet.write_table(pa.table(moved), "now.parquet")
    some = ("--metrics", "same.json", "--baseline", "base.json", "--ignore", "id")
    ended, _ = await judged(run, *some, "--data", "then.parquet,now.parquet")
    assert (ended.code, ended.json["drift"]) == (6, "FAIL")
    assert ended.json["why"] == "data: drifted: 1 of 2 features drifted, none may"
    ended, _ = await judged(run, *some, "--data", "then.parquet,then.parquet")
    assert (ended.code, ended.json["drift"]) == (0, "PASS")
    assert (await judged(run, *some, "--data", "now.parquet"))[0].code == 2


# ---- what cannot be


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "there is nothing to judge"),
        (("--metrics", "nowhere.json"), "No such file"),
        (("--metrics", "."), "Is a directory"),
        (("--metrics", "broken.json"), "is no JSON"),
        (("--metrics", "list.json"), "has no metrics"),
        (("--metrics", "text.json"), "has no metrics"),
        (("--metrics", "deep.json"), "is no JSON"),
        (("--metrics", "same.json", "--baseline", "good.parquet"), "is compared with predictions"),
        (("--metrics", "same.json", "--slice", "land"), "slices are made of predictions"),
        (("--metrics", "same.json", "--log"), "--log keeps the result with a version"),
        (("--metrics", "same.json", "--service", "x"), "no service x"),
        (("--metrics", "same.json", "--baseline", "base.txt"), "a version is a number"),
        (("--metrics", "same.json", "--baseline", "13"), "no registry is configured"),
        (("--predictions", "nowhere.parquet"), "there is no such file"),
        (("--predictions", "good.parquet", "--truth", "so"), "no column so"),
        (("--predictions", "good.parquet", "--slice", "score"), "score has 3000 different values"),
        (("--version", "x"), "a version is a number"),
        (("--version", "14"), "no registry is configured"),
    ],
)
async def test_2_what_is_not_there_or_cannot_be_read(run, files, arguments, words):
    for name, text in {"broken": "{", "list": "[1]", "text": '{"a": "b"}', "deep": "[" * 100_000}.items():
        (files / f"{name}.json").write_text(text)
    ended, _ = await judged(run, *arguments)
    assert (ended.code, ended.json["exit_code"]) == (2, 2), ended
    assert words in ended.json["error"]


@pytest.mark.parametrize("option", ["--min=f1", "--min=f1=x", "--max==1", "--max-drop=-1", "--min-rows=0", "--task=x"])
async def test_2_options_that_are_none(run, files, option):
    ended = await run("validate", "fraud", "--metrics", "same.json", option)
    assert (ended.code, option.split("=")[0] in ended.err) == (2, True)


async def test_5_a_registry_that_does_not_answer(run, files, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    ended, _ = await judged(run, "--version", "1")
    assert ended.code == 5
    assert "refused" in ended.json["error"]


@pytest.mark.parametrize("output", ["table", "json"])
async def test_hostile_names_and_values_are_only_text(run, files, output):
    (files / "h.json").write_text(json.dumps({HOSTILE: 0.5, "f1": 1e308, "auc": 10**400, "acc\u0000": 1}))
    columns = {**rows(1), "land": np.where(rows(1)["land"] == "de", HOSTILE, "x")}
    parquet.write_table(pa.table(columns), "h.parquet")
    some = ("--baseline", "h.json", "--min", "f1=0.5", "--slice", "land", "--output", output)
    ended = await run("validate", HOSTILE, "--predictions", "h.parquet", *some)
    assert ended.code == 0, ended
    for bad in ("\x1b", "\x07", "\u202e"):
        assert bad not in ended.out
    assert len(ended.out) < 20_000


async def test_the_table_says_it_to_a_person(run, files):
    some = ("--baseline", "good.parquet", "--slice", "land", "--min", "f1=0.8", "--max-drop", "f1=0.01")
    ended = await run("validate", "fraud", "--predictions", "broken.parquet", *some)
    assert ended.code == 6
    assert "≥ 0.800" in ended.out
    assert "beyond doubt" in ended.out
    assert "worst slice: land=fr (f1)" in ended.out
    assert ended.out.splitlines()[-1].startswith("FAIL: f1: ")


# ---- the registry


@pytest.fixture
def registered(files, empty_registry):
    """A registry with v1, the champion; v2 about as good; v3 without a run."""
    client, experiment = empty_registry
    for f1 in (0.90, 0.91):
        run_id = client.create_run(experiment).info.run_id
        client.log_metric(run_id, "f1", f1)
        client.create_model_version("fraud", str(files / "nowhere"), run_id=run_id)
    client.create_model_version("fraud", str(files / "nowhere"))
    client.set_registered_model_alias("fraud", "champion", "1")
    return client


async def test_a_version_against_the_champion(run, registered):
    ended, found = await judged(run, "--version", "2")
    assert (ended.code, ended.json["baseline"], found["f1", "baseline"]["baseline"]) == (0, "v1 @champion", 0.9), ended
    ended, _ = await judged(run, "--version", "v1", "--baseline", "v2", "--max-drop", "0.005")
    assert (ended.code, ended.json["version"], ended.json["baseline"]) == (6, "1", "v2")
    ended, _ = await judged(run, "--version", "@champion")
    assert (ended.code, ended.json["notes"]) == (7, ["nothing to compare with: v1 is @champion itself"])
    ended, _ = await judged(run, "--version", "3")
    assert (ended.code, "no run is linked" in ended.json["error"]) == (7, True)
    assert (await judged(run, "--version", "9"))[0].code == 2
    assert (await judged(run, "--version", "2", "--baseline", "@nobody"))[0].code == 2


async def test_the_result_is_kept_with_the_version_once(run, files, registered, tmp_path):
    some = ("--version", "2", "--predictions", "good.parquet", "--log", "--min", "f1=0.5")
    ended, _ = await judged(run, *some)
    assert (ended.code, ended.json["logged"]["written"]) == (0, True), ended
    version = registered.get_model_version("fraud", "2")
    stamp = stamp_of(version.tags)
    assert (stamp.verdict, stamp.baseline, stamp.why) == (Verdict.PASS, "v1", "1 check passed")
    kept = registered.get_run(version.run_id).data.metrics
    assert (kept["validation.passed"], kept["f1"]) == (1.0, 0.91)
    assert kept["validation.f1"] == ended.json["metrics"]["f1"]
    whole = read_validation(
        files.joinpath("mlflow.db").as_uri().replace("file://", "sqlite:///"), version.run_id, tmp_path
    )
    assert isinstance(whole, Validation)
    assert (whole.verdict, whole.rows, whole.at) == (Verdict.PASS, 3000, ended.json["at"])

    again, _ = await judged(run, *some)
    assert (again.code, again.json["logged"]["written"]) == (0, False)
    assert registered.get_model_version("fraud", "2").tags == version.tags
    assert len(registered.get_metric_history(version.run_id, "validation.f1")) == 1

    failed, _ = await judged(run, *some[:-1], "f1=0.99")
    assert (failed.code, failed.json["logged"]["written"]) == (6, True)
    assert stamp_of(registered.get_model_version("fraud", "2").tags).verdict is Verdict.FAIL
    assert registered.get_run(version.run_id).data.metrics["validation.passed"] == 0.0
    # What a validation wrote is none of the version's own figures.
    assert (await judged(run, "--version", "2"))[0].json["metrics"] == {"f1": 0.91}


async def test_of_a_version_without_a_run_the_tag_alone_is_kept(run, files, registered):
    ended, _ = await judged(run, "--version", "3", "--predictions", "good.parquet", "--min", "f1=0.5", "--log")
    assert (ended.code, "no run" in ended.json["logged"]["words"]) == (0, True)
    assert stamp_of(registered.get_model_version("fraud", "3").tags).verdict is Verdict.PASS


async def test_a_result_that_cannot_be_logged_is_shown_and_is_no_success(run, files, registered, monkeypatch):
    from mlconsole.registry.reader import client_of

    def refused(*_):
        raise ConnectionError("NewConnectionError: connection refused")

    monkeypatch.setattr(type(client_of(f"sqlite:///{files}/mlflow.db")), "set_model_version_tag", refused)
    ended, _ = await judged(run, "--version", "2", "--log")
    assert (ended.code, ended.json["verdict"]) == (5, "PASS")
    assert "refused" in ended.json["logged"]["error"]
    assert TAG not in registered.get_model_version("fraud", "2").tags
    monkeypatch.undo()


async def test_read_only_logs_nothing(run, files, registered):
    ended, _ = await judged(run, "--read-only", "--version", "2", "--log")
    assert (ended.code, "read-only" in ended.json["error"]) == (3, True)
    assert registered.get_model_version("fraud", "2").tags == {}
    assert ARTIFACT not in [
        item.path for item in registered.list_artifacts(registered.get_model_version("fraud", "2").run_id)
    ]


async def test_drift_against_the_reference_of_the_version(run, files, registered):
    from mlconsole.monitor import reference

    columns = {"amount": np.random.default_rng(1).normal(size=3000)}
    run_id = registered.get_model_version("fraud", "2").run_id
    reference.log_reference(reference.from_columns(columns), run_id)
    parquet.write_table(pa.table({"amount": columns["amount"] + 2}), "moved.parquet")
    ended, _ = await judged(run, "--version", "2", "--data", "moved.parquet")
    assert (ended.code, ended.json["drift"]) == (6, "FAIL"), ended
