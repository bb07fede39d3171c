"""Records -> columns and rejects: which record becomes what, in which order, and that none is left out."""

from typing import Final

import pytest

from matterlog.consumers.reading.decode import decode_records
from matterlog.consumers.reading.records import (
    DELETION_COLUMNS,
    VIEW_COLUMNS,
    DecodedRecords,
    Record,
    RejectKind,
    records_at,
)
from matterlog.schemas import DecodeErrorKind, Event, MatterType, Topics, UserType, encode
from matterlog.schemas.codec import newest_schema, schemas
from testbed.events import NOON, a_deletion, a_view, record_of

TOPICS: Final = Topics()
VIEW_OF_M9: Final = a_view(matter_id="m-9")
DELETION_OF_M9: Final = a_deletion(matter_id="m-9")
OFFICE: Final = {
    "user_company_id": "c-7",
    "user_company_name": "Hale & Co",
    "user_member_office_id": "o-3",
    "user_member_office_name": "City",
    "user_member_office_location_name": "London",
    "user_member_office_location_iso2": "GB",
}


def decode_one(record: Record) -> DecodedRecords:
    return decode_records([record], TOPICS)


def test_a_views_row_holds_its_fields_and_its_offset() -> None:
    """Each column by name, in the table's types."""
    view = a_view(**OFFICE, user_type=UserType.GUEST, matter_type=MatterType.DEMO)
    [row] = decode_one(record_of(view, 3, 17)).views.to_pylist()
    offset = {"kafka_partition": 3, "kafka_offset": 17}
    assert row == view.model_dump() | offset | {"matter_viewed_at": NOON.replace(tzinfo=None)}


def test_a_deletions_row_holds_its_fields_and_its_offset() -> None:
    """As for a view."""
    deletion = a_deletion()
    [row] = decode_one(record_of(deletion, 1, 5)).deletions.to_pylist()
    offset = {"kafka_partition": 1, "kafka_offset": 5}
    assert row == deletion.model_dump() | offset | {"deleted_at": NOON.replace(tzinfo=None)}


def test_no_records_are_empty_columns() -> None:
    """A partition's position may move without a record."""
    decoded = decode_records([], TOPICS)
    assert (decoded.views.schema, decoded.deletions.schema) == (VIEW_COLUMNS, DELETION_COLUMNS)
    assert (decoded.records, decoded.views.num_rows, decoded.deletions.num_rows, decoded.rejects) == (0, 0, 0, ())


def test_rows_keep_the_order_of_the_records() -> None:
    """Of two views with one event ID the first counts."""
    views = [a_view() for _ in range(20)]
    records = [record_of(view, number % 3, number) for number, view in enumerate(views)]
    decoded = decode_records(records, TOPICS)
    assert decoded.views["event_id"].to_pylist() == [view.event_id for view in views]
    assert decoded.views["kafka_offset"].to_pylist() == list(range(20))


def test_every_record_is_counted_once() -> None:
    """Views, deletions, tombstones and rejects add up to what was read."""
    good, bad = record_of(a_view(), 0, 0), record_of(a_view(), 0, 1)._replace(value=b"poison")
    tombstone, deletion = good._replace(offset=2, value=None), record_of(a_deletion(), 0, 0)
    decoded = decode_records([good, bad, tombstone, deletion, bad, good], TOPICS)
    kinds = decoded.views.num_rows, decoded.deletions.num_rows, decoded.tombstones, len(decoded.rejects)
    assert kinds == (2, 1, 1, 2)
    assert decoded.records == sum(kinds)


def test_a_tombstone_says_nothing_in_either_topic() -> None:
    """It has no value, whatever its key."""
    records = [record_of(event, 0, 0)._replace(value=None) for event in (a_view(), a_deletion())]
    decoded = decode_records(records, TOPICS)
    assert (decoded.tombstones, decoded.rejects) == (2, ())


@pytest.mark.parametrize(
    ("payload", "kind"),
    [
        (b"", DecodeErrorKind.UNKNOWN_FRAMING),
        (b"{}", DecodeErrorKind.UNKNOWN_FRAMING),
        (b"\xc3\x01" + bytes(8), DecodeErrorKind.UNKNOWN_SCHEMA),
        (b"\x00\x00\x00\x00\x07body", DecodeErrorKind.UNKNOWN_SCHEMA),
        (encode(a_view())[:-9], DecodeErrorKind.TRUNCATED),
        (encode(a_view()) + b"!", DecodeErrorKind.TRAILING_BYTES),
        (bytes(70_000), DecodeErrorKind.OVERSIZE),
    ],
)
def test_a_payload_that_is_no_event_is_a_reject_of_its_kind(payload: bytes, kind: DecodeErrorKind) -> None:
    """With the whole record in it, and no matter, since none could be read."""
    record = record_of(a_view(), 0, 0)._replace(value=payload)
    [reject] = decode_one(record).rejects
    assert (reject.record, reject.kind, reject.matter_id) == (record, kind, None)


