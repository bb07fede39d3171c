"""Upgrading a database of an older schema version: its backup, migrated, takes its place.

1. A verified backup comes first, and a copy of it is what is migrated: no upgrade goes without a backup. The backup
   stays as the way back.
2. All migrations run in one transaction, followed by CHECKPOINT, before the copy gets the database's name. No
   write-ahead log that is replayed after a crash ever holds a statement that changes a table's shape.
3. The copy takes the database's place in one rename; a crash leaves the old database or the new one.
4. The owner alone does this, at its start. Whoever only reads is told to start one.
"""

import logging
import os
import shutil
from collections.abc import Callable

import duckdb

from matterlog.consumers.database.copies import sweep
from matterlog.consumers.database.erase_steps import NEW, OLD
from matterlog.consumers.database.opening import connect, quoted
from matterlog.consumers.database.store import Store
from matterlog.consumers.errors import DatabaseOlder, DatabaseUnusable, ErasureFailed
from matterlog.consumers.recovery.backups import Backup, back_up_file
from matterlog.schemas.storage.database_files import DatabaseFiles
from matterlog.schemas.storage.durable import sync
from matterlog.schemas.storage.table_versions import LOG_TABLES, Tables

logger = logging.getLogger(__name__)


def open_upgraded(open_store: Callable[[], Store], paths: DatabaseFiles) -> Store:
    """Open the store; where its file is of an older schema version, upgrade it first.

    Raises:
        DatabaseInUse: another process owns or reads the database.
        DatabaseUnusable: as ``upgrade``, and the store itself.
    """
    try:
        return open_store()
    except DatabaseOlder as error:
        older = error.version
    with paths.owned():
        upgrade(paths, older, LOG_TABLES)
    return open_store()


def upgrade(paths: DatabaseFiles, older: int, tables: Tables) -> None:
    """Put a migrated copy in the place of a closed database, which the caller owns.

    Args:
        paths: the database's files.
        older: the schema version that it has.
        tables: those that it gets.

    Raises:
        DatabaseUnusable: no way leads from its version, or there is no room; the database is as it was.
    """
    _way(tables, older, str(paths.database))
    sweep(paths.erasing)
    try:
        backup = back_up_file(paths)
        _make(paths, backup, tables)
        _exchange(paths)
    except (OSError, duckdb.Error, ErasureFailed) as error:
        reason = type(error).__name__ if isinstance(error, duckdb.Error) else str(error)
        raise DatabaseUnusable(
            f"{paths.database} was not upgraded from schema version {older} to {tables.version} ({reason}): it is as "
            "it was; make room and start again, or use the matterlog that made it"
        ) from error
    finally:
        sweep(paths.erasing)
    logger.warning(
        "%s was upgraded from schema version %d to %d; backup %s holds it as it was",
        *(paths.database, older, tables.version, backup.name),
    )


def migrate(connection: duckdb.DuckDBPyConnection, name: str, tables: Tables) -> None:
    """Bring the attached ``new_log`` to its tables' version, if it has an older one.

    Args:
        connection: nobody else knows the file.
        name: what the file is called where it is refused.
        tables: those that it gets.

    Raises:
        DatabaseUnusable: no way leads from its version.
    """
    ((found,),) = connection.execute("SELECT version FROM new_log.schema_version").fetchall()
    if way := _way(tables, found, name):
        connection.execute("USE new_log; SET TimeZone = 'UTC'; BEGIN")
        for migration in way:
            connection.execute(migration)
        connection.execute("UPDATE schema_version SET version = $version", {"version": tables.version})
        connection.execute("COMMIT; CHECKPOINT; USE memory")


def _way(tables: Tables, found: int, name: str) -> list[str]:
    way = tables.way_from(found)
    if way is None:
        no_way = "no migration leads there; matterlog rebuild makes the log anew from the topics"
        raise DatabaseUnusable(f"{name} {tables.refusal(found, no_way)}")
    return way


def _make(paths: DatabaseFiles, backup: Backup, tables: Tables) -> None:
    paths.erasing.mkdir(mode=0o700)
    new = paths.erasing / NEW
    shutil.copyfile(backup.path, new)
    with connect(paths.erasing / "spill", paths.memory_limit) as connection:
        connection.execute(f"ATTACH {quoted(new)} AS new_log")
        migrate(connection, str(paths.database), tables)
        connection.execute("DETACH new_log")
    sync(new)


def _exchange(paths: DatabaseFiles) -> None:
    """Let the new file take the old one's name; the old one is shredded under another, for rows were purged from it."""
    os.link(paths.database, paths.erasing / OLD)
    (paths.erasing / NEW).replace(paths.database)
    sync(paths.erasing)
    sync(paths.database.parent)
