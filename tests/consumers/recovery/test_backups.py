"""Snapshots are verified copies; a database that is put together again is served once every deletion is applied."""

import stat
from pathlib import Path

import duckdb
import pytest

from matterlog.consumers.database.store import Store
from matterlog.consumers.erasure.erase import Eraser
from matterlog.consumers.errors import BeingRecovered, DatabaseDamaged, DatabaseUnusable, SnapshotUnusable
from matterlog.consumers.recovery.backups import find_snapshot, list_snapshots, take_snapshot
from matterlog.consumers.recovery.recovery import open_or_recover, put_together
from matterlog.report.errors import NoDatabase
from matterlog.report.log.reader import open_for_reading
from matterlog.schemas.database_files import DatabaseFiles
from testbed.events import a_deletion, a_view
from testbed.feed import Feed, rows, stored_ids
from tests.consumers.erasure.test_erase import NEEDLE, content, files_that_hold


def test_a_snapshot_is_a_whole_copy_of_the_users_own(feed: Feed, paths: DatabaseFiles) -> None:
    feed.apply(a_view(), a_view(matter_id="m-2"), feed.poison())
    taken = take_snapshot(feed.store, kept=3)
    feed.apply(a_view())
    assert stat.S_IMODE(paths.snapshots.stat().st_mode) == 0o700
    assert [file.name for file in paths.snapshots.iterdir() if file.suffix not in {".duckdb", ".json"}] == []
    with duckdb.connect(str(taken.path), read_only=True) as copy:
        assert copy.execute("SELECT count(*) FROM activity").fetchall() == [(2,)]
    assert taken.description.last_arrival == 1


def test_the_newest_are_kept(feed: Feed, paths: DatabaseFiles) -> None:
    taken = [take_snapshot(feed.store, kept=2).name for _ in range(3)]
    assert [snapshot.name for snapshot in list_snapshots(paths)] == [taken[2], taken[1]]
    assert len(list(paths.snapshots.iterdir())) == 4


