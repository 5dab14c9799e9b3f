"""Tables from files of every kind; and from files that are none."""

import datetime
import decimal
import gzip
import math

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from mlconsole.domain.reference import Categorical
from mlconsole.domain.statistics.samples import Values
from mlconsole.tables.errors import TableError
from mlconsole.tables.files import KNOWN, open_table

ROWS = "amount,land\n1.5,de\n,fr\n2,\nnan,de\n-inf,NA\n"
LINES = '{"amount": 1.5, "land": "de"}\n{"land": "fr"}\n{"amount": 2, "land": null}\n{"amount": NaN, "land": "de"}\n'
LINES += '{"amount": -Infinity, "land": null}\n'


@pytest.fixture
def file(tmp_path):
    """Writes a file, and gives its path."""

    def write(name, content):
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


@pytest.fixture
def arrow(tmp_path):
    """Writes columns as Parquet, and opens them."""

    def write(columns):
        path = tmp_path / "t.parquet"
        parquet.write_table(pa.table(columns), path)
        return open_table(path)

    return write


def of_rows(table):
    amount, land = table.column("amount"), table.column("land")
    assert table.names == ("amount", "land")
    assert table.rows == 5
    assert (amount.numbers.tolist(), amount.missing) == ([-math.inf, 1.5, 2.0], 2)
    assert land == Categorical({"de": 2.0, "fr": 1.0}, 2.0)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", ROWS),
        ("T.CSV", ROWS),
        ("t.tsv", ROWS.replace(",", "\t")),
        ("t.csv.gz", gzip.compress(ROWS.encode(), mtime=0)),
        ("t.ndjson", LINES),
    ],
    ids=["csv", "CSV", "tsv", "csv.gz", "ndjson"],
)
def test_the_same_rows_from_every_kind_of_text(file, name, content):
    of_rows(open_table(file(name, content)))


def test_the_same_rows_from_parquet_whatever_it_is_called(arrow, tmp_path):
    of_rows(arrow({"amount": [1.5, None, 2.0, math.nan, -math.inf], "land": ["de", "fr", None, "de", None]}))
    of_rows(open_table((tmp_path / "t.parquet").rename(tmp_path / "rows")))


def test_columns_of_every_type(arrow):
    day = datetime.date(2026, 11, 24)
    table = arrow(
        {
            "small": pa.array([3, None, 1], pa.int8()),
            "huge": pa.array([2**64 - 1, 0, 1], pa.uint64()),
            "exact": [decimal.Decimal("1.25"), None, decimal.Decimal("-1")],
            "half": pa.array([1.0, 2.0, None], pa.float32()),
            "flag": [True, False, None],
            "land": pa.array(["de", "fr", "de"]).dictionary_encode(),
            "bytes": [b"\xff\xfe", b"ok", b"ok"],
            "nothing": pa.array([None, None, None], pa.null()),
            "day": [day, day, day],
            "list": [[1], [2], []],
            "struct": [{"a.b": 1}, None, None],
        }
    )
    found = {name: table.column(name) for name in table.names}
    assert [found[name].numbers.tolist() for name in ("small", "exact", "half")] == [[1, 3], [-1, 1.25], [1, 2]]
    assert found["huge"].numbers.tolist() == [0.0, 1.0, float(2**64)]
    assert found["small"].missing == 1
    assert found["flag"] == Categorical({"true": 1.0, "false": 1.0}, 1.0)
    assert found["land"] == Categorical({"de": 2.0, "fr": 1.0})
    assert found["bytes"] == Categorical({"��": 1.0, "ok": 2.0})
    assert (found["nothing"].n, found["nothing"].missing) == (0, 3)
    assert "a time" in found["day"]
    assert "no numbers" in found["list"]
    assert "no numbers" in found["struct"]
    assert table.column("small", categorical=True) == Categorical({"1": 1.0, "3": 1.0}, 1.0)
    assert table.column("half", categorical=True) == Categorical({"1": 1.0, "2": 1.0}, 1.0)


def test_identifiers_are_told_from_categories(arrow):
    table = arrow({"id": [f"u{i}" for i in range(3000)], "shop": [f"s{i % 1200}" for i in range(3000)]})
    assert table.column("id") == "identifiers: 3000 different values in 3000 rows"
    assert len(table.column("shop").counts) == 1200


def test_long_categories_are_cut(arrow):
    assert list(arrow({"x": ["A" * 100_000]}).column("x").counts) == ["A" * 200]


