"""The file is rewritten in time, many removals at once; what fails is told, counted and tried again."""

import time
from datetime import datetime, timedelta

import pytest

from matterlog.consumers.database.store import Store
from matterlog.consumers.erasure.erase import Eraser, removals
from matterlog.consumers.erasure.erase_schedule import EraseByDeadline
from matterlog.consumers.errors import ErasureFailed
from matterlog.schemas.storage.database_files import DatabaseFiles
from testbed.events import a_deletion, a_view
from testbed.feed import Feed, rows

NOON = datetime(2026, 3, 1, 12)  # noqa: DTZ001 - instants are stored without a zone
DAY = timedelta(hours=24)


class Schedule:
    """A schedule whose clock is moved by hand, on a store with the same clock."""

    def __init__(self, paths: DatabaseFiles) -> None:
        self.now = NOON
        self.store = Store(paths, clock=lambda: self.now)
        self.feed = Feed(self.store)
        self.erasure = EraseByDeadline(self.store, DAY, Eraser(self.store), clock=lambda: self.now)

    def at(self, hours: float) -> int:
        """What waits after a look so many hours after noon."""
        self.now = NOON + timedelta(hours=hours)
        self.erasure.do_what_is_due()
        return removals(self.store).waiting


@pytest.fixture
def schedule(paths: DatabaseFiles) -> Schedule:
    """At noon, on an empty log."""
    return Schedule(paths)


def fail(schedule: Schedule, monkeypatch: pytest.MonkeyPatch) -> list[datetime]:
    """Let every rewrite fail; gives the instants of the tries."""
    tries: list[datetime] = []

    def failing(**_: object) -> None:
        tries.append(schedule.now)
        raise ErasureFailed("the disk is full")

    monkeypatch.setattr(type(schedule.erasure.eraser), "run", lambda _self, **values: failing(**values))
    return tries


def test_removals_of_half_the_time_go_together_when_the_first_has_waited_for_half(schedule: Schedule) -> None:
    schedule.feed.apply(a_view(), a_deletion())
    assert schedule.at(11.9) == 1
    schedule.feed.apply(a_deletion(matter_id="m-2"))
    assert schedule.at(12) == 0
    [(first,), (second,)] = rows(schedule.store, "SELECT file_erased_at FROM purges")
    assert first == second == NOON + timedelta(hours=12)


def test_where_nothing_waits_nothing_is_rewritten(schedule: Schedule, monkeypatch: pytest.MonkeyPatch) -> None:
    tries = fail(schedule, monkeypatch)
    schedule.feed.apply(a_view())
    assert (schedule.at(1000), tries) == (0, [])


def test_a_failure_is_told_and_counted_and_tried_again_each_24th_of_the_time(
    schedule: Schedule, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    schedule.feed.apply(a_deletion())
    with monkeypatch.context() as failing:
        tries = fail(schedule, failing)
        for hours in (12, 12.5, 13, 13.9, 14):
            schedule.at(hours)
        assert [(at - NOON) / timedelta(hours=1) for at in tries] == [12, 13, 14]
        assert str(schedule.erasure.trouble) == "3 times in a row: the disk is full"
        assert "the disk is full (failure 3 in a row)" in caplog.text
        assert "deadline" not in caplog.text
    assert (schedule.at(15), schedule.erasure.trouble) == (0, None)


def test_what_was_removed_while_the_clock_was_ahead_is_erased_at_once(
    schedule: Schedule, caplog: pytest.LogCaptureFixture
) -> None:
    """And it is told: nobody had noticed the clock."""
    schedule.now = NOON + timedelta(days=365)
    schedule.feed.apply(a_view(), a_deletion())
    assert (schedule.at(0), schedule.erasure.trouble) == (0, None)
    assert "the clock was ahead when rows were removed, at 2027-03-01T12:00:00Z" in caplog.text


def test_a_wrong_instant_is_trouble_until_the_rewrite_succeeds(
    schedule: Schedule, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is tried as often as for any other deadline that is missed, also where the clock was set back meanwhile."""
    schedule.now = NOON + timedelta(days=365)
    schedule.feed.apply(a_deletion())
    with monkeypatch.context() as failing:
        tries = fail(schedule, failing)
        for hours in (20, 0, 0.5, 1):
            schedule.at(hours)
        assert [(at - NOON) / timedelta(hours=1) for at in tries] == [20, 0, 1]
    assert str(schedule.erasure.trouble).startswith("the clock was ahead when rows were removed")
    assert str(schedule.erasure.trouble).endswith("; 3 times in a row: the disk is full")
    assert caplog.text.count("the deadline was missed") == 3
    assert (schedule.at(2), schedule.erasure.trouble) == (0, None)


def test_a_clock_that_differs_by_minutes_is_no_trouble(schedule: Schedule) -> None:
    schedule.now = NOON + timedelta(minutes=5)
    schedule.feed.apply(a_deletion())
    assert (schedule.at(0), schedule.erasure.trouble) == (1, None)


def test_a_missed_deadline_is_told(
    schedule: Schedule, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fail(schedule, monkeypatch)
    schedule.feed.apply(a_deletion())
    schedule.at(24)
    assert "rows removed at 2026-03-01T12:00:00Z are still in the file: the deadline was missed" in caplog.text


def test_it_runs_by_itself_and_ends_with_its_owner(store: Store) -> None:
    Feed(store).apply(a_deletion())
    with EraseByDeadline(store, timedelta(seconds=1), Eraser(store)):
        while removals(store).waiting:
            time.sleep(0.05)


def test_small_files_are_merged_while_no_rewrite_is_due(schedule: Schedule, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rewrite merges them too."""
    looks: list[datetime] = []
    monkeypatch.setattr(Eraser, "tidy", lambda _: looks.append(schedule.now))
    schedule.feed.apply(a_view(), a_deletion())
    for hours in (0, 1, 11.9, 12, 12.5):
        schedule.at(hours)
    assert [(look - NOON) / timedelta(hours=1) for look in looks] == [0, 1, 11.9, 12.5]


def test_files_that_cannot_be_merged_are_told_and_tried_again_an_hour_later(
    schedule: Schedule, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is no trouble of an erasure."""

    def fails(_: object) -> None:
        raise ErasureFailed("somebody reads")

    monkeypatch.setattr(Eraser, "tidy", fails)
    for hours in (0, 0.1, 0.9, 1, 1.5):
        schedule.at(hours)
    told = [record.getMessage() for record in caplog.records]
    assert told == 2 * ["small files were not merged: somebody reads"]
    assert schedule.erasure.trouble is None
