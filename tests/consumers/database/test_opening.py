"""Opening a database: what is made, checked, recovered and refused."""

import logging
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest

from matterlog.consumers.database import opening, readers
from matterlog.consumers.database.store import Store
from matterlog.consumers.errors import DatabaseUnusable
from matterlog.consumers.reading.records import Position
from matterlog.schemas import MatterlogError
from matterlog.schemas.storage.database_files import DatabaseFiles
from matterlog.schemas.storage.table_versions import LOG_TABLES, Tables
from testbed.events import a_deletion, a_view
from testbed.feed import VIEWS, Feed, files_in, rows, stored_ids
from tests.consumers.processes import run_python

# Applies twenty batches of ten views and dies without a chance to clean up.
WRITE_AND_DIE = """
import os, sys
from pathlib import Path
from matterlog.consumers.database.store import Store
from testbed.events import a_view
from testbed.feed import Feed, files_in

feed = Feed(Store(files_in(Path(sys.argv[1]))))
for _ in range(20):
    feed.apply(*(a_view() for _ in range(10)))
sys.stdout.flush()
os._exit(0)
"""
WRITTEN = 200


def killed_while_writing(paths: DatabaseFiles) -> bytes:
    """Leave a database with all its rows in the write-ahead log; return that."""
    run_python(WRITE_AND_DIE, paths.database.parent)
    return paths.wal.read_bytes()


def views_and_position(store: Store) -> tuple[int, int]:
    """How many views there are, and where reading goes on."""
    return len(stored_ids(store)), store.positions().get((VIEWS, 0), Position(next_offset=0)).next_offset


def quarantined(paths: DatabaseFiles) -> list[bytes]:
    """The logs that were moved aside."""
    return [file.read_bytes() for file in paths.database.parent.glob("log.duckdb.wal.quarantined-*")]


def foreign_database(path: Path, *statements: str, version: str = opening.STORAGE_VERSION) -> None:
    """Make a DuckDB file that is not ours."""
    with duckdb.connect(":memory:") as connection:
        connection.execute(f"ATTACH '{path}' AS foreign_one (STORAGE_VERSION '{version}'); USE foreign_one")
        for statement in statements:
            connection.execute(statement)


# A new file


def test_a_new_database_has_its_storage_version_and_its_schema_version(store: Store) -> None:
    tags = rows(store, "SELECT tags['storage_version'] FROM duckdb_databases() WHERE database_name = 'log'")
    assert tags[0][0].startswith("v1.5.0")
    assert rows(store, "FROM schema_version") == [(LOG_TABLES.version,)]


def test_a_new_database_is_whole_on_the_disk_at_once(paths: DatabaseFiles, tmp_path: Path) -> None:
    """Nothing of the tables stands in the write-ahead log alone."""
    with Store(paths):
        assert not paths.wal.exists()
        run_python("import shutil, sys; shutil.copy(*sys.argv[1:])", paths.database, tmp_path / "copy")
    with duckdb.connect(str(tmp_path / "copy"), read_only=True) as copy:
        assert copy.execute("SELECT count(*) FROM activity").fetchall() == [(0,)]


@pytest.mark.parametrize("left_over", [b"", b"half of a header", b"\0" * 12_288])
def test_what_a_killed_process_left_of_a_new_file_is_no_obstacle(paths: DatabaseFiles, left_over: bytes) -> None:
    paths.database.with_name("log.duckdb.new").write_bytes(left_over)
    paths.database.with_name("log.duckdb.new.wal").write_bytes(left_over)
    with Store(paths) as store:
        assert views_and_position(store) == (0, 0)
    assert {file.name for file in paths.database.parent.iterdir()} == {"log.duckdb", "log.duckdb.lock"}


