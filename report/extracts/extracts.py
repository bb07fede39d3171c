"""Activity table -> extract, from one committed state, in constant memory.

1. One transaction reads the rows and what the log says about itself: one snapshot, no cap, no row outside the filter.
2. The bytes go through one sink, so that a file, standard output and a socket are the same, and the SHA-256 is that of
   the bytes that left.
3. What the sink raises, or the database, ends the extract with an error; ``whole_file`` then leaves nothing.
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
    """What was written: rows (the header is none), bytes, their SHA-256 in hexadecimal, and the state it shows.

    ``arrived_after`` is the transaction after which an increment begins; None: everything was written.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rows: int
    bytes: int
    sha256: str
    snapshot: Snapshot
    arrived_after: int | None = None


def write_extract(connection: duckdb.DuckDBPyConnection, request: ExtractRequest, sink: Sink) -> Extract:
    """Write an extract's bytes into a sink.

    Args:
        connection: a reader's, used by this call alone.
        request: what to write.
        sink: called with the next bytes; what it raises ends the extract.

    Raises:
        ExtractFailed: the database failed, or the format does not hold so much; what the sink has is not whole.
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
        raise ExtractFailed(f"the extract broke off ({type(error).__name__}); nothing was left") from error
    return Extract(
        rows=rows,
        bytes=counted.bytes,
        sha256=counted.digest.hexdigest(),
        snapshot=snapshot,
        arrived_after=request.arrived_after,
    )


def count_rows(connection: duckdb.DuckDBPyConnection, request: ExtractRequest) -> int:
    """Return how many rows an extract would have now, for whoever shows how far it is.

    Raises:
        ExtractFailed: the database failed.
    """
    try:
        ((rows,),) = connection.execute(count_statement(), parameters_of(request)).fetchall()
    except duckdb.Error as error:
        raise ExtractFailed(f"the rows cannot be counted ({type(error).__name__})") from error
    return int(rows)


def first_instant(connection: duckdb.DuckDBPyConnection, request: ExtractRequest) -> datetime | None:
    """Return when the first row of an extract was viewed, without a zone; None where there would be no rows.

    Raises:
        ExtractFailed: the database failed.
    """
    try:
        ((instant,),) = connection.execute(first_instant_statement(), parameters_of(request)).fetchall()
    except duckdb.Error as error:
        raise ExtractFailed(f"the rows cannot be read ({type(error).__name__})") from error
    return instant if isinstance(instant, datetime) else None


def first_rows(connection: duckdb.DuckDBPyConnection, request: ExtractRequest, limit: int) -> list[tuple[str, ...]]:
    """Return the first rows that an extract would have now, as text in its columns; empty text for what is not known.

    Raises:
        ExtractFailed: the database failed.
    """
    try:
        found = connection.execute(first_rows_statement(request), parameters_of(request) | {"limit": limit}).fetchall()
    except duckdb.Error as error:
        raise ExtractFailed(f"the rows cannot be read ({type(error).__name__})") from error
    return [tuple("" if value is None else str(value) for value in row) for row in found]
