"""An event ID stands in the activity table once; with other content it is a conflict."""

from dataclasses import replace
from uuid import UUID

import pytest

from matterlog.consumers.errors import RecordsNotKept
from matterlog.schemas import MatterViewed
from testbed.events import a_deletion, a_view
from testbed.feed import OTHER_VALUES, Feed, decode, everything, letters, moves_of, rows, stored_ids

IDS = {
    4: UUID("0195c0de-0000-4000-8000-00000000000a"),
    7: UUID("0195c0de-0000-7000-8000-00000000000a"),
    8: UUID("0195c0de-0000-8000-8000-00000000000a"),
}


@pytest.mark.parametrize("version", IDS)
def test_a_duplicate_is_found_in_its_batch_and_in_the_table(feed: Feed, version: int) -> None:
    view = a_view(event_id=IDS[version])
    assert feed.apply(view, view, view).duplicates == 2
    assert feed.apply(a_view(event_id=IDS[4 if version == 7 else 7]), view).duplicates == 1
    assert rows(feed.store, "SELECT kafka_offset FROM activity ORDER BY ALL") == [(0,), (3,)]


@pytest.mark.parametrize("version", IDS)
def test_a_repeated_id_is_found_in_its_batch_beside_ids_of_the_other_kind(feed: Feed, version: int) -> None:
    view, others = a_view(event_id=IDS[version]), [a_view(event_id=each) for each in IDS.values()]
    found = feed.apply(*others, view)
    assert (found.views, found.duplicates) == (3, 1)


def test_duplicates_are_found_among_ids_of_all_versions(feed: Feed) -> None:
    """Random IDs lie far apart and time-ordered ones close together; the range of one kind must not hide another."""
    views = [a_view(event_id=event_id) for event_id in IDS.values()]
    views += [a_view(event_id=UUID(int=0)), a_view(event_id=UUID(int=2**128 - 1)), a_view(), a_view()]
    feed.apply(*views)
    found = feed.apply(*reversed(views), a_view())
    assert (found.duplicates, found.views, found.dead_letters) == (len(views), 1, 0)


@pytest.mark.parametrize("known", [1, 2, 50])
@pytest.mark.parametrize("came", [1, 2, 50])
def test_a_duplicate_is_found_whichever_side_is_larger(feed: Feed, known: int, came: int) -> None:
    """DuckDB joins from the smaller side, and pushes a single ID as a filter into the other one."""
    views = [a_view() for _ in range(50)]
    feed.apply(*views[:known])
    found = feed.apply(*views[:came])
    assert (found.duplicates, found.views) == (min(known, came), max(came - known, 0))


def test_the_changes_touch_every_field_but_the_id() -> None:
    assert {"event_id", *OTHER_VALUES} == set(MatterViewed.model_fields)


@pytest.mark.parametrize("field", OTHER_VALUES)
@pytest.mark.parametrize("batches", [1, 2])
def test_an_id_known_with_other_content_is_a_conflict(feed: Feed, field: str, batches: int) -> None:
    """Whichever field differs, against the batch and against the table; an empty text is not a missing one."""
    view = a_view()
    other = a_view(**{"event_id": view.event_id, field: OTHER_VALUES[field]})
    found = feed.apply(view) + feed.apply(other) if batches == 2 else feed.apply(view, other)
    assert (found.views, found.duplicates, found.dead_letters) == (1, 0, 1)
    assert [letter.error_kind for letter in letters(feed.store)] == ["conflict"]


def test_a_row_goes_before_what_stands_earlier_in_the_batch(feed: Feed) -> None:
    """A copy of the row behind a conflict is a duplicate, and a copy of the conflict is a conflict."""
    view = a_view()
    other = a_view(event_id=view.event_id, user_name="Somebody Else")
    feed.apply(view)
    found = feed.apply(other, view, other)
    assert (found.duplicates, found.dead_letters) == (1, 2)
    assert [letter.record.offset for letter in letters(feed.store)] == [1, 3]


def test_every_repeated_view_is_compared_with_the_first(feed: Feed) -> None:
    view = a_view()
    other = a_view(event_id=view.event_id, user_name="Somebody Else")
    found = feed.apply(view, other, other, view)
    assert (found.views, found.duplicates, found.dead_letters) == (1, 1, 2)
    assert [letter.record.offset for letter in letters(feed.store)] == [1, 2]


@pytest.mark.parametrize("batches", [1, 2])
def test_a_conflict_whose_record_was_not_kept_applies_nothing(feed: Feed, batches: int) -> None:
    """The reader reads the batch again, and keeps the records."""
    view = a_view()
    records = [feed.record(one) for one in (view, a_view(event_id=view.event_id, user_name="Somebody Else"))]
    for record in records[: batches - 1]:
        feed.apply(record)
    before = everything(feed.store)
    rest = records[batches - 1 :]
    with pytest.raises(RecordsNotKept):
        feed.store.apply(replace(decode(rest), kept_records=None), moves_of(rest, feed.store.positions()), decode)
    assert everything(feed.store) == before
    assert feed.apply(*rest).dead_letters == 1


def test_a_conflict_is_settled_when_its_rival_is_purged(feed: Feed) -> None:
    """As if the deletion had come first: the purged view would have been refused, and the other one stored."""
    rival = a_view()
    other = a_view(event_id=rival.event_id, matter_id="m-2")
    feed.apply(rival, other)
    found = feed.apply(a_deletion())
    assert (found.records, found.views, found.deletions, found.views_purged) == (2, 1, 1, 1)
    assert rows(feed.store, "SELECT event_id, matter_id, kafka_offset FROM activity") == [(other.event_id, "m-2", 1)]
    assert letters(feed.store) == []


def test_a_purge_settles_no_other_conflict(feed: Feed) -> None:
    rival, purged = a_view(matter_id="m-1"), a_view()
    feed.apply(rival, a_view(event_id=rival.event_id, matter_id="m-2"), purged)
    found = feed.apply(a_deletion())
    assert (found.records, found.dead_letters, found.views_purged) == (1, 0, 1)
    assert [letter.matter_id for letter in letters(feed.store)] == ["m-2"]


def test_of_several_settled_conflicts_the_first_is_stored(feed: Feed) -> None:
    rival = a_view()
    second = a_view(event_id=rival.event_id, matter_id="m-2")
    third = a_view(event_id=rival.event_id, matter_id="m-3")
    feed.apply(rival, second, third, second)
    found = feed.apply(third, a_deletion())
    assert rows(feed.store, "SELECT matter_id, kafka_offset FROM activity") == [("m-2", 1)]
    assert [letter.record.offset for letter in letters(feed.store)] == [2, 4]
    assert (found.views, found.duplicates, found.dead_letters) == (1, 1, 2)


def test_a_conflict_of_a_matter_deleted_at_once_with_its_rival_is_purged(feed: Feed) -> None:
    rival = a_view()
    feed.apply(rival, a_view(event_id=rival.event_id, matter_id="m-2"))
    feed.apply(a_deletion(), a_deletion(matter_id="m-2"))
    assert (stored_ids(feed.store), letters(feed.store)) == (set(), [])


def test_without_a_decoder_a_settled_conflict_waits_for_a_retry(feed: Feed) -> None:
    rival = a_view()
    feed.apply(rival, a_view(event_id=rival.event_id, matter_id="m-2"))
    records = [feed.record(a_deletion())]
    feed.store.apply(decode(records), moves_of(records, feed.store.positions()))
    assert stored_ids(feed.store) == set()
    assert feed.store.retry(None, decode).views == 1
    assert stored_ids(feed.store) == {rival.event_id}
