"""Backups are verified copies; a database that is put together again is served once every deletion is applied."""

import os
import shutil
import stat
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from matterlog.consumers.database.store import Store
from matterlog.consumers.erasure.erase import Eraser, removals
from matterlog.consumers.errors import BackupUnusable, BeingRecovered, DatabaseDamaged, DatabaseUnusable
from matterlog.consumers.recovery.backups import BackupByInterval, find_backup, list_backups, take_backup
from matterlog.consumers.recovery.recovery import open_or_recover, put_together
from matterlog.report.errors import NoDatabase
from matterlog.report.log.reader import open_for_reading
from matterlog.schemas.storage.database_files import DatabaseFiles
from testbed.events import a_deletion, a_view
from testbed.feed import Feed, rows, stored_ids
from tests.consumers.erasure.test_erase import NEEDLE, content, files_that_hold
from tests.consumers.recovery.held_topics import HeldTopics


def test_a_backup_is_a_whole_copy_of_the_users_own(feed: Feed, paths: DatabaseFiles) -> None:
    feed.apply(a_view(), a_view(matter_id="m-2"), feed.poison())
    taken = take_backup(feed.store, kept=3)
    feed.apply(a_view())
    assert stat.S_IMODE(paths.backups.stat().st_mode) == 0o700
    assert [file.name for file in paths.backups.iterdir() if file.suffix not in {".duckdb", ".json"}] == []
    with duckdb.connect(str(taken.path), read_only=True) as copy:
        assert copy.execute("SELECT count(*) FROM activity").fetchall() == [(2,)]
    assert taken.description.last_arrival == 1


def test_the_newest_are_kept(feed: Feed, paths: DatabaseFiles) -> None:
    taken = [take_backup(feed.store, kept=2).name for _ in range(3)]
    assert [backup.name for backup in list_backups(paths)] == [taken[2], taken[1]]
    assert len(list(paths.backups.iterdir())) == 4


def test_a_backup_of_an_instant_that_lies_ahead_counts_as_the_oldest(feed: Feed, paths: DatabaseFiles) -> None:
    """Another one is due, is the newest, and takes its place."""
    wrong = take_backup(feed.store, kept=1)
    for ending in (".duckdb", ".json"):
        wrong.path.with_suffix(ending).rename(wrong.path.with_name(f"21000101T000000.000000Z{ending}"))
    assert BackupByInterval(feed.store, timedelta(days=1), 1).is_due(datetime.now(UTC))
    taken = take_backup(feed.store, kept=1)
    assert list_backups(paths) == [taken]
    assert taken.name < "2100"


def test_the_next_backup_is_due_an_interval_after_the_newest_and_never_without_one(feed: Feed) -> None:
    """The first is due a 24th of the interval after the start."""
    now, day = datetime.now(UTC), timedelta(days=1)
    first = BackupByInterval(feed.store, day, 3).due_at(now)
    assert first is not None
    assert timedelta(minutes=59) < first - now < timedelta(minutes=61)
    taken_at = take_backup(feed.store, kept=3).taken_at
    assert BackupByInterval(feed.store, day, 3).due_at(now) == taken_at + day
    assert BackupByInterval(feed.store, timedelta(), 3).due_at(now) is None
    assert not BackupByInterval(feed.store, timedelta(), 3).is_due(now + 100 * day)


