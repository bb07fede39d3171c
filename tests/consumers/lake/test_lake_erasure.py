"""Erasure of a lake: when it has ended, nothing of a purged matter is in any file of PostgreSQL or of the lake."""

import threading
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from uuid import uuid4

import duckdb
import psycopg
import pytest

from matterlog.consumers.errors import ErasureFailed
from matterlog.consumers.lake.lake_erasure import LakeEraser
from matterlog.consumers.lake.lake_store import LakeStore
from matterlog.consumers.lake.lake_tables import make_tables
from matterlog.schemas.storage.lake import Lake
from testbed.erasing import LakeStep, WatchedLakeEraser
from testbed.events import a_deletion, a_view
from testbed.feed import Feed, rows
from tests.consumers.contract.stores import Lakes

pytestmark = pytest.mark.postgresql


@pytest.fixture
def name() -> str:
    """A matter's name that nothing else in PostgreSQL's files holds."""
    return f"Heron {uuid4().hex}"


def query(lake: Lake, statement: str) -> list[tuple[object, ...]]:
    """Run a statement in the catalogue, as whoever may do everything."""
    with psycopg.connect(lake.catalogue, autocommit=True) as session:
        done = session.execute(statement)
        return done.fetchall() if done.description else []


def held(lake: Lake, lakes: Lakes, text: str) -> list[Path]:
    """The files that hold a text, of PostgreSQL and of all lakes, with what PostgreSQL had only in memory."""
    query(lake, "CHECKPOINT")
    read = 0
    found = []
    for file in lakes.folder.rglob("*"):
        with suppress(FileNotFoundError):  # PostgreSQL, or another test's lake, removed it meanwhile
            if file.is_file():
                read += 1
                if text.encode() in file.read_bytes():
                    found.append(file)
    assert read > 900  # PostgreSQL's own are among them
    return found


def at(step: LakeStep, act: Callable[[], object]) -> Callable[[LakeStep], None]:
    """Act when an erasure has reached a step."""

    def reach(reached: LakeStep) -> None:
        if reached == step:
            act()

    return reach


def erased_at(store: LakeStore) -> object:
    """What the receipt says of the file's bytes."""
    ((instant,),) = rows(store, "SELECT file_erased_at FROM purges WHERE matter_id = 'm-42'")
    return instant


def test_no_byte_of_a_purged_matter_is_left(lakes: Lakes, lake: Lake, store: LakeStore, name: str) -> None:
    """Though PostgreSQL kept statistics, another machine knows the old ones, and its clock is ahead."""
    feed = Feed(store)
    feed.apply(*(a_view(matter_name=name) for _ in range(50)), a_view(matter_id="m-2", matter_name="Larch"))
    feed.apply(a_view(matter_name=name))
    query(lake, "ANALYZE; UPDATE ducklake_snapshot SET snapshot_time = snapshot_time + INTERVAL '1 day'")
    feed.apply(a_deletion())
    with LakeStore(lake) as other:

        def know_statistics() -> None:
            assert rows(other, "SELECT count(*) FROM activity WHERE matter_name > 'A'") == [(1,)]

        know_statistics()
        WatchedLakeEraser(store, reached=at(LakeStep.REWRITTEN, know_statistics)).run(patience_seconds=20)
        feed.store = other
        feed.apply(a_view(matter_id="m-3", matter_name="Maple"))
    assert held(lake, lakes, name) == []
    assert erased_at(store) is not None
    assert rows(store, "SELECT matter_name FROM activity ORDER BY ALL") == [("Larch",), ("Maple",)]


def test_a_name_that_a_whole_file_held_leaves_the_catalogue_too(lakes: Lakes, lake: Lake, name: str) -> None:
    """No file is written again then, and DuckLake narrows no statistics; machines that know the old ones neither."""
    with LakeStore(lake) as store, LakeStore(lake) as other:
        feed = Feed(store)
        feed.apply(a_view(matter_name=name))
        feed.apply(a_view(matter_id="m-2", matter_name="Larch"))
        feed.apply(a_view(matter_id="m-2", matter_name="larch"))
        feed.apply(a_deletion())
        rows(other, "SELECT count(*) FROM activity WHERE matter_name > 'A'")
        LakeEraser(store).run(patience_seconds=20)
        feed.store = other
        feed.apply(a_view(matter_id="m-2", matter_name="Maple"))
        assert held(lake, lakes, name) == []
        count = "SELECT count(*) FROM activity WHERE matter_name = "
        assert [rows(store, count + each) for each in ("'Larch'", "'larch'", "'Maple'")] == [[(1,)]] * 3


def test_what_others_commit_during_an_erasure_is_found_afterwards(store: LakeStore, lake: Lake) -> None:
    """Statistics that do not know a row would have DuckDB pass over it."""
    feed = Feed(store)
    feed.apply(a_view(), a_deletion())
    with LakeStore(lake) as other:
        feed.store = other

        def commit() -> None:
            feed.apply(a_view(matter_id="m-9", matter_name="Zelkova"), a_deletion(matter_id="m-99"))

        WatchedLakeEraser(store, reached=at(LakeStep.UNREAD, commit)).run(patience_seconds=20)
    with LakeStore(lake) as opened:
        assert rows(opened, "SELECT count(*) FROM purges WHERE matter_id = 'm-99'") == [(1,)]
        assert rows(opened, "SELECT count(*) FROM activity WHERE matter_name = 'Zelkova'") == [(1,)]


