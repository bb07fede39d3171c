"""Writing rows into a sink with DuckDB's COPY: through a pipe, or through an unnamed file for a format that seeks."""

import fcntl
import hashlib
import os
import tempfile
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Final

import duckdb

from matterlog.report.extracts.rows import Column, Kind, Rows
from matterlog.schemas.formula_guard import guarded
from matterlog.schemas.storage.statements import load_statements

SQL: Final = load_statements(__package__, "copying.sql")
CHUNK_BYTES: Final = 1024 * 1024

# Takes the next bytes of an extract.
Sink = Callable[[bytes], object]


class CountedSink:
    """A sink that passes bytes on, and counts and hashes them."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self.bytes = 0
        self.digest = hashlib.sha256()

    def __call__(self, data: bytes) -> None:
        self.bytes += len(data)
        self.digest.update(data)
        self._sink(data)


def copy_text(connection: duckdb.DuckDBPyConnection, rows: Rows, sink: Sink, *, options: str) -> int:
    """Write rows as text into a sink, while DuckDB produces it; return how many.

    ``options`` are the options of COPY. They also define the text of an instant.

    Raises:
        duckdb.Error: the database failed; the bytes in the sink are incomplete.
    """
    reading, writing = _pipe()
    expressions = [_text_expression(column, is_guarded=rows.is_guarded) for column in rows.columns]
    copy = _Copy(connection, _statement(rows, expressions, writing, options), rows.parameters, writing)
    try:
        copy.start()
        while chunk := os.read(reading, CHUNK_BYTES):
            sink(chunk)
    except BaseException:
        connection.interrupt()
        raise
    finally:
        os.close(reading)
        copy.wait()
    if copy.failure is not None:
        raise copy.failure
    return copy.rows


def copy_typed(connection: duckdb.DuckDBPyConnection, rows: Rows, sink: Sink, *, options: str) -> int:
    """Write rows with their types into an unnamed file, then its bytes into a sink; return how many rows.

    Raises:
        duckdb.Error: the database failed; the sink got nothing.
    """
    with nameless_file(connection) as file:
        expressions = [_typed_expression(column) for column in rows.columns]
        statement = _statement(rows, expressions, file.fileno(), options)
        ((written,),) = connection.execute(statement, rows.parameters).fetchall()
        pour(file, sink)
    return int(written)


def nameless_file(connection: duckdb.DuckDBPyConnection) -> BinaryIO:
    """Return an unnamed file in DuckDB's temporary folder; nobody else can open it, and it ends with the process."""
    folder = temporary_folder(connection)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # DuckDB makes it only when it needs it
    return tempfile.TemporaryFile(dir=folder)


def temporary_folder(connection: duckdb.DuckDBPyConnection) -> Path:
    """Return where a connection's DuckDB writes what does not fit into memory."""
    ((folder,),) = connection.execute("SELECT current_setting('temp_directory')").fetchall()
    return Path(folder)


def pour(file: BinaryIO, sink: Sink) -> None:
    """Write all bytes of a file into a sink."""
    file.seek(0)
    while chunk := file.read(CHUNK_BYTES):
        sink(chunk)


def _statement(rows: Rows, expressions: list[str], handle: int, options: str) -> str:
    return SQL["copy"].format(rows=rows.select(expressions), target=f"/dev/fd/{handle}", options=options)


def _text_expression(column: Column, *, is_guarded: bool) -> str:
    needs_guard = is_guarded and column.kind is Kind.TEXT
    return SQL["plain"].format(field=guarded(column.field) if needs_guard else column.field, column=column.name)


def _typed_expression(column: Column) -> str:
    name = {Kind.INSTANT: "true_instant", Kind.CODE: "text"}.get(column.kind, "plain")
    return SQL[name].format(field=column.field, column=column.name)


def _pipe() -> tuple[int, int]:
    reading, writing = os.pipe()
    if hasattr(fcntl, "F_SETPIPE_SZ"):  # only on Linux
        with suppress(OSError):  # this user's pipes have reached their limit: the pipe stays small, and is only slower
            fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, CHUNK_BYTES)
    return reading, writing


class _Copy(threading.Thread):
    """A thread that runs COPY into the writing end of a pipe, and closes that end.

    It is a daemon: without a reader COPY waits for ever, and this must not keep a process alive that should stop.
    """

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, statement: str, parameters: Mapping[str, Any], writing: int
    ) -> None:
        super().__init__(name="matterlog-extract", daemon=True)
        self._connection = connection
        self._statement = statement
        self._parameters = parameters
        self._writing = writing
        self.rows = 0
        self.failure: duckdb.Error | None = None

    def run(self) -> None:
        try:
            ((self.rows,),) = self._connection.execute(self._statement, self._parameters).fetchall()
        except duckdb.Error as error:
            self.failure = error
        finally:
            os.close(self._writing)

    def wait(self) -> None:
        with suppress(RuntimeError):  # a signal arrived while the thread was starting
            self.join()
