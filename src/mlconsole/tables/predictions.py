"""Predictions in a table: the truth, what was said of it, and what a baseline said of the same rows, row by row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from mlconsole.domain.statistics.scores import Answers, Rows, Task
from mlconsole.domain.text import visible
from mlconsole.tables.columns import name_of
from mlconsole.tables.errors import TableError, explain
from mlconsole.tables.files import Table

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

TRUTH, SAID = ("y_true", "label", "target"), ("y_pred", "prediction", "predicted")
SCORE = ("score", "y_score", "y_prob", "probability")
"""What a column may be called that nobody named, the first that is there."""
CLASSES = 100
"""Different truths of a classification, at most."""
WHOLE = 20
"""Whole numbers with more different values than this are numbers, not classes."""
SLICES = 200
"""Values of a column that makes slices, at most."""
YES = ("1", "true", "yes")
NONE = "(none)"


class Wanted(Struct, frozen=True):
    """Which columns are meant, and what they mean; empty is what their names and values say."""

    truth: str = ""
    said: str = ""
    score: str = ""
    row: str = ""
    """A column that names each row, in both files."""
    task: Task | None = None
    positive: str = ""
    threshold: float = 0.5
    """From which score on it is the positive class, where there is no column that says what was."""
    slices: tuple[str, ...] = ()


class Slice(Struct, frozen=True, eq=False):
    """One value of a column, and the rows that have it."""

    name: str
    """`country=fr`."""
    rows: NDArray[np.bool_]


class Predictions(Struct, frozen=True, eq=False):
    """What was found."""

    rows: Rows
    slices: tuple[Slice, ...] = ()
    unanswered: int = 0
    """Rows with a truth and without a prediction, on either side: that they are left out flatters."""
    notes: tuple[str, ...] = ()


class _Side(Struct, frozen=True, eq=False):
    """The columns of one file."""

    truth: pa.ChunkedArray | None
    said: pa.ChunkedArray | None
    score: pa.ChunkedArray | None

    def at(self, rows: Any) -> _Side:
        """Some rows, by a mask or by where they are."""
        take = "filter" if str(rows.type) == "bool" else "take"
        return _Side(
            *(None if one is None else getattr(one, take)(rows) for one in (self.truth, self.said, self.score))
        )


def read(table: Table, wanted: Wanted, baseline: Table | None = None) -> Predictions:
    """The predictions of a table, and of another one of the same rows. Raises TableError."""
    try:
        return _read(table, wanted, baseline)
    except Exception as error:  # what a column from anywhere makes pyarrow raise, told in words
        raise explain(error, table.place) from error


def _read(table: Table, wanted: Wanted, baseline: Table | None) -> Predictions:
    current = _side(table, wanted)
    kept = _valid(current.truth)
    notes = [] if kept.true_count == table.rows else [f"{table.rows - kept.true_count} rows without a truth left out"]
    current = current.at(kept)
    slices = [_plain(table, _there(table, name, "--slice")).filter(kept) for name in wanted.slices]
    other = None
    if baseline is not None:
        other, met = _beside(baseline, wanted, current, _plain(table, wanted.row).filter(kept) if wanted.row else None)
        if met is not None:
            notes.append(f"{len(met) - met.true_count} rows that the baseline has not left out")
            current, slices = current.at(met), [column.filter(met) for column in slices]
    answered = _answered(current, wanted)
    if other is not None:
        answered = _both(answered, _answered(other, wanted))
    unanswered = len(answered) - answered.true_count
    current, slices = current.at(answered), [column.filter(answered) for column in slices]
    other = other.at(answered) if other is not None else None
    rows, said = _rows(current, other, wanted, table.place)
    found = [part for name, column in zip(wanted.slices, slices, strict=True) for part in _slices(name, column)]
    return Predictions(rows, tuple(found), unanswered, (*notes, *said))


# ---- which columns


def _side(table: Table, wanted: Wanted, *, truth: bool = True) -> _Side:
    said, score = _column(table, wanted.said, SAID), _column(table, wanted.score, SCORE)
    if said is None and score is None:
        raise TableError(f"{table.place} has no predictions", f"a column y_pred or score; {_known(table)}")
    so = _column(table, wanted.truth, TRUTH)
    if so is None and truth:
        raise TableError(f"{table.place} has no truth", f"a column y_true, or --truth COLUMN; {_known(table)}")
    return _Side(so, said, score)


def _column(table: Table, named: str, usual: Sequence[str]) -> pa.ChunkedArray | None:
    if named:
        return _plain(table, _there(table, named, "the options"))
    name = next((name for name in usual if name in table.names), None)
    return None if name is None else _plain(table, name)


def _plain(table: Table, name: str) -> pa.ChunkedArray:
    """A column of plain values. Raises TableError."""
    import pyarrow as pa

    column = table.array(name)
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_null(column.type):
        return column.cast(pa.string())
    if pa.types.is_nested(column.type):
        words = f"{visible(name, 80)} of {table.place} has lists or records ({str(column.type)[:60]})"
        raise TableError(words, "one value in each row is wanted")
    return column


def _there(table: Table, name: str, who: str) -> str:
    if name not in table.names:
        raise TableError(f"{table.place} has no column {visible(name, 80)}, named by {who}", _known(table))
    return name


def _known(table: Table) -> str:
    return "its columns: " + ", ".join(visible(name, 40) for name in table.names[:10])


# ---- which rows


def _valid(column: pa.ChunkedArray) -> Any:
    """Where there is a value: neither null nor NaN."""
    import pyarrow as pa
    from pyarrow import compute

    found = compute.is_valid(column)
    if pa.types.is_floating(column.type):
        found = compute.and_(found, compute.fill_null(compute.invert(compute.is_nan(column)), False))
    return _whole(found)


def _both(one: Any, other: Any) -> Any:
    from pyarrow import compute

    return compute.and_(one, other)


def _answered(side: _Side, wanted: Wanted) -> Any:
    columns = [column for column in (side.said, side.score) if column is not None]
    found = _valid(columns[0])
    return _both(found, _valid(columns[1])) if len(columns) > 1 else found


def _beside(table: Table, wanted: Wanted, current: _Side, names: Any) -> tuple[_Side, Any]:
    """The baseline's columns in the order of the rows, and which rows it has (None: all). Raises TableError."""
    from pyarrow import compute

    side = _side(table, wanted, truth=False)
    assert current.truth is not None
    if names is not None:
        its = _plain(table, _there(table, wanted.row, "--id"))
        for column, place in ((names, "the predictions"), (its, table.place)):
            if len(compute.unique(column)) < len(column):
                raise TableError(f"{visible(wanted.row, 80)} names some rows of {place} twice", "--id names each once")
        if its.type != names.type:
            raise TableError(f"{visible(wanted.row, 80)} is {names.type} in one file and {its.type} in the other")
        places = _whole(compute.index_in(names, value_set=_whole(its)))
        met = compute.is_valid(places)
        return side.at(places.drop_null()), None if met.true_count == len(met) else met
    if side.truth is None:
        words = f"nothing says that the rows of {table.place} are the same ones"
        raise TableError(words, "it needs the truth too, or name the column that names the rows: --id")
    kept = _valid(side.truth)
    side = side.at(kept)
    if len(kept) and (side.truth is None or len(side.truth) != len(current.truth)):
        raise TableError(f"{table.place} has other rows: {kept.true_count} with a truth, not {len(current.truth)}", _ID)
    apart = _first_apart(current.truth, side.truth)
    if apart is not None:
        raise TableError(f"{table.place} has other rows: the truth of row {apart + 1} is another", _ID)
    return side, None


