"""Activity table -> extract: CSV or JSON, from one committed state, in constant memory.

1. DuckDB's own writer makes the bytes, in one statement: one snapshot, no cap, no row outside the filter.
2. The bytes go through a pipe of this process, so that a file, standard output and a socket are the same to it, and
   the SHA-256 is that of the bytes that left.
3. What the sink raises, or the database, ends the extract with an error; ``whole_file`` then leaves nothing.
"""

import fcntl
import hashlib
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import duckdb
from pydantic import BaseModel, ConfigDict

from matterlog.schemas.columns import EVENT_ID_COLUMN, FORMULA_STARTS, FULL_COLUMNS, REPORT_COLUMNS, field_of
from matterlog.schemas.statements import load_statements

from .errors import ExtractFailed
from .filters import Filter

SQL: Final = load_statements("matterlog.report", "extracts.sql")

_CHUNK_BYTES: Final = 1024 * 1024
# What cannot begin like a formula: an instant, an ID made of hexadecimal digits, and the two enumerations.
_NEVER_FORMULAS: Final = frozenset({"matter_viewed_at", "event_id", "user_type", "matter_type"})


class ExtractFormat(StrEnum):
    """How an extract is written."""

    CSV = "csv"
    JSON = "json"


class ColumnSet(StrEnum):
    """Which columns: the report's eight, or those with company and office behind ``user_type``."""

    REPORT = "report"
    FULL = "full"


class ExtractRequest(BaseModel):
    """What an analyst asks for.

    ``raw_csv`` leaves text as it is that a spreadsheet would take for a formula; ``with_event_id`` adds the column
    ``event_ID`` behind the others.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: ExtractFormat
    filter: Filter = Filter()
    columns: ColumnSet = ColumnSet.REPORT
    raw_csv: bool = False
    with_event_id: bool = False

    @property
    def column_names(self) -> tuple[str, ...]:
        """The columns in their order."""
        names = FULL_COLUMNS if self.columns is ColumnSet.FULL else REPORT_COLUMNS
        return (*names, EVENT_ID_COLUMN) if self.with_event_id else names


@dataclass(frozen=True, slots=True, kw_only=True)
class Extract:
    """What was written: rows (the header is none), bytes, and the bytes' SHA-256 in hexadecimal."""

    rows: int
    bytes: int
    sha256: str


# Takes the next bytes of an extract.
Sink = Callable[[bytes], object]


def write_extract(connection: duckdb.DuckDBPyConnection, request: ExtractRequest, sink: Sink) -> Extract:
    """Write an extract's bytes into a sink.

    Args:
        connection: a reader's, used by this call alone.
        request: what to write.
        sink: called with the next bytes; what it raises ends the extract.

    Raises:
        ExtractFailed: the database failed; what the sink has is not whole.
    """
    reading, writing = _pipe()
    copy = _Copy(connection, _statement(request, writing), _parameters(request), writing)
    try:
        copy.start()
        size, digest = _drain(reading, sink)
    except BaseException:
        connection.interrupt()
        raise
    finally:
        os.close(reading)
        copy.wait()
    if copy.failure is not None:
        raise ExtractFailed(
            f"the extract broke off ({type(copy.failure).__name__}); nothing was left"
        ) from copy.failure
    return Extract(rows=copy.rows, bytes=size, sha256=digest)


class _Copy(threading.Thread):
    """Runs COPY into the writing end of a pipe, and closes that end.

    A daemon: nothing may keep a process alive that was told to stop, and without a reader COPY would wait for ever.
    """

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, statement: str, parameters: dict[str, Any], writing: int
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
        """Wait until COPY has ended."""
        with suppress(RuntimeError):  # a signal came while the thread was being started
            self.join()


def _pipe() -> tuple[int, int]:
    reading, writing = os.pipe()
    if hasattr(fcntl, "F_SETPIPE_SZ"):  # Linux alone
        with suppress(OSError):  # as it was: this user's pipes hold as much as they may; it is only slower
            fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, _CHUNK_BYTES)
    return reading, writing


def _drain(reading: int, sink: Sink) -> tuple[int, str]:
    size, digest = 0, hashlib.sha256()
    while chunk := os.read(reading, _CHUNK_BYTES):
        size += len(chunk)
        digest.update(chunk)
        sink(chunk)
    return size, digest.hexdigest()


def _statement(request: ExtractRequest, writing: int) -> str:
    columns = ",\n".join(_expression(request, column) for column in request.column_names)
    return SQL["extract"].format(columns=columns, target=f"/dev/fd/{writing}", options=SQL[request.format])


def _expression(request: ExtractRequest, column: str) -> str:
    field = field_of(column)
    if field == "matter_viewed_at":
        kind = "instant"
    elif _is_formula_safe(request) and field not in _NEVER_FORMULAS:
        kind = "formula_safe"
    else:
        kind = "plain"
    return SQL[kind].format(field=f"activity.{field}", column=column)


def _is_formula_safe(request: ExtractRequest) -> bool:
    return request.format is ExtractFormat.CSV and not request.raw_csv


def _parameters(request: ExtractRequest) -> dict[str, Any]:
    parameters = request.filter.parameters()
    return parameters | {"formula_starts": list(FORMULA_STARTS)} if _is_formula_safe(request) else parameters
