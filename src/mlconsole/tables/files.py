"""Opens a file of rows by what its name says it is.

Parquet is read column by column: a file of ten million rows takes the memory of one column of it. CSV and JSON lines
have no columns to go to, and are read whole.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from mlconsole.domain.reference import Categorical
from mlconsole.domain.statistics.samples import Values
from mlconsole.domain.text import visible
from mlconsole.tables.columns import column_of
from mlconsole.tables.errors import TableError, explain

if TYPE_CHECKING:
    import pyarrow as pa

LARGEST = 4 << 30
"""Bytes of a file that is read whole."""
BLOCK = 32 << 20
"""A row of CSV, its header above all, has to fit into a block."""
PARQUET = (".parquet", ".pq")
CSV = (".csv", ".csv.gz", ".tsv", ".tsv.gz")
JSON_LINES = (".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz")
KNOWN = (*PARQUET, *CSV, *JSON_LINES)


class Table:
    """The columns of one file. Each is read when it is asked for, and not kept."""

    def __init__(self, place: str, names: Collection[str], rows: int, columns: _Columns) -> None:
        self.place = place
        """What it is called, fit to be shown."""
        self.rows = rows
        self.twice = sorted(name for name, times in Counter(names).items() if times > 1)
        """Columns of which there are several: the first one is meant."""
        self.names = tuple(dict.fromkeys(names))
        self._columns = columns

    def array(self, name: str) -> pa.ChunkedArray:
        """A column of this name as it stands, row by row. Raises TableError."""
        try:
            return self._columns.read(name)
        except Exception as error:  # pyarrow raises of many kinds for a file that is broken further in
            raise explain(error, self.place) from error

    def column(self, name: str, *, categorical: bool = False) -> Values | Categorical | str:
        """A column of this name; words where it cannot be compared. Raises TableError."""
        try:
            return column_of(self._columns.read(name), categorical=categorical)
        except Exception as error:  # pyarrow raises of many kinds for a file that is broken further in
            raise explain(error, self.place) from error


def _repeated(names: Collection[str]) -> bool:
    return len(set(names)) < len(names)


class _Columns(Protocol):
    def read(self, name: str) -> Any:
        """The first column of that name, as an array in chunks."""


def open_table(path: Path, only: Collection[str] | None = None) -> Table:
    """The table in a file, of a file that is read whole with the columns of `only` alone. Raises TableError."""
    place = visible(str(path), 200)
    kind = path.name.lower()
    try:
        if path.is_dir():
            raise IsADirectoryError
        if kind.endswith(PARQUET) or _starts_as_parquet(path):
            return _parquet(path, place)
        if not kind.endswith((*CSV, *JSON_LINES)):
            hint = f"known by the ends of their names: {', '.join(KNOWN)}; a reference is .json"
            raise TableError(f"{place} is no table that is known", hint)
        if path.stat().st_size > LARGEST:
            hint = "write it as Parquet, which is read column by column"
            raise TableError(f"{place} is larger than {LARGEST >> 30} GiB", hint)
        return _csv(path, place, only) if kind.endswith(CSV) else _json_lines(path, place, only)
    except Exception as error:  # what a file from anywhere makes pyarrow raise, told in words
        raise explain(error, place) from error


def _starts_as_parquet(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(4) == b"PAR1"


class _Parquet:
    def __init__(self, file: Any) -> None:
        self._file = file

    def read(self, name: str) -> Any:
        from pyarrow import default_memory_pool

        # What the column before took is given back first.
        default_memory_pool().release_unused()
        return self._file.read(columns=[name]).column(0)


def _parquet(path: Path, place: str) -> Table:
    from pyarrow import parquet

    file = parquet.ParquetFile(path)
    return Table(place, file.schema_arrow.names, file.metadata.num_rows, _Parquet(file))


class _Whole:
    def __init__(self, table: Any) -> None:
        self._table = table

    def read(self, name: str) -> Any:
        return self._table.column(self._table.schema.names.index(name))


def in_memory(table: pa.Table, place: str = "the table") -> Table:
    """The table of columns that are in memory already."""
    return Table(place, table.column_names, table.num_rows, _Whole(table))


def _csv(path: Path, place: str, only: Collection[str] | None) -> Table:
    from pyarrow import ArrowInvalid, csv

    reading = csv.ReadOptions(block_size=BLOCK)
    parsing = csv.ParseOptions(delimiter="\t" if ".tsv" in path.name.lower() else ",")
    with csv.open_csv(path, reading, parsing) as stream:
        names = stream.schema.names
    wanted = [name for name in dict.fromkeys(names) if only is None or name in only]
    # An empty list is all of them.
    some = wanted or names[:1]
    converting = csv.ConvertOptions(strings_can_be_null=True, include_columns=[] if _repeated(names) else some)
    try:
        with csv.open_csv(path, reading, parsing, converting) as stream:
            table = stream.read_all()
    except ArrowInvalid:
        # Further down a column is not what its first block was. Read so that it may be, the file is held as text too.
        table = csv.read_csv(path, reading, parsing, converting)
    return Table(place, names, table.num_rows, _Whole(table))


def _json_lines(path: Path, place: str, only: Collection[str] | None) -> Table:
    from pyarrow import json

    if not path.stat().st_size:
        raise TableError(f"{place} is empty")
    table = json.read_json(path, json.ReadOptions(block_size=BLOCK))
    names = table.schema.names
    if only is not None:
        table = table.select([name for name in names if name in only])
    return Table(place, names, table.num_rows, _Whole(table))