_ID = "both in one order, or name the column that names the rows: --id"


def _first_apart(one: Any, other: Any) -> int | None:
    import numpy as np
    import pyarrow as pa

    if all(pa.types.is_integer(column.type) or pa.types.is_floating(column.type) for column in (one, other)):
        mine, its = one.to_numpy(), other.to_numpy()
    else:
        mine, its = _coded([one, other])[1]
    differ = np.not_equal(mine, its)
    return int(np.argmax(differ)) if differ.any() else None


def _whole(column: Any) -> Any:
    import pyarrow as pa

    if not isinstance(column, pa.ChunkedArray):
        return column
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


# ---- what they mean


def _rows(current: _Side, other: _Side | None, wanted: Wanted, place: str) -> tuple[Rows, list[str]]:
    assert current.truth is not None
    if (wanted.task or _task(current)) is Task.NUMBERS:
        sides = [_Side(None, side.said, None) for side in (current, other) if side is not None]
        if any(side.said is None for side in sides):
            raise TableError(f"{place} has no predicted numbers", "a column y_pred, or --prediction COLUMN")
        answers = [Answers(_numbers(side.said, place)) for side in sides]
        return Rows(Task.NUMBERS, _numbers(current.truth, place), *_pair(answers)), []
    return _classified(current, other, wanted, place)


def _task(side: _Side) -> Task:
    """By the type of the truth, and how many different ones there are."""
    import pyarrow as pa
    from pyarrow import compute

    columns = [column for column in (side.truth, side.said) if column is not None]
    for column in columns:
        kind = column.type
        if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
            return Task.CLASSES
        if compute.count_distinct(column).as_py() > WHOLE or not all(
            map(_is_whole, compute.unique(column).to_pylist())
        ):
            return Task.NUMBERS
    return Task.CLASSES


def _is_whole(value: Any) -> bool:
    return value is None or (abs(value) < float("inf") and value == int(value))


def _numbers(column: Any, place: str) -> NDArray[np.float64]:
    import pyarrow as pa

    try:
        found: NDArray[np.float64] = column.cast(pa.float64(), safe=False).to_numpy()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise TableError(f"{place} has {column.type} where numbers are wanted", "--task classification?") from error
    return found


