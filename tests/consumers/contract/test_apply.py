"""One batch, one transaction; a deletion takes its matter, whatever came first."""

from contextlib import closing
from dataclasses import replace
from datetime import datetime

import pytest

from matterlog.consumers.database import dead_letters, purge
from matterlog.consumers.database.batch import BatchResult
from matterlog.consumers.database.log_store import LogStore
from matterlog.consumers.database.transaction import Transaction
from matterlog.consumers.errors import PositionMoved
from matterlog.consumers.reading.records import Gap, Move, Position
from matterlog.schemas import Event
from testbed.events import NOON, a_deletion, a_view, record_of
from testbed.feed import DELETIONS, VIEWS, Feed, apply_records, decode, everything, letters, rows, stored_ids
from tests.consumers.contract.stores import OpenStore

RECEIPT = "SELECT views_purged, views_refused, dead_letters_purged FROM purges"


# One transaction


def test_a_batch_that_breaks_half_way_leaves_nothing(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    feed.apply(a_view(), feed.poison())
    before = everything(feed.store)
    monkeypatch.setattr(dead_letters, "_reject_row", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        feed.apply(a_view(), a_view(matter_id="m-2"), a_deletion(), feed.poison())
    assert everything(feed.store) == before


def test_after_a_batch_that_broke_the_next_one_is_applied(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(dead_letters, "_reject_row", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            feed.apply(a_deletion(matter_id="m-2"), feed.poison())
    view = a_view(matter_id="m-2")
    assert feed.apply(view).views == 1
    assert stored_ids(feed.store) == {view.event_id}


@pytest.mark.parametrize("began", [None, 0, 1, 3])
def test_a_batch_that_does_not_begin_where_the_database_stands_is_refused(feed: Feed, began: int | None) -> None:
    feed.apply(a_view(), a_view())
    before = everything(feed.store)
    move = Move(topic=VIEWS, partition=0, began=began, ends=Position(next_offset=4))
    with pytest.raises(PositionMoved, match=rf"{VIEWS} \[0\]: the batch begins at {began}, the stored position is 2"):
        feed.store.apply(decode([feed.record(a_view()), feed.record(a_deletion())]), [move])
    assert everything(feed.store) == before


def test_a_batch_that_begins_in_a_partition_never_read_is_refused(store: LogStore) -> None:
    move = Move(topic=VIEWS, partition=5, began=7, ends=Position(next_offset=8))
    before = everything(store)
    with pytest.raises(PositionMoved, match="begins at 7, the stored position is None"):
        store.apply(decode([record_of(a_view(), 5, 7)]), [move])
    assert everything(store) == before


def test_a_position_moves_without_a_record(store: LogStore) -> None:
    """What tells the topic from another one stays."""
    behind = Position(next_offset=9, topic_id="t", last_timestamp_ms=17)
    store.apply(decode([]), [Move(topic=VIEWS, partition=1, began=None, ends=behind)])
    store.apply(decode([]), [Move(topic=VIEWS, partition=1, began=9, ends=Position(next_offset=12))])
    assert store.positions() == {(VIEWS, 1): replace(behind, next_offset=12)}


def test_each_partition_of_each_topic_has_a_position_of_its_own(store: LogStore) -> None:
    partitions = [(topic, number) for topic in (VIEWS, DELETIONS) for number in (0, 1)]
    expected = {partition: Position(next_offset=10 + at) for at, partition in enumerate(partitions)}
    begun = [Move(topic=t, partition=n, began=None, ends=ends) for (t, n), ends in expected.items()]
    store.apply(decode([]), begun)
    for topic, number in partitions:
        began, ends = expected[topic, number].next_offset, Position(next_offset=100 + number)
        store.apply(decode([]), [Move(topic=topic, partition=number, began=began, ends=ends)])
        expected[topic, number] = ends
        assert store.positions() == expected


def test_a_position_remembers_the_topic_and_the_last_timestamp(feed: Feed) -> None:
    feed.apply(a_view(), a_view())
    expected = Position(next_offset=2, topic_id=f"id of {VIEWS}", last_timestamp_ms=1_700_000_000_001)
    assert feed.store.positions() == {(VIEWS, 0): expected}


def test_gaps_are_recorded_and_stepped_over_at_once(feed: Feed) -> None:
    feed.apply(a_view())
    gap = Gap(topic=VIEWS, partition=0, first_missing=1, next_available=40)
    feed.store.record_gaps([gap], [Move(topic=VIEWS, partition=0, began=1, ends=Position(next_offset=40))])
    assert [row[:4] for row in rows(feed.store, "FROM gaps")] == [(VIEWS, 0, 1, 40)]
    assert feed.store.positions()[VIEWS, 0].next_offset == 40


def test_gaps_behind_another_position_are_not_recorded(feed: Feed) -> None:
    feed.apply(a_view())
    gap = Gap(topic=VIEWS, partition=0, first_missing=0, next_available=40)
    with pytest.raises(PositionMoved):
        feed.store.record_gaps([gap], [Move(topic=VIEWS, partition=0, began=0, ends=Position(next_offset=40))])
    assert rows(feed.store, "FROM gaps") == []


def test_a_gap_that_is_not_recorded_is_not_stepped_over(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    feed.apply(a_view())
    monkeypatch.setattr(Transaction, "record_gaps", lambda *_: 1 / 0)
    gap = Gap(topic=VIEWS, partition=0, first_missing=1, next_available=40)
    with pytest.raises(ZeroDivisionError):
        feed.store.record_gaps([gap], [Move(topic=VIEWS, partition=0, began=1, ends=Position(next_offset=40))])
    assert feed.store.positions()[VIEWS, 0].next_offset == 1


def test_the_counts_add_up_to_the_records(feed: Feed) -> None:
    view, late = a_view(), a_view(matter_id="m-2")
    feed.apply(a_deletion(matter_id="m-2"))
    found = feed.apply(view, view, late, a_deletion(matter_id="m-3"), feed.poison(), feed.poison(value=None))
    kinds = {"views": 1, "duplicates": 1, "refused": 1, "deletions": 1, "dead_letters": 1, "tombstones": 1}
    assert found == BatchResult(records=6, **kinds, matters_deleted=("m-3",))
    assert found + found == BatchResult(
        records=12, **{kind: 2 * count for kind, count in kinds.items()}, matters_deleted=("m-3", "m-3")
    )


# Deletions


def test_a_deletion_purges_its_matter_and_no_other(feed: Feed) -> None:
    kept = a_view(matter_id="m-2")
    feed.apply(a_view(), a_view(), kept)
    found = feed.apply(a_deletion())
    assert (found.matters_deleted, found.views_purged) == (("m-42",), 2)
    assert stored_ids(feed.store) == {kept.event_id}


@pytest.mark.parametrize("first", ["view", "deletion"])
@pytest.mark.parametrize("batches", [1, 2])
def test_a_view_of_a_deleted_matter_is_gone_in_either_order(feed: Feed, first: str, batches: int) -> None:
    events: list[Event] = [a_view(), a_deletion()] if first == "view" else [a_deletion(), a_view()]
    found = feed.apply(events[0]) + feed.apply(events[1]) if batches == 2 else feed.apply(*events)
    assert stored_ids(feed.store) == set()
    assert found.deletions == 1
    assert rows(feed.store, "SELECT matter_id, views_purged + views_refused FROM purges") == [("m-42", 1)]


def test_a_receipt_counts_what_was_purged_and_what_came_too_late(feed: Feed) -> None:
    view, wrong = a_view(), feed.record(a_view())._replace(key=b"another key")
    feed.apply(view, a_view(), a_view(matter_id="m-2"), wrong)
    feed.apply(a_deletion(), a_view())
    feed.apply(view, a_view(), a_view(matter_id="m-2"), feed.record(a_view())._replace(key=b"another key"))
    assert rows(feed.store, RECEIPT) == [(2, 4, 1)]


def test_a_receipt_tells_when_and_where_the_deletion_came(open_store: OpenStore) -> None:
    deletion, now = a_deletion(), datetime(2026, 11, 22, 1, 2, 3, 4)  # noqa: DTZ001 - as the table holds it
    with closing(open_store(clock=lambda: now)) as store:
        apply_records(store, record_of(deletion, 3, 17))
        receipt = ("m-42", deletion.event_id, NOON.replace(tzinfo=None), 3, 17, now, 0, 0, 0, 1, 0)
        stages = (None, None, now, None, None, None, None)
        assert rows(store, "FROM purges") == [receipt + stages]


def test_the_first_deletion_of_a_matter_counts_and_later_ones_change_nothing(feed: Feed) -> None:
    first = a_deletion()
    feed.apply(a_view(), first, a_deletion())
    before = rows(feed.store, "FROM purges")
    found = feed.apply(a_deletion(), a_deletion(), first)
    assert (found.deletions, found.matters_deleted, found.views_purged) == (3, (), 0)
    assert rows(feed.store, "FROM purges") == before
    assert before[0][1] == first.event_id


@pytest.mark.parametrize("views", [1, 3, 4, 10])
def test_many_views_are_purged_in_slices(feed: Feed, views: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(purge, "MAX_DELETED_ROWS_A_STATEMENT", 3)
    slices: list[int] = []
    run = Transaction.run

    def watched(steps: Transaction, name: str, **values: object) -> int:
        changed = run(steps, name, **values)
        slices.extend([changed] if name in {"delete_some_views", "delete_views"} else [])
        return changed

    monkeypatch.setattr(Transaction, "run", watched)
    feed.apply(*(a_view() for _ in range(views)), a_view(matter_id="m-2"))
    found = feed.apply(a_deletion())
    assert found.views_purged == views == sum(slices)
    assert max(slices) <= 3
    assert rows(feed.store, "SELECT matter_id FROM activity") == [("m-2",)]


def test_a_deletion_outlives_the_store(open_store: OpenStore) -> None:
    with closing(open_store()) as store:
        apply_records(store, record_of(a_deletion(), 0, 0))
    with closing(open_store()) as store:
        assert apply_records(store, record_of(a_view(), 0, 0)).refused == 1
        store.reopen()
        assert apply_records(store, record_of(a_view(), 0, 1)).refused == 1
        assert stored_ids(store) == set()


def test_a_deletion_purges_the_dead_letters_of_its_matter(feed: Feed) -> None:
    view = a_view()
    conflict = a_view(event_id=view.event_id, user_name="Somebody Else")
    feed.apply(view, conflict, feed.record(a_view())._replace(key=b"another key"), feed.poison())
    feed.apply(a_deletion())
    assert [letter.error_kind for letter in letters(feed.store)] == ["unknown-framing"]
    assert rows(feed.store, RECEIPT) == [(1, 0, 2)]


@pytest.mark.parametrize("batches", [1, 2])
def test_a_late_reject_of_a_deleted_matter_is_not_kept(feed: Feed, batches: int) -> None:
    """Neither a wrong key nor a conflict makes a record of a deleted matter survive."""
    view = a_view(matter_id="m-2")
    feed.apply(view)
    late = (feed.record(a_view(event_id=view.event_id)), feed.record(a_view())._replace(key=b"another key"))
    found = feed.apply(a_deletion()) + feed.apply(*late) if batches == 2 else feed.apply(*late, a_deletion())
    assert (found.refused, found.dead_letters, letters(feed.store)) == (2, 0, [])


def test_a_row_and_a_purge_hold_the_number_of_their_transaction(feed: Feed) -> None:
    """An extract that holds what came since another one rests on it."""
    feed.apply(a_view(matter_id="m-2"))
    feed.apply(a_view(), a_deletion(matter_id="m-2"))
    feed.apply(a_deletion())
    assert rows(feed.store, "SELECT matter_id, arrival FROM purges ORDER BY ALL") == [("m-2", 2), ("m-42", 3)]
    feed.apply(a_view(matter_id="m-4"))
    assert rows(feed.store, "SELECT arrival FROM activity") == [(4,)]
    assert rows(feed.store, "SELECT last_arrival FROM log") == [(4,)]
