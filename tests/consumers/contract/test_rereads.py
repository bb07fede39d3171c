"""Partitions that are read again: what comes again is in its topic, what does not is the database's alone."""

import pytest

from matterlog.consumers.database.dead_letters import DeadLetterAddress
from matterlog.consumers.database.log_store import LogStore
from matterlog.consumers.database.transaction import Transaction
from matterlog.consumers.reading.positions_check import FoundTopics
from matterlog.consumers.reading.records import Gap, Move, Position, TopicPartition
from testbed.events import a_deletion, a_view
from testbed.feed import DELETIONS, TOPICS, VIEWS, Feed, decode, letters, rows, stored_ids


def found(bounds: dict[TopicPartition, tuple[int, int]]) -> FoundTopics:
    """The topics as they are, between these bounds."""
    return FoundTopics(ids={VIEWS: "another", DELETIONS: None}, watermarks=bounds, last_records={})


def read_again(store: LogStore, ends: int) -> Feed:
    """Begin to read partition 0 of both topics again, up to these ends; return what feeds it from the beginning."""
    partitions = [(VIEWS, 0), (DELETIONS, 0)]
    store.begin_rereads(partitions, found(dict.fromkeys(partitions, (0, ends))), TOPICS)
    return Feed(store)


def held_alone(store: LogStore) -> set[object]:
    """Of what it is not known that the topics have it: event IDs, and offsets of dead letters."""
    return {
        row[0] for row in rows(store, "SELECT coalesce(event_id::VARCHAR, kafka_offset::VARCHAR) FROM database_only")
    }


def test_what_comes_again_is_there_and_what_does_not_is_the_databases_alone(feed: Feed) -> None:
    """Views, deletions and dead letters; a conflict with a row does not say that the row is there."""
    first, second, third = a_view(), a_view(), a_view()
    deletions = a_deletion(matter_id="m-1"), a_deletion(matter_id="m-2")
    poison, lost_poison = feed.poison(offset=7), feed.poison(offset=8)
    feed.apply(first, second, third, *deletions, poison, lost_poison)
    again = read_again(feed.store, 9)
    assert len(held_alone(feed.store)) == 7
    other = third.model_copy(update={"user_name": "Another"})
    again.apply(first, other, a_deletion(matter_id="m-1"), poison)
    assert held_alone(feed.store) == {str(second.event_id), str(third.event_id), str(deletions[1].event_id), "8"}
    assert len(stored_ids(feed.store)) == 3
    assert [letter.record.offset for letter in letters(feed.store) if letter.error_kind != "conflict"] == [7, 8]


def test_a_copy_in_another_partition_does_not_say_that_the_row_is_there(feed: Feed) -> None:
    """It is buried, so that the topic loses it."""
    view = a_view()
    feed.apply(view)
    read_again(feed.store, 1)
    moved = feed.record(view)._replace(partition=1, offset=0)
    move = Move(topic=VIEWS, partition=1, began=None, ends=Position(next_offset=1))
    assert feed.store.apply(decode([moved]), [move]).duplicates == 1
    assert held_alone(feed.store) == {str(view.event_id)}


def test_a_partition_is_read_again_until_its_end_is_reached(feed: Feed) -> None:
    """Not before, and not in another partition's stead."""
    views = [a_view() for _ in range(3)]
    feed.apply(*views)
    again = read_again(feed.store, 3)
    again.apply(*views[:2])
    assert rows(feed.store, "SELECT topic FROM cuts ORDER BY ALL") == [(DELETIONS,), (VIEWS,)]
    again.apply(views[2])
    assert rows(feed.store, "SELECT topic FROM cuts") == [(DELETIONS,)]


def test_what_is_purged_or_discarded_is_held_by_nobody(feed: Feed) -> None:
    """No rebuild can lose it."""
    feed.apply(a_view(matter_id="m-1"), a_view(matter_id="m-2"), feed.poison())
    again = read_again(feed.store, 9)
    again.apply(a_deletion(matter_id="m-1"))
    assert len(held_alone(feed.store)) == 2
    feed.store.discard(None)
    assert len(held_alone(feed.store)) == 1


def test_two_dead_letters_at_one_address_are_kept_apart(feed: Feed) -> None:
    """After a cut another record stands where one was read; who names the address names both."""
    feed.apply(feed.poison(offset=7))
    other = feed.poison(value=b"another", offset=7)
    read_again(feed.store, 9)
    assert feed.store.apply(decode([other]), []).dead_letters == 1
    assert held_alone(feed.store) == {"7"}
    address = [DeadLetterAddress(VIEWS, 0, 7)]
    assert feed.store.retry(address, decode).dead_letters == 2
    assert feed.store.discard(address) == 2


def test_a_position_before_a_partition_that_is_gone_goes(feed: Feed) -> None:
    """All that the database holds of it is its alone."""
    feed.apply(a_view())
    feed.store.begin_rereads([(VIEWS, 0)], found({}), TOPICS)
    assert (feed.store.positions(), feed.store.rereading(), len(held_alone(feed.store))) == ({}, False, 1)


def test_what_tells_the_last_record_moves_together(feed: Feed) -> None:
    """A timestamp that is none takes the place of the one before it."""
    feed.apply(a_view())
    ends = Position(next_offset=2, last_timestamp_ms=2**62, last_offset=1, leader_epoch=4)
    feed.store.apply(decode([]), [Move(topic=VIEWS, partition=0, began=1, ends=ends)])
    found = feed.store.positions()[VIEWS, 0]
    assert (found.last_timestamp_ms, found.last_offset, found.leader_epoch) == (None, 1, 4)


def test_what_expired_unread_is_recorded_with_the_beginning_that_steps_over_it(feed: Feed) -> None:
    """In one transaction; the position says of which topic the beginning is."""
    feed.apply(a_view())
    gap = Gap(topic=VIEWS, partition=0, first_missing=1, next_available=40)
    feed.store.begin_rereads([(VIEWS, 0)], found({(VIEWS, 0): (40, 50)}), TOPICS, [gap])
    assert [row[:4] for row in rows(feed.store, "FROM gaps")] == [(VIEWS, 0, 1, 40)]
    assert feed.store.positions() == {(VIEWS, 0): Position(next_offset=40, topic_id="another")}


def test_a_gap_that_is_not_recorded_leaves_the_position(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever breaks the transaction: the next reread finds the same."""
    feed.apply(a_view())
    monkeypatch.setattr(Transaction, "record_gaps", lambda *_: 1 / 0)
    gap = Gap(topic=VIEWS, partition=0, first_missing=1, next_available=40)
    with pytest.raises(ZeroDivisionError):
        feed.store.begin_rereads([(VIEWS, 0)], found({(VIEWS, 0): (40, 50)}), TOPICS, [gap])
    assert feed.store.positions()[VIEWS, 0].next_offset == 1