def test_a_backup_with_one_other_byte_is_refused_and_the_one_before_is_found(feed: Feed, paths: DatabaseFiles) -> None:
    older, newer = (take_backup(feed.store, kept=3) for _ in range(2))
    data = bytearray(newer.path.read_bytes())
    data[len(data) // 2] ^= 1
    newer.path.write_bytes(data)
    with pytest.raises(BackupUnusable, match="has changed"):
        find_backup(paths, newer.name)
    assert find_backup(paths, None).name == older.name


def test_a_copy_without_its_description_is_none(feed: Feed, paths: DatabaseFiles) -> None:
    """A crash between the two renames leaves one; the next backup sweeps it."""
    take_backup(feed.store, kept=3).path.with_suffix(".json").unlink()
    with pytest.raises(BackupUnusable, match="Existing backups: none"):
        find_backup(paths, None)
    take_backup(feed.store, kept=3)
    assert len(list(paths.backups.iterdir())) == 2


def test_a_rewrite_renews_the_backups(feed: Feed, paths: DatabaseFiles) -> None:
    """One is taken before the purge and one behind it, whose rows are still in the bytes."""
    feed.apply(a_view(), a_view(matter_id="m-2", matter_name="Project Larch"))
    take_backup(feed.store, kept=3)
    feed.apply(a_deletion())
    dirty = take_backup(feed.store, kept=3)
    assert NEEDLE in dirty.path.read_bytes()
    Eraser(feed.store).run(patience_seconds=0)
    [renewed] = list_backups(paths)
    assert renewed.name > dirty.name
    assert files_that_hold(paths.database.parent, NEEDLE) == []
    assert NEEDLE not in renewed.path.read_bytes()
    assert rows(feed.store, "SELECT snapshots_erased_at = file_erased_at FROM purges") == [(True,)]


def test_a_backup_with_another_name_is_told_when_it_is_renewed(
    feed: Feed, paths: DatabaseFiles, caplog: pytest.LogCaptureFixture
) -> None:
    """A copy made with hard links keeps the purged rows."""
    taken = take_backup(feed.store, kept=3)
    os.link(taken.path, paths.database.with_name("copy"))
    feed.apply(a_deletion())
    Eraser(feed.store).run(patience_seconds=0)
    assert f"backup {taken.name} has another name, under which its rows stay" in caplog.text


def test_a_rewrite_without_backups_makes_none(feed: Feed, paths: DatabaseFiles) -> None:
    feed.apply(a_view(), a_deletion())
    Eraser(feed.store).run(patience_seconds=0)
    assert list_backups(paths) == []
    assert rows(feed.store, "SELECT snapshots_erased_at IS NULL FROM purges") == [(False,)]


@pytest.fixture
def former(paths: DatabaseFiles) -> Path:
    """A log whose two backups are in the folder of the former name, with what a backup left that was broken off."""
    with Store(paths) as store:
        Feed(store).apply(a_view())
        for _ in range(2):
            take_backup(store, kept=2)
    folder, former = paths.backup_folders
    folder.rename(former)
    (former / "taking").mkdir()
    (former / "taking" / "clone.duckdb").write_bytes(NEEDLE)
    return former


def names_in(folder: Path) -> set[str]:
    """What stands in a folder."""
    return {path.name for path in folder.iterdir()}


def test_the_folder_of_the_former_name_is_renamed_when_an_owner_starts(former: Path, paths: DatabaseFiles) -> None:
    """Whole: the backups, and what is left of one that was broken off."""
    before, listed = names_in(former), [backup.name for backup in list_backups(paths)]
    with paths.shared():
        assert former.exists()
    with paths.owned():
        assert (former.exists(), names_in(paths.backups)) == (False, before)
    assert [backup.name for backup in list_backups(paths)] == listed
    find_backup(paths, listed[1])


@pytest.fixture
def both(former: Path, paths: DatabaseFiles) -> tuple[Path, Path]:
    """Both folders: a backup in that of today, whose name another one in the former folder has too."""
    paths.backups.mkdir(mode=0o700)
    for file in former.glob(f"{find_backup(paths, None).name}.*"):
        shutil.copyfile(file, paths.backups / file.name)
    return paths.backups, former


def test_where_both_folders_are_both_are_used_and_an_owner_says_so(
    both: tuple[Path, Path], paths: DatabaseFiles, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is overwritten, nothing is lost."""
    before = {path: path.read_bytes() for folder in both for path in folder.rglob("*.*")}
    with paths.owned():
        assert {path: path.read_bytes() for path in before} == before
    assert caplog.messages == [f"cannot rename {both[1]} to {both[0]} (Directory not empty): both hold backups"]
    names = [backup.name for backup in list_backups(paths)]
    assert (len(names), names[0] == names[1]) == (3, True)
    assert find_backup(paths, names[2]).path.parent == both[1]


def test_a_rewrite_reaches_the_backups_of_both_folders(both: tuple[Path, Path], paths: DatabaseFiles) -> None:
    """And what a backup that was broken off left in either; the former folder goes with the next start."""
    assert NEEDLE in next(both[1].glob("*.duckdb")).read_bytes()
    with Store(paths) as store:
        Feed(store, begins=1).apply(a_deletion())
        Eraser(store).run(patience_seconds=0)
        assert files_that_hold(paths.database.parent, NEEDLE) == []
    [renewed] = list_backups(paths)
    assert (renewed.path.parent, names_in(both[1])) == (both[0], set())
    with paths.owned():
        assert not both[1].exists()


@pytest.fixture
def restored(paths: DatabaseFiles) -> DatabaseFiles:
    """A log put together from its backup, behind which two more batches had been applied."""
    with Store(paths) as store:
        feed = Feed(store)
        feed.apply(a_view(), a_view(matter_id="m-2"))
        backup = take_backup(store, kept=3)
        feed.apply(a_view(matter_id="m-3"), a_deletion())
    with paths.owned():
        put_together(paths, backup)
    return paths


def test_a_restored_log_is_another_log_at_the_backups_positions(restored: DatabaseFiles) -> None:
    with Store(restored) as store:
        assert len(stored_ids(store)) == 2
        assert {position.next_offset for position in store.positions().values()} == {2}
        [(log_id, last_arrival)] = rows(store, "FROM log")
        assert (log_id != list_backups(restored)[0].description.log_id, last_arrival) == (True, 1)


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


def test_a_restored_log_waits_for_a_rewrite(restored: DatabaseFiles) -> None:
    """Else what it replaced would lie beside it for as long as nothing is removed."""
    with Store(restored) as store:
        assert removals(store).waiting == 1


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
    for index in range(4096, 12288, 16):
        data[index] ^= 0xFF
    database.write_bytes(data)


@pytest.mark.parametrize("with_backup", [True, False])
def test_a_damaged_database_is_put_together_by_itself(paths: DatabaseFiles, *, with_backup: bool) -> None:
    with Store(paths) as store:
        Feed(store).apply(a_view())
        if with_backup:
            take_backup(store, kept=1)
    damage(paths.database)
    with pytest.raises(DatabaseDamaged, match="is damaged"):
        Store(paths)
    with open_or_recover(lambda: Store(paths), paths, lambda: nullcontext(HeldTopics())) as store:
        assert len(stored_ids(store)) == int(with_backup)
        assert store.recovering
        source = list_backups(paths)[0].name if with_backup else "nothing"
        assert rows(store, "SELECT source FROM recoveries") == [(source,)]


def test_a_file_of_something_else_is_not_recovered(paths: DatabaseFiles) -> None:
    paths.database.write_bytes(b"a letter to a client" * 1000)
    with pytest.raises(DatabaseUnusable):
        open_or_recover(lambda: Store(paths), paths, nullcontext)
    assert paths.database.read_bytes() == b"a letter to a client" * 1000


def test_a_restore_that_finds_no_room_leaves_the_database(paths: DatabaseFiles) -> None:
    """The copy of the backup is not there: as a full disk, it stops before anything is moved."""
    with Store(paths) as store:
        Feed(store).apply(a_view())
        before = content(store)
        backup = take_backup(store, kept=1)
    backup.path.unlink()
    with paths.owned(), pytest.raises(BackupUnusable, match="was not recovered from"):
        put_together(paths, backup)
    with Store(paths) as store:
        assert content(store) == before
        assert not store.recovering
