"""Predictions out of tables: which columns, which rows, what they mean; and tables that have none."""

import json

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from mlconsole.domain.statistics.measuring import values
from mlconsole.domain.statistics.scores import Task
from mlconsole.tables.errors import TableError
from mlconsole.tables.files import open_table
from mlconsole.tables.predictions import Wanted, read

USUAL = Wanted()


@pytest.fixture
def table(tmp_path):
    """Writes columns as Parquet, and opens them."""
    count = iter(range(100))

    def write(**columns):
        path = tmp_path / f"{next(count)}.parquet"
        parquet.write_table(pa.table(columns), path)
        return open_table(path)

    return write


@pytest.mark.parametrize(
    ("truth", "said"),
    [
        ([0, 1, 1, 0], [0, 1, 0, 0]),
        ([0.0, 1.0, 1.0, 0.0], [0, 1, 0, 0]),
        ([False, True, True, False], [False, True, False, False]),
        ([False, True, True, False], [0, 1, 0, 0]),
        (["0", "1", "1", "0"], [0, 1, 0, 0]),
        (pa.array(["no", "yes", "yes", "no"]).dictionary_encode(), pa.array(["no", "yes", "no", "no"])),
    ],
)
def test_two_classes_however_they_are_written(table, truth, said):
    found = read(table(y_true=truth, y_pred=said), USUAL)
    assert values(found.rows) == {"accuracy": 0.75, "precision": 1.0, "recall": 0.5, "f1": pytest.approx(2 / 3)}
    assert (found.unanswered, found.notes) == (0, ())


def test_many_classes_are_weighted_and_that_is_said(table):
    found = read(table(y_true=["a", "b", "c", "a"], y_pred=["a", "b", "b", "z"]), USUAL)
    assert (found.rows.task, found.rows.classes, found.rows.positive) == (Task.CLASSES, 4, None)
    assert found.notes == ("precision, recall and f1 are of all 4 classes, weighted by their rows",)
    assert values(read(table(y_true=["a", "b"], y_pred=["a", "a"]), Wanted(positive="a")).rows)["precision"] == 0.5


def test_numbers(table):
    assert read(table(y_true=[1.5, 2.0], y_pred=[1, 2]), USUAL).rows.task is Task.NUMBERS
    assert read(table(y_true=range(50), y_pred=range(50)), USUAL).rows.task is Task.NUMBERS
    assert read(table(y_true=[1, 0], y_pred=[0.7, 0.1]), USUAL).rows.task is Task.NUMBERS
    found = read(table(label=[1, 2], guess=[1, 3]), Wanted(said="guess", task=Task.NUMBERS))
    assert values(found.rows)["mae"] == 0.5


def test_a_score_alone_says_the_class_from_a_threshold_on(table):
    scores = table(y_true=[0, 1, 1, 0], score=[0.1, 0.6, 0.4, 0.3])
    assert values(read(scores, USUAL).rows)["accuracy"] == 0.75
    assert values(read(scores, Wanted(threshold=0.35)).rows)["accuracy"] == 1.0
    assert values(read(scores, USUAL).rows)["auc"] == 1.0
    only = read(table(y_true=[0, 0], score=[0.1, 0.6]), USUAL)
    assert values(only.rows)["accuracy"] == 0.5


def test_a_score_of_nobody_knows_which_class_is_left_out_and_that_is_said(table):
    columns = {"y_true": ["cat", "dog"], "y_pred": ["cat", "cat"], "score": [0.2, 0.9]}
    found = read(table(**columns), USUAL)
    assert "auc" not in values(found.rows)
    assert "--positive" in found.notes[-1]
    assert values(read(table(**columns), Wanted(positive="dog")).rows)["auc"] == 1.0


def test_rows_without_a_truth_are_left_out_and_those_without_an_answer_are_counted(table):
    found = read(table(y_true=[1, 0, None, 1], y_pred=[1, None, 1, 1], score=[0.9, 0.1, 0.5, float("nan")]), USUAL)
    assert len(found.rows) == 1
    assert found.unanswered == 2
    assert found.notes == ("1 rows without a truth left out",)


# ---- a baseline beside it


def test_a_baseline_in_the_same_order(table):
    mine, its = table(y_true=[0, 1, 1, 0], y_pred=[0, 1, 0, 0]), table(y_true=[0, 1, 1, 0], y_pred=[1, 1, 1, 1])
    assert read(mine, USUAL, its).rows.baseline.said.tolist() == [1, 1, 1, 1]


def test_a_baseline_in_another_order_by_the_name_of_each_row(table):
    mine = table(id=["a", "b", "c"], y_true=[0, 1, 1], y_pred=[0, 1, 0], land=["x", "y", "y"])
    its = table(id=["d", "c", "a"], y_pred=[1, 1, 0])
    found = read(mine, Wanted(row="id", slices=("land",)), its)
    assert found.rows.truth.tolist() == [0, 1]
    assert found.rows.baseline.said.tolist() == [0, 1]
    assert found.notes[0] == "1 rows that the baseline has not left out"
    assert [(part.name, part.rows.tolist()) for part in found.slices] == [
        ("land=x", [True, False]),
        ("land=y", [False, True]),
    ]


