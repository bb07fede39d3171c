"""Snapshots: what the log says about one committed state, read in the same transaction as an extract's rows.

A *snapshot* names the log (``log_id``) and the last transaction that it contains (``last_arrival``). These numbers are
comparable within one log: a row with a greater ``arrival`` was stored later, whenever the matter was viewed.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import duckdb
from pydantic import AwareDatetime, BaseModel, ConfigDict

from matterlog.schemas.storage.statements import load_statements, named_rows

SQL: Final = load_statements(__package__, "snapshot.sql")


class _Fact(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PartitionPosition(_Fact):
    """The Kafka position of one partition: the offset that the consumer reads next."""

    topic: str
    partition: int
    next_offset: int


class RecordedGap(_Fact):
    """Missing records: offsets that expired unread, from ``first_missing`` to before ``next_available``."""

    topic: str
    partition: int
    first_missing: int
    next_available: int
    found_at: AwareDatetime


class PurgedMatter(_Fact):
    """A matter that was deleted, and how many of its rows were removed."""

    matter_id: str
    purged_at: AwareDatetime
    views_purged: int
    arrival: int


class Snapshot(_Fact):
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


def _rows(connection: duckdb.DuckDBPyConnection, name: str, **values: object) -> list[dict[str, Any]]:
    return named_rows(connection.execute(SQL[name], values))
