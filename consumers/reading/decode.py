"""Decoding of records into columns and rejects. Pure.

1. A record without a value is a tombstone: it erases a record of the topic and changes nothing in the log.
2. A record that cannot be read as an event is a reject, not an error: the rest of the batch is still applied.
3. The reference decoder (``schemas.codec``) reads one message at a time and is the authority. A compiled decoder with
   the same rules may decode many views at once. The reference decoder gets every message that it does not accept.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import cast

import pyarrow as pa

from matterlog.consumers.reading.records import (
    DELETION_COLUMNS,
    EVENT_COLUMNS,
    VIEW_COLUMNS,
    Columns,
    DecodedRecords,
    Record,
    Reject,
    RejectKind,
    columns_of,
    deletion_row,
    pick,
    table_of,
    view_row,
)
from matterlog.schemas import DecodeError, Event, MatterViewed, Topics, decode
from matterlog.schemas.codec import Schema
from matterlog.schemas.topics import key_of

# Values, keys, a registry's schemas -> EVENT_COLUMNS with each row's index, and the indexes of rows not accepted.
ViewsDecoder = Callable[[list[bytes], list[bytes | None], Mapping[int, Schema]], tuple[pa.Table, Sequence[int]]]


def decode_records(
    records: Sequence[Record],
    topics: Topics,
    registered: Mapping[int, Schema] = MappingProxyType({}),
    views_at_once: ViewsDecoder | None = None,
) -> DecodedRecords:
    """Sort a batch's records into views, deletions, tombstones and rejects.

    Args:
        records: the records in the order in which they were read.
        topics: the topics, with the event that each carries.
        registered: schemas by their ID in the schema registry.
        views_at_once: a compiled decoder for views. Without it the reference decoder reads every message.
    """
    columns = columns_of(records)
    views = table_of([], VIEW_COLUMNS)
    rest: Sequence[int] = range(len(records))
    if views_at_once is not None:
        views, rest = _decode_views(columns, topics.matter_views.name, registered, views_at_once)
    expected = {topic.name: topic.event for topic in topics.both}
    rows, deletions, rejects = [], [], []
    for record in (records[index] for index in rest if columns.values[index] is not None):
        event = _event(record, record.value or b"", expected.get(record.topic), registered)
        if isinstance(event, Reject):
            rejects.append(event)
        elif isinstance(event, MatterViewed):
            rows.append(view_row(event, record))
        else:
            deletions.append(deletion_row(event, record))
    return DecodedRecords(
        records=len(records),
        views=pa.concat_tables([views, table_of(rows, VIEW_COLUMNS)]),
        deletions=table_of(deletions, DELETION_COLUMNS),
        rejects=tuple(rejects),
        tombstones=columns.values.count(None),
        kept_records=(records,),
        views_topic=topics.matter_views.name,
    )


def _decode_views(
    columns: Columns, topic: str, registered: Mapping[int, Schema], views_at_once: ViewsDecoder
) -> tuple[pa.Table, Sequence[int]]:
    """Return the views that the compiled decoder accepts, as VIEW_COLUMNS, and the indexes of all other records."""
    indexes, rest = _indexes_of(columns, topic)
    values = cast("list[bytes]", pick(columns.values, indexes))
    table, suspects = views_at_once(values, pick(columns.keys, indexes), registered)
    taken = table["ordinal"]
    for name, column in (("kafka_partition", columns.partitions), ("kafka_offset", columns.offsets)):
        field = VIEW_COLUMNS.field(name)
        table = table.append_column(field, pa.array(pick(column, indexes), field.type).take(taken))
    rest = sorted([*rest, *(indexes[suspect] for suspect in suspects)])
    return table.select([*EVENT_COLUMNS.names, *VIEW_COLUMNS.names[-2:]]), rest


def _indexes_of(columns: Columns, topic: str) -> tuple[Sequence[int], Sequence[int]]:
    """Return the indexes of one topic's records that have a value, and the indexes of all others."""
    count = len(columns.values)
    if columns.topics.count(topic) == count and None not in columns.values:
        return range(count), ()
    indexes = [
        index for index, value in enumerate(columns.values) if value is not None and columns.topics[index] == topic
    ]
    return indexes, sorted(set(range(count)).difference(indexes))


def _event(
    record: Record, payload: bytes, expected: type[Event] | None, registered: Mapping[int, Schema]
) -> Event | Reject:
    if expected is None:
        # A dead letter that is retried with another topic prefix than the one it was kept with.
        return Reject(record, RejectKind.WRONG_EVENT, "the topic is not one of the two that matterlog reads")
    try:
        event = decode(payload, registered)
    except DecodeError as error:
        return Reject(record, error.kind, error.detail)
    if not isinstance(event, expected):
        # A client that may write views must not be able to purge.
        detail = f"{event.event_type} does not belong in this topic"
        return Reject(record, RejectKind.WRONG_EVENT, detail, event.matter_id)
    if record.key != key_of(event).encode():
        # Compaction and erasure work by key: with another key, this record could not be erased alone.
        return Reject(record, RejectKind.WRONG_KEY, "the record's key is not the event's key", event.matter_id)
    return event
