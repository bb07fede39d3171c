"""The data types between Kafka and the database.

A *record* is one message as the topic holds it. A *position* is the offset of a partition that the consumer reads next.
Offsets rise but may skip. A *move* is one partition's step in a batch, from its first position to its last. A *reject*
is a record that could not be read as an event, with the reason. A *batch* is the records that one transaction applies.
"""

from abc import ABC, abstractmethod
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import chain
from operator import itemgetter
from typing import Final, NamedTuple, TypeVar

import pyarrow as pa

from matterlog.schemas import DecodeErrorKind, MatterDeleted, MatterViewed
from matterlog.schemas.columns import EVENT_ORDER, ColumnKind

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

# A topic's name and a partition's number.
TopicPartition = tuple[str, int]
# A record's headers: names, which may repeat, and values.
Headers = tuple[tuple[str, bytes | None], ...]


class RejectKind(StrEnum):
    """The reason for refusing an event that could be decoded."""

    WRONG_EVENT = "wrong-event"
    WRONG_KEY = "wrong-key"
    CONFLICT = "conflict"


class Record(NamedTuple):
    """One message. ``timestamp_ms`` is Kafka's, in milliseconds since 1970 UTC. Without a ``value``: a tombstone."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int | None
    key: bytes | None
    headers: Headers
    value: bytes | None

    @property
    def size(self) -> int:
        """How many bytes the record has: key, headers and value."""
        return len(self.key or b"") + header_bytes(self.headers) + len(self.value or b"")

    @property
    def coordinates(self) -> str:
        """Topic, partition and offset as text for people."""
        return f"{self.topic} [{self.partition}] @ {self.offset}"


def header_bytes(headers: Headers) -> int:
    """Return how many bytes headers have."""
    return sum(len(name) + len(value or b"") for name, value in headers)


@dataclass(frozen=True, slots=True)
class Columns:
    """Many records as columns: the fields that decoding needs, without an object for each record."""

    topics: list[str]
    partitions: list[int]
    offsets: list[int]
    keys: list[bytes | None]
    values: list[bytes | None]


class ColumnarRecords(ABC, Sequence[Record]):
    """A sequence of records, each built only on access."""

    @property
    @abstractmethod
    def columns(self) -> Columns:
        """All records by column."""


def columns_of(records: Sequence[Record]) -> Columns:
    """Return records by column."""
    if isinstance(records, ColumnarRecords):
        return records.columns
    return Columns(
        topics=[record.topic for record in records],
        partitions=[record.partition for record in records],
        offsets=[record.offset for record in records],
        keys=[record.key for record in records],
        values=[record.value for record in records],
    )


_T = TypeVar("_T")


def pick(column: list[_T], indexes: Sequence[int]) -> list[_T]:
    """Return a column's values at some indexes. A range is sliced, which is many times faster."""
    if isinstance(indexes, range):
        return column[indexes.start : indexes.stop]
    return [column[index] for index in indexes]


