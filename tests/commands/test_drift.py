"""`mlconsole drift`: files and references, every exit code, every output, and files that mean no good."""

import html.parser
import json
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import csv, parquet
from rich.cells import cell_len

from mlconsole.domain.reference import ARTIFACT, Categorical, Numeric, Reference, encode

KEYS = {
    "feature",
    "kind",
    "ks",
    "p_value",
    "q_value",
    "psi",
    "wasserstein",
    "n_reference",
    "n_current",
    "effect",
    "mde",
}
KEYS |= {"missing_reference", "missing_current", "verdict", "why"}
HOSTILE = "\x1b[31mred\x1b]0;title\x07<script>alert(1)</script>[bold]&\u202e" + "N" * 10_000


def rows(seed, n=2000, moved=0.0, strange=0.0):
    rng = np.random.default_rng(seed)
    lands = np.where(rng.random(n) < strange, "xx", rng.choice(["de", "fr", "it"], n, p=[0.6, 0.3, 0.1]))
    return {
        "age": rng.normal(40 + 10 * moved, 10, n),
        "amount": rng.lognormal(3, 1, n),
        "land": pa.array(lands.tolist()),
        "score": rng.beta(2, 5 + 10 * moved, n),
    }


@pytest.fixture
def files(home):
    """Rows of the training, of a usual day, and of one on which the age moved by half a standard deviation."""
    parquet.write_table(pa.table(rows(1)), "train.parquet")
    parquet.write_table(pa.table(rows(2)), "usual.parquet")
    parquet.write_table(pa.table(rows(3, moved=0.5)), "moved.parquet")
    csv.write_csv(pa.table(rows(3, moved=0.5)), "moved.csv")
    with open("moved.jsonl", "w") as stream:
        columns = {name: pa.array(column).to_pylist() for name, column in rows(3, moved=0.5).items()}
        stream.writelines(
            json.dumps(dict(zip(columns, row, strict=True))) + "\n" for row in zip(*columns.values(), strict=True)
        )
    edges = tuple(np.quantile(rows(1)["age"], np.linspace(0.05, 0.95, 19)).tolist())
    numeric = Numeric(edges, (100.0,) * 20)
    score = Numeric((0.1, 0.2, 0.3, 0.4), tuple(np.histogram(rows(1)["score"], (0, 0.1, 0.2, 0.3, 0.4, 1))[0].tolist()))
    land = Categorical({"de": 1200.0, "fr": 600.0, "it": 200.0})
    reference = Reference({"age": numeric, "land": land}, score, 2000, source="train.parquet")
    (home / "reference.json").write_bytes(encode(reference))
    return home


async def judged(run, reference, current, *more):
    ended = await run("drift", "--reference", reference, "--current", current, *more, "--output", "json")
    return ended, {row["feature"]: row for row in ended.json.get("features", ())}


async def test_0_a_usual_day_is_ok(run, files):
    ended, found = await judged(run, "train.parquet", "usual.parquet")
    assert (ended.code, ended.json["verdict"], ended.json["share"]) == (0, "ok", 0.0), ended
    assert {row["verdict"] for row in found.values()} == {"ok"}
    assert ended.json["exit_code"] == 0
    assert ended.json["reference"] == "train.parquet (2000 rows)"


@pytest.mark.parametrize("current", ["moved.parquet", "moved.csv", "moved.jsonl"])
async def test_6_a_feature_that_moved_is_drift_from_any_file(run, files, current):
    ended, found = await judged(run, "train.parquet", current, "--ignore", "score")
    assert (ended.code, ended.json["verdict"]) == (6, "drifted"), ended
    assert ended.json["share"] == pytest.approx(1 / 3)
    assert [row["feature"] for row in ended.json["features"] if row["verdict"] == "drifted"] == ["age"]
    assert found.keys() == {"age", "amount", "land"}
    assert all(row.keys() >= KEYS for row in found.values())
    assert found["age"]["wasserstein"] == pytest.approx(0.5, abs=0.1)
    assert (found["age"]["test"], found["land"]["test"]) == ("KS", "chi-square")


