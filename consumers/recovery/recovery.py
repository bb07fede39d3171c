"""Recovery: restores the database from a backup, or rebuilds it from the topics.

1. The new file is made beside the database and replaces it in one rename. A crash leaves one or the other.
2. The old file is moved aside. The next rewrite of the file, due before the deadline of an erasure, removes it: it may
   hold deleted matters. So nothing takes its place that holds less (``coverage``), unless an operator accepts the loss.
3. The new file is another log: transaction numbers do not continue, and series of extracts begin again.
4. It is marked as recovering, so that nobody reads it until all deletions are applied: it may hold purged matters.
5. The owner recovers by itself only if the file is a damaged matterlog database: when it opens it, or later, when a
   block is read. Another kind of file, another version, a full disk or a missing permission are for the operator.
6. It does so once. While an earlier damaged file is still beside the database, the disk is for the operator too.
"""

import logging
import os
import shutil
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

import duckdb

from matterlog.consumers.database.copies import sweep
from matterlog.consumers.database.erase_steps import NEW
from matterlog.consumers.database.log_store import LogStore
from matterlog.consumers.database.opening import SQL, connect, make_database
from matterlog.consumers.database.store import Store
from matterlog.consumers.errors import BackupUnusable, DamagedAgain, DatabaseDamaged
from matterlog.consumers.recovery.backups import Backup, find_backup
from matterlog.consumers.recovery.coverage import TopicsHeld, refuse_loss
from matterlog.consumers.recovery.upgrade import migrate, open_upgraded
from matterlog.schemas.instants import stored_now
from matterlog.schemas.storage.database_files import DatabaseFiles
from matterlog.schemas.storage.durable import sync
from matterlog.schemas.storage.statements import quoted
from matterlog.schemas.storage.table_versions import LOG_TABLES

logger = logging.getLogger(__name__)

FROM_NOTHING: Final = "nothing"


def put_together(paths: DatabaseFiles, backup: Backup | None) -> None:
    """Replace the database, which the caller owns, by a copy of a backup or by an empty one.

    Raises:
        BackupUnusable: the copy cannot be made or opened. The database is unchanged.
        DatabaseUnusable: no migration leads from the backup's schema version. The database is unchanged.
    """
    source = backup.name if backup else FROM_NOTHING
    origin = f"backup {source}" if backup else "the topics"
    sweep(paths.erasing)
    try:
        paths.erasing.mkdir(mode=0o700)
        new = paths.erasing / NEW
        _make(new, backup, source, paths.memory_limit)
        _exchange(paths, new)
    except (OSError, duckdb.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else type(error).__name__
        raise BackupUnusable(f"the database was not recovered from {origin}: {reason}") from error
    finally:
        sweep(paths.erasing)
    logger.warning("the database is recovered from %s and served once all deletions are read", origin)


# Gives what asks the topics, until the context ends. It gives None where no broker is set.
AskTopics = Callable[[], AbstractContextManager[TopicsHeld | None]]


def open_or_recover(open_store: Callable[[], Store], paths: DatabaseFiles, ask_topics: AskTopics) -> Store:
    """Open the store. If its file is damaged, recover it; if it has an older schema version, upgrade it.

    Raises:
        DatabaseInUse, DatabaseUnusable: see each class.
        WouldLose, DamagedAgain, BackupUnusable: the damaged file was not recovered, and is unchanged.
        BrokerUnavailable, TopicMissing: likewise, since nobody knows what the topics hold.
    """
    try:
        return open_upgraded(open_store, paths)
    except DatabaseDamaged as error:
        logger.error("%s", error)  # noqa: TRY400 - the text is enough
    with paths.owned(), ask_topics() as topics:
        _recover(paths, topics)
    return open_store()


def reopen_or_recover(store: LogStore, topics: TopicsHeld) -> None:
    """Open a log again after a failure. If it is a damaged file, recover it.

    Raises:
        StoreFailed, DatabaseReplaced, DatabaseUnusable: as the store's ``reopen``.
        WouldLose, DamagedAgain, BackupUnusable, BrokerUnavailable, TopicMissing: as ``open_or_recover``. The database
            stays closed.
    """
    try:
        store.reopen()
    except DatabaseDamaged as error:
        logger.error("%s", error)  # noqa: TRY400 - the text is enough
        assert isinstance(store, Store)  # noqa: S101 - a lake's files are not looked after here
        with store.copying:
            store.reopen(lambda: _recover(store.paths, topics))


def _recover(paths: DatabaseFiles, topics: TopicsHeld | None) -> None:
    """Replace a damaged database, which the caller owns, by the newest intact backup, or an empty one without any."""
    if aside := _moved_aside(paths):
        raise DamagedAgain(
            f"{paths.database} is damaged, and one that was replaced before still stands beside it ({aside.name}): "
            "look after the disk, then run matterlog restore, or rebuild without a backup"
        )
    backup = _newest(paths)
    refuse_loss(paths, backup, topics)
    put_together(paths, backup)


def _moved_aside(paths: DatabaseFiles) -> Path | None:
    """Return a database that was moved aside. A crash in the middle of that leaves another name of the same file."""
    asides = [each for each in paths.quarantined if not each.name.startswith(f"{paths.wal.name}.")]
    others = [each for each in asides if not (paths.database.exists() and each.samefile(paths.database))]
    return others[0] if others else None


def _newest(paths: DatabaseFiles) -> Backup | None:
    try:
        return find_backup(paths, None)
    except BackupUnusable as error:
        logger.warning("%s", error)
        return None


def _make(new: Path, backup: Backup | None, source: str, memory_limit: str) -> None:
    with connect(new.with_name("spill"), memory_limit) as connection:
        if backup is None:
            make_database(connection, new)
        else:
            shutil.copyfile(backup.path, new)
        connection.execute(f"ATTACH {quoted(new)} AS new_log")
        migrate(connection, f"backup {source}", LOG_TABLES)
        connection.execute("BEGIN")
        connection.execute(SQL["begin_another_log"])
        now = stored_now()
        connection.execute(SQL["begin_recovery"], {"now": now, "source": source})
        connection.execute(SQL["remember_what_is_replaced"], {"now": now})
        connection.execute("COMMIT")
        connection.execute("CHECKPOINT new_log")
        connection.execute("DETACH new_log")
    sync(new)


def _exchange(paths: DatabaseFiles, new: Path) -> None:
    """Move the write-ahead log aside, give the old file a second name, and replace it in one rename."""
    aside = f".quarantined-{time.time_ns()}"
    if paths.wal.exists():
        paths.wal.rename(paths.wal.with_name(paths.wal.name + aside))
    if paths.database.exists():
        os.link(paths.database, paths.database.with_name(paths.database.name + aside))
        logger.warning(
            "what was there stays as %s until the next erasure, which shreds it", paths.database.name + aside
        )
    new.replace(paths.database)
    paths.damaged.unlink(missing_ok=True)
    sync(paths.database.parent)
