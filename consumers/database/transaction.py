"""The writer's open transaction: the steps that all changes of the log share.

A record that is in the topic but not in the log is *buried*: this transaction puts its key into the table
``tombstones``, so that it is removed from the topic too (``erasure/tombstones.py``).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import duckdb
import pyarrow as pa

from matterlog.consumers.errors import PositionMoved
from matterlog.consumers.reading.positions_check import FoundTopics
from matterlog.consumers.reading.records import Gap, Move, Position, TopicPartition, table_of
from matterlog.schemas.columns import VIEW_FIELDS, WORD_FIELDS
from matterlog.schemas.storage.statements import load_statements, named_rows

# A view's content without its event ID, in the batch and in the table, where word columns have another type.
SQL: Final = load_statements(
    __package__,
    "apply.sql",
    incoming_content=", ".join(f"i.{name}" for name in VIEW_FIELDS),
    stored_content=", ".join(f"a.{name}::VARCHAR" if name in WORD_FIELDS else f"a.{name}" for name in VIEW_FIELDS),
)

# A Kafka timestamp is whatever a client wrote. Timestamps after the year 9999 are not kept.
_END_OF_CALENDAR_MS: Final = 253_402_300_800_000

_MOVES: Final = pa.schema(
    {
        "topic": pa.string(),
        "kafka_partition": pa.int32(),
        "began": pa.int64(),
        "next_offset": pa.int64(),
        "topic_id": pa.string(),
        "last_timestamp": pa.timestamp("ms"),
        "last_offset": pa.int64(),
        "leader_epoch": pa.int32(),
    }
)
_CUTS: Final = pa.schema(
    {"topic": pa.string(), "kafka_partition": pa.int32(), "begins": pa.int64(), "reread_until": pa.int64()}
    | {"topic_id": pa.string()}
)
_BURIED: Final = pa.schema(
    {"topic": pa.string(), "kafka_partition": pa.int32(), "key": pa.binary(), "matter_id": pa.string()}
)

_NO_LOG: Final = UUID(int=0)
_NOTHING_FOUND: Final = FoundTopics(ids={}, watermarks={}, last_records={})


@dataclass(frozen=True, slots=True)
class Transaction:
    """One transaction, from BEGIN to COMMIT.

    Args:
        connection: the writer's connection, inside the transaction.
        now: the time that is stored with the changes.
        log_id: the log's ID.
        arrival: the transaction's number.
        positions: where reading goes on, if that is known and no partition is being read again. Empty: it is not known.
        moved: the same after ``move``, for the next transaction.
    """

    connection: duckdb.DuckDBPyConnection
    now: datetime
    log_id: UUID
    arrival: int
    positions: Mapping[TopicPartition, int]
    moved: dict[TopicPartition, int] = field(default_factory=dict)

    def run(self, name: str, **values: object) -> int:
        """Run a statement that changes rows. Return how many it changed."""
        ((changed,),) = self.rows(name, **values)
        return int(changed)

    def rows(self, name: str, **values: object) -> list[tuple[Any, ...]]:
        """Run a statement and return its rows."""
        return self.connection.execute(SQL[name], values).fetchall()

    def incoming(self, name: str, table: pa.Table) -> AbstractContextManager[None]:
        """Make an Arrow table visible to statements as ``incoming_<name>``."""
        return incoming(self.connection, name, table)

    def move(self, moves: Sequence[Move]) -> None:
        """Move the positions after checking that each move begins at the stored one.

        Raises:
            PositionMoved: a stored position is a different one.
        """
        rows = [(m.topic, m.partition, m.began, *_stored(m.ends)) for m in moves]
        stored = self.positions or {(topic, number): at for topic, number, at, *_ in self.rows("positions")}
        for m in moves:
            if (at := stored.get((m.topic, m.partition))) != m.began:
                raise PositionMoved(
                    f"{m.topic} [{m.partition}]: the batch begins at {m.began}, the stored position is {at}"
                )
        with self.incoming("moves", table_of(rows, _MOVES)):
            self.run("move_positions", now=self.now)
            if any(move.began is None for move in moves):
                self.run("begin_positions", now=self.now)
        # On a lake, looking first costs less than removing nothing.
        if not self.positions and self.rows("rereading") == [(True,)]:
            self.run("end_rereads")
        else:
            self.moved.update(stored)
            self.moved.update({(m.topic, m.partition): m.ends.next_offset for m in moves})

    def record_gaps(self, gaps: Sequence[Gap]) -> None:
        """Record offsets that expired before they were read."""
        rows = [(g.topic, g.partition, g.first_missing, g.next_available) for g in gaps]
        names = ["topic", "kafka_partition", "first_missing", "next_available"]
        table = pa.table([list(column) for column in zip(*rows, strict=True)], names=names)
        with self.incoming("gaps", table):
            self.run("record_gaps", now=self.now)

    def incoming_cuts(
        self, partitions: Iterable[TopicPartition], found: FoundTopics = _NOTHING_FOUND
    ) -> AbstractContextManager[None]:
        """Let statements see partitions as ``incoming_cuts``, each with what was found of it."""
        rows = [(*each, *found.watermarks.get(each, (None, None)), found.ids.get(each[0])) for each in partitions]
        return self.incoming("cuts", table_of(rows, _CUTS))

    def forget_partitions(self, table: str) -> None:
        """Remove what a table holds of the incoming cuts."""
        self.connection.execute(SQL["forget_partitions"].format(table=table))

    def has_doubts(self) -> bool:
        """Whether the log holds anything of which it is not known that the topics have it."""
        return self.rows("database_only_kept") == [(True,)]

    def bury(self, records: Iterable[tuple[str, int, bytes | None, str | None]]) -> None:
        """Bury records, so that they are removed from their topics: topic, partition, key, and the matter, if known."""
        rows = list(records)
        if rows:
            self._bury(table_of(rows, _BURIED))

    def bury_views(self, views: pa.Table, topic: str) -> None:
        """Bury views, so that they are removed from the topic of views."""
        keys = pa.array([str(event_id).encode() for event_id in views["event_id"].to_pylist()], pa.binary())
        columns = [pa.repeat(topic, views.num_rows), views["kafka_partition"], keys, views["matter_id"]]
        self._bury(pa.Table.from_arrays(columns, schema=_BURIED))

    def _bury(self, keys: pa.Table) -> None:
        with self.incoming("buried", keys):
            self.run("bury_records", now=self.now, arrival=self.arrival)


@contextmanager
def incoming(connection: duckdb.DuckDBPyConnection, name: str, table: pa.Table) -> Iterator[None]:
    """Make an Arrow table visible to statements as ``incoming_<name>``."""
    connection.register(f"incoming_{name}", table)
    try:
        yield
    finally:
        # An aborted transaction refuses this too, and must not hide the original error.
        with suppress(duckdb.Error):
            connection.unregister(f"incoming_{name}")


def read_positions(connection: duckdb.DuckDBPyConnection) -> dict[TopicPartition, Position]:
    """Read the Kafka position of each partition."""
    rows = named_rows(connection.execute(SQL["positions"]))
    return {(row.pop("topic"), row.pop("kafka_partition")): Position(**row) for row in rows}


def begin_transaction(connection: duckdb.DuckDBPyConnection, now: datetime, last: Transaction | None) -> Transaction:
    """Number a transaction after BEGIN. It knows what the store's last one left if nobody else has committed since."""
    log_id, arrival, positions = (last.log_id, last.arrival, last.moved) if last else (_NO_LOG, 0, {})
    if not _take_arrival(connection, log_id, arrival):
        ((log_id, arrival),) = connection.execute(SQL["last_arrival"]).fetchall()
        positions = {}
        _take_arrival(connection, log_id, arrival)
    connection.execute(SQL["put_arrival"], {"log_id": log_id, "arrival": arrival + 1})
    return Transaction(connection, now, log_id, arrival + 1, positions)


def _take_arrival(connection: duckdb.DuckDBPyConnection, log_id: UUID, arrival: int) -> bool:
    return connection.execute(SQL["take_arrival"], {"log_id": log_id, "arrival": arrival}).fetchall() == [(1,)]


def _stored(position: Position) -> tuple[object, ...]:
    timestamp = calendar_ms(position.last_timestamp_ms)
    return (position.next_offset, position.topic_id, timestamp, position.last_offset, position.leader_epoch)


def calendar_ms(timestamp_ms: int | None) -> int | None:
    """Return a timestamp if it fits a TIMESTAMP and the calendar, otherwise None."""
    return timestamp_ms if timestamp_ms is not None and 0 <= timestamp_ms < _END_OF_CALENDAR_MS else None
