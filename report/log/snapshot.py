"""Snapshots: what the log says about one committed state, read in the same transaction as an extract's rows.

A *snapshot* names the log (``log_id``) and the last transaction that it contains (``last_arrival``). These numbers are
comparable within one log: a row with a greater ``arrival`` was stored later, whenever the matter was viewed.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import duckdb
from pydantic import AwareDatetime, BaseModel

from matterlog.report.errors import ExtractFailed
from matterlog.schemas.storage.statements import load_statements, named_rows

# Each is a few milliseconds: an extract begins although dozens of matters are deleted a second.
_MAX_SNAPSHOTS: Final = 1_000
SQL: Final = load_statements(__package__, "snapshot.sql")


class PartitionPosition(BaseModel, frozen=True, extra="forbid"):
    """The Kafka position of one partition: the offset that the consumer reads next."""

    topic: str
    partition: int
    next_offset: int


class RecordedGap(BaseModel, frozen=True, extra="forbid"):
    """Missing records: offsets that expired unread, from ``first_missing`` to before ``next_available``."""

    topic: str
    partition: int
    first_missing: int
    next_available: int
    found_at: AwareDatetime


class PurgedMatter(BaseModel, frozen=True, extra="forbid"):
    """A matter that was deleted, and how many of its rows were removed."""

    matter_id: str
    purged_at: AwareDatetime
    views_purged: int
    arrival: int


class Snapshot(BaseModel, frozen=True, extra="forbid"):
    """One committed state of the log.

    ``purges`` are those since the transaction after which an increment begins; None for everything else.
    """

    log_id: UUID
    last_arrival: int
    taken_at: AwareDatetime
    positions: tuple[PartitionPosition, ...]
    dead_letters: int
    gaps: tuple[RecordedGap, ...]
    purges: tuple[PurgedMatter, ...] | None = None


@contextmanager
def one_snapshot(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Read one committed state in everything inside the context."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        with suppress(duckdb.Error):  # an interrupted transaction has already ended; its own error matters
            connection.execute("ROLLBACK")


@contextmanager
def accepted_snapshot(connection: duckdb.DuckDBPyConnection, accepts: Callable[[Snapshot], bool]) -> Iterator[Snapshot]:
    """Let everything inside read one committed state, the first one that ``accepts`` takes.

    Raises:
        ExtractFailed: it took none of very many.
    """
    for _ in range(_MAX_SNAPSHOTS):
        with one_snapshot(connection):
            snapshot = read_snapshot(connection)
            if accepts(snapshot):
                yield snapshot
                return
    raise ExtractFailed("matters are deleted faster than an extract can begin; nothing was left. Try again")


def read_snapshot(connection: duckdb.DuckDBPyConnection) -> Snapshot:
    """Read the snapshot, inside ``one_snapshot``."""
    ((log_id, last_arrival),) = connection.execute(SQL["log"]).fetchall()
    return Snapshot(
        log_id=log_id,
        last_arrival=last_arrival,
        taken_at=datetime.now(UTC),
        positions=tuple(PartitionPosition(**row) for row in _rows(connection, "positions")),
        dead_letters=connection.execute(SQL["dead_letters"]).fetchall()[0][0],
        gaps=tuple(RecordedGap(**row) for row in _rows(connection, "gaps")),
    )


def purges_since(connection: duckdb.DuckDBPyConnection, arrival: int) -> tuple[PurgedMatter, ...]:
    """Return the matters that were purged after a transaction and lost rows by it."""
    return tuple(PurgedMatter(**row) for row in _rows(connection, "purges_since", arrival=arrival))


def purges_until_now(connection: duckdb.DuckDBPyConnection, arrival: int) -> tuple[int, tuple[PurgedMatter, ...]]:
    """Return the last transaction of the newest state, and the matters that were purged after ``arrival`` until then.

    The connection may be inside ``one_snapshot``, and stays in its own state.
    """
    with _newest(connection) as newer:
        ((_, last_arrival),) = newer.execute(SQL["log"]).fetchall()
        return last_arrival, purges_since(newer, arrival)


def recalls_of(
    connection: duckdb.DuckDBPyConnection, extract_id: UUID, matters: Iterable[str]
) -> list[tuple[bool, bool]]:
    """Return of each purged matter, in the newest state, whether its recall list is complete, and has the extract."""
    values = {"extract_id": str(extract_id), "matters": list(matters)}
    with _newest(connection) as newer:
        return newer.execute(SQL["recalls_of"], values).fetchall()


@contextmanager
def _newest(connection: duckdb.DuckDBPyConnection) -> Iterator[duckdb.DuckDBPyConnection]:
    with closing(connection.cursor()) as newer:
        newer.execute("USE log")
        with one_snapshot(newer):
            yield newer


def _rows(connection: duckdb.DuckDBPyConnection, name: str, **values: object) -> list[dict[str, Any]]:
    return named_rows(connection.execute(SQL[name], values))
