"""The database file is rewritten without the bytes of what was removed; a crash leaves the old file or the new one."""

import os
import re
import stat
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from matterlog.consumers.database import erase_steps
from matterlog.consumers.database.opening import SQL
from matterlog.consumers.database.store import Store
from matterlog.consumers.erasure import erase
from matterlog.consumers.erasure.erase import Eraser, removals
from matterlog.consumers.errors import ErasureFailed, StoreFailed
from matterlog.consumers.reading.records import Record
from matterlog.schemas import Event, encode
from matterlog.schemas.storage.database_files import DatabaseFiles
from matterlog.schemas.storage.table_versions import LOG_TABLES
from testbed.erasing import Step, WatchedEraser
from testbed.events import a_deletion, a_view, record_of
from testbed.feed import Feed, decode, everything, rows, stored_ids
from tests.consumers.processes import run_python
from tests.versions.copies import write_log

ERASED = "SELECT matter_id FROM purges WHERE file_erased_at IS NOT NULL ORDER BY ALL"
NEEDLE = b"Project Heron"


def do_at(step: Step, action: Any) -> Any:
    """Calls ``action`` once, when this step is reached."""
    left = [action]
    return lambda reached: left.pop()() if reached is step and left else None


def content(store: Store) -> list[Any]:
    """All rows but for what a rewrite itself changes: receipts, removals, the log's last number."""
    return [
        rows(store, query)
        for query in (
            "FROM activity ORDER BY ALL",
            "SELECT matter_id, views_purged, arrival FROM purges ORDER BY ALL",
            "FROM dead_letters ORDER BY ALL",
            "SELECT topic, kafka_partition, next_offset FROM positions ORDER BY ALL",
            "FROM gaps",
            "SELECT log_id FROM log",
            "FROM schema_version",
        )
    ]


def files_that_hold(folder: Path, needle: bytes) -> list[str]:
    """Names of the files in which these bytes stand, looked for in another process: the owner may not open its file."""
    script = (
        "import sys, pathlib\n"
        "for file in sorted(pathlib.Path(sys.argv[1]).rglob('*')):\n"
        "    if file.is_file() and sys.argv[2].encode() in file.read_bytes(): print(file.name)"
    )
    return run_python(script, folder, needle.decode()).split()


def test_a_rewrite_takes_the_bytes_and_keeps_every_row(feed: Feed, paths: DatabaseFiles) -> None:
    """A few rows are stored as they are, so that their bytes can be looked for."""
    feed.apply(a_view(), a_view(matter_id="m-2", matter_name="Project Larch"), feed.poison())
    feed.apply(a_deletion())
    before = content(feed.store)
    with feed.store.standstill():
        assert files_that_hold(paths.database.parent, NEEDLE) == ["log.duckdb"]
    done = Eraser(feed.store).run(patience_seconds=0)
    assert files_that_hold(paths.database.parent, NEEDLE) == []
    assert files_that_hold(paths.database.parent, b"Project Larch") == ["log.duckdb"]
    assert content(feed.store) == before
    assert (done.removals, rows(feed.store, ERASED), removals(feed.store)) == (1, [("m-42",)], (0, None))
    assert feed.apply(a_view(), a_view(matter_id="m-3")).refused == 1


def test_nothing_is_left_beside_the_file(feed: Feed, paths: DatabaseFiles) -> None:
    feed.apply(a_view(), a_deletion())
    quarantined = paths.wal.with_name(f"{paths.wal.name}.quarantined-1")
    quarantined.write_bytes(NEEDLE)
    Eraser(feed.store).run(patience_seconds=0)
    assert {file.name for file in paths.database.parent.iterdir()} == {
        "log.duckdb",
        "log.duckdb.wal",
        "log.duckdb.lock",
    }