def records_at(
    places: Container[tuple[int, int]], topic: str, kept: Iterable[Sequence[Record]]
) -> dict[tuple[int, int], Record]:
    """Return a topic's records at some partitions and offsets, of those that were kept."""
    found = {}
    for records in kept:
        columns = columns_of(records)
        for index, place in enumerate(zip(columns.partitions, columns.offsets, strict=True)):
            if place in places and columns.topics[index] == topic:
                found[place] = records[index]
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Where reading of a partition goes on, and what tells that the topic is still the same.

    The last record read stood at ``last_offset``, which compaction may leave far before ``next_offset``.
    """

    next_offset: int
    topic_id: str | None = None
    last_timestamp_ms: int | None = None
    last_offset: int | None = None
    leader_epoch: int | None = None

    def behind(self, other: "Position") -> "Position":
        """Return this one, with the last record of one before it where none was read since."""
        if self.last_offset is not None:
            return self
        return replace(other, next_offset=self.next_offset, topic_id=self.topic_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """One partition's step in a batch. ``began`` is None if the partition was never read before."""

    topic: str
    partition: int
    began: int | None
    ends: Position


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Offsets that expired before they were read: from ``first_missing`` up to, not including, ``next_available``."""

    topic: str
    partition: int
    first_missing: int
    next_available: int

    def __str__(self) -> str:
        offsets = f"offsets {self.first_missing} to {self.next_available - 1}"
        return f"{self.topic} [{self.partition}]: {offsets} expired from the topic before they were read"


@dataclass(frozen=True, slots=True)
class Reject:
    """A record that could not be read as a valid event. ``matter_id`` is set if the event could be decoded."""

    record: Record
    kind: DecodeErrorKind | RejectKind
    detail: str
    matter_id: str | None = None


# All other columns are text.
_ARROW_TYPES: Final = {ColumnKind.EVENT_ID: pa.uuid(), ColumnKind.INSTANT: pa.timestamp("us")}
# A view's fields, in the event's order.
EVENT_COLUMNS: Final = pa.schema([(column.field, _ARROW_TYPES.get(column.kind, pa.string())) for column in EVENT_ORDER])
# The same, then the record's partition and offset.
VIEW_COLUMNS: Final = EVENT_COLUMNS.append(pa.field("kafka_partition", pa.int32())).append(
    pa.field("kafka_offset", pa.int64())
)
DELETION_COLUMNS: Final = pa.schema(
    [
        ("event_id", pa.uuid()),
        ("matter_id", pa.string()),
        ("deleted_at", pa.timestamp("us")),
        ("kafka_partition", pa.int32()),
        ("kafka_offset", pa.int64()),
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedRecords:
    """A batch's records by kind. ``views`` has VIEW_COLUMNS, ``deletions`` has DELETION_COLUMNS."""

    records: int
    views: pa.Table
    deletions: pa.Table
    rejects: tuple[Reject, ...]
    tombstones: int
    # For keeping a view as a dead letter if its event ID is stored with other content. None: not kept.
    kept_records: tuple[Sequence[Record], ...] | None = field(repr=False)
    # The topic of views, which tombstones are sent to.
    views_topic: str

    @property
    def size(self) -> int:
        """How many bytes the columns and the rejects have."""
        rejected = sum(reject.record.size for reject in self.rejects)
        return int(self.views.nbytes + self.deletions.nbytes + rejected)


def joined(parts: Sequence[DecodedRecords]) -> DecodedRecords:
    """Join the decoded pieces of a batch."""
    kept = [part.kept_records for part in parts if part.kept_records is not None]
    return DecodedRecords(
        records=sum(part.records for part in parts),
        views=pa.concat_tables(part.views for part in parts),
        deletions=pa.concat_tables(part.deletions for part in parts),
        rejects=tuple(reject for part in parts for reject in part.rejects),
        tombstones=sum(part.tombstones for part in parts),
        kept_records=tuple(chain.from_iterable(kept)) if len(kept) == len(parts) else None,
        views_topic=parts[0].views_topic,
    )


def joined_moves(moves: Iterable[Move]) -> tuple[Move, ...]:
    """Join the consecutive moves of each partition into one."""
    found: dict[TopicPartition, Move] = {}
    for move in moves:
        partition = (move.topic, move.partition)
        before = found.get(partition, move)
        found[partition] = replace(move, began=before.began, ends=move.ends.behind(before.ends))
    return tuple(found.values())


def micros_of(instant: datetime) -> int:
    """Convert an instant to microseconds since 1970 UTC."""
    return (instant - EPOCH) // timedelta(microseconds=1)


_in_order: Final = itemgetter(*EVENT_COLUMNS.names)


def view_row(view: MatterViewed, record: Record) -> tuple[object, ...]:
    """Return a view as one row of VIEW_COLUMNS."""
    exact = {"event_id": view.event_id.bytes, "matter_viewed_at": micros_of(view.matter_viewed_at)}
    return (*_in_order(view.__dict__ | exact), record.partition, record.offset)


def deletion_row(deletion: MatterDeleted, record: Record) -> tuple[object, ...]:
    """Return a deletion as one row of DELETION_COLUMNS."""
    return (
        deletion.event_id.bytes,
        deletion.matter_id,
        micros_of(deletion.deleted_at),
        record.partition,
        record.offset,
    )


def table_of(rows: Sequence[tuple[object, ...]], columns: pa.Schema) -> pa.Table:
    """Turn rows into an Arrow table."""
    by_column = zip(*rows, strict=True) if rows else ([] for _ in columns)
    arrays = [pa.array(values, kind) for values, kind in zip(by_column, columns.types, strict=True)]
    return pa.Table.from_arrays(arrays, schema=columns)
