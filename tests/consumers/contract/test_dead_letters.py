"""What could not be understood is kept whole, tried again, or removed for good."""

import os
from collections.abc import Sequence
from typing import Any

import pytest

from matterlog.consumers.database import dead_letters
from matterlog.consumers.database.dead_letters import DeadLetterAddress
from matterlog.consumers.errors import BrokerUnavailable, ConsumerError
from matterlog.consumers.reading.decode import decode_records
from matterlog.consumers.reading.records import DecodedRecords, Record
from matterlog.schemas import MatterViewed, encode
from matterlog.schemas.codec import newest_schema
from testbed.events import a_deletion, a_view
from testbed.feed import DELETIONS, HEADERS, TOPICS, VIEWS, Feed, decode, everything, letters, rows, stored_ids


def test_a_conflict_is_kept_whole(feed: Feed) -> None:
    view = a_view()
    feed.apply(view)
    record = feed.record(a_view(event_id=view.event_id, user_name="Somebody Else"))._replace(headers=HEADERS)
    feed.apply(record)
    [letter] = letters(feed.store)
    assert letter.record == record
    assert (letter.error_kind, letter.matter_id) == ("conflict", "m-42")


@pytest.mark.parametrize(
    "changes",
    [
        {"headers": HEADERS},
        {"key": None},
        {"key": b""},
        {"key": b"\xff\x00", "value": b""},
        {"timestamp_ms": None},
        {"timestamp_ms": 0},
        {"headers": (("ce_id", b"1"),) * 1000, "value": os.urandom(100_000)},
    ],
    ids=["headers", "no key", "an empty key", "an empty value", "no timestamp", "1970", "much"],
)
def test_a_dead_letter_is_kept_whole(feed: Feed, changes: dict[str, Any]) -> None:
    record = feed.poison(**changes)
    assert feed.apply(record).dead_letters == 1
    assert [letter.record for letter in letters(feed.store)] == [record]


@pytest.mark.parametrize("timestamp_ms", [2**63 - 1, 2**62, 253_402_300_800_000, -(2**63), -2])
def test_a_timestamp_outside_the_calendar_costs_itself_alone(feed: Feed, timestamp_ms: int) -> None:
    """A client may write any number as its record's timestamp."""
    poison = feed.poison(timestamp_ms=timestamp_ms)
    feed.apply(poison, feed.record(a_view())._replace(timestamp_ms=timestamp_ms))
    assert [letter.record for letter in letters(feed.store)] == [poison._replace(timestamp_ms=None)]
    assert feed.store.positions()[VIEWS, 0].last_timestamp_ms is None


def test_a_bad_record_costs_itself_alone(feed: Feed) -> None:
    good = [a_view() for _ in range(3)]
    feed.apply(
        feed.poison(), good[0], feed.poison(value=b""), good[1], feed.poison(value=encode(good[2])[:-1]), good[2]
    )
    assert stored_ids(feed.store) == {view.event_id for view in good}
    assert [letter.error_kind for letter in letters(feed.store)] == ["unknown-framing"] * 2 + ["truncated"]


def a_letter_of_a_registered_schema(feed: Feed, **changes: Any) -> tuple[MatterViewed, Record]:
    """A view in a registry's frame, which `decode` alone cannot read."""
    view = a_view(**changes)
    return view, feed.record(view)._replace(value=encode(view, registry_id=7))


def decode_registered(records: Sequence[Record]) -> DecodedRecords:
    """Records -> what they are, with the registry's schema known."""
    return decode_records(records, TOPICS, {7: newest_schema(MatterViewed)})


def test_a_retry_stores_what_is_understood_now(feed: Feed) -> None:
    view, record = a_letter_of_a_registered_schema(feed)
    feed.apply(record, feed.poison())
    positions = feed.store.positions()
    found = feed.store.retry(None, decode_registered)
    assert (found.records, found.views, found.dead_letters) == (2, 1, 1)
    assert rows(feed.store, "SELECT event_id, kafka_offset FROM activity") == [(view.event_id, record.offset)]
    assert [letter.error_kind for letter in letters(feed.store)] == ["unknown-framing"]
    assert feed.store.positions() == positions


def test_a_retry_of_a_deletion_purges(feed: Feed) -> None:
    view, deletion = a_view(), a_deletion()
    feed.apply(view, feed.record(deletion)._replace(value=b"\0\0\0\0\x07" + encode(deletion)[10:]))
    schema = newest_schema(type(deletion))
    assert feed.store.retry(None, lambda records: decode_records(records, TOPICS, {7: schema})).views_purged == 1
    assert feed.apply(a_view()).refused == 1
    assert (stored_ids(feed.store), letters(feed.store)) == (set(), [])