async def test_the_figures_are_scipys(run, files):
    from scipy import stats

    _, found = await judged(run, "train.parquet", "moved.parquet")
    expected = stats.ks_2samp(rows(1)["age"], rows(3, moved=0.5)["age"])
    assert found["age"]["ks"] == pytest.approx(expected.statistic)
    assert found["age"]["p_value"] == pytest.approx(expected.pvalue)
    q = stats.false_discovery_control([row["p_value"] for row in found.values()])
    assert [row["q_value"] for row in found.values()] == pytest.approx(q.tolist())


async def test_a_reference_is_one_side_or_both(run, files):
    ended, found = await judged(run, "reference.json", "moved.csv")
    assert ended.code == 6
    assert found["age"]["test"] == "KS on bins"
    assert found["age"]["ks"] <= found["age"]["ks_upper"]
    assert ended.json["columns"]["new"] == ["amount", "score"]
    ended, found = await judged(run, "reference.json", "reference.json")
    assert (ended.code, found["age"]["ks"]) == (0, 0.0)
    assert found["prediction"]["kind"] == "prediction"


async def test_the_prediction_is_a_row_of_its_own(run, files):
    ended, found = await judged(run, "train.parquet", "moved.parquet", "--prediction", "score", "--features", "amount")
    assert (ended.code, ended.json["share"]) == (6, 0.0)
    assert found.keys() == {"score", "amount"}
    assert (found["score"]["kind"], found["score"]["verdict"]) == ("prediction", "drifted")
    ended, found = await judged(run, "reference.json", "usual.parquet", "--prediction", "score")
    assert (ended.code, found["score"]["verdict"]) == (0, "ok")


async def test_some_may_drift_where_that_is_said(run, files):
    more = ("--ignore", "score", "--max-share", "0.4")
    assert (await judged(run, "train.parquet", "moved.parquet", *more))[0].code == 0
    more = ("--ignore", "score", "--min-effect", "0.4")
    assert (await judged(run, "train.parquet", "moved.parquet", *more))[0].code == 0


async def test_7_too_few_rows_and_columns_that_are_gone_are_unknown(run, files):
    parquet.write_table(pa.table(rows(2, n=150)), "few.parquet")
    ended, found = await judged(run, "train.parquet", "few.parquet")
    assert (ended.code, ended.json["verdict"]) == (7, "unknown")
    assert found["age"]["why"] == "needs 200 values"
    table = {**rows(2), "age": pa.array(["old"] * 2000), "late": [1] * 2000}
    del table["amount"]
    parquet.write_table(pa.table(table), "other.parquet")
    ended, found = await judged(run, "train.parquet", "other.parquet")
    assert ended.code == 7
    assert ended.json["columns"] | {"twice": []} == {
        "missing": ["amount"],
        "new": ["late"],
        "other_kind": ["age"],
        "twice": [],
        "skipped": {},
    }
    assert (found["amount"]["verdict"], found["amount"]["why"]) == ("unknown", "not in the current data")
    assert "text in the current data, numbers in the reference" in found["age"]["why"]


async def test_rows_of_nothing_at_all(run, files):
    for name, columns in (
        ("none.parquet", {name: pa.array(column)[:0] for name, column in rows(1).items()}),
        ("nan.parquet", {**rows(1), "age": [float("nan")] * 2000, "land": pa.array([None] * 2000, pa.null())}),
        ("inf.parquet", {**rows(1), "age": [float("inf")] * 2000}),
    ):
        parquet.write_table(pa.table(columns), name)
    assert (await judged(run, "train.parquet", "none.parquet"))[0].code == 7
    assert (await judged(run, "none.parquet", "train.parquet"))[0].code == 7
    ended, found = await judged(run, "train.parquet", "nan.parquet")
    assert ended.code == 6
    assert (found["age"]["why"], found["age"]["effect"]) == (
        "missing 0.0%, now 100.0%; no values in the current data",
        1.0,
    )
    assert found["land"]["verdict"] == "drifted"
    ended, found = await judged(run, "train.parquet", "inf.parquet")
    assert (found["age"]["ks"], found["age"]["wasserstein"], found["age"]["verdict"]) == (1.0, None, "drifted")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("train.parquet", "nowhere.parquet"), "there is no such file"),
        (("train.parquet", "."), "is a folder"),
        (("train.parquet", "broken.csv"), "Expected 1 columns, got 2"),
        (("broken.json", "train.parquet"), "this is no reference of mlconsole"),
        (("train.parquet", "usual.parquet", "--features", "agee"), "agee is a column of neither side"),
        (("reference.json", "usual.parquet", "--features", "score"), "score is not in the reference"),
        (("train.parquet", "usual.parquet", "--prediction", "answer"), "has no prediction answer"),
        (("train.parquet", "usual.parquet", "--ignore", "age,amount,land,score"), "no feature to compare"),
        (("models:/fraud", "usual.parquet"), "a version is a number"),
        (("models:/fraud/12", "usual.parquet"), "no registry is configured"),
        (("runs:/", "usual.parquet"), "names no run"),
    ],
)
async def test_2_what_is_not_there_or_cannot_be_read(run, files, arguments, words):
    (files / "broken.csv").write_text("a\n1,2\n")
    (files / "broken.json").write_text('{"features": 3}')
    ended, _ = await judged(run, *arguments)
    assert (ended.code, ended.json["exit_code"]) == (2, 2), ended
    assert words in ended.json["error"]
    assert ended.err.startswith("mlconsole: ")