def _classified(current: _Side, other: _Side | None, wanted: Wanted, place: str) -> tuple[Rows, list[str]]:
    from pyarrow import compute

    sides = [side for side in (current, other) if side is not None]
    columns = [current.truth, *(side.said for side in sides if side.said is not None)]
    different = max(compute.count_distinct(column).as_py() for column in columns)
    if different > CLASSES:
        raise TableError(f"{place} has {different} different classes, {CLASSES} at most", "--task regression?")
    names, codes = _coded(columns)
    positive, notes = _positive(names, wanted)
    scores = [None if side.score is None else _numbers(side.score, place) for side in sides]
    if positive is None and any(score is not None for score in scores):
        if any(side.said is None for side in sides):
            raise TableError(f"{place}: of which class the score is is not known", "--positive CLASS")
        notes.append("the score is left out: of which class it is is not known (--positive)")
        scores = [None for _ in scores]
    following = iter(codes[1:])
    answers = []
    for side, score in zip(sides, scores, strict=True):
        if side.said is not None:
            answers.append(Answers(next(following), score))
        elif score is not None and positive is not None:
            names, said = _by_threshold(names, positive, score, wanted.threshold, place)
            answers.append(Answers(said, score))
    return Rows(Task.CLASSES, codes[0], *_pair(answers), len(names), positive), notes


def _pair(answers: list[Answers]) -> tuple[Answers, Answers | None]:
    return answers[0], answers[1] if len(answers) > 1 else None


def _by_threshold(
    names: list[str], positive: int, score: NDArray[np.float64], threshold: float, place: str
) -> tuple[list[str], NDArray[np.int64]]:
    """What a score says: the positive class, or the other one."""
    import numpy as np

    if len(names) > 2:
        raise TableError(f"{place}: a score alone says nothing of {len(names)} classes", "a column y_pred")
    names = names if len(names) == 2 else [*names, ""]
    return names, np.where(score >= threshold, positive, 1 - positive)


def _coded(columns: Sequence[Any]) -> tuple[list[str], list[NDArray[np.int64]]]:
    """The different values of all columns by their names, and which each row has."""
    import numpy as np
    import pyarrow as pa
    from pyarrow import compute

    places: dict[str, int] = {}
    found = []
    flags = [pa.types.is_boolean(column.type) for column in columns]
    known = {"false": "0", "true": "1"} if any(flags) and not all(flags) else {}
    for column in columns:
        encoded = compute.dictionary_encode(column)
        whole = _whole(encoded.unify_dictionaries())
        names = [known.get(name, name) for name in map(name_of, whole.dictionary.to_pylist())]
        named = [places.setdefault(name, len(places)) for name in names]
        into = np.array(named or [0], dtype=np.int64)
        found.append(into[whole.indices.fill_null(0).to_numpy(zero_copy_only=False)] if len(column) else into[:0])
    return list(places), found


def _positive(names: list[str], wanted: Wanted) -> tuple[int | None, list[str]]:
    """Which class precision, recall and F1 are of, as an index, and what has to be said of that."""
    if wanted.positive:
        if wanted.positive not in names:
            raise TableError(f"no row is of the class {visible(wanted.positive, 80)}", f"there are {_classes(names)}")
        return names.index(wanted.positive), []
    if len(names) <= 2:
        yes = next((name for name in names if name.lower() in YES), None)
        if yes is not None:
            return names.index(yes), []
        if names in (["0"], ["false"]):
            names.append("1" if names == ["0"] else "true")
            return 1, []
    return None, [f"precision, recall and f1 are of all {len(names)} classes, weighted by their rows"]


def _classes(names: Sequence[str]) -> str:
    return ", ".join(visible(name, 40) for name in names[:10])


def _slices(column: str, array: Any) -> list[Slice]:
    import numpy as np
    import pyarrow as pa
    from pyarrow import compute

    shown = visible(column, 40)
    different = compute.count_distinct(array).as_py()
    if different > SLICES:
        raise TableError(f"{shown} has {different} different values: {SLICES} slices at most", "group the rare ones")
    gaps = np.asarray(_valid(array).to_numpy(zero_copy_only=False), dtype=bool)
    if pa.types.is_floating(array.type) and not all(map(_is_whole, compute.unique(array.filter(gaps)).to_pylist())):
        raise TableError(f"{shown} has numbers, not kinds of rows", "a column of bins of it makes slices")
    names, (codes,) = _coded([array])
    found = [Slice(f"{shown}={visible(name, 40)}", gaps & (codes == at)) for at, name in enumerate(names)]
    found = [part for part in found if part.rows.any()]
    if not gaps.all():
        found.append(Slice(f"{shown}={NONE}", ~gaps))
    return sorted(found, key=lambda part: -int(part.rows.sum()))