@pytest.mark.parametrize(
    ("columns", "wanted", "words"),
    [
        ({"y_true": [0, 1, 0], "y_pred": [0, 1, 0]}, USUAL, "the truth of row 3 is another"),
        ({"y_true": [0, 1], "y_pred": [0, 1]}, USUAL, "other rows: 2 with a truth, not 3"),
        ({"y_pred": [0, 1, 1]}, USUAL, "nothing says that the rows"),
        ({"y_true": [0, 1, 1]}, USUAL, "has no predictions"),
        ({"id": [1, 1, 2], "y_pred": [0, 1, 1]}, Wanted(row="id"), "some rows of .* twice"),
        ({"id": ["1", "2", "3"], "y_pred": [0, 1, 1]}, Wanted(row="id"), "id is int64 in one file and string"),
    ],
)
def test_a_baseline_of_other_rows_is_refused(table, columns, wanted, words):
    with pytest.raises(TableError, match=words):
        read(table(id=[1, 2, 3], y_true=[0, 1, 1], y_pred=[0, 1, 1]), wanted, table(**columns))


def test_a_row_that_the_baseline_did_not_answer_counts_as_unanswered(table):
    mine, its = table(y_true=[0, 1], y_pred=[0, 1]), table(y_true=[0, 1], y_pred=[None, 1])
    assert read(mine, USUAL, its).unanswered == 1


# ---- slices


def test_slices_the_largest_first_and_one_of_those_without_a_value(table):
    found = read(
        table(y_true=[0, 1, 1, 0, 1], y_pred=[0, 1, 0, 0, 1], land=["de", None, "fr", "de", "\x1b[31m"], n=[1.0] * 5),
        Wanted(slices=("land", "n")),
    )
    assert [(part.name, int(part.rows.sum())) for part in found.slices] == [
        ("land=de", 2),
        ("land=fr", 1),
        ("land=␛[31m", 1),
        ("land=(none)", 1),
        ("n=1", 5),
    ]


@pytest.mark.parametrize(
    ("columns", "wanted", "words"),
    [
        ({"y_true": [1], "y_pred": [1], "x": [0.5]}, Wanted(slices=("x",)), "numbers, not kinds of rows"),
        ({"y_true": [1] * 300, "y_pred": [1] * 300, "x": range(300)}, Wanted(slices=("x",)), "300 different values"),
        ({"y_true": [1], "y_pred": [1]}, Wanted(slices=("land",)), "no column land, named by --slice"),
        ({"y_true": [1], "y_pred": [1]}, Wanted(truth="so"), "no column so"),
        ({"y_pred": [1]}, USUAL, "has no truth"),
        ({"y_true": [1]}, USUAL, "has no predictions"),
        ({"y_true": [f"n{i}" for i in range(200)], "y_pred": ["a"] * 200}, USUAL, "200 different classes"),
        ({"y_true": ["a", "b"], "score": [0.1, 0.2]}, USUAL, "of which class the score is"),
        ({"y_true": ["a", "b", "c"], "score": [0.1] * 3}, Wanted(positive="a"), "says nothing of 3 classes"),
        ({"y_true": [1, 0], "y_pred": [1, 0]}, Wanted(positive="x"), "no row is of the class x"),
        ({"y_true": ["a"], "y_pred": ["a"]}, Wanted(task=Task.NUMBERS), "string where numbers are wanted"),
        ({"y_true": [1.5], "score": [0.5]}, USUAL, "no predicted numbers"),
        ({"y_true": [[1]], "y_pred": [[1]]}, USUAL, "has lists or records"),
    ],
)
def test_tables_that_cannot_be_used(table, columns, wanted, words):
    with pytest.raises(TableError, match=words):
        read(table(**columns), wanted)


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_of_any_file(tmp_path, kind):
    path = tmp_path / f"p.{kind}"
    rows = [(1, 1, "a"), (0, 1, "b"), (1, 0, "a")]
    if kind == "csv":
        path.write_text("y_true,y_pred,land\n" + "".join(f"{a},{b},{c}\n" for a, b, c in rows))
    else:
        path.write_text(
            "".join(json.dumps(dict(zip(("y_true", "y_pred", "land"), row, strict=True))) + "\n" for row in rows)
        )
    found = read(open_table(path), Wanted(slices=("land",)))
    assert values(found.rows)["accuracy"] == pytest.approx(1 / 3)
    assert [part.name for part in found.slices] == ["land=a", "land=b"]


def test_no_rows_at_all(table):
    found = read(table(y_true=pa.array([], pa.int64()), y_pred=pa.array([], pa.int64())), USUAL)
    assert values(found.rows) == {}
    found = read(table(y_true=pa.array([None] * 3, pa.null()), y_pred=[1, 2, 3]), USUAL)
    assert len(found.rows) == 0


def test_many_rows_are_not_listed_one_by_one(table):
    rng = np.random.default_rng(1)
    truth = rng.normal(size=500_000)
    found = read(table(y_true=truth, y_pred=truth), USUAL, table(y_true=truth, y_pred=truth + 1))
    assert len(found.rows) == 500_000
