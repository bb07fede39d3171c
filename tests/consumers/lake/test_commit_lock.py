"""One commit at a time, and what happens to somebody whose turn was taken away."""

import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from time import monotonic, sleep

import psycopg
import pytest

from matterlog.consumers.database.log_store import LogStore
from matterlog.consumers.errors import PositionMoved, StoreFailed, StoreUnavailable
from matterlog.consumers.lake.commit_lock import CommitLock
from matterlog.consumers.lake.lake_erasure import SQL
from matterlog.consumers.lake.lake_store import LakeStore
from matterlog.consumers.reading.records import Position
from matterlog.schemas import Event
from matterlog.schemas.storage.lake import Lake
from testbed.budget import budget
from testbed.events import a_deletion, a_view, record_of
from testbed.feed import DELETIONS, VIEWS, Feed, apply_records, decode, moves_of, rows
from tests.consumers.contract.stores import Lakes
from tests.consumers.lake.sessions import end_locks

pytestmark = pytest.mark.postgresql

DELETED = budget(8, 100)
# A view of the writer's own, without the rest of a batch: what it would commit after its turn was taken away.
INSERT = "INSERT INTO activity SELECT * REPLACE (uuid() AS event_id, 7 AS kafka_offset) FROM activity"
RESURRECTED = "SELECT count(*) FROM activity WHERE matter_id IN (SELECT matter_id FROM purges)"


@contextmanager
def stores(lake: Lake, number: int) -> Iterator[list[LakeStore]]:
    """Several stores on one lake, as on several machines."""
    with ExitStack() as stack:
        yield [stack.enter_context(LakeStore(lake)) for _ in range(number)]


# Write skew


def write(store: LogStore, topic: str, partition: int, *events: Event) -> None:
    """Apply events at the stored position."""
    stands = store.positions().get((topic, partition), Position(next_offset=0)).next_offset
    apply_records(store, *(record_of(event, partition, stands + place) for place, event in enumerate(events)))


def write_beside_each_other(lake: Lake, deletions: int) -> None:
    """Two write views of the matters that a third one deletes now, just did, and will next."""
    deleted, over = 0, threading.Event()

    def view(store: LakeStore, partition: int) -> None:
        while not over.is_set():
            write(store, VIEWS, partition, *(a_view(matter_id=f"m-{deleted + near}") for near in (-1, 0, 1, 2)))

    with stores(lake, 3) as (first, second, third), ThreadPoolExecutor() as threads:
        viewers = [threads.submit(view, store, partition) for partition, store in enumerate((first, second))]
        try:
            for deleted in range(deletions):
                write(third, DELETIONS, 0, a_deletion(matter_id=f"m-{deleted}"))
        finally:
            over.set()
        for viewer in viewers:
            viewer.result()


def test_no_view_of_a_deleted_matter_gets_in_beside_its_deletion(lake: Lake) -> None:
    """Two writers of views and one of deletions, all at once."""
    write_beside_each_other(lake, DELETED)
    with LakeStore(lake) as store:
        assert rows(store, "SELECT count(*) FROM purges") == [(DELETED,)]
        assert rows(store, RESURRECTED) == [(0,)]


def test_deletions_that_another_store_committed_are_known_in_the_next_transaction(lake: Lake) -> None:
    with stores(lake, 2) as (first, second):
        apply_records(first, record_of(a_view(matter_id="m-1"), 0, 0))
        apply_records(second, record_of(a_deletion(), 0, 0))
        assert apply_records(first, record_of(a_view(), 0, 1)).refused == 1


def test_a_store_on_an_earlier_catalogue_reads_deletions_and_positions_again(lake: Lake, lakes: Lakes) -> None:
    """As after a fail-over that lost the last commits: the same numbers are given to other transactions."""
    name = lake.catalogue.rpartition("/")[2]
    with LakeStore(lake) as store:
        feed = Feed(store)
        feed.apply(a_view())
        store.close()
        with psycopg.connect(lakes.server.address(), autocommit=True) as session:
            session.execute(f"CREATE DATABASE {name}_earlier TEMPLATE {name}".encode())
    with LakeStore(lake) as store:
        feed = Feed(store, begins=1)
        for _ in range(3):
            feed.apply(a_view(matter_id="m-1"))
        with psycopg.connect(lakes.server.address(), autocommit=True) as session:
            session.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
            session.execute(f"ALTER DATABASE {name}_earlier RENAME TO {name}".encode())
        with LakeStore(lake) as other:
            for offset, matter in enumerate(("m-42", "m-43", "m-44")):
                apply_records(other, record_of(a_deletion(matter_id=matter), 0, offset))
        store.reopen()
        assert apply_records(store, record_of(a_view(), 0, 1)).refused == 1


# Two consumers of one partition