def test_of_columns_with_one_name_the_first_is_meant(file, tmp_path):
    table = open_table(file("t.csv", "a,b,a\n1,2,3\n"))
    assert (table.names, table.twice, table.column("a").numbers.tolist()) == (("a", "b"), ["a"], [1.0])
    parquet.write_table(pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"]), tmp_path / "t.parquet")
    table = open_table(tmp_path / "t.parquet")
    assert (table.names, table.twice, table.column("a").numbers.tolist()) == (("a",), ["a"], [1.0])


def test_only_some_columns_of_text_are_read(file):
    for name, content in (("t.csv", ROWS), ("t.jsonl", LINES)):
        table = open_table(file(name, content), {"land", "elsewhere"})
        assert table.names == ("amount", "land")
        assert table.column("land").n == 3


def test_one_column_no_rows_and_names_of_ten_kilobytes(file):
    assert open_table(file("t.csv", "a\n1\n2\n")).column("a").n == 2
    empty = open_table(file("t.csv", "a,b\n"))
    assert (empty.rows, empty.column("a").n, empty.column("b").missing) == (0, 0, 0)
    names = [f"{'n' * 10_000}{i}\x1b[31m" for i in range(300)]
    table = open_table(file("t.csv", ",".join(names) + "\n" + ",".join("1" * 300) + "\n"))
    assert table.names == tuple(names)
    assert table.column(names[-1]).n == 1


def test_one_cell_of_text_far_down_makes_a_column_text(file, monkeypatch):
    monkeypatch.setattr("mlconsole.tables.files.BLOCK", 1000)
    table = open_table(file("t.csv", "a\n" + "1\n" * 5000 + "x\n"))
    assert table.column("a") == Categorical({"1": 5000.0, "x": 1.0})
    table = open_table(file("t.csv", "a,b\n" + "1,\n" * 5000 + "2.5,7\n"))
    assert [table.column(name).numbers[-1] for name in "ab"] == [2.5, 7.0]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("t.csv", "", "cannot be read: Empty CSV file"),
        ("t.csv", "a,b\n1,2,3\n", "Expected 2 columns, got 3"),
        ("t.parquet", "", "cannot be read"),
        ("t.parquet", "no parquet at all", "cannot be read"),
        ("t.parquet", b"PAR1" + b"\x00" * 100 + b"PAR1", "cannot be read"),
        ("t.jsonl", "", "is empty"),
        ("t.jsonl", "[1, 2]\n", "changed from object to array"),
        ("t.jsonl", '{"a": 1}\n{"a": "x"}\n', "Column(/a) changed from number to string"),
        ("t.jsonl", '{"a": 1}\n{"a": \x1b\n', "cannot be read"),
        ("t.xlsx", "PK", "no table that is known"),
        ("t.csv.gz", "no gzip", "cannot be read"),
    ],
)
def test_what_is_no_table_is_told_in_words(file, name, content, words):
    with pytest.raises(TableError) as told:
        open_table(file(name, content))
    assert words in told.value.message
    assert "\x1b" not in told.value.message
    assert len(told.value.message) < 500


def test_no_file_a_folder_and_one_that_may_not_be_read(tmp_path, monkeypatch):
    with pytest.raises(TableError, match="there is no such file"):
        open_table(tmp_path / "none.csv")
    with pytest.raises(TableError, match="is a folder") as told:
        open_table(tmp_path)
    assert told.value.hint
    path = tmp_path / "x.txt"
    path.touch()
    with pytest.raises(TableError, match="no table that is known") as told:
        open_table(path)
    assert all(end in told.value.hint for end in KNOWN)


def test_text_that_is_too_large_is_refused(file, monkeypatch):
    monkeypatch.setattr("mlconsole.tables.files.LARGEST", 10)
    with pytest.raises(TableError, match="larger than") as told:
        open_table(file("t.csv", ROWS))
    assert "Parquet" in told.value.hint


def test_a_parquet_file_that_is_broken_further_in_is_told_when_its_column_is_read(tmp_path):
    path = tmp_path / "t.parquet"
    parquet.write_table(pa.table({"a": np.arange(100_000.0)}), path, compression="zstd")
    content = bytearray(path.read_bytes())
    content[4:2000] = b"\xff" * 1996
    path.write_bytes(content)
    table = open_table(path)
    with pytest.raises(TableError, match="cannot be read"):
        table.column("a")


def test_values_are_sorted_once_and_nan_is_missing(arrow):
    found = arrow({"a": [3.0, math.nan, 1.0]}).column("a")
    assert isinstance(found, Values)
    assert (found.numbers.tolist(), found.missing) == ([1.0, 3.0], 1)
