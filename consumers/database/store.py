"""The file store: the log in one DuckDB file, which its owner has open. One writer at a time, any number of readers.

1. One lock guards the writer's connection and the exchange of the instance.
2. After a failure, the writer does nothing until the database is reopened.
3. Readers get cursors of the same instance: they see a committed state and block nobody.
4. The instance is closed only while nobody reads: two instances on one file would destroy it.
5. A damaged block, whoever meets it, stops the writer. Opening the database again then reads all of it.
6. Whoever writes, closes or opens again looks first whether the file is the one that was opened: what is written into
   one that somebody removed is lost.
"""

import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime

import duckdb
import pyarrow as pa

from matterlog.consumers.database.copies import sweep
from matterlog.consumers.database.log_store import LogStore
from matterlog.consumers.database.opening import open_database, unusable
from matterlog.consumers.database.readers import Readers
from matterlog.consumers.database.recall_list import HandedOutExtracts
from matterlog.consumers.database.transaction import SQL, Transaction
from matterlog.consumers.errors import BeingRecovered, BlockDamaged, DatabaseReplaced, StoreFailed
from matterlog.schemas.instants import stored_now
from matterlog.schemas.storage.damage import names_damage
from matterlog.schemas.storage.database_files import DatabaseFiles

logger = logging.getLogger(__name__)


