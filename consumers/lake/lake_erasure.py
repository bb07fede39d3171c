"""Erasure of a lake: rows that were removed from the tables also leave objects, catalogue and write-ahead log.

1. Under the commit lock, rows in the catalogue are written to files, files with removed rows are written again without
   them, and all earlier snapshots are forgotten. Files that no snapshot names are left of processes that died, or
   belong to one whose lock was taken away: its commit is refused, since this one has committed. They are removed.
2. Readers of earlier snapshots may end. One that reads for longer than the patience has its session ended, and its
   extract starts over.
3. The files that only earlier snapshots named are removed.
4. The catalogue's statistics are renewed, its tables and PostgreSQL's own statistics are written again, and the
   write-ahead log is recycled.
5. Only then do the receipts say so. What matterlog cannot reach is for the operator: standbys, archives of the
   write-ahead log, backups, and versions that a bucket keeps.

After a crash at any step the removals are still recorded, and everything is done again.
"""

import logging
import threading
import time
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import psycopg
from psycopg import sql

from matterlog.consumers.database.opening import SQL as ERASE
from matterlog.consumers.errors import ErasureFailed, StoreFailed
from matterlog.consumers.lake.lake_store import LakeStore
from matterlog.schemas.storage.statements import load_statements

logger = logging.getLogger(__name__)

SQL: Final = load_statements(__package__, "lake_erasure.sql")
CATALOGUE: Final = load_statements(__package__, "catalogue.sql")
_LOOK_SECONDS: Final = 0.2
_CONNECT_SECONDS: Final = 10
# How long the catalogue's readers may have to wait for a table that is written again.
_TABLE_SECONDS: Final = 5
# PostgreSQL keeps files of the write-ahead log under new names until as many others were begun.
_WAL_FILES: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class LakeRewrite:
    """The result of an erasure: the number of erased removals, of removed files, and the cost in seconds."""

    removals: int
    files: int
    seconds: float
    writer_paused_seconds: float

    def __str__(self) -> str:
        return (
            f"the lake was rewritten in {self.seconds:.1f} s without the bytes of {self.removals} removals. "
            f"{self.files} files were removed. Writing paused for {self.writer_paused_seconds:.1f} s"
        )


@dataclass(slots=True)
class LakeEraser:
    """The eraser of a lake.

    Args:
        store: the lake, opened for changing it.
        stop: when set, ends the wait for readers.
    """

    store: LakeStore
    stop: threading.Event = field(default_factory=threading.Event)
    _running: threading.Lock = field(default_factory=threading.Lock, init=False)

    def run(self, *, patience_seconds: float) -> LakeRewrite:
        """Erase everything that was removed, whether or not removals wait for it.

        Args:
            patience_seconds: how long to wait for readers of earlier states. After that their sessions are ended.

        Raises:
            ErasureFailed: some of it was not done, and nothing is recorded as done.
        """
        if not self._running.acquire(blocking=False):
            raise ErasureFailed("the lake is already being rewritten")
        try:
            return self._run(patience_seconds)
        except psycopg.Error as error:
            name = type(error).__name__
            raise ErasureFailed(f"the lake's catalogue was not rewritten ({name}): {_hint(error)}") from error
        except StoreFailed as error:
            self.store.reopen()
            raise ErasureFailed(f"the lake was not rewritten: {error}") from error
        finally:
            self._running.release()

    def await_end(self) -> None:
        """Wait until an erasure that runs has ended."""
        with self._running:
            pass

    def _run(self, patience_seconds: float) -> LakeRewrite:
        began = time.monotonic()
        with psycopg.connect(self.store.lake.catalogue, autocommit=True, connect_timeout=_CONNECT_SECONDS) as catalogue:
            covered = self._rewrite()
            paused = time.monotonic() - began
            self._await_readers(catalogue, patience_seconds)
            files = self._clean_up()
            self._renew(catalogue)
            return LakeRewrite(
                removals=self._record(covered),
                files=files,
                seconds=time.monotonic() - began,
                writer_paused_seconds=paused,
            )

    def _rewrite(self) -> int:
        """Write the files again. Return the last transaction whose removals they no longer hold."""
        with self.store.turn() as connection:
            ((covered,),) = connection.execute(SQL["last_arrival"]).fetchall()
            for step in ("flush", "rewrite", "merge", "expire"):
                connection.execute(SQL[step]).to_arrow_table()
        return int(covered)

    def _await_readers(self, catalogue: psycopg.Connection, patience_seconds: float) -> None:
        ((now,),) = catalogue.execute(CATALOGUE["now"]).fetchall()
        deadline = time.monotonic() + patience_seconds
        while self._readers(catalogue, now):
            if self.stop.is_set():
                raise ErasureFailed("the wait for readers of the lake was ended")
            if time.monotonic() > deadline:
                logger.warning("readers of an earlier state of the lake do not end: their sessions are ended")
                catalogue.execute(CATALOGUE["end_readers_since"], {"instant": now})
            self.stop.wait(_LOOK_SECONDS)

    @staticmethod
    def _readers(catalogue: psycopg.Connection, instant: datetime) -> int:
        ((readers,),) = catalogue.execute(CATALOGUE["readers_since"], {"instant": instant}).fetchall()
        return int(readers)

    def _clean_up(self) -> int:
        """Remove files that no snapshot names. Return how many."""
        with self.store.turn() as connection:
            return sum(connection.execute(SQL[step]).to_arrow_table().num_rows for step in ("clean_up", "orphans"))

    def _renew(self, catalogue: psycopg.Connection) -> None:
        """Write the catalogue's own tables again, and have its write-ahead log recycled."""
        with self.store.turn():
            catalogue.execute(f"SET lock_timeout = '{_TABLE_SECONDS}s'")
            catalogue.execute(CATALOGUE["renew_statistics"])
            catalogue.execute(CATALOGUE["forget_statistics"])
            for (table,) in catalogue.execute(CATALOGUE["tables"]).fetchall():
                catalogue.execute(sql.SQL(f"VACUUM FULL {table}"))
            catalogue.execute("VACUUM FULL pg_statistic")
        for _ in range(_WAL_FILES):
            catalogue.execute(CATALOGUE["switch_wal"])
            catalogue.execute("CHECKPOINT")

    def _record(self, covered: int) -> int:
        """Record that removals up to this transaction are erased. Return how many."""
        with self.store.transaction() as transaction:
            transaction.connection.execute(ERASE["record_file_erased"], {"now": transaction.now, "arrival": covered})
            ((gone,),) = transaction.connection.execute(ERASE["forget_removals"], {"arrival": covered}).fetchall()
        return int(gone)


def _hint(error: psycopg.Error) -> str:
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        return "the role lacks a right: matterlog lake check names it"
    if isinstance(error, psycopg.errors.LockNotAvailable):
        return "somebody reads the catalogue's tables without a pause"
    return "does PostgreSQL answer?"