def test_a_retry_stores_no_view_of_a_deleted_matter_and_no_duplicate(feed: Feed) -> None:
    view, record = a_letter_of_a_registered_schema(feed)
    _, late = a_letter_of_a_registered_schema(feed, matter_id="m-2")
    feed.apply(record, late, view, a_deletion(matter_id="m-2"))
    found = feed.store.retry(None, decode_registered)
    assert (found.views, found.duplicates, found.refused) == (0, 1, 1)
    assert (stored_ids(feed.store), letters(feed.store)) == ({view.event_id}, [])


def test_a_retry_touches_the_places_named_alone(feed: Feed) -> None:
    records = [a_letter_of_a_registered_schema(feed)[1] for _ in range(3)]
    feed.apply(*records)
    address = DeadLetterAddress(VIEWS, 0, 1)
    assert feed.store.retry([address, address], decode_registered).records == 1
    assert [letter.record for letter in letters(feed.store)] == [records[0], records[2]]


def test_an_address_is_of_one_partition_of_one_topic(feed: Feed) -> None:
    """Offsets are alike in all of them."""
    records = [
        Record(topic, partition, 0, None, b"k", (), b"no event") for topic in (DELETIONS, VIEWS) for partition in (0, 1)
    ]
    feed.apply(*records)
    for gone in (records[1], records[2]):
        assert feed.store.discard([DeadLetterAddress(gone.topic, gone.partition, 0)]) == 1
        records.remove(gone)
        assert [letter.record for letter in letters(feed.store)] == records


def test_what_fails_again_is_kept_again_whole(feed: Feed) -> None:
    record = feed.poison(headers=HEADERS, key=None, timestamp_ms=None)
    feed.apply(record)
    assert feed.store.retry(None, decode).dead_letters == 1
    assert [letter.record for letter in letters(feed.store)] == [record]


def test_a_retry_that_breaks_keeps_the_dead_letters(feed: Feed) -> None:
    feed.apply(feed.poison(), feed.poison())
    before = everything(feed.store)

    def unanswered(_: Sequence[Record]) -> DecodedRecords:
        raise BrokerUnavailable("the schema registry does not answer")

    with pytest.raises(BrokerUnavailable):
        feed.store.retry(None, unanswered)
    assert everything(feed.store) == before


def test_discarding_removes_the_places_named_for_good(feed: Feed) -> None:
    feed.apply(*(feed.poison() for _ in range(3)))
    assert feed.store.discard([DeadLetterAddress(VIEWS, 0, 1)]) == 1
    assert [letter.record.offset for letter in letters(feed.store)] == [0, 2]
    assert feed.store.discard(None) == 2
    assert (letters(feed.store), feed.store.discard(None)) == ([], 0)


@pytest.mark.parametrize("address", [(VIEWS, 0, 1), (VIEWS, 1, 0), (DELETIONS, 0, 0)])
def test_an_unknown_address_is_an_error_and_changes_nothing(feed: Feed, address: tuple[str, int, int]) -> None:
    feed.apply(feed.poison())
    known, unknown = DeadLetterAddress(VIEWS, 0, 0), DeadLetterAddress(*address)
    for change in (feed.store.discard, lambda addresses: feed.store.retry(addresses, decode)):
        with pytest.raises(ConsumerError, match=f"there is no dead letter at {unknown}"):
            change([known, unknown])
    assert len(letters(feed.store)) == 1


def test_a_place_is_read_as_it_is_written() -> None:
    address = DeadLetterAddress("a.prefix-matter-views", 3, 5101)
    assert DeadLetterAddress.parse(str(address)) == address
    for text in ("", "views", "views:1", "views:x:1", ":1:1", "views:1:-1", "views:1:1:1"):
        with pytest.raises(ConsumerError, match="is not an address"):
            DeadLetterAddress.parse(text)


def test_a_retry_reads_letters_in_slices_and_retries_each(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them at once may be more than there is memory."""
    monkeypatch.setattr(dead_letters, "SLICE_BYTES", 250)
    feed.apply(*(feed.poison(value=b"x" * 100) for _ in range(7)))
    slices: list[int] = []

    def decode_and_note(records: Sequence[Record]) -> DecodedRecords:
        slices.append(len(records))
        return decode(records)

    assert feed.store.retry(None, decode_and_note).dead_letters == 7
    assert slices == [2, 2, 2, 1]
    assert len(letters(feed.store)) == 7


def test_a_slice_refuses_what_an_earlier_one_deleted(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dead_letters, "SLICE_BYTES", 1)
    view, late = a_letter_of_a_registered_schema(feed)
    deletion = a_deletion(matter_id=view.matter_id)
    feed.apply(feed.record(deletion)._replace(value=b"\0\0\0\0\x08" + encode(deletion)[10:]), late)
    known = {7: newest_schema(MatterViewed), 8: newest_schema(type(deletion))}
    found = feed.store.retry(None, lambda records: decode_records(records, TOPICS, known))
    assert (found.deletions, found.refused, stored_ids(feed.store), letters(feed.store)) == (1, 1, set(), [])