def test_what_comes_while_the_file_is_copied_is_brought_over(feed: Feed) -> None:
    """Views, deletions of views that were copied already, dead letters that come and go, positions."""
    feed.apply(a_view(), a_view(matter_id="m-2"), a_view(matter_id="m-3"), feed.poison())
    feed.apply(a_deletion())

    def meanwhile() -> None:
        feed.store.discard(None)
        feed.apply(a_deletion(matter_id="m-2"), a_view(matter_id="m-3"), feed.poison(b"another"))

        seen.append(content(feed.store))

    seen: list[Any] = []
    WatchedEraser(feed.store, reached=do_at(Step.COPIED, meanwhile)).run(patience_seconds=0)
    assert [content(feed.store)] == seen
    assert [len(table) for table in seen[0]][:3] == [2, 2, 1]
    assert rows(feed.store, ERASED) == [("m-42",)]
    assert removals(feed.store).waiting == 2


def test_views_deleted_since_the_copy_are_dropped_slice_by_slice(
    feed: Feed, paths: DatabaseFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One DELETE of millions of rows can abort the process."""
    feed.apply(*(a_view() for _ in range(8)), a_view(matter_id="m-2"))
    paths.erasing.mkdir()
    with feed.store.standstill():
        erase_steps.clone(str(paths.erasing), str(paths.database))
    copied = erase_steps.copy(str(paths.erasing), "1GB")
    feed.apply(a_deletion())
    monkeypatch.setattr(erase_steps, "_MAX_DELETED_ROWS_A_STATEMENT", 3)
    (paths.erasing / erase_steps.CLONE).unlink()
    feed.store.close()
    assert erase_steps.catch_up(str(paths.erasing), str(paths.database), "1GB") == copied + 1


def test_copies_that_a_killed_owner_left_are_shredded(paths: DatabaseFiles) -> None:
    """Whichever of the two folders they lie in."""
    for folder in (paths.erasing, paths.verifying):
        folder.mkdir()
        (folder / "clone.duckdb").write_bytes(NEEDLE)
    with (paths.verifying / "clone.duckdb").open("rb") as held, Store(paths):
        assert held.read().strip(b"\0") == b""
        assert not paths.erasing.exists()
        assert not paths.verifying.exists()


def test_what_was_removed_while_the_file_was_copied_goes_with_the_next_rewrite(
    feed: Feed, paths: DatabaseFiles
) -> None:
    feed.apply(a_view())
    WatchedEraser(feed.store, reached=do_at(Step.COPIED, lambda: feed.apply(a_deletion()))).run(patience_seconds=0)
    assert files_that_hold(paths.database.parent, NEEDLE) == ["log.duckdb"]
    assert rows(feed.store, ERASED) == []
    Eraser(feed.store).run(patience_seconds=0)
    assert files_that_hold(paths.database.parent, NEEDLE) == []
    assert rows(feed.store, ERASED) == [("m-42",)]


def test_a_matter_that_is_removed_once_more_meanwhile_is_not_said_to_be_erased(feed: Feed) -> None:
    """A dead letter turns out to be of it, behind the copy: its bytes are in the new file."""
    feed.apply(a_view(), feed.poison())
    feed.apply(a_deletion(), a_deletion(matter_id="m-2"))

    def understand() -> None:
        value = encode(a_view())
        feed.store.retry(None, lambda records: decode([record._replace(value=value) for record in records]))

    WatchedEraser(feed.store, reached=do_at(Step.COPIED, understand)).run(patience_seconds=0)
    assert (rows(feed.store, ERASED), removals(feed.store).waiting) == ([("m-2",)], 1)
    Eraser(feed.store).run(patience_seconds=0)
    assert rows(feed.store, ERASED) == [("m-2",), ("m-42",)]


def test_the_instant_of_the_erasure_is_behind_the_sweep(paths: DatabaseFiles) -> None:
    """Nobody may read in a receipt that the file is rid of a matter while the old file is still there."""
    instants = iter(datetime(2026, 1, day, tzinfo=UTC).replace(tzinfo=None) for day in range(1, 28))
    with Store(paths, clock=lambda: next(instants)) as store:
        Feed(store).apply(a_deletion())
        swept: list[bool] = []
        WatchedEraser(store, reached=do_at(Step.SWEPT, lambda: swept.append(rows(store, ERASED) == []))).run(
            patience_seconds=0
        )
        assert swept == [True]
        assert rows(store, "SELECT purged_at, file_erased_at FROM purges") == [
            (datetime(2026, 1, 1), datetime(2026, 1, 2))  # noqa: DTZ001 - stored without a zone
        ]


# Readers


def test_who_reads_is_waited_for(feed: Feed) -> None:
    feed.apply(a_view(), a_deletion())
    with feed.store.reader() as reader:
        done = threading.Thread(target=Eraser(feed.store).run, kwargs={"patience_seconds": 60})
        done.start()
        done.join(3)
        assert done.is_alive()
        assert reader.execute("SELECT count(*) FROM purges").fetchall() == [(1,)]
    done.join()
    assert rows(feed.store, ERASED) == [("m-42",)]


def test_who_reads_on_beyond_the_patience_is_interrupted(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(erase, "_READERS_WAIT_SECONDS", 0.1)
    feed.apply(a_view(), a_deletion())
    reading = threading.Event()

    def read_for_ever() -> None:
        with feed.store.reader() as reader:
            reading.set()
            with pytest.raises(duckdb.InterruptException):
                reader.execute("SELECT count(*) FROM range(1_000_000_000_000)")

    reader = threading.Thread(target=read_for_ever)
    reader.start()
    reading.wait()
    Eraser(feed.store).run(patience_seconds=0)
    reader.join()
    assert rows(feed.store, ERASED) == [("m-42",)]


def test_who_begins_to_read_during_the_exchange_gets_the_new_file(feed: Feed) -> None:
    feed.apply(a_view(), a_deletion(), a_view(matter_id="m-2"))
    found: list[Any] = []
    reader = threading.Thread(target=lambda: found.append(len(stored_ids(feed.store))))
    WatchedEraser(feed.store, reached=do_at(Step.LINKED, reader.start)).run(patience_seconds=0)
    reader.join()
    assert found == [1]


# Failures


def test_without_room_nothing_is_begun_and_what_is_missing_is_told(
    feed: Feed, paths: DatabaseFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed.apply(a_view())
    monkeypatch.setattr(erase, "_ROOM_TO_SPARE_BYTES", 1 << 60)
    with pytest.raises(ErasureFailed, match=r"make room for [\d,]+ more"):
        Eraser(feed.store).run(patience_seconds=0)
    assert not paths.erasing.exists()


def test_two_rewrites_at_once_are_one(feed: Feed) -> None:
    def second() -> None:
        with pytest.raises(ErasureFailed, match="already"):
            Eraser(feed.store).run(patience_seconds=0)

    WatchedEraser(feed.store, reached=do_at(Step.COPIED, second)).run(patience_seconds=0)


@pytest.mark.parametrize("step", [step for step in Step if step is not Step.RECORDED])
def test_a_rewrite_that_fails_leaves_the_log_whole_and_the_work_to_be_done(
    feed: Feed, paths: DatabaseFiles, step: Step
) -> None:
    feed.apply(a_view(), a_view(matter_id="m-2", matter_name=""), a_deletion())
    before = content(feed.store)

    def fail() -> None:
        raise OSError(28, os.strerror(28))

    with pytest.raises(ErasureFailed, match="No space left"):
        WatchedEraser(feed.store, reached=do_at(step, fail)).run(patience_seconds=0)
    assert not paths.erasing.exists()
    assert content(feed.store) == before
    assert (removals(feed.store).waiting, rows(feed.store, ERASED)) == (1, [])
    feed.apply(a_view(matter_id="m-3", matter_name=""))
    Eraser(feed.store).run(patience_seconds=0)
    assert files_that_hold(paths.database.parent, NEEDLE) == []


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        ("DELETE FROM erased.activity", "table activity of the new file differs from that of the old one"),
        ("UPDATE erased.activity SET user_name = 'x'", "table activity"),
        ("DROP TABLE erased.gaps", "failed|tables of the new file differ"),
        ("INSERT INTO erased.activity FROM erased.activity", "table activity"),
        ("INSERT INTO erased.activity SELECT a.* FROM erased.activity a, range(2)", "table activity"),
    ],
)
def test_a_new_file_that_is_not_the_log_never_takes_its_place(
    feed: Feed, paths: DatabaseFiles, spoil: str, told: str
) -> None:
    feed.apply(a_view(), a_view(matter_id="m-2"))
    before = everything(feed.store)

    def spoil_it() -> None:
        with duckdb.connect(":memory:") as connection:
            connection.execute(f"ATTACH '{paths.erasing / 'new.duckdb'}' AS erased")
            connection.execute(spoil)

    with pytest.raises(ErasureFailed, match=told):
        WatchedEraser(feed.store, reached=do_at(Step.COPIED, spoil_it)).run(patience_seconds=0)
    assert everything(feed.store) == before


@pytest.fixture
def twins(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A log with rows in every table, as ``held``, and its copy, as ``erased``."""
    write_log(tmp_path / "held.duckdb", LOG_TABLES.version)
    with duckdb.connect(":memory:") as connection:
        connection.execute(f"ATTACH '{tmp_path / 'held.duckdb'}' AS held; ATTACH ':memory:' AS erased")
        connection.execute("COPY FROM DATABASE held TO erased")
        yield connection


@pytest.mark.parametrize("table", re.findall(r"CREATE TABLE (\w+)", LOG_TABLES.script()))
def test_a_file_that_differs_in_one_table_is_not_the_log(twins: duckdb.DuckDBPyConnection, table: str) -> None:
    """Every table is compared, the first and the last too."""
    tables = [name for (name,) in twins.execute(SQL["tables"], {"database": "held"}).fetchall()]
    erase_steps._check(twins, tables)
    twins.execute(f"DELETE FROM erased.{table} WHERE rowid IN (SELECT max(rowid) FROM held.{table})")  # noqa: S608 - ours
    with pytest.raises(ErasureFailed, match=f"table {table} of the new file"):
        erase_steps._check(twins, tables)


@pytest.mark.parametrize("record", [a_view(), record_of(a_view(), 0, 0)._replace(key=b"another key")])
def test_a_new_file_with_a_deleted_matter_never_takes_its_place(feed: Feed, record: Event | Record) -> None:
    """Neither a view nor a dead letter of it, not even where the old one holds it as well."""
    feed.apply(record)
    feed.apply(a_deletion(matter_id="m-2"))
    feed.store._connection.execute("UPDATE purges SET matter_id = 'm-42'")
    with pytest.raises(ErasureFailed, match="holds a deleted matter"):
        Eraser(feed.store).run(patience_seconds=0)


def test_a_store_that_failed_is_opened_again_and_rewritten_the_next_time(feed: Feed) -> None:
    feed.apply(a_view())
    feed.store._failed = True
    with pytest.raises(ErasureFailed, match="an earlier transaction failed"):
        Eraser(feed.store).run(patience_seconds=0)
    Eraser(feed.store).run(patience_seconds=0)


def test_a_rewrite_does_not_open_a_database_that_was_closed(paths: DatabaseFiles) -> None:
    with Store(paths) as store, pytest.raises(StoreFailed, match="closed"):
        WatchedEraser(store, reached=do_at(Step.COPIED, store.close)).run(patience_seconds=0)
    with Store(paths) as store:
        assert stored_ids(store) == set()


def test_a_rewrite_is_broken_off_when_the_owner_stops(feed: Feed, paths: DatabaseFiles) -> None:
    feed.apply(a_view(), a_deletion())
    stop = threading.Event()
    with pytest.raises(ErasureFailed, match="interrupted"):
        WatchedEraser(feed.store, stop, reached=do_at(Step.CLONED, stop.set)).run(patience_seconds=0)
    assert not paths.erasing.exists()


def test_the_new_file_is_its_owners_alone(feed: Feed, paths: DatabaseFiles) -> None:
    before = os.umask(0o077)
    try:
        Eraser(feed.store).run(patience_seconds=0)
    finally:
        os.umask(before)
    assert stat.S_IMODE(paths.database.stat().st_mode) == 0o600
