"""Killed at any step of an upgrade, each file is the old one or the new one, with every row."""

import signal
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import duckdb
import pytest

from matterlog.consumers.recovery.backups import find_backup
from matterlog.schemas.storage.table_versions import LOG_TABLES
from testbed.budget import budget
from testbed.command import run_script
from testbed.feed import files_in
from tests.versions.copies import TABLES, log_rows, next_tables, sqlite_rows, write_log, write_sqlite

pytestmark = pytest.mark.faults

# With the small budget every third step.
EVERY: Final = budget(3, 1)
# Dies like a process that is killed, in the place of the nth change of a name or behind the nth statement.
DYING: Final = """
import os, signal, sqlite3, sys
from pathlib import Path
from matterlog.schemas.storage.table_versions import Tables

file, tables, left = Path(sys.argv[1]), Tables(int(sys.argv[2]), Path(sys.argv[3])), [int(sys.argv[4])]

def step():
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)

def dying(change):
    def changed(*arguments):
        step()
        return change(*arguments)
    return changed

class Connection:
    def __init__(self, connection):
        self.connection = connection
    def execute(self, *arguments):
        result = self.connection.execute(*arguments)
        step()
        return result
    def __enter__(self):
        return self
    def __exit__(self, *error):
        self.connection.close()
"""
UPGRADE: Final = (
    DYING
    + """
import shutil
from matterlog.consumers.database import opening
from matterlog.consumers.database.store import Store
from matterlog.consumers.recovery import upgrade
from matterlog.schemas.storage.database_files import DatabaseFiles

opening.LOG_TABLES = upgrade.LOG_TABLES = tables
Path.rename, Path.replace, os.link = dying(Path.rename), dying(Path.replace), dying(os.link)
shutil.copyfile, connect = dying(shutil.copyfile), upgrade.connect
upgrade.sync = dying(upgrade.sync)
upgrade.connect = lambda *arguments: Connection(connect(*arguments))
upgrade.open_upgraded(lambda: Store(DatabaseFiles(file)), DatabaseFiles(file)).close()
"""
)
MIGRATE: Final = (
    DYING
    + """
from matterlog.report.sqlite_tables import bring_to_version

bring_to_version(Connection(sqlite3.connect(file, isolation_level=None)), tables, sys.argv[5])
"""
)


def killed(script: str, *arguments: Any) -> bool:
    """Run a script that may kill itself; whether it got so far."""
    ended = run_script(script, *arguments)
    assert ended.code in {0, -signal.SIGKILL}, ended.err
    return ended.code != 0


def test_an_upgrade_that_is_killed_leaves_the_old_log_or_the_new_one(tmp_path: Path) -> None:
    """Each run takes up what the one before left, and dies one step later, until one is done."""
    tables, paths, seen = next_tables("log", tmp_path), files_in(tmp_path), []
    write_log(paths.database, LOG_TABLES.version)
    before = log_rows(paths.database)
    for step in range(1, 100, EVERY):
        done = not killed(UPGRADE, paths.database, tables.version, tables.folder, step)
        with duckdb.connect(str(paths.database), read_only=True) as connection:
            seen.append(connection.execute("FROM schema_version").fetchall()[0][0])
        assert not paths.wal.exists()
        assert log_rows(paths.database, before) == before
        assert ("notes" in log_rows(paths.database)) == (seen[-1] == tables.version)
        if done:
            break
    assert seen == sorted(seen)
    assert seen.count(LOG_TABLES.version) > 10 // EVERY
    assert 1 <= seen.count(tables.version) <= 2
    assert log_rows(find_backup(paths, None).path) == before
    assert not paths.erasing.exists()


@pytest.mark.parametrize(("name", "known_by"), [("site", "accounts"), ("register", "extracts")])
def test_a_migration_of_an_sqlite_file_that_is_killed_leaves_the_old_one_or_the_new_one(
    tmp_path: Path, name: str, known_by: str
) -> None:
    tables, file, seen = next_tables(name, tmp_path), tmp_path / "x.sqlite", []
    write_sqlite(file, name, TABLES[name].version, TABLES[name].version)
    before = sqlite_rows(file)
    for step in range(1, 100):
        done = not killed(MIGRATE, file, tables.version, tables.folder, step, known_by)
        with closing(sqlite3.connect(file)) as connection:
            seen.append(connection.execute("PRAGMA user_version").fetchone()[0])
        assert sqlite_rows(file, before) == before
        assert ("notes" in sqlite_rows(file)) == (seen[-1] == tables.version)
        if done:
            break
    assert seen == sorted(seen)
    assert seen.count(TABLES[name].version) > 5
    assert seen[-1] == tables.version