def test_a_file_with_its_final_name_is_never_half_made(paths: DatabaseFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    tables = paths.database.with_name("tables.sql")
    tables.write_text(LOG_TABLES.script() + "SELECT error('half made');", encoding="utf-8")
    monkeypatch.setattr(opening, "LOG_TABLES", Tables(LOG_TABLES.version, tables.parent))
    with pytest.raises(DatabaseUnusable):
        Store(paths)
    assert not paths.database.exists()


def test_a_path_may_hold_quotes_blanks_and_any_script(tmp_path: Path) -> None:
    folder = tmp_path / 'O\'Hara "& Söhne" 弁護士; DROP'
    folder.mkdir()
    for _ in range(2):
        with Store(files_in(folder)) as store:
            assert views_and_position(store) == (0, 0)


# What is refused


@pytest.mark.parametrize("version", ["v1.0.0", "v1.2.0", "v1.4.0"])
def test_an_older_storage_version_is_refused(paths: DatabaseFiles, version: str) -> None:
    """Under some of them a stale write-ahead log is replayed a second time."""
    with Store(paths):
        pass
    with duckdb.connect(":memory:") as connection:
        connection.execute(f"ATTACH '{paths.database}' AS ours")
        older = paths.database.with_name("older")
        connection.execute(f"ATTACH '{older}' AS older (STORAGE_VERSION '{version}'); COPY FROM DATABASE ours TO older")
    older.rename(paths.database)
    with pytest.raises(DatabaseUnusable, match=rf"storage version {version}\+?, not v1.5.0: copy it into a new file"):
        Store(paths)


def test_a_database_of_something_else_is_refused_and_left_alone(paths: DatabaseFiles) -> None:
    foreign_database(paths.database, "CREATE TABLE customers AS SELECT 1 AS id")
    before = paths.database.read_bytes()
    with pytest.raises(DatabaseUnusable, match="is not a matterlog database: choose another file"):
        Store(paths)
    assert paths.database.read_bytes() == before


@pytest.mark.parametrize("version", [0, LOG_TABLES.version + 1, 99])
def test_another_schema_version_is_refused(paths: DatabaseFiles, version: int) -> None:
    with Store(paths):
        pass
    with duckdb.connect(str(paths.database)) as connection:
        connection.execute("UPDATE schema_version SET version = ?", [version])
    said = f"has schema version {version}, this matterlog reads {LOG_TABLES.version}"
    with pytest.raises(DatabaseUnusable, match=said):
        Store(paths)


@pytest.mark.parametrize("content", [b"", b"a letter to the court\n" * 1000, bytes(20_000)])
def test_a_file_that_is_no_database_is_refused_and_left_alone(paths: DatabaseFiles, content: bytes) -> None:
    paths.database.write_bytes(content)
    with pytest.raises(DatabaseUnusable, match=r"cannot be opened .*: is it a DuckDB file"):
        Store(paths)
    assert paths.database.read_bytes() == content
    assert quarantined(paths) == []


def test_a_log_beside_a_file_that_is_no_database_stays_where_it_is(paths: DatabaseFiles) -> None:
    paths.database.write_bytes(b"a letter to the court\n" * 1000)
    paths.wal.write_bytes(b"its annex")
    with pytest.raises(DatabaseUnusable):
        Store(paths)
    assert paths.wal.read_bytes() == b"its annex"


def test_a_file_that_is_cut_short_is_refused(paths: DatabaseFiles) -> None:
    with Store(paths) as store:
        Feed(store).apply(*(a_view() for _ in range(1000)))
    paths.database.write_bytes(paths.database.read_bytes()[: 20 * 1024])
    with pytest.raises(DatabaseUnusable):
        Store(paths)


@pytest.mark.parametrize("path", ["missing/log.duckdb", "file/log.duckdb"])
def test_a_folder_that_cannot_hold_the_database_is_a_clear_error(tmp_path: Path, path: str) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(MatterlogError, match=r"log\.duckdb\.lock cannot be opened: (No such file or|Not a) directory"):
        Store(DatabaseFiles(tmp_path / path))


def test_a_folder_in_place_of_the_file_is_a_clear_error(paths: DatabaseFiles) -> None:
    paths.database.mkdir()
    with pytest.raises(DatabaseUnusable, match="cannot be opened"):
        Store(paths)


def test_a_memory_limit_that_duckdb_does_not_know_is_a_clear_error(paths: DatabaseFiles) -> None:
    with pytest.raises(DatabaseUnusable, match="memory limit 'a lot': give it as 2GB or 500MB"):
        Store(replace(paths, memory_limit="a lot"))
    assert not paths.database.exists()


def test_the_memory_limit_holds_for_readers_too(paths: DatabaseFiles) -> None:
    with Store(replace(paths, memory_limit="300MiB")) as store:
        assert rows(store, "SELECT current_setting('memory_limit')") == [("300.0 MiB",)]


def test_the_writer_alone_works_on_one_thread_and_readers_on_all(paths: DatabaseFiles) -> None:
    """From the first reader to the last."""
    threads = "SELECT current_setting('threads')"
    with duckdb.connect() as bare:
        everyone = bare.execute(threads).fetchall()
    with Store(paths) as store:
        assert store._connection.execute(threads).fetchall() == [(1,)]
        with store.reader() as first, store.reader():
            assert first.execute(threads).fetchall() == everyone
        assert store._connection.execute(threads).fetchall() == [(1,)]


def test_readers_beside_a_busy_writer_work_on_its_one_thread(
    paths: DatabaseFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each in a thread of its own; once the writer rests, on all."""
    threads = "SELECT current_setting('threads')"
    with Store(paths) as store:
        monkeypatch.setattr(readers, "WRITER_RESTS_SECONDS", 3600)
        with store.transaction():
            pass
        assert rows(store, threads) == [(1,)]
        monkeypatch.setattr(readers, "WRITER_RESTS_SECONDS", -1)
        with duckdb.connect() as bare:
            assert rows(store, threads) == bare.execute(threads).fetchall()


def test_no_extension_is_fetched_or_loaded_by_itself(store: Store) -> None:
    settings = "current_setting('autoinstall_known_extensions'), current_setting('autoload_known_extensions')"
    assert rows(store, f"SELECT {settings}") == [(False, False)]


# After a kill


def test_what_was_committed_before_a_kill_is_there(paths: DatabaseFiles) -> None:
    killed_while_writing(paths)
    with Store(paths) as store:
        assert views_and_position(store) == (WRITTEN, WRITTEN)
    assert quarantined(paths) == []


def test_what_was_spilled_before_a_kill_is_swept(paths: DatabaseFiles) -> None:
    (paths.spill / "reader-1").mkdir(parents=True)
    (paths.spill / "reader-1" / "duckdb_temp_storage_DEFAULT-0.tmp").write_text("zoe@example.com")
    with Store(paths):
        assert not list(paths.spill.glob("*"))


@pytest.mark.parametrize("share", [0.0, 0.001, 0.1, 0.5, 0.9, 0.999])
def test_rows_and_positions_agree_after_a_log_was_cut_short(paths: DatabaseFiles, share: float) -> None:
    log = killed_while_writing(paths)
    paths.wal.write_bytes(log[: int(len(log) * share)])
    with Store(paths) as store:
        views, position = views_and_position(store)
        assert views == position < WRITTEN
        assert views % 10 == 0
        assert (views > 0) == (share > 0.01)


def test_after_a_log_was_cut_short_new_batches_last(paths: DatabaseFiles) -> None:
    """What is written behind a torn end is found again by whoever opens the file next."""
    log = killed_while_writing(paths)
    paths.wal.write_bytes(log[: len(log) // 2])
    with Store(paths) as store:
        before, _ = views_and_position(store)
        Feed(store, begins=before).apply(a_view(), a_deletion(matter_id="m-2"))
        for file in (paths.database, paths.wal):
            run_python("import shutil, sys; shutil.copy(*sys.argv[1:])", file, f"{file}.copy")
    for file in (paths.database, paths.wal):
        file.with_name(f"{file.name}.copy").rename(file)
    with Store(paths) as store:
        assert views_and_position(store) == (before + 1, before + 1)
        assert rows(store, "SELECT matter_id FROM purges") == [("m-2",)]


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_torn_log_is_moved_aside_once_and_told(
    paths: DatabaseFiles, caplog: pytest.LogCaptureFixture, share: float
) -> None:
    log = torn(killed_while_writing(paths), share)
    paths.wal.write_bytes(log)
    for _ in range(2):
        with Store(paths) as store:
            assert views_and_position(store) == (0, 0)
        assert quarantined(paths) == [log]
    [told] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "refused the write-ahead log (moved to log.duckdb.wal.quarantined-" in told.getMessage()


def torn(log: bytes, share: float) -> bytes:
    """The log with one byte of a name changed; a changed length would pass for an end that was cut off."""
    index = log.index(b"Zo\xc3\xab", int(len(log) * share))
    return log[:index] + bytes([log[index] ^ 0xFF]) + log[index + 1 :]


def test_a_torn_log_costs_nothing_that_the_file_holds(paths: DatabaseFiles) -> None:
    with Store(paths) as store:
        Feed(store).apply(a_view(), a_deletion(matter_id="m-2"))
    base = paths.database.read_bytes()
    with Store(paths) as store:
        Feed(store, begins=1).apply(a_view())
        run_python("import shutil, sys; shutil.copy(*sys.argv[1:])", paths.wal, f"{paths.wal}.copy")
    paths.database.write_bytes(base)
    paths.wal.write_bytes(torn(paths.wal.with_name("log.duckdb.wal.copy").read_bytes(), 0.5))
    with Store(paths) as store:
        assert views_and_position(store) == (1, 1)
        assert Feed(store, begins=1).apply(a_view(matter_id="m-2")).refused == 1


def test_a_stale_log_beside_a_newer_file_is_not_replayed(paths: DatabaseFiles) -> None:
    """As a restore leaves it that forgets the log; replayed, it would double every row."""
    stale = killed_while_writing(paths)
    with Store(paths) as store:
        assert views_and_position(store) == (WRITTEN, WRITTEN)
    paths.wal.write_bytes(stale)
    with Store(paths) as store:
        assert views_and_position(store) == (WRITTEN, WRITTEN)
    assert quarantined(paths) == [stale]


@pytest.mark.parametrize("gone", ["removed", "another"])
def test_the_log_of_another_file_is_not_replayed(paths: DatabaseFiles, tmp_path: Path, gone: str) -> None:
    log = killed_while_writing(paths)
    paths.database.unlink()
    if gone == "another":
        (tmp_path / "another").mkdir()
        with Store(files_in(tmp_path / "another")):
            pass
        shutil.move(files_in(tmp_path / "another").database, paths.database)
    with Store(paths) as store:
        assert views_and_position(store) == (0, 0)
    assert quarantined(paths) == [log]


def test_a_refused_log_that_is_not_the_reason_stays_refused(
    paths: DatabaseFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in for a file that cannot be opened even without its log: it is moved aside once, not for ever."""
    with Store(paths):
        pass
    paths.wal.write_bytes(b"a log")
    attempts: list[Any] = []

    def refuse(*arguments: Any) -> None:
        attempts.append(arguments)
        raise duckdb.IOException("Failure while replaying WAL file: torn")

    monkeypatch.setattr(opening, "_attach_once", refuse)
    with pytest.raises(DatabaseUnusable):
        Store(paths)
    assert (len(attempts), quarantined(paths)) == (2, [b"a log"])
