"""SQLite files beside the log: migrated by whoever opens them first, whole or not at all; newer ones are refused."""

import logging
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from matterlog.report.errors import RegisterFailed, SiteDatabaseUnusable
from matterlog.report.handover.register import FileRegister
from matterlog.report.sqlite_tables import bring_to_version
from matterlog.report.web.identity.site_database import SiteDatabase
from matterlog.schemas.storage.table_versions import Tables
from tests.versions.copies import TABLES, next_tables, sqlite_rows, write_sqlite

PROCESSES: Final = 6
KNOWN_BY: Final = {"site": "accounts", "register": "extracts"}
OPENING: Final = """
import sqlite3, sys
from pathlib import Path
from matterlog.report.sqlite_tables import bring_to_version
from matterlog.schemas.storage.table_versions import Tables
with sqlite3.connect(sys.argv[1], timeout=30) as connection:
    bring_to_version(connection, Tables(int(sys.argv[3]), Path(sys.argv[2])), sys.argv[4])
"""
each_file = pytest.mark.parametrize("name", KNOWN_BY)


def use(name: str, file: Path) -> None:
    """Open a file as the product does."""
    if name == "site":
        SiteDatabase(file)
    else:
        FileRegister(file).extracts()


def bring(file: Path, tables: Tables, name: str) -> None:
    """Open a file as a matterlog of these tables."""
    with closing(sqlite3.connect(file)) as connection:
        bring_to_version(connection, tables, KNOWN_BY[name])


def version_of(file: Path) -> int:
    """The version that is written in it."""
    with closing(sqlite3.connect(file)) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


@pytest.fixture
def file(tmp_path: Path, name: str) -> Path:
    """A file of this version, with rows."""
    write_sqlite(tmp_path / "x.sqlite", name, TABLES[name].version, TABLES[name].version)
    return tmp_path / "x.sqlite"


@each_file
def test_an_older_file_is_migrated_with_every_row_and_told_in_one_line(
    file: Path, name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before, tables = sqlite_rows(file), next_tables(name, tmp_path)
    for _ in range(2):
        bring(file, tables, name)
    assert sqlite_rows(file, before) == before
    assert len(sqlite_rows(file)["notes"][1]) == 2
    assert version_of(file) == tables.version
    [told] = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert told == f"{file} was upgraded from schema version {tables.version - 1} to {tables.version}"


@each_file
def test_a_migration_that_fails_leaves_the_file_as_it_was(file: Path, name: str, tmp_path: Path) -> None:
    """Its last statement, which has no semicolon, is not forgotten."""
    before = sqlite_rows(file)
    with pytest.raises(sqlite3.OperationalError, match="no such table: nowhere"):
        bring(file, next_tables(name, tmp_path, "INSERT INTO nowhere (x) VALUES (1)"), name)
    assert sqlite_rows(file) == before
    assert version_of(file) == TABLES[name].version


@each_file
def test_a_newer_file_is_refused_by_name_and_left_alone(file: Path, name: str) -> None:
    ours = TABLES[name].version
    with closing(sqlite3.connect(file)) as connection:
        connection.execute(f"PRAGMA user_version = {ours + 1}")
    before = sqlite_rows(file)
    told = (
        rf"x\.sqlite cannot be used .*version {ours + 1}, this matterlog reads {ours}: use the matterlog that made it"
    )
    with pytest.raises((RegisterFailed, SiteDatabaseUnusable), match=told):
        use(name, file)
    assert (sqlite_rows(file), version_of(file)) == (before, ours + 1)


@each_file
def test_a_version_without_a_way_is_refused(file: Path, name: str, tmp_path: Path) -> None:
    tables = next_tables(name, tmp_path)
    with pytest.raises(sqlite3.NotSupportedError, match=r"no migration exists\. Use the matterlog version"):
        bring(file, Tables(tables.version + 1, tables.folder), name)
    assert version_of(file) == TABLES[name].version


@each_file
def test_a_database_of_something_else_is_refused_and_left_alone(tmp_path: Path, name: str) -> None:
    with closing(sqlite3.connect(tmp_path / "x.sqlite")) as connection:
        connection.execute("CREATE TABLE customers (id)")
    (tmp_path / "x.sqlite").chmod(0o600)
    with pytest.raises((RegisterFailed, SiteDatabaseUnusable), match="it is another program's database"):
        use(name, tmp_path / "x.sqlite")
    assert list(sqlite_rows(tmp_path / "x.sqlite")) == ["customers"]


@each_file
def test_processes_that_open_an_older_file_at_once_migrate_it_once(file: Path, name: str, tmp_path: Path) -> None:
    before, tables = sqlite_rows(file), next_tables(name, tmp_path)
    command = [sys.executable, "-c", OPENING, str(file), str(tables.folder), str(tables.version), KNOWN_BY[name]]
    assert [process.wait(60) for process in [subprocess.Popen(command) for _ in range(PROCESSES)]] == [0] * PROCESSES
    assert sqlite_rows(file, before) == before
    assert len(sqlite_rows(file)["notes"][1]) == 2
