"""What goes wrong with a file of rows."""

from __future__ import annotations

from mlconsole.domain.text import visible


class TableError(Exception):
    """A file that cannot be read as a table; the words are fit to be shown."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def explain(error: BaseException, place: str) -> TableError:
    """What an exception of pyarrow or of the system means, of the file at `place`."""
    if isinstance(error, TableError):
        return error
    if isinstance(error, FileNotFoundError):
        return TableError(f"{place}: there is no such file")
    if isinstance(error, IsADirectoryError):
        return TableError(f"{place} is a folder", "name one file of it")
    if isinstance(error, OSError) and error.strerror:
        return TableError(f"{place}: {error.strerror}")
    if isinstance(error, MemoryError):
        return TableError(f"{place} does not fit into memory", "write it as Parquet, which is read column by column")
    words = str(error).partition("\n")[0] or type(error).__name__
    return TableError(f"{place} cannot be read: {visible(words, 200)}", "is it what its name says?")