def test_an_erasure_that_ends_anywhere_is_done_again(lakes: Lakes, lake: Lake, name: str) -> None:
    """Its removals stay recorded until the last step, and nothing stands in the receipt."""
    with LakeStore(lake) as store:
        feed = Feed(store)
        feed.apply(a_view(matter_name=name), a_view(matter_id="m-2"))
        feed.apply(a_deletion())

    def end() -> None:
        raise KeyboardInterrupt

    for step in (LakeStep.REWRITTEN, LakeStep.CLEANED, LakeStep.RECYCLED):
        with LakeStore(lake) as store:
            with pytest.raises(KeyboardInterrupt):
                WatchedLakeEraser(store, reached=at(step, end)).run(patience_seconds=20)
            assert rows(store, "SELECT count(*) FROM removals") == [(1,)]
            assert erased_at(store) is None
    with LakeStore(lake) as store:
        assert LakeEraser(store).run(patience_seconds=20).removals == 1
        assert erased_at(store) is not None
    assert held(lake, lakes, name) == []


def test_what_is_removed_during_an_erasure_waits_for_the_next(store: LakeStore, lake: Lake) -> None:
    """Its receipt stays open."""
    feed = Feed(store)
    feed.apply(a_view(), a_view(matter_id="m-43"), a_deletion(matter_id="m-43"))
    with LakeStore(lake) as other:
        feed.store = other
        erasure = WatchedLakeEraser(store, reached=at(LakeStep.REWRITTEN, lambda: feed.apply(a_deletion())))
        assert erasure.run(patience_seconds=20).removals == 1
    assert erased_at(store) is None
    assert rows(store, "SELECT matter_id FROM removals") == [("m-42",)]


def test_a_reader_of_an_earlier_state_ends_well_within_the_patience(store: LakeStore, lake: Lake) -> None:
    """The erasure waits for it."""
    Feed(store).apply(*(a_view() for _ in range(5)), a_deletion())
    with closing(lake.connect(read_only=True)) as reader:
        reader.execute("BEGIN")
        before = reader.execute("SELECT count(*) FROM purges").fetchall()
        ended = threading.Timer(3, lambda: reader.execute("COMMIT"))
        ended.start()
        LakeEraser(store).run(patience_seconds=60)
        ended.join()
        assert reader.execute("SELECT count(*) FROM purges").fetchall() == before == [(1,)]
    assert erased_at(store) is not None


def test_a_reader_that_does_not_end_is_told(store: LakeStore, lake: Lake) -> None:
    """Its session is ended; its process lives on."""
    Feed(store).apply(a_view(), a_deletion())
    with closing(lake.connect(read_only=True)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM purges").fetchall()
        LakeEraser(store).run(patience_seconds=0)
        with pytest.raises(duckdb.Error):
            reader.execute("SELECT count(*) FROM removals").fetchall()
        with pytest.raises(duckdb.Error):
            reader.execute("COMMIT")
    assert erased_at(store) is not None


def test_files_of_a_writer_that_lost_its_turn_go_and_it_is_refused(store: LakeStore, lake: Lake, name: str) -> None:
    """It may live on and commit: a snapshot never names a file that is not there."""
    Feed(store).apply(a_view())
    with LakeStore(lake) as loser:
        loser._connection.execute("BEGIN")
        copy = "INSERT INTO activity SELECT * REPLACE (? AS matter_name, uuid() AS event_id) FROM activity"
        loser._connection.execute(copy, [name])
        written = [file for file in Path(lake.data).rglob("*.parquet") if name.encode() in file.read_bytes()]
        with LakeStore(lake) as other:
            LakeEraser(other).run(patience_seconds=0)
        with pytest.raises(duckdb.Error):
            loser._connection.execute("COMMIT")
        with pytest.raises(duckdb.Error):
            loser._connection.execute("ROLLBACK")
    assert len(written) == 1
    assert not written[0].exists()
    assert rows(store, "SELECT count(*), min(matter_name) FROM activity") == [(1, "Project Heron")]


def test_an_erasure_says_which_rights_its_role_lacks(lakes: Lakes) -> None:
    """And with these, and no others, it erases."""
    role, database = f"consumer_{uuid4().hex}", f"lake_{uuid4().hex}"
    with psycopg.connect(lakes.server.address(), autocommit=True) as session:
        session.execute(f"CREATE ROLE {role} LOGIN")
        session.execute(f"CREATE DATABASE {database} OWNER {role}")
        lake = Lake(
            catalogue=lakes.server.address(database, role), data=f"{lakes.folder}/{database}/", spill=lakes.folder
        )
        with closing(lake.connect(create=True)) as connection:
            make_tables(connection)
        with LakeStore(lake) as store:
            Feed(store).apply(a_view(), a_deletion())
            with pytest.raises(ErasureFailed, match="lacks rights in PostgreSQL that erasing needs: GRANT") as failed:
                LakeEraser(store).run(patience_seconds=20)
            needed = str(failed.value).partition("needs: ")[2].split("; ")
            assert f"GRANT pg_checkpoint TO {role}" in needed
            assert f"GRANT EXECUTE ON FUNCTION pg_switch_wal() TO {role}" in needed
            with psycopg.connect(lakes.server.address(database), autocommit=True) as superuser:
                for statement in needed:
                    superuser.execute(statement)
            LakeEraser(store).run(patience_seconds=20)
            assert erased_at(store) is not None


def test_a_replication_slot_that_keeps_the_write_ahead_log_keeps_the_receipt_open(store: LakeStore, lake: Lake) -> None:
    """The names are still in it."""
    query(lake, "SELECT pg_create_physical_replication_slot('kept', true)")
    try:
        Feed(store).apply(a_view(), a_deletion())
        with pytest.raises(ErasureFailed, match="keeps old files of its write-ahead log"):
            LakeEraser(store).run(patience_seconds=20)
        assert erased_at(store) is None
    finally:
        query(lake, "SELECT pg_drop_replication_slot('kept')")
