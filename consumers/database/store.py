"""The file store: the log in one DuckDB file, changed by its owner alone."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime

import duckdb
import pyarrow as pa

from matterlog.consumers.database.log_store import Abilities, LogStore
from matterlog.consumers.database.owned_database import OwnedDatabase
from matterlog.consumers.database.recall_list import HandedOutExtracts
from matterlog.consumers.database.transaction import Transaction
from matterlog.schemas.instants import stored_now
from matterlog.schemas.storage.database_files import DatabaseFiles

logger = logging.getLogger(__name__)


class Store(OwnedDatabase, LogStore):
    """The log in its database, opened by its owner. Use as a context manager.

    Args:
        paths: the database's files.
        extracts: the register of extracts. Without it, recall lists are never complete.
        clock: returns the current time, in UTC without a zone.

    Raises:
        DatabaseInUse: another process owns or reads the database.
        DatabaseUnusable: the file cannot be opened.
    """

    abilities = Abilities(has_owner=True, is_backed_up=True)

    def __init__(
        self,
        paths: DatabaseFiles,
        *,
        extracts: HandedOutExtracts | None = None,
        clock: Callable[[], datetime] = stored_now,
    ) -> None:
        LogStore.__init__(self, extracts, clock)
        OwnedDatabase.__init__(self, paths)

    def end_recovery(self) -> None:
        """Record that all deletions are applied, so that the log is served again. Raises the errors of ``apply``."""
        super().end_recovery()
        with self._writing:
            self._instance = replace(self._instance, recovering=False)
        logger.warning("all deletions are applied: the log is served again")

    def _deleted(self, transaction: Transaction) -> pa.Array:  # noqa: ARG002 - for the lake
        return self._instance.deleted  # nobody else changes the log

    def _remember_deleted(self, deleted: pa.Array, transaction: Transaction) -> None:  # noqa: ARG002 - for the lake
        self._instance = replace(self._instance, deleted=deleted)

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
            self._roll_back(connection)
            raise

    def _roll_back(self, connection: duckdb.DuckDBPyConnection) -> None:
        try:
            connection.execute("ROLLBACK")
        except duckdb.Error:
            self._failed = True
