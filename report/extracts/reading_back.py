"""Reading the files of extracts by format: their values with DuckDB, or without it how many rows they have."""

import csv
import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final

import duckdb

from matterlog.schemas.storage.statements import load_statements

SQL: Final = load_statements(__package__, "reading_back.sql")
_CHUNK_BYTES: Final = 1024 * 1024  # longer than any line of ours
_ROW_OF_SHEET: Final = b"<row "


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadBack:
    """The way to read files of one format.

    ``columns`` returns the column names of a file, or None if the file has no names, such as JSON without rows.
    ``source`` is the SQL table of the file ``$file``, with ``{types}`` for the names of its columns. ``has_types``:
    instants are typed; otherwise every column is text.
    """

    columns: Callable[[duckdb.DuckDBPyConnection, Path], tuple[str, ...] | None]
    source: str
    has_types: bool = False

    def source_of(self, columns: tuple[str, ...]) -> str:
        """Return the SQL table of a file with these columns."""
        return self.source.format(types="{" + ", ".join(f"'{column}': 'VARCHAR'" for column in columns) + "}")


def _csv_columns(_connection: duckdb.DuckDBPyConnection, path: Path) -> tuple[str, ...]:
    with path.open(encoding="utf-8-sig", newline="") as lines:
        return tuple(next(csv.reader([lines.readline(64 * 1024)], strict=True), ()))  # no header is longer


def _json_columns(connection: duckdb.DuckDBPyConnection, path: Path, *, kind: str) -> tuple[str, ...] | None:
    with path.open("rb") as file:
        if b"".join(file.read(64).split()) in {b"", b"[]"}:
            return None
    return _described(connection, path, statement=SQL["json_columns"].format(format=kind))


def _described(connection: duckdb.DuckDBPyConnection, path: Path, *, statement: str) -> tuple[str, ...]:
    return tuple(row[0] for row in connection.execute(statement, {"file": str(path)}).fetchall())


def _json(kind: str) -> ReadBack:
    source = SQL["read_json"].format(format=kind, types="{types}")
    return ReadBack(columns=partial(_json_columns, kind=kind), source=source)


CSV: Final = ReadBack(columns=_csv_columns, source=SQL["read_csv"])
JSON: Final = _json("array")
NDJSON: Final = _json("newline_delimited")
PARQUET: Final = ReadBack(
    columns=partial(_described, statement=SQL["parquet_columns"]), source=SQL["read_parquet"], has_types=True
)


def count_csv_rows(file: BinaryIO) -> int:
    """Count records. A record may have several lines, because a name may contain a line break."""
    with io.TextIOWrapper(file, encoding="utf-8", newline="") as text:
        return sum(1 for _ in csv.reader(iter(lambda: text.readline(_CHUNK_BYTES), ""), strict=True)) - 1


def count_objects(file: BinaryIO, *, begin: bytes) -> int:
    """Count the lines that hold an object; each begins with ``begin``."""
    return sum(1 for line in iter(lambda: file.readline(_CHUNK_BYTES), b"") if line.startswith(begin))


def count_parquet_rows(file: BinaryIO) -> int:
    """Return the number of rows in the file's metadata."""
    import pyarrow.parquet  # noqa: PLC0415 - a large library that only this format needs

    return int(pyarrow.parquet.ParquetFile(file).metadata.num_rows)


def count_xlsx_rows(file: BinaryIO) -> int:
    """Count rows with cells; the header is not counted."""
    found = 0
    with zipfile.ZipFile(file).open("xl/worksheets/sheet1.xml") as sheet:
        rest = b""
        while chunk := sheet.read(_CHUNK_BYTES):
            text = rest + chunk
            found += text.count(_ROW_OF_SHEET)
            rest = text[-len(_ROW_OF_SHEET) + 1 :]
    return found - 1
