"""A database of an older schema version is upgraded by its owner after a backup, whole or not at all."""

import logging
from contextlib import nullcontext
from pathlib import Path
from typing import Final

import duckdb
import pytest

from matterlog.consumers.database import opening
from matterlog.consumers.database.store import Store
from matterlog.consumers.errors import DatabaseOlder, DatabaseUnusable
from matterlog.consumers.recovery import recovery
from matterlog.consumers.recovery import upgrade as upgrade_module
from matterlog.consumers.recovery.backups import find_backup, list_backups, take_backup
from matterlog.consumers.recovery.recovery import open_or_recover, put_together
from matterlog.consumers.recovery.upgrade import upgrade
from matterlog.report.errors import NoDatabase
from matterlog.report.log import reader
from matterlog.report.log.reader import open_for_reading
from matterlog.schemas.storage.database_files import DatabaseFiles
from matterlog.schemas.storage.table_versions import LOG_TABLES, Tables
from testbed.events import a_view
from testbed.feed import Feed, rows
from tests.consumers.processes import run_python
from tests.versions.copies import log_rows, next_tables, write_log

OURS: Final = LOG_TABLES.version
# Inserts a row that stands in the write-ahead log alone, and dies.
WRITE_AND_DIE: Final = """
import os, sys, duckdb
connection = duckdb.connect(sys.argv[1])
connection.execute("INSERT INTO gaps (topic, kafka_partition, first_missing, next_available, found_at) "
                   "VALUES ('matter-views', 2, 1, 4, '2026-03-01 12:00:00')")
os._exit(0)
"""


@pytest.fixture
def old(paths: DatabaseFiles) -> DatabaseFiles:
    """A log of this version, with rows."""
    write_log(paths.database, OURS)
    return paths


def take_up(monkeypatch: pytest.MonkeyPatch, tables: Tables) -> None:
    """Be a matterlog of these tables."""
    for module in (opening, upgrade_module, recovery, reader):
        monkeypatch.setattr(module, "LOG_TABLES", tables)


@pytest.fixture
def newer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tables:
    """Be a matterlog one version on."""
    tables = next_tables("log", tmp_path)
    take_up(monkeypatch, tables)
    return tables


def set_version(database: Path, version: int) -> None:
    """Write another version's number."""
    with duckdb.connect(str(database)) as connection:
        connection.execute("UPDATE schema_version SET version = ?", [version])


def opened(paths: DatabaseFiles) -> Store:
    """Open as an owner that starts."""
    return open_or_recover(lambda: Store(paths), paths, nullcontext)


@pytest.mark.usefixtures("newer")
def test_an_owner_upgrades_an_older_log_and_tells_it_in_one_line(
    old: DatabaseFiles, caplog: pytest.LogCaptureFixture
) -> None:
    before = log_rows(old.database)
    with opened(old) as store:
        assert rows(store, "FROM schema_version") == [(OURS + 1,)]
        assert rows(store, "SELECT reason FROM gaps") == [("views so far: 3000",)]
        assert len(rows(store, "FROM notes")) == 5
    [backup] = list_backups(old)
    [told] = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert told.getMessage() == (
        f"{old.database} was upgraded from schema version {OURS} to {OURS + 1}. Backup {backup.name} holds the old one"
    )
    assert log_rows(old.database, before) == before


@pytest.mark.usefixtures("newer")
def test_an_upgraded_log_goes_on(old: DatabaseFiles) -> None:
    """And is upgraded once."""
    for _ in range(2):
        with opened(old) as store:
            begins = store.positions()["matter-views", 0].next_offset
            Feed(store, begins=begins).apply(a_view())
            assert store.restarts == 0
    assert len(log_rows(old.database)["activity"][1]) == 3002
    assert len(list_backups(old)) == 1


def test_the_backup_holds_the_log_as_it_was(old: DatabaseFiles, newer: Tables) -> None:
    before = log_rows(old.database)
    with old.owned():
        upgrade(old, OURS, newer)
    backup = find_backup(old, None)
    assert log_rows(backup.path) == before
    assert duckdb.connect(str(backup.path), read_only=True).execute("FROM schema_version").fetchall() == [(OURS,)]


def test_nothing_of_an_upgrade_waits_in_a_log_or_stays_beside(old: DatabaseFiles, newer: Tables) -> None:
    """DuckDB's log would be replayed after a crash: a statement that changes a table's shape must not stand in it."""
    with old.owned():
        upgrade(old, OURS, newer)
    beside = {file.name for file in old.database.parent.glob("log.duckdb*")}
    assert beside == {"log.duckdb", "log.duckdb.lock", "log.duckdb.backups"}
    assert log_rows(old.database)["notes"][1][0] == ("m-0", None)


@pytest.mark.usefixtures("newer")
def test_rows_that_stood_in_the_write_ahead_log_alone_are_upgraded_too(old: DatabaseFiles) -> None:
    run_python(WRITE_AND_DIE, old.database)
    assert old.wal.exists()
    with opened(old) as store:
        assert len(rows(store, "FROM gaps")) == 2
    assert len(log_rows(list_backups(old)[0].path)["gaps"][1]) == 2


