"""Reading the files of extracts with DuckDB, by format."""

import csv
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import duckdb

from matterlog.schemas.storage.statements import load_statements

SQL: Final = load_statements(__package__, "reading_back.sql")


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
