"""Helpers for the tests of the store: apply records as the consumer does, and read rows as plain values."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Final

from matterlog.consumers.database.batch import BatchResult
from matterlog.consumers.database.dead_letters import DeadLetter, list_dead_letters
from matterlog.consumers.database.log_store import LogStore
from matterlog.consumers.reading.decode import decode_records
from matterlog.consumers.reading.records import DecodedRecords, Move, Position, Record, TopicPartition
from matterlog.schemas import Event, MatterViewed, Topics
from matterlog.schemas.storage.database_files import DatabaseFiles
from testbed.events import NOON, record_of

TOPICS: Final = Topics()
VIEWS: Final = TOPICS.matter_views.name
DELETIONS: Final = TOPICS.matter_deletions.name
# Everything that a client may write as headers: a repeated name, bytes that are not text, no value, no name.
HEADERS: Final = (("ce_id", b"1"), ("ce_id", b"\xff\x00"), ("trace", None), ("", b""))
# A value for each field of a view except its ID, different from the one of `a_view`.
OTHER_VALUES: Final = {
    "user_id": "u-2",
    "user_name": "zoë o’hara",  # noqa: RUF001 - the same name in lower case
    "user_email": "Zoe@example.com",
    "user_type": "Guest",
    "matter_viewed_at": NOON.replace(microsecond=678902),
    "matter_id": "m-43",
    "matter_name": "",
    "matter_type": "demo",
    "user_company_id": "c-1",
    "user_company_name": "",
    "user_member_office_id": "o-1",
    "user_member_office_name": "",
    "user_member_office_location_name": "",
    "user_member_office_location_iso2": "GB",
}


@dataclass
class ReadViews:
    """What a tombstone sender is told of the reading of views."""

    is_sure: bool = True
    are_read: bool = True

    def views_topic_is_sure(self) -> bool:
        """Whether the topic is the one that was read."""
        return self.is_sure

    def views_are_read(self) -> bool:
        """Whether it is read up to its end."""
        return self.are_read


def files_in(folder: Path) -> DatabaseFiles:
    """Return the files of a database in this folder."""
    return DatabaseFiles(folder / "log.duckdb")


def decode(records: Sequence[Record]) -> DecodedRecords:
    """Decode records without a schema registry."""
    return decode_records(records, TOPICS)


def moves_of(records: Sequence[Record], positions: dict[TopicPartition, Position]) -> list[Move]:
    """Return the move of each partition in a batch that begins at these positions."""
    ends = {
        (record.topic, record.partition): Position(
            next_offset=record.offset + 1, topic_id=f"id of {record.topic}", last_timestamp_ms=record.timestamp_ms
        )
        for record in records
    }
    return [
        Move(topic=partition[0], partition=partition[1], began=None if began is None else began.next_offset, ends=end)
        for partition, end in ends.items()
        for began in [positions.get(partition)]
    ]


def apply_records(store: LogStore, *records: Record) -> BatchResult:
    """Apply one batch that begins at the database's positions."""
    return store.apply(decode(records), moves_of(records, store.positions()), decode)


class Feed:
    """A feed of events, which get the next offsets of partition 0."""

    def __init__(self, store: LogStore, *, begins: int = 0) -> None:
        """Begin at offset ``begins``, up to which the store has read its topics."""
        # Tests of one store also use what only that one has.
        self.store: Any = store
        self._offsets = {VIEWS: count(begins), DELETIONS: count(begins)}

    def record(self, event: Event) -> Record:
        """Return the event's record at the next offset of its topic."""
        topic = VIEWS if isinstance(event, MatterViewed) else DELETIONS
        return record_of(event, 0, next(self._offsets[topic]))

    def poison(self, value: bytes | None = b"no event", **changes: Any) -> Record:
        """Return the next record of the views' topic, with this value and these ``changes``."""
        return Record(VIEWS, 0, next(self._offsets[VIEWS]), 1_700_000_000_000, b"k", (), value)._replace(**changes)

    def apply(self, *batch: Event | Record) -> BatchResult:
        """Apply one batch."""
        return apply_records(self.store, *(one if isinstance(one, Record) else self.record(one) for one in batch))


def rows(store: LogStore, query: str) -> list[tuple[Any, ...]]:
    """Return the rows of a reader's query."""
    with store.reader() as reader:
        return reader.execute(query).fetchall()


def letters(store: LogStore) -> list[DeadLetter]:
    """Return the dead letters."""
    with store.reader() as reader:
        return list_dead_letters(reader)


def stored_ids(store: LogStore) -> set[Any]:
    """Return the event IDs of the activity table, which must be unique."""
    ids = [event_id for (event_id,) in rows(store, "SELECT event_id FROM activity")]
    assert len(ids) == len(set(ids))
    return set(ids)


def everything(store: LogStore) -> list[list[tuple[Any, ...]]]:
    """Return all rows of all tables."""
    tables = [name for (name,) in rows(store, "SELECT table_name FROM duckdb_tables() WHERE database_name = 'log'")]
    assert {"activity", "positions", "log"} <= set(tables)
    return [rows(store, f"FROM {table} ORDER BY ALL") for table in tables]