def test_of_two_that_read_one_partition_one_commits_and_the_other_is_told(lake: Lake) -> None:
    with stores(lake, 2) as (first, second):
        apply_records(first, record_of(a_view(), 0, 0))
        apply_records(second, record_of(a_view(), 1, 0))  # it knows all positions
        stale = second.positions()
        apply_records(first, record_of(a_view(), 0, 1))
        batch = [record_of(a_view(), 0, 1)]
        with pytest.raises(PositionMoved, match="another consumer reads into this lake"):
            second.apply(decode(batch), moves_of(batch, stale))
        apply_records(second, record_of(a_view(), 0, 2))
        offsets = "SELECT kafka_offset FROM activity WHERE kafka_partition = 0 ORDER BY ALL"
        assert rows(second, offsets) == [(0,), (1,), (2,)]


# A turn that was taken away


@contextmanager
def loses_its_turn(lake: Lake, store: LakeStore, other: LakeStore) -> Iterator[None]:
    """A transaction of the store, which loses its turn inside and then tries to commit: that is refused."""

    with ExitStack() as stack:
        transaction = stack.enter_context(store.transaction())
        transaction.connection.execute(INSERT)
        assert end_locks(lake) == 2
        other.reopen()
        yield
        with pytest.raises(StoreFailed, match="TransactionException"):
            stack.close()


def test_whose_turn_was_taken_away_cannot_commit_after_somebody_else(lake: Lake) -> None:
    with stores(lake, 2) as (first, second):
        Feed(first).apply(a_view(), a_view(matter_id="m-1"))
        with loses_its_turn(lake, first, second):
            Feed(second, begins=2).apply(a_deletion())
        assert rows(second, "SELECT matter_id FROM activity") == [("m-1",)]


def test_whose_turn_was_taken_away_may_commit_where_nobody_else_did(lake: Lake) -> None:
    with LakeStore(lake) as store:
        feed = Feed(store)
        feed.apply(a_view())
        with store.transaction() as transaction:
            transaction.connection.execute(INSERT)
            assert end_locks(lake) == 1
        with pytest.raises(StoreUnavailable, match="does not answer, or refuses this session"):
            feed.apply(a_view())
        store.reopen()
        assert apply_records(store, record_of(a_view(), 0, 1)).views == 1
        assert rows(store, "SELECT count(*) FROM activity") == [(3,)]


def test_whose_turn_was_taken_away_cannot_commit_after_its_history_was_forgotten(lake: Lake) -> None:
    """The number of its snapshot is free again by then."""
    with stores(lake, 2) as (first, second):
        Feed(first).apply(a_view(), a_view(matter_id="m-1"))
        with loses_its_turn(lake, first, second):
            Feed(second, begins=2).apply(a_deletion())
            with second.turn() as connection:
                for step in ("rewrite", "merge", "expire"):
                    connection.execute(SQL[step]).to_arrow_table()
        assert rows(second, "SELECT matter_id FROM activity") == [("m-1",)]


def test_whose_turn_was_taken_away_cannot_commit_files_that_were_removed_meanwhile(lake: Lake) -> None:
    """The clean-up takes its files for those of a process that died: its commit must not name them."""
    with stores(lake, 2) as (first, second):
        Feed(first).apply(a_view())
        with loses_its_turn(lake, first, second), second.turn() as connection:
            assert connection.execute(SQL["orphans"]).to_arrow_table().num_rows == 1
        assert len(rows(second, "SELECT event_id FROM activity")) == 1


# Patience


def test_who_holds_the_lock_for_longer_than_the_patience_loses_the_session(
    lake: Lake, caplog: pytest.LogCaptureFixture
) -> None:
    stuck, waiting = CommitLock(lake.sessions), CommitLock(lake.sessions, patience_seconds=1)
    began = monotonic()
    with stuck.held():
        with caplog.at_level(logging.ERROR), waiting.held():
            assert monotonic() - began >= 1
        assert "has held the lake's lock for 1 seconds. Its session is ended" in caplog.text
    with pytest.raises(StoreFailed), stuck.held():
        pass
    waiting.close()


def test_who_took_the_lock_only_lately_keeps_the_session(lake: Lake) -> None:
    """One waits for longer than the patience, but for two others in a row."""
    first, second, waiting = (CommitLock(lake.sessions, patience_seconds=seconds) for seconds in (60, 60, 1))
    with_second = threading.Event()

    def then_second() -> None:
        with second.held():
            with_second.set()
            sleep(0.9)

    with ThreadPoolExecutor() as threads:
        with first.held():
            then = threads.submit(then_second)
            sleep(0.3)  # it stands before the other one in the line
            last = threads.submit(waiting._take)
            sleep(0.6)
        assert with_second.wait(30)
        then.result(30)
        last.result(30)
    for lock in (first, second):
        assert lock._session.execute("SELECT 1").fetchall() == [(1,)]
    for lock in (first, second, waiting):
        lock.close()