@pytest.mark.parametrize("option", ["--alpha=0", "--alpha=x", "--min-effect=1.5", "--max-share=-1", "--output=xml"])
async def test_2_options_that_are_none(run, files, option):
    ended = await run("drift", "--reference", "train.parquet", "--current", "usual.parquet", option)
    assert ended.code == 2
    assert option.split("=")[0] in ended.err


async def test_5_a_registry_that_does_not_answer(run, files, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    ended, _ = await judged(run, "models:/fraud@champion", "usual.parquet")
    assert ended.code == 5, ended
    assert "refused" in ended.json["error"]


# ---- how it looks


async def test_the_table_fits_into_80_columns_and_says_what_differs(run, files):
    columns = {**rows(3, moved=0.5, strange=0.3), "a_column_with_a_rather_long_name": [1.0] * 2000}
    parquet.write_table(pa.table(columns), "c.parquet")
    ended = await run("drift", "--reference", "train.parquet", "--current", "c.parquet", "--prediction", "score")
    assert ended.code == 6
    assert max(map(cell_len, ended.out.splitlines())) <= 100
    table = [
        line for line in ended.out.splitlines() if line.startswith(("FEATURE", "age", "land", "prediction: score"))
    ]
    assert len(table) == 4
    assert max(map(cell_len, table)) <= 80
    assert "xx" in ended.out
    assert "a_column_with_a_rather_long_name" in ended.out
    assert "drifted: the prediction drifted; 2 of 3 features drifted" in ended.out


async def test_of_many_features_those_that_are_well_are_counted(run, files):
    rng = np.random.default_rng(1)
    for name in ("wide.parquet", "wider.parquet"):
        parquet.write_table(pa.table({f"f{i}": rng.normal(size=500) for i in range(60)}), name)
    ended = await run("drift", "--reference", "wide.parquet", "--current", "wider.parquet")
    assert ended.code == 0
    assert "and 40 more that are ok" in ended.out


class Reader(html.parser.HTMLParser):
    """Which tags there are, what they refer to, and what is open at the end."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.refers = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.refers += [value for name, value in attrs if name in ("src", "href", "xlink:href", "action")]
        if tag not in ("meta", "br", "path", "rect"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


async def test_the_page_is_whole_and_refers_to_nothing(run, files):
    more = ("--prediction", "score", "--output", "html")
    ended = await run("drift", "--reference", "train.parquet", "--current", "moved.parquet", *more)
    assert ended.code == 6
    page = Reader(ended.out)
    assert (page.open, page.refers, page.tags.count("svg")) == ([], [], 4)
    assert "url(" not in ended.out
    assert "@import" not in ended.out
    assert ended.out.count("NaN") == 0
    assert "default-src 'none'" in ended.out


@pytest.mark.parametrize("output", ["table", "json", "html"])
async def test_hostile_names_and_values_are_only_text(run, files, output):
    columns = {HOSTILE: np.arange(500.0), "land": pa.array([HOSTILE] * 250 + ["de"] * 250)}
    parquet.write_table(pa.table(columns), "hostile.parquet")
    csv.write_csv(pa.table({**columns, "land": pa.array(["de"] * 500)}), "tame.csv")
    ended = await run("drift", "--reference", "tame.csv", "--current", "hostile.parquet", "--output", output)
    assert ended.code == 6, ended
    assert "\x1b" not in ended.out
    assert "\x07" not in ended.out
    assert "\u202e" not in ended.out
    assert "<script>" not in ended.out or output != "html"
    assert "red" in ended.out
    assert len(ended.out) < 30_000


async def test_a_page_of_a_thousand_categories_and_of_one_value(run, files):
    columns = {"one": [1.0] * 3000, "many": pa.array([f"c{i % 1000}" for i in range(3000)]), "tiny": [5e-324] * 3000}
    columns["far"] = [-1e308] * 1500 + [1e308] * 1500
    parquet.write_table(pa.table(columns), "odd.parquet")
    ended = await run("drift", "--reference", "odd.parquet", "--current", "odd.parquet", "--output", "html")
    assert ended.code == 0, ended
    assert "992 others" in ended.out
    for word in ("nan", "inf"):
        assert word not in ended.out.partition("<tbody>")[2].replace("distributions", "")


# ---- the registry


@pytest.fixture
def registered(files, empty_registry):
    """A registry with v1, which has the reference; v2, whose run has none; v3, whose reference is broken."""
    client, experiment = empty_registry
    runs = [client.create_run(experiment).info.run_id for _ in range(3)]
    for run_id in runs:
        client.create_model_version("fraud", str(files / "nowhere"), run_id=run_id)
    folder = ARTIFACT.rpartition("/")[0]
    client.log_artifact(runs[0], str(files / "reference.json"), folder)
    client.log_artifact(runs[0], str(files / "train.parquet"), "data")
    client.log_text(runs[2], "{}", ARTIFACT)
    client.set_registered_model_alias("fraud", "champion", "1")
    return runs


async def test_references_of_the_registry(run, registered):
    for name in ("models:/fraud/1", "models:/fraud/v1", "models:/fraud@champion", "models:/fraud/@champion"):
        ended, found = await judged(run, name, "moved.parquet")
        assert (ended.code, found["age"]["verdict"]) == (6, "drifted"), ended
    assert ended.json["reference"] == "fraud @champion (2000 rows)"
    ended, _ = await judged(run, f"runs:/{registered[0]}/data/train.parquet", "usual.parquet")
    assert ended.code == 0, ended
    assert ended.json["reference"] == f"data/train.parquet of run {registered[0]} (2000 rows)"
    assert (await judged(run, f"runs:/{registered[0]}", "usual.parquet"))[0].code == 0


async def test_what_the_registry_has_not_is_told_in_words(run, registered):
    for name, words in (
        ("models:/fraud/2", f"fraud v2 has no reference: its run has no {ARTIFACT}"),
        ("models:/fraud/3", "the reference of fraud v3 cannot be used"),
        ("models:/fraud/9", "the registry has no fraud 9"),
        ("models:/fraud@none", "the registry has no fraud @none"),
        (f"runs:/{registered[0]}/data/none.csv", "has no artifact data/none.csv"),
        (f"runs:/{registered[0]}/../../etc/passwd", "no path among artifacts"),
        ("runs:/0123456789abcdef0123456789abcdef/x.csv", "has no run"),
    ):
        ended, _ = await judged(run, name, "usual.parquet")
        assert (ended.code, words in ended.json["error"]) == (2, True), ended
    ended, _ = await judged(run, "models:/fraud/2", "usual.parquet")
    assert "log_reference" in ended.json["hint"]


def test_a_large_file_takes_the_memory_of_a_few_of_its_columns(files):
    """In a process of its own, so that its peak is its own: 64 MB of columns, no more than two of them at once."""
    rng = np.random.default_rng(1)
    parquet.write_table(pa.table({f"f{i}": rng.normal(size=500_000) for i in range(16)}), "large.parquet")
    parquet.write_table(pa.table({"f0": rng.normal(size=1000)}), "small.parquet")
    code = """
import sys
from mlconsole.cli import main
code = main(["drift", "--reference", sys.argv[1], "--current", sys.argv[1], "--output", "json"])
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]
sys.stderr.write(f"{code} {int(peak) // 1024}")
"""
    peaks = []
    for name in ("small.parquet", "large.parquet"):
        ended = subprocess.run([sys.executable, "-c", code, name], capture_output=True, text=True, check=True)
        exit_code, peak = ended.stderr.split()[-2:]
        assert exit_code == "0", ended.stderr
        peaks.append(int(peak))
    assert peaks[1] - peaks[0] < 96, peaks
