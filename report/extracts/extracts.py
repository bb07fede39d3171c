"""Writing extracts of the log, from one committed state, in constant memory.

1. One transaction reads the rows and the snapshot. There is no limit on rows, and no row outside the filter.
2. All bytes go through one sink. So a file, standard output and a socket get the same bytes, and the SHA-256 is
   that of the bytes that were sent.
3. An error of the sink or the database ends the extract with an error, and ``whole_file`` leaves no file.
"""

from datetime import datetime
from typing import Final

import duckdb
from pydantic import BaseModel, ConfigDict

from matterlog.report.errors import ExtractFailed
from matterlog.report.extracts.copying import CountedSink, Sink
from matterlog.report.extracts.extract_statements import (
    count_statement,
    first_instant_statement,
    first_rows_statement,
    parameters_of,
    rows_of,
)
from matterlog.report.extracts.formats import FORMATS
from matterlog.report.extracts.requests import ExtractRequest
from matterlog.report.log.snapshot import Snapshot, one_snapshot, purges_since, read_snapshot

BYTE_ORDER_MARK: Final = "\ufeff".encode()


class Extract(BaseModel):
    """The facts of an extract: rows without the header, bytes, their SHA-256 in hexadecimal, and the snapshot.

    ``arrived_after`` is the transaction after which an increment begins; None if everything was written.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rows: int
    bytes: int
    sha256: str
    snapshot: Snapshot
    arrived_after: int | None = None


def write_extract(connection: duckdb.DuckDBPyConnection, request: ExtractRequest, sink: Sink) -> Extract:
    """Write an extract's bytes into a sink.

    Nothing else may use the connection meanwhile. An error of the sink ends the extract.

    Raises:
        ExtractFailed: the database failed, or there are too many rows for the format; the bytes are incomplete.
    """
    counted = CountedSink(sink)
    try:
        with one_snapshot(connection):
            snapshot = read_snapshot(connection)
            request = request.in_log(snapshot.log_id, snapshot.last_arrival)
            if request.arrived_after is not None:
                purges = purges_since(connection, request.arrived_after)
                snapshot = snapshot.model_copy(update={"purges": purges})
            if request.excel:
                counted(BYTE_ORDER_MARK)
            rows = FORMATS[request.format].write(connection, rows_of(request), counted)
    except duckdb.Error as error:
        raise ExtractFailed(f"the extract failed ({type(error).__name__}): no file was left") from error
    return Extract(
        rows=rows,
        bytes=counted.bytes,
        sha256=counted.digest.hexdigest(),
        snapshot=snapshot,
        arrived_after=request.arrived_after,
    )


def count_rows(connection: duckdb.DuckDBPyConnection, request: ExtractRequest) -> int:
    """Return how many rows an extract would have now, to show progress.

    Raises:
        ExtractFailed: the database failed.
    """
    try:
        ((rows,),) = connection.execute(count_statement(), parameters_of(request)).fetchall()
    except duckdb.Error as error:
        raise ExtractFailed(f"the rows cannot be counted ({type(error).__name__})") from error
    return int(rows)


def first_instant(connection: duckdb.DuckDBPyConnection, request: ExtractRequest) -> datetime | None:
    """Return the instant of an extract's first view, without a zone; None if the extract would have no rows.

    Raises:
        ExtractFailed: the database failed.
    """
    try:
        ((instant,),) = connection.execute(first_instant_statement(), parameters_of(request)).fetchall()
    except duckdb.Error as error:
        raise ExtractFailed(f"the rows cannot be read ({type(error).__name__})") from error
    return instant if isinstance(instant, datetime) else None


def first_rows(connection: duckdb.DuckDBPyConnection, request: ExtractRequest, limit: int) -> list[tuple[str, ...]]:
    """Return the first rows that an extract would have now, as text; unknown values are empty.

    Raises:
        ExtractFailed: the database failed.
    """
    try:
        found = connection.execute(first_rows_statement(request), parameters_of(request) | {"limit": limit}).fetchall()
    except duckdb.Error as error:
        raise ExtractFailed(f"the rows cannot be read ({type(error).__name__})") from error
    return [tuple("" if value is None else str(value) for value in row) for row in found]
