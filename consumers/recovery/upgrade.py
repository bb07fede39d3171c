"""Upgrade of a database with an older schema version: a migrated copy of its backup replaces it.

1. A verified backup is taken first and kept as the way back. A copy of it is migrated: no upgrade without a backup.
2. All migrations run in one transaction, followed by CHECKPOINT, before the copy gets the database's name. So no
   write-ahead log that is replayed after a crash holds a statement that changes a table's shape.
3. The copy replaces the database in one rename. A crash leaves the old database or the new one.
4. Only the owner upgrades, when it starts. A process that only reads asks the user to start an owner.
"""

import logging
import os
import shutil
from collections.abc import Callable

import duckdb

from matterlog.consumers.database.copies import sweep
from matterlog.consumers.database.erase_steps import NEW, OLD
from matterlog.consumers.database.opening import connect
from matterlog.consumers.database.store import Store
from matterlog.consumers.errors import BlockDamaged, DatabaseDamaged, DatabaseOlder, DatabaseUnusable, ErasureFailed
from matterlog.consumers.recovery.backups import Backup, back_up_file
from matterlog.schemas.storage.database_files import DatabaseFiles
from matterlog.schemas.storage.durable import sync
from matterlog.schemas.storage.statements import quoted
from matterlog.schemas.storage.table_versions import LOG_TABLES, Tables

logger = logging.getLogger(__name__)


def open_upgraded(open_store: Callable[[], Store], paths: DatabaseFiles) -> Store:
    """Open the store. If its file has an older schema version, upgrade it first.

    Raises:
        DatabaseInUse: another process owns or reads the database.
        DatabaseUnusable: the upgrade failed, or the file cannot be opened.
    """
    try:
        return open_store()
    except DatabaseOlder as error:
        older = error.version
    with paths.owned():
        upgrade(paths, older, LOG_TABLES)
    return open_store()


def upgrade(paths: DatabaseFiles, older: int, tables: Tables) -> None:
    """Replace a closed database, which the caller owns, by a migrated copy.

    Args:
        paths: the database's files.
        older: the schema version of the database.
        tables: the tables of the new version.

    Raises:
        DatabaseUnusable: no migration leads from its version, or the disk is full. The database is unchanged.
        DatabaseDamaged: its bytes are not the ones that were written. It is unchanged.
    """
    _migrations(tables, older, str(paths.database))  # raises before anything is written
    sweep(paths.erasing)
    try:
        backup = back_up_file(paths)
        _make(paths, backup, tables)
        _exchange(paths)
    except BlockDamaged as error:
        raise DatabaseDamaged(f"{paths.database} is damaged, and was not upgraded: {error}") from error
    except (OSError, duckdb.Error, ErasureFailed) as error:
        reason = type(error).__name__ if isinstance(error, duckdb.Error) else str(error)
        raise DatabaseUnusable(
            f"{paths.database} was not upgraded from schema version {older} to {tables.version} ({reason}). It is "
            "unchanged. Free disk space and start again, or use the matterlog version that wrote it"
        ) from error
    finally:
        sweep(paths.erasing)
    logger.warning(
        "%s was upgraded from schema version %d to %d. Backup %s holds the old one",
        *(paths.database, older, tables.version, backup.name),
    )


def migrate(connection: duckdb.DuckDBPyConnection, name: str, tables: Tables) -> None:
    """Migrate the attached ``new_log`` if it has an older schema version.

    Args:
        connection: the only connection to the file.
        name: the file's name in an error.
        tables: the tables of the new version.

    Raises:
        DatabaseUnusable: no migration leads from its version.
    """
    ((found,),) = connection.execute("SELECT version FROM new_log.schema_version").fetchall()
    if migrations := _migrations(tables, found, name):
        connection.execute("USE new_log; SET TimeZone = 'UTC'; BEGIN")
        for migration in migrations:
            connection.execute(migration)
        connection.execute("UPDATE schema_version SET version = $version", {"version": tables.version})
        connection.execute("COMMIT; CHECKPOINT; USE memory")


def _migrations(tables: Tables, found: int, name: str) -> list[str]:
    migrations = tables.way_from(found)
    if migrations is None:
        if_older = "no migration leads there. To rebuild the log from the topics, run: matterlog rebuild"
        raise DatabaseUnusable(f"{name} {tables.refusal(found, if_older)}")
    return migrations


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
    """Give the new file the database's name. The old file is shredded later, because it holds bytes of purged rows."""
    os.link(paths.database, paths.erasing / OLD)
    (paths.erasing / NEW).replace(paths.database)
    sync(paths.erasing)
    sync(paths.database.parent)