class Store(LogStore):
    """The log in its database, opened by its owner. Use as a context manager.

    Args:
        paths: the database's files.
        extracts: the register of extracts. Without it, recall lists are never complete.
        clock: returns the current time, in UTC without a zone.

    Raises:
        DatabaseInUse: another process owns or reads the database.
        DatabaseUnusable: the file cannot be opened.
    """

    def __init__(
        self,
        paths: DatabaseFiles,
        *,
        extracts: HandedOutExtracts | None = None,
        clock: Callable[[], datetime] = stored_now,
    ) -> None:
        super().__init__(extracts, clock)
        self.paths = paths
        # Held while copies of the file are made: two tasks at once would use the same folder.
        self.copying = threading.Lock()
        # Whether somebody met a damaged block since the database was opened.
        self._doubted = False
        self.readers = Readers()
        with ExitStack() as owned:
            owned.enter_context(paths.owned())
            for folder in (paths.erasing, paths.verifying):
                sweep(folder)  # a killed process left copies of the file there
            self._open()
            self._owned = owned.pop_all()

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        try:
            if error is None and not self._closed:
                self.check()
        finally:
            self.close()

    def close(self) -> None:
        """Close the database and give up its ownership. Closing again does nothing."""
        with self._owned, self._writing:
            self._closed = self._failed = True
            with self.readers.stopped():
                self._connection.close()

    def reopen(self, exchange: Callable[[], None] = lambda: None) -> None:
        """Close and open the database without giving up its ownership, as needed after a failed transaction.

        Args:
            exchange: called while the database is closed, to replace a damaged file.

        Raises:
            StoreFailed: the database was closed, or a reader does not stop.
            DatabaseReplaced: as ``check``.
            DatabaseUnusable: the file cannot be opened.
            DatabaseDamaged: a damaged block was met, and the file has one. It stays closed: exchange it.
        """
        logger.warning("reopening the database")
        with self._writing:
            if self._closed:
                raise StoreFailed("the database is closed")
            self._check_same()
            self._failed = True
            with self.readers.stopped():
                self._connection.close()
                exchange()
                self._open()
            self.restarts += 1

    def doubt(self) -> None:
        """Note that a damaged block was met: nothing is written until the database is opened again and read whole."""
        self._doubted = True
        with suppress(OSError):  # a full disk; the note is for a process that comes after this one
            self.paths.damaged.touch(mode=0o600)

    @contextmanager
    def doubting(self) -> Iterator[None]:
        """Doubt the file if the block's error says that something in it is damaged."""
        try:
            yield
        except Exception as error:
            if isinstance(error, BlockDamaged) or names_damage(error):
                self.doubt()
            raise

    def check(self) -> None:
        """Check that the database file is the one that was opened, and whole as far as it was read.

        A transaction checks this by itself, so there is nothing to check while one is under way.

        Raises:
            DatabaseReplaced: it was removed, or another one is in its place.
            BlockDamaged: somebody met a damaged block.
        """
        if self._writing.acquire(blocking=False):
            try:
                self._check_file()
            finally:
                self._writing.release()

    def _check_file(self) -> None:
        self._check_same()
        if self._doubted:
            raise BlockDamaged(self._damage())

    def _damage(self) -> str:
        return f"a block of {self.paths.database} is damaged: its bytes are not the ones that were written"

    def _check_same(self) -> None:
        with suppress(FileNotFoundError):
            if os.path.samestat(self.paths.database.stat(), self._file):
                return
        raise DatabaseReplaced(
            f"{self.paths.database} was removed, or another file put in its place, while this process used it. Put it "
            "back or restore a backup (matterlog restore). Without either, the next start fills a new one from Kafka"
        )

    @contextmanager
    def reader(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with self.readers.reader() as connection, self.doubting():
            yield connection

    @contextmanager
    def served(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Give a connection for reading on behalf of somebody outside this process.

        Raises:
            BeingRecovered: the database may hold matters that were deleted since its backup.
        """
        if self.recovering:
            raise BeingRecovered(
                "the log was restored or rebuilt and is served once all deletions are read. Try again in a moment"
            )
        with self.reader() as connection:
            yield connection

    @contextmanager
    def standstill(self) -> Iterator[None]:
        """Keep transactions from starting, with all committed data in the file itself. Readers continue.

        Raises:
            StoreFailed: a transaction failed, or this does; call ``reopen``.
            DatabaseReplaced: as ``check``.
        """
        with self._writer() as connection:
            connection.execute("CHECKPOINT log")
            yield

    def exchange_file(
        self, prepare: Callable[[], None], replace: Callable[[], None], *, readers_seconds: float, interrupt: bool
    ) -> bool:
        """Exchange the database file and open the new one, while no transaction runs and nobody reads.

        Args:
            prepare: called first, while readers still read.
            replace: called once the old file is closed, to put the new file in its place.
            readers_seconds: how long to wait for current readers. New readers wait too.
            interrupt: interrupt readers that still read after that.

        Returns:
            Whether the file was exchanged. False: somebody still reads, and nothing was changed.

        Raises:
            StoreFailed: as in ``standstill`` and ``reopen``.
            DatabaseUnusable: the file cannot be opened.
        """
        with self.standstill():
            prepare()
            with self.readers.paused():
                if not self.readers.wait_until_unread(readers_seconds) and not interrupt:
                    return False
                with self.readers.stopped():
                    self._connection.close()
                    self._failed = True
                    try:
                        replace()
                    finally:
                        self._open()
        return True

    def _open(self) -> None:
        self._connection = open_database(self.paths, doubted=self._doubted)
        try:
            deleted = self._connection.execute(SQL["deleted_matters"]).fetchall()
            self.recovering = bool(self._connection.execute(SQL["unfinished_recoveries"]).fetchall())
        except duckdb.Error as error:
            self._connection.close()
            raise unusable(self.paths, error) from error
        self._known_deleted = pa.array([matter for (matter,) in deleted], pa.string())
        # The file that is open, whatever the name leads to later.
        self._file = self.paths.database.stat()
        self.readers.follow(self._connection)
        self._failed = self._doubted = False

    @contextmanager
    def _writer(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with self._writing:
            if self._failed:
                raise StoreFailed("an earlier transaction failed, and the database was not reopened since")
            self._check_file()
            try:
                with self.doubting():
                    yield self._connection
            except duckdb.Error as error:
                self._failed = True
                if names_damage(error):
                    raise BlockDamaged(self._damage()) from error
                raise StoreFailed(f"the database failed ({type(error).__name__})") from error

    def end_recovery(self) -> None:
        super().end_recovery()
        self.recovering = False
        logger.warning("all deletions are applied: the log is served again")

    def _deleted(self, transaction: Transaction) -> pa.Array:  # noqa: ARG002 - for the lake
        return self._known_deleted  # nobody else changes the log

    def _remember_deleted(self, deleted: pa.Array, transaction: Transaction) -> None:  # noqa: ARG002 - for the lake
        self._known_deleted = deleted

    @contextmanager
    def _committed(self, connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
        self.readers.writer_begins()
        connection.execute("BEGIN")
        try:
            yield
            connection.execute("COMMIT")
        except duckdb.Error:
            raise  # the transaction may have been committed
        except BaseException:
            try:
                connection.execute("ROLLBACK")
            except duckdb.Error:
                self._failed = True
            raise
