"""What a receipt says of a deletion."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest

from matterlog.consumers.database.store import Store
from matterlog.report.purges.receipts import Receipt, read_page, read_receipts
from testbed.events import NOON, a_deletion, a_view
from testbed.feed import Feed, files_in

PURGED: Final = datetime(2026, 11, 22, 6, tzinfo=UTC)
DAY: Final = timedelta(hours=24)
HOUR: Final = timedelta(hours=1)


@pytest.fixture
def feed(tmp_path: Path) -> Feed:
    """Gives events to a log whose clock stands still."""
    return Feed(Store(files_in(tmp_path), clock=lambda: PURGED.replace(tzinfo=None)))


def receipts(feed: Feed, matter: str | None = None) -> list[Receipt]:
    """The receipts, and the store closed."""
    with feed.store as store, store.reader() as reader:
        return read_receipts(reader, matter)


def done(feed: Feed, *stages: str) -> None:
    """Set the instants of some stages, as those do who work on them."""
    with feed.store.transaction() as transaction:
        for stage in stages:
            transaction.connection.execute(f"UPDATE purges SET {stage} = $now", {"now": transaction.now})  # noqa: S608 - ours


STAGES: Final = (
    "extracts_erased_at",
    "topic_tombstoned_at",
    "topic_erased_at",
    "file_erased_at",
    "snapshots_erased_at",
)


def test_a_receipt_says_what_was_removed_and_what_is_to_come(feed: Feed) -> None:
    deletion = a_deletion()
    feed.apply(a_view(), a_view(), feed.record(a_view())._replace(key=b"another"), a_view(matter_id="m-2"))
    feed.apply(a_deletion(matter_id="m-1"), deletion, a_view())
    [receipt] = receipts(feed, "m-42")
    assert (receipt.event_id, receipt.deleted_at, receipt.partition, receipt.offset) == (deletion.event_id, NOON, 0, 1)
    assert (receipt.views_purged, receipt.views_refused, receipt.dead_letters_purged) == (2, 1, 1)
    assert (receipt.tombstones_waiting, receipt.oldest_tombstone_at) == (4, PURGED)
    stages = receipt.stages.model_dump()
    assert {name for name, at in stages.items() if at == PURGED} == {"table", "dead_letters", "kept_extracts"}
    assert {name for name, at in stages.items() if at is None} == {"tombstones", "topic", "file", "snapshots"}
    assert not receipt.done


def test_each_stage_has_the_instant_at_which_it_was_done(feed: Feed) -> None:
    feed.apply(a_deletion())
    with feed.store.transaction() as steps:
        for days, stage in enumerate(STAGES, 1):
            steps.connection.execute(f"UPDATE purges SET {stage} = $at", {"at": steps.now + days * DAY})  # noqa: S608 - ours
    [receipt] = receipts(feed)
    stages = ("table", "kept_extracts", "tombstones", "topic", "file", "snapshots")
    assert [getattr(receipt.stages, stage) for stage in stages] == [PURGED + days * DAY for days in range(6)]


def test_a_receipt_holds_no_personal_data(feed: Feed) -> None:
    view = a_view()
    feed.apply(view, a_deletion())
    [receipt] = receipts(feed)
    told = receipt.model_dump_json()
    assert not [text for text in (view.user_name, view.user_email, view.user_id, view.matter_name) if text in told]


def test_receipts_come_newest_first_and_one_can_be_asked_for(feed: Feed) -> None:
    feed.apply(a_deletion(matter_id="m-2"), a_deletion(matter_id="m-1"))
    done(feed, "purged_at")
    assert [receipt.matter_id for receipt in receipts(feed)] == ["m-1", "m-2"]


def test_a_matter_that_was_not_deleted_has_no_receipt(feed: Feed) -> None:
    feed.apply(a_view(), a_deletion(matter_id="m-1"))
    assert receipts(feed, "m-42") == []


def test_a_receipt_is_overdue_when_a_stage_misses_the_deadline(feed: Feed) -> None:
    feed.apply(a_deletion())
    done(feed, *STAGES[:-1])
    [receipt] = receipts(feed)
    assert receipt.due_at(DAY) == PURGED + DAY
    assert [receipt.overdue(DAY, PURGED + DAY + late) for late in (-HOUR, HOUR)] == [False, True]


def test_a_receipt_of_an_instant_that_lies_ahead_is_overdue(feed: Feed) -> None:
    """The clock was wrong: nothing may wait for a year."""
    feed.apply(a_deletion())
    [receipt] = receipts(feed)
    five = timedelta(minutes=5)
    assert [receipt.overdue(DAY, PURGED - early) for early in (five, five + timedelta(seconds=1))] == [False, True]


def test_a_receipt_whose_stages_are_done_is_never_overdue(feed: Feed) -> None:
    feed.apply(a_deletion())
    done(feed, *STAGES)
    [receipt] = receipts(feed)
    assert receipt.done
    assert not receipt.overdue(DAY, PURGED + 2 * DAY)


def test_receipts_come_in_pages_and_each_page_says_how_many_there_are(feed: Feed) -> None:
    """Nobody is on two pages or on none, though one transaction purged several; a page behind the last is empty."""
    for number in range(3):
        feed.apply(*(a_deletion(matter_id=f"m-{number}{letter}") for letter in "ab"))
    done(feed, "purged_at")
    with feed.store as store, store.reader() as reader:
        pages = [read_page(reader, limit=4)]
        while last := pages[-1].receipts:
            pages.append(read_page(reader, limit=4, before=last[-1].matter_id))
    assert [[each.matter_id for each in page.receipts] for page in pages] == [
        ["m-0a", "m-0b", "m-1a", "m-1b"],
        ["m-2a", "m-2b"],
        [],
    ]
    assert [page.total for page in pages] == [6, 6, 6]


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize(("column", "age"), [("p", -HOUR), ("p", 23 * HOUR), ("p", 25 * HOUR), ("t", HOUR)])
def test_the_log_finds_the_overdue_receipts_that_a_receipt_itself_calls_overdue(
    feed: Feed, stage: str, column: str, age: timedelta
) -> None:
    """Whichever stage is open, with a waiting tombstone of a late view, and with an instant that lies ahead."""
    feed.apply(a_deletion(), a_deletion(matter_id="m-1"))
    feed.apply(a_view())
    done(feed, *STAGES)
    now = datetime.now(UTC).replace(tzinfo=None)
    with feed.store.transaction() as transaction:
        values = {"at": now - (age if column == "p" else 30 * HOUR), "since": now - age}
        transaction.connection.execute(
            f"UPDATE purges SET purged_at = $at, {stage} = NULL WHERE matter_id = 'm-42'",  # noqa: S608 - ours
            {"at": values["at"]},
        )
        transaction.connection.execute("UPDATE tombstones SET since = $since", {"since": values["since"]})
    with feed.store as store, store.reader() as reader:
        found = read_page(reader, overdue_within=DAY)
        expected = [each for each in read_receipts(reader) if each.overdue(DAY, datetime.now(UTC))]
    assert (list(found.receipts), found.total) == (expected, len(expected))
    assert bool(expected) == (column == "p" and age != 23 * HOUR)


def test_a_late_view_has_a_deadline_of_its_own(feed: Feed) -> None:
    """It came long after the purge, and its tombstone could not be sent before."""
    feed.apply(a_deletion())
    feed.apply(a_view())
    with feed.store.transaction() as transaction:
        transaction.connection.execute("UPDATE tombstones SET since = since + INTERVAL 2 DAY")
    [receipt] = receipts(feed)
    assert receipt.due_at(DAY) == PURGED + 3 * DAY