@pytest.mark.parametrize(
    ("event", "other"), [(a_view(matter_id="m-9"), a_deletion()), (a_deletion(matter_id="m-9"), a_view())]
)
def test_an_event_in_the_other_topic_is_a_reject(event: object, other: object) -> None:
    """Who may write views may not purge; the matter is known, so that its deletion reaches the record."""
    record = record_of(event, 0, 0)._replace(topic=record_of(other, 0, 0).topic)  # type: ignore[arg-type]
    decoded = decode_one(record)
    assert [(each.kind, each.matter_id) for each in decoded.rejects] == [(RejectKind.WRONG_EVENT, "m-9")]
    assert (decoded.views.num_rows, decoded.deletions.num_rows) == (0, 0)


@pytest.mark.parametrize("key", [None, b"", b"another"])
@pytest.mark.parametrize("event", [VIEW_OF_M9, DELETION_OF_M9], ids=["view", "deletion"])
def test_an_event_under_another_key_is_a_reject(event: Event, key: bytes | None) -> None:
    """Compaction would treat it as something else; the matter is known."""
    decoded = decode_one(record_of(event, 0, 0)._replace(key=key))
    assert [(each.kind, each.matter_id) for each in decoded.rejects] == [(RejectKind.WRONG_KEY, "m-9")]


def test_a_views_key_is_the_ids_canonical_text() -> None:
    """The same ID in capitals is another key to Kafka."""
    record = record_of(a_view(), 0, 0)
    [reject] = decode_one(record._replace(key=(record.key or b"").upper())).rejects
    assert reject.kind == RejectKind.WRONG_KEY


def test_a_rejects_detail_holds_nothing_of_the_events_content() -> None:
    """It is shown and logged."""
    view = a_view(user_name="Zebedee", user_email="zebedee@example.com")
    records = [record_of(view, 0, 0)._replace(key=b"zebedee"), record_of(view, 0, 0)._replace(topic="matter-deletions")]
    rejects = decode_records(records, TOPICS).rejects
    assert len(rejects) == 2
    assert "zebedee" not in " ".join(reject.detail for reject in rejects).lower()


def test_a_registrys_ids_are_read_where_they_are_known() -> None:
    """Known IDs are events, others are rejects, both framings side by side."""
    view = a_view()
    framed = [record_of(view, 0, offset)._replace(value=encode(view, offset)) for offset in (7, 8)]
    registered = {7: newest_schema(type(view))}
    decoded = decode_records([record_of(view, 0, 0), *framed], TOPICS, registered)
    assert decoded.views["kafka_offset"].to_pylist() == [0, 7]
    assert [(each.record.offset, each.kind) for each in decoded.rejects] == [(8, DecodeErrorKind.UNKNOWN_SCHEMA)]


def test_an_older_versions_view_has_no_company_or_office() -> None:
    """Messages of the first version are in the topic for ever."""
    view, [first_version, *_] = a_view(), schemas().values()
    bare = encode(view)[10:-6]  # behind the frame, before the six optional fields
    old = b"\xc3\x01" + first_version.fingerprint + bare
    [row] = decode_one(record_of(view, 0, 0)._replace(value=old)).views.to_pylist()
    assert row["event_id"] == view.event_id
    assert {row[name] for name in OFFICE} == {None}


def test_each_views_record_can_be_found_again_by_its_offset() -> None:
    """A view whose ID turns out to be known with other content is kept whole."""
    records = [record_of(a_view(), partition, 4) for partition in range(3)]
    decoded = decode_records([*records, record_of(a_deletion(), 0, 4)], TOPICS)
    views = {(record.partition, 4): record for record in records}
    assert records_at(views, TOPICS.matter_views.name, decoded.kept_records or ()) == views


def test_a_record_of_a_topic_that_is_not_read_is_a_reject() -> None:
    """A dead letter may be tried again under another prefix than it was kept under."""
    decoded = decode_records([record_of(a_view(), 0, 0, prefix="other-")], TOPICS)
    assert [each.kind for each in decoded.rejects] == [RejectKind.WRONG_EVENT]


def test_topics_with_a_prefix_are_told_apart() -> None:
    """The prefix is part of the name that a record carries."""
    view = a_view()
    decoded = decode_records([record_of(view, 0, 0, prefix="t-")], Topics("t-"))
    assert decoded.views["event_id"].to_pylist() == [view.event_id]