def test_a_snapshot_with_one_other_byte_is_refused_and_the_one_before_is_found(
    feed: Feed, paths: DatabaseFiles
) -> None:
    older, newer = (take_snapshot(feed.store, kept=3) for _ in range(2))
    data = bytearray(newer.path.read_bytes())
    data[len(data) // 2] ^= 1
    newer.path.write_bytes(data)
    with pytest.raises(SnapshotUnusable, match="was changed"):
        find_snapshot(paths, newer.name)
    assert find_snapshot(paths, None).name == older.name


def test_a_copy_without_its_description_is_none(feed: Feed, paths: DatabaseFiles) -> None:
    """A crash between the two renames leaves one; the next snapshot sweeps it."""
    take_snapshot(feed.store, kept=3).path.with_suffix(".json").unlink()
    with pytest.raises(SnapshotUnusable, match="there are: none"):
        find_snapshot(paths, None)
    take_snapshot(feed.store, kept=3)
    assert len(list(paths.snapshots.iterdir())) == 2


def test_a_rewrite_renews_the_snapshots(feed: Feed, paths: DatabaseFiles) -> None:
    """One is taken before the purge and one behind it, whose rows are still in the bytes."""
    feed.apply(a_view(), a_view(matter_id="m-2", matter_name="Project Larch"))
    take_snapshot(feed.store, kept=3)
    feed.apply(a_deletion())
    dirty = take_snapshot(feed.store, kept=3)
    assert NEEDLE in dirty.path.read_bytes()
    Eraser(feed.store).run(patience_seconds=0)
    [renewed] = list_snapshots(paths)
    assert renewed.name > dirty.name
    assert files_that_hold(paths.database.parent, NEEDLE) == []
    assert NEEDLE not in renewed.path.read_bytes()
    assert rows(feed.store, "SELECT snapshots_erased_at = file_erased_at FROM purges") == [(True,)]


def test_a_rewrite_without_snapshots_makes_none(feed: Feed, paths: DatabaseFiles) -> None:
    feed.apply(a_view(), a_deletion())
    Eraser(feed.store).run(patience_seconds=0)
    assert list_snapshots(paths) == []
    assert rows(feed.store, "SELECT snapshots_erased_at IS NULL FROM purges") == [(False,)]


@pytest.fixture
def restored(paths: DatabaseFiles) -> DatabaseFiles:
    """A log put together from its snapshot, behind which two more batches had been applied."""
    with Store(paths) as store:
        feed = Feed(store)
        feed.apply(a_view(), a_view(matter_id="m-2"))
        snapshot = take_snapshot(store, kept=3)
        feed.apply(a_view(matter_id="m-3"), a_deletion())
    with paths.owned():
        put_together(paths, snapshot)
    return paths


def test_a_restored_log_is_another_log_at_the_snapshots_positions(restored: DatabaseFiles) -> None:
    with Store(restored) as store:
        assert len(stored_ids(store)) == 2
        assert {position.next_offset for position in store.positions().values()} == {2}
        [(log_id, last_arrival)] = rows(store, "FROM log")
        assert (log_id != list_snapshots(restored)[0].description.log_id, last_arrival) == (True, 1)


def test_a_restored_log_is_served_to_nobody_until_deletions_are_read(restored: DatabaseFiles) -> None:
    with pytest.raises(NoDatabase, match="not every deletion is applied"), open_for_reading(restored):
        pass
    with Store(restored) as store:
        with pytest.raises(BeingRecovered), store.served():
            pass
        store.end_recovery()
        with store.served() as reader:
            assert reader.execute("SELECT count(*) FROM activity").fetchall() == [(2,)]
    with open_for_reading(restored) as reader:
        assert reader.execute("SELECT count(*) FROM activity").fetchall() == [(2,)]


def test_what_a_restore_replaced_is_kept_until_the_next_rewrite(restored: DatabaseFiles) -> None:
    """Records may have expired from the topics; a purged matter may be in it."""
    [aside] = restored.quarantined
    with duckdb.connect(str(aside), read_only=True) as old:
        assert old.execute("SELECT matter_id FROM activity ORDER BY ALL").fetchall() == [("m-2",), ("m-3",)]
    with Store(restored) as store:
        Eraser(store).run(patience_seconds=0)
    assert restored.quarantined == []


def test_what_another_database_moved_aside_is_not_this_ones(paths: DatabaseFiles) -> None:
    """A rewrite shreds what was moved aside; a neighbour's name may begin like this one's."""
    for name in ("log.duckdb2.quarantined-1", "log.duckdb.backup.quarantined-1", "log.duckdb.wal.quarantined-1"):
        paths.database.with_name(name).touch()
    assert [path.name for path in paths.quarantined] == ["log.duckdb.wal.quarantined-1"]


def test_a_log_put_together_from_nothing_is_empty_and_marked(paths: DatabaseFiles) -> None:
    with Store(paths) as store:
        Feed(store).apply(a_view())
    with paths.owned():
        put_together(paths, None)
    with Store(paths) as store:
        assert (rows(store, "FROM activity"), store.positions(), store.recovering) == ([], {}, True)


def damage(database: Path) -> None:
    """Both of DuckDB's headers are broken, as by a disk that lost them; the file still begins as DuckDB's do."""
    data = bytearray(database.read_bytes())
    for place in range(4096, 12288, 16):
        data[place] ^= 0xFF
    database.write_bytes(data)


@pytest.mark.parametrize("with_snapshot", [True, False])
def test_a_damaged_database_is_put_together_by_itself(paths: DatabaseFiles, *, with_snapshot: bool) -> None:
    with Store(paths) as store:
        Feed(store).apply(a_view())
        if with_snapshot:
            take_snapshot(store, kept=1)
    damage(paths.database)
    with pytest.raises(DatabaseDamaged, match="is damaged"):
        Store(paths)
    with open_or_recover(lambda: Store(paths), paths) as store:
        assert len(stored_ids(store)) == int(with_snapshot)
        assert store.recovering
        source = list_snapshots(paths)[0].name if with_snapshot else "nothing"
        assert rows(store, "SELECT source FROM recoveries") == [(source,)]


def test_a_file_of_something_else_is_not_recovered(paths: DatabaseFiles) -> None:
    paths.database.write_bytes(b"a letter to a client" * 1000)
    with pytest.raises(DatabaseUnusable):
        open_or_recover(lambda: Store(paths), paths)
    assert paths.database.read_bytes() == b"a letter to a client" * 1000


def test_a_restore_that_finds_no_room_leaves_the_database(paths: DatabaseFiles) -> None:
    """The copy of the snapshot is not there: as a full disk, it stops before anything is moved."""
    with Store(paths) as store:
        Feed(store).apply(a_view())
        before = content(store)
        snapshot = take_snapshot(store, kept=1)
    snapshot.path.unlink()
    with paths.owned(), pytest.raises(SnapshotUnusable, match="was not put together"):
        put_together(paths, snapshot)
    with Store(paths) as store:
        assert content(store) == before
        assert not store.recovering
