"""The lake store: the log on DuckLake, which other machines read and change too.

1. Each transaction has its turn at the commit lock (``commit_lock.py``), and begins when it has it.
2. It reads the deletions that others committed inside itself, and checks its positions there: a consumer whose
   partitions were given to another one cannot commit.
3. A failed session of PostgreSQL is rolled back before it is closed: closed inside a transaction, it would end the
   process.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Final

import duckdb
import pyarrow as pa

from matterlog.consumers.database.log_store import LogStore
from matterlog.consumers.database.recall_list import HandedOutExtracts
from matterlog.consumers.database.transaction import Transaction
from matterlog.consumers.errors import PositionMoved, StoreFailed, StoreUnavailable
from matterlog.consumers.lake.commit_lock import PATIENCE_SECONDS, CommitLock
from matterlog.schemas.instants import stored_now
from matterlog.schemas.storage.damage import in_words
from matterlog.schemas.storage.lake import Lake, LakeUnreachable, check_tables, close_lake, use_lake

logger = logging.getLogger(__name__)

# The system's words of a disk without space.
_FULL: Final = "No space left on device"
_NO_MATTERS: Final = pa.array([], pa.string())


class LakeStore(LogStore):
    """The log on DuckLake, opened for changing it. Use as a context manager.

    Args:
        lake: where it is.
        extracts: the register of extracts. Without it, recall lists are never complete.
        clock: returns the current time, in UTC without a zone.
        patience_seconds: how long to wait for another one's commit before its session is ended.

    Raises:
        LakeUnusable: the lake cannot be opened, or holds no log of this version.
        StoreFailed: PostgreSQL refuses the session of the lock.
    """

    recovering = False  # it is neither restored nor rebuilt while it is open

    def __init__(
        self,
        lake: Lake,
        *,
        extracts: HandedOutExtracts | None = None,
        clock: Callable[[], datetime] = stored_now,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        super().__init__(extracts, clock)
        self.lake = lake
        self._patience_seconds = patience_seconds
        self._open()

    def check(self) -> None:
        """Check that no transaction of another thread failed, so that the loop opens the lake again for all of them.

        Raises:
            StoreFailed: one failed.
        """
        with self._writer():
            pass

    def close(self) -> None:
        with self._writing:
            if not self._closed:
                self._closed = self._failed = True
                self._close()

    def reopen(self) -> None:
        """Connect to the lake anew.

        Raises:
            StoreUnavailable: the catalogue or the storage does not answer. Try again.
            StoreFailed: the store was closed.
            LakeUnusable: the lake holds no log of this version any more.
        """
        with self._writing:
            if self._closed:
                raise StoreFailed("the lake is closed")
            self._failed = True
            self._close()
            try:
                self._open()
            except LakeUnreachable as error:
                raise StoreUnavailable(str(error)) from error
            self._failed = False
            self.restarts += 1
        logger.info("connected to the lake again")

    @contextmanager
    def turn(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Hold the commit lock for statements that are no transaction of the log; raises as ``transaction``.

        An empty transaction comes first. Whoever had the lock taken away, and lives on, can no longer commit then: the
        statements may remove files that its commit would name.
        """
        with self._writer() as connection, self._lock.held():
            with self._begun(connection):
                pass
            yield connection

    @contextmanager
    def reader(self) -> Iterator[duckdb.DuckDBPyConnection]:
        cursor = self._connection.cursor()
        try:
            use_lake(cursor)
            yield cursor
        finally:
            close_lake(cursor)

    def _open(self) -> None:
        self._connection = self.lake.connect(threads=1)
        try:
            check_tables(self._connection)
            self._lock = CommitLock(self.lake.sessions, self._patience_seconds)
        except BaseException:
            close_lake(self._connection)
            raise
        # The matters whose deletion is known, and the transaction up to which. All are read again: the catalogue may be
        # an earlier one, as after a fail-over, in which the same numbers are given again.
        self._known_deleted, self._known_until, self._last = _NO_MATTERS, 0, None

    def _close(self) -> None:
        self._lock.close()
        close_lake(self._connection)

    @contextmanager
    def _writer(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with self._writing:
            if self._failed:
                raise StoreFailed("an earlier transaction failed, and the lake was not opened again since")
            try:
                yield self._connection
            except duckdb.Error as error:
                self._failed = True
                raise _failure(error) from error
            except StoreFailed:
                self._failed = True
                raise
            except PositionMoved as error:
                raise PositionMoved(
                    f"{error}: another consumer reads into this lake. Nothing of this batch was applied. Run only one"
                ) from error

    @contextmanager
    def _committed(self, connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
        with self._lock.held():
            connection.execute("BEGIN")
            try:
                yield
                connection.execute("COMMIT")
            except BaseException:
                # After an error of DuckDB the transaction may have been committed: the store counts as failed.
                with suppress(duckdb.Error):
                    connection.execute("ROLLBACK")
                raise

    def _deleted(self, transaction: Transaction) -> pa.Array:
        if transaction.arrival == self._known_until + 1:
            return self._known_deleted  # nobody has committed since
        new = transaction.rows("matters_deleted_since", arrival=self._known_until)
        if not new:
            return self._known_deleted
        return pa.concat_arrays([self._known_deleted, pa.array([matter for (matter,) in new], pa.string())])

    def _remember_deleted(self, deleted: pa.Array, transaction: Transaction) -> None:
        self._known_deleted, self._known_until = deleted, transaction.arrival


def _failure(error: duckdb.Error) -> StoreFailed:
    if _FULL in str(error):
        return StoreUnavailable(f"the lake's storage is full ({type(error).__name__})")
    if isinstance(error, duckdb.IOException):
        return StoreUnavailable(f"the lake's catalogue or its storage does not answer ({type(error).__name__})")
    return StoreFailed(f"the lake failed ({in_words(error)})")
