"""Writing extracts of the log, from one committed state, in constant memory.

1. One transaction reads the rows and the snapshot. There is no limit on rows, and no row outside the filter.
2. All bytes go through one sink. So a file, standard output and a socket get the same bytes, and the SHA-256 is
   that of the bytes that were sent.
3. An error of the sink or the database ends the extract with an error, and ``whole_file`` leaves no file.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import duckdb
from pydantic import BaseModel

from matterlog.report.errors import ExtractFailed
from matterlog.report.extracts.copying import CountedSink, Sink
from matterlog.report.extracts.extract_statements import first_rows_statement, parameters_of, rows_of, statement
from matterlog.report.extracts.formats import FORMATS
from matterlog.report.extracts.requests import ExtractRequest
from matterlog.report.log.filters import Filter
from matterlog.report.log.snapshot import Snapshot, accepted_snapshot, purges_since, purges_until_now
from matterlog.schemas.storage.damage import in_words

BYTE_ORDER_MARK: Final = "\ufeff".encode()


class Extract(BaseModel, frozen=True, extra="forbid"):
    """The facts of an extract: rows without the header, bytes, their SHA-256 in hexadecimal, and the snapshot.

    ``extract_id`` is its ID in the register where its source has recorded it; None: nobody has yet.
    ``arrived_after`` is the transaction after which an increment begins; None: everything was written. Until the
    transaction ``checked_arrival`` it is known whether matters that it holds were purged: ``holds_purged``.
    """

    rows: int
    bytes: int
    sha256: str
    snapshot: Snapshot
    arrived_after: int | None = None
    checked_arrival: int | None = None
    holds_purged: bool = False
    extract_id: UUID | None = None


# Asked before the rows are read: of which state, and after which transaction an increment begins; whether to go on.
OnSnapshot = Callable[[Snapshot, int | None], bool]


def take_any(_snapshot: Snapshot, _arrived_after: int | None) -> bool:
    """Take the first state."""
    return True


def write_extract(
    connection: duckdb.DuckDBPyConnection, request: ExtractRequest, sink: Sink, on_snapshot: OnSnapshot = take_any
) -> Extract:
    """Write an extract's bytes into a sink.

    Args:
        connection: a reader's, used by this call alone.
        request: what to write.
        sink: called with the next bytes; what it raises ends the extract.
        on_snapshot: takes a state, or wants a newer one.

    Raises:
        ExtractFailed: the database failed, or there are too many rows for the format; the bytes are incomplete.
    """
    counted = CountedSink(sink)
    try:
        with accepted_snapshot(
            connection, lambda state: on_snapshot(state, _in_log(request, state).arrived_after)
        ) as state:
            snapshot, request = state, _in_log(request, state)
            if request.arrived_after is not None:
                purges = purges_since(connection, request.arrived_after)
                snapshot = snapshot.model_copy(update={"purges": purges})
            if request.excel:
                counted(BYTE_ORDER_MARK)
            rows = FORMATS[request.format].write(connection, rows_of(request), counted)
            checked_arrival, holds_purged = _check_purges(connection, request, snapshot.last_arrival)
    except duckdb.Error as error:
        raise ExtractFailed(f"the extract failed ({in_words(error)}): no file was left") from error
    return Extract(
        rows=rows,
        bytes=counted.bytes,
        sha256=counted.digest.hexdigest(),
        snapshot=snapshot,
        arrived_after=request.arrived_after,
        checked_arrival=checked_arrival,
        holds_purged=holds_purged,
    )


def _in_log(request: ExtractRequest, snapshot: Snapshot) -> ExtractRequest:
    return request.in_log(snapshot.log_id, snapshot.last_arrival)


def _check_purges(connection: duckdb.DuckDBPyConnection, request: ExtractRequest, arrival: int) -> tuple[int, bool]:
    """Look in the state that was written for rows of matters that were purged since.

    Returns:
        Up to which transaction this was looked for, and whether there are any.
    """
    checked_arrival, purges = purges_until_now(connection, arrival)
    held = matters_held(connection, request.filter, request.arrived_after, [purge.matter_id for purge in purges])
    return checked_arrival, bool(held)


def matters_held(
    connection: duckdb.DuckDBPyConnection, filter_: Filter, arrived_after: int | None, matters: Sequence[str]
) -> frozenset[str]:
    """Return which of some matters have rows in an extract, in the state that the connection reads."""
    if not matters:
        return frozenset()
    values = filter_.parameters() | {"arrived_after": arrived_after, "held": list(matters)}
    found = connection.execute(statement("held"), values).fetchall()
    return frozenset(matter for (matter,) in found)


def count_rows(connection: duckdb.DuckDBPyConnection, request: ExtractRequest) -> int:
    """Return how many rows an extract would have now, to show progress.

    Raises:
        ExtractFailed: the database failed.
    """
    ((rows,),) = _ask(connection, statement("count"), parameters_of(request), "counted")
    return int(rows)


def first_rows(connection: duckdb.DuckDBPyConnection, request: ExtractRequest, limit: int) -> list[tuple[str, ...]]:
    """Return the first rows that an extract would have now, as text; unknown values are empty.

    Raises:
        ExtractFailed: the database failed.
    """
    found = _ask(connection, first_rows_statement(request), parameters_of(request) | {"limit": limit}, "read")
    return [tuple("" if value is None else str(value) for value in row) for row in found]


def _ask(
    connection: duckdb.DuckDBPyConnection, question: str, values: Mapping[str, Any], verb: str
) -> list[tuple[Any, ...]]:
    try:
        return connection.execute(question, values).fetchall()
    except duckdb.Error as error:
        raise ExtractFailed(f"the rows cannot be {verb} ({in_words(error)})") from error
