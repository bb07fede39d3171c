"""Records -> columns, and rejects for what cannot be understood. Pure.

A record without a value is a tombstone: it erases a record of the topic and says nothing to the log. A record is a
reject, not an error: the batch around it goes on.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from matterlog.schemas import DecodeError, Event, MatterViewed, Topics, decode
from matterlog.schemas.codec import Schema
from matterlog.schemas.topics import key_of

from .records import (
    DELETION_COLUMNS,
    VIEW_COLUMNS,
    Decoded,
    Record,
    Reject,
    RejectKind,
    deletion_row,
    table_of,
    view_row,
)


def decode_records(
    records: Sequence[Record], topics: Topics, registered: Mapping[int, Schema] = MappingProxyType({})
) -> Decoded:
    """Sort a batch's records into views, deletions, tombstones and rejects.

    Args:
        records: in the order in which they were read.
        topics: which event each topic carries.
        registered: the schemas known by a registry's IDs.
    """
    views, deletions, rejects, tombstones = [], [], [], 0
    view_records = {}
    expected = {topic.name: topic.event for topic in topics.both}
    for record in records:
        if record.value is None:
            tombstones += 1
            continue
        event = _event(record, record.value, expected[record.topic], registered)
        if isinstance(event, Reject):
            rejects.append(event)
        elif isinstance(event, MatterViewed):
            views.append(view_row(event, record))
            view_records[record.partition, record.offset] = record
        else:
            deletions.append(deletion_row(event, record))
    return Decoded(
        records=len(records),
        views=table_of(views, VIEW_COLUMNS),
        deletions=table_of(deletions, DELETION_COLUMNS),
        rejects=tuple(rejects),
        tombstones=tombstones,
        view_records=view_records,
    )


def _event(record: Record, payload: bytes, expected: type[Event], registered: Mapping[int, Schema]) -> Event | Reject:
    try:
        event = decode(payload, registered)
    except DecodeError as error:
        return Reject(record, error.kind, error.detail)
    if not isinstance(event, expected):
        # The right to write views is not the right to purge.
        detail = f"{event.event_type} does not belong in this topic"
        return Reject(record, RejectKind.WRONG_EVENT, detail, event.matter_id)
    if record.key != key_of(event).encode():
        # Compaction and erasure work by key: under another key the record could never be erased alone.
        return Reject(record, RejectKind.WRONG_KEY, "the key is not the event's", event.matter_id)
    return event