@pytest.mark.usefixtures("newer")
def test_the_store_itself_never_upgrades(old: DatabaseFiles) -> None:
    """There is no way around the backup."""
    before = old.database.read_bytes()
    with pytest.raises(DatabaseOlder, match=rf"version {OURS}, .* reads {OURS + 1}: start matterlog consume or serve"):
        Store(old)
    assert old.database.read_bytes() == before
    assert list_backups(old) == []


def test_a_version_without_a_way_is_refused_with_the_way_out(old: DatabaseFiles) -> None:
    set_version(old.database, 0)
    before = old.database.read_bytes()
    with pytest.raises(DatabaseUnusable, match=r"no migration leads there\. To rebuild the log"):
        opened(old)
    assert old.database.read_bytes() == before
    assert list_backups(old) == []
    with old.owned():
        put_together(old, None)
    with opened(old) as store:
        assert store.recovering


def test_a_newer_log_is_refused_by_name_and_left_alone(old: DatabaseFiles) -> None:
    set_version(old.database, OURS + 1)
    before = old.database.read_bytes()
    told = (
        rf"has schema version {OURS + 1}, this matterlog reads {OURS}: use the matterlog that made it, or a newer one"
    )
    with pytest.raises(DatabaseUnusable, match=told):
        opened(old)
    with pytest.raises(NoDatabase, match=told), open_for_reading(old):
        pass
    assert old.database.read_bytes() == before


@pytest.mark.usefixtures("newer")
def test_a_command_that_only_reads_says_who_upgrades(old: DatabaseFiles) -> None:
    before = old.database.read_bytes()
    with pytest.raises(NoDatabase, match="start matterlog consume or serve, which upgrades it"), open_for_reading(old):
        pass
    assert old.database.read_bytes() == before


def test_a_migration_that_fails_leaves_the_log_and_one_backup(
    old: DatabaseFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often a supervisor starts it again."""
    take_up(monkeypatch, next_tables("log", tmp_path, "SELECT error('zoe@example.com')"))
    before = old.database.read_bytes()
    for _ in range(3):
        with pytest.raises(DatabaseUnusable, match=r"was not upgraded .*Exception\)\. It is unchanged") as told:
            opened(old)
        assert "zoe" not in str(told.value)
    assert old.database.read_bytes() == before
    assert not old.erasing.exists()
    assert len(list_backups(old)) == 1


def test_without_a_backup_nothing_is_upgraded(old: DatabaseFiles, newer: Tables) -> None:
    """Another thing stands where backups go."""
    old.backups.write_text("no folder")
    before = old.database.read_bytes()
    with old.owned(), pytest.raises(DatabaseUnusable, match=r"was not upgraded .*File exists.*It is unchanged"):
        upgrade(old, OURS, newer)
    assert old.database.read_bytes() == before


def test_backups_that_were_there_stay(old: DatabaseFiles, tmp_path: Path) -> None:
    with Store(old) as store:
        earlier = take_backup(store, kept=9)
        Feed(store, begins=3000).apply(a_view())
    with old.owned():
        upgrade(old, OURS, next_tables("log", tmp_path))
    assert list_backups(old)[1:] == [earlier]


@pytest.fixture
def upgraded(old: DatabaseFiles, newer: Tables, monkeypatch: pytest.MonkeyPatch) -> DatabaseFiles:
    """A log that was upgraded, and changed since; the matterlog is the former one again."""
    with opened(old) as store:
        store.end_recovery()
    assert newer.version == OURS + 1
    take_up(monkeypatch, LOG_TABLES)
    return old


def test_the_backup_leads_back(upgraded: DatabaseFiles) -> None:
    """With the matterlog that the log was made by."""
    backup = find_backup(upgraded, None)
    before = log_rows(backup.path)
    with pytest.raises(DatabaseUnusable, match="use the matterlog that made it"):
        opened(upgraded)
    with upgraded.owned():
        put_together(upgraded, backup)
    with opened(upgraded) as store:
        assert store.recovering
    after = log_rows(upgraded.database)
    assert {table for table in after if after[table] != before[table]} == {"log", "recoveries", "removals"}


def test_a_restore_upgrades_an_older_backup(
    upgraded: DatabaseFiles, newer: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_up(monkeypatch, newer)
    backup = find_backup(upgraded, None)
    before = log_rows(backup.path)
    with upgraded.owned():
        put_together(upgraded, backup)
    with Store(upgraded) as store:
        assert store.recovering
        assert rows(store, "SELECT reason FROM gaps") == [("views so far: 3000",)]
    after = log_rows(upgraded.database, before)
    assert {table for table in after if after[table] != before[table]} == {"log", "recoveries", "removals"}
    assert log_rows(backup.path) == before


def test_a_restore_refuses_a_newer_backup_by_name(old: DatabaseFiles, newer: Tables) -> None:
    with opened(old) as store:
        backup = take_backup(store, kept=1)
    before = old.database.read_bytes()
    with pytest.MonkeyPatch.context() as former:
        take_up(former, LOG_TABLES)
        with (
            old.owned(),
            pytest.raises(DatabaseUnusable, match=f"backup {backup.name} has schema version {newer.version}"),
        ):
            put_together(old, backup)
    assert old.database.read_bytes() == before
    assert old.quarantined == []
