"""Erasure of a lake: rows that were removed from the tables also leave objects, catalogue and write-ahead log.

1. Every file is there in its size, or nothing is rewritten. Under the commit lock, whose turn begins with a commit, so
   that whoever lost the lock before is refused: rows in the catalogue are written to files, files with removed rows are
   written again without them, and all earlier snapshots are forgotten. The tables' smallest and greatest values are
   narrowed to the rows that are left: only while all rows lie in files, and while the lock was never lost, or DuckDB
   would not find rows outside of them. Files that no snapshot names were left by processes that died or are refused:
   they are scheduled to be removed.
2. Transactions that began before may end. One that runs for longer than the patience has its session ended.
3. The files are removed that only earlier snapshots named, or none.
4. The catalogue's tables and PostgreSQL's own statistics are written again. No transaction is left that would have
   PostgreSQL keep removed rows in them. Then every file of the write-ahead log is written over or removed.
5. Only then do the receipts say so. What matterlog cannot reach is for the operator: standbys, archives of the
   write-ahead log, backups, and versions that a bucket keeps.

After a crash at any step the removals are still recorded, and everything is done again.

Each batch makes a commit and small files. Where nothing is removed for long, step 1 is done after many commits all the
same, and step 3 if nobody reads an earlier state (``tidy``).
"""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import duckdb
import psycopg
from psycopg import errors

from matterlog.consumers.database.copies import held_at_once
from matterlog.consumers.database.opening import SQL as ERASE
from matterlog.consumers.errors import ErasureFailed, StoreFailed
from matterlog.consumers.lake.lake_files import changed_files
from matterlog.consumers.lake.lake_store import LakeStore
from matterlog.consumers.lake.rights import missing_rights
from matterlog.schemas.storage.statements import load_statements

logger = logging.getLogger(__name__)

SQL: Final = load_statements(__package__, "lake_erasure.sql")
CATALOGUE: Final = load_statements(__package__, "catalogue.sql")
_LOOK_SECONDS: Final = 0.2
# How long the catalogue's readers may have to wait for a table that is written again.
_TABLE_SECONDS: Final = 5
# After how many commits small files are merged. Two a second make as many in eight minutes.
MANY_COMMITS: Final = 1000
# How long sessions may take to end that were told to.
_ENDING_SECONDS: Final = 10.0


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


class _Patience:
    """How long readers are waited for, before and after their sessions are told to end."""

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds
        self._told = False

    def is_over(self, reading: str) -> bool:
        """Whether the readers, as ``reading`` says in words, must be ended now.

        Raises:
            ErasureFailed: they were, and go on.
        """
        if time.monotonic() <= self._until:
            return False
        if self._told:
            raise ErasureFailed(f"{reading}, and do not end: matterlog lake check says more")
        logger.warning("%s: their sessions are ended", reading)
        self._told, self._until = True, time.monotonic() + _ENDING_SECONDS
        return True


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
        with self._alone():
            return self._run(patience_seconds)

    def tidy(self) -> None:
        """Merge small files and forget earlier states after many commits; raises as ``run``.

        Files that are merged stay for whoever reads an earlier state. The next time that nobody does, they go.
        """
        with self.store.reader() as connection:
            ((commits,),) = connection.execute(SQL["commits"]).fetchall()
        if commits < MANY_COMMITS:
            return
        with self._alone(), self._session() as catalogue:
            self._check_files()
            _, moment = self._rewrite(catalogue)
            if not _still_read(catalogue, moment):
                self._clean_up()
        logger.info("files of %d commits to the lake were merged", commits)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Rewrite the lake while nobody else in this process does; make our errors of others'."""
        with held_at_once(self._running, "the lake is already being rewritten"):
            try:
                yield
            except psycopg.Error as error:
                name = type(error).__name__
                raise ErasureFailed(f"the lake's catalogue was not rewritten ({name}): {_hint(error)}") from error
            except StoreFailed as error:
                self.store.reopen()
                raise ErasureFailed(f"the lake was not rewritten: {error}") from error

    def await_end(self) -> None:
        """Wait until an erasure that runs has ended."""
        with self._running:
            pass

    def _run(self, patience_seconds: float) -> LakeRewrite:
        began = time.monotonic()
        with self._session() as catalogue:
            self._check_files()
            covered, moment = self._rewrite(catalogue)
            paused = time.monotonic() - began
            self._await_readers(catalogue, moment, patience_seconds)
            files = self._clean_up()
            self._renew(catalogue, patience_seconds)
            _recycle_wal(catalogue)
            removals = self._record(covered)
        seconds = time.monotonic() - began
        return LakeRewrite(removals=removals, files=files, seconds=seconds, writer_paused_seconds=paused)

    @contextmanager
    def _session(self) -> Iterator[psycopg.Connection]:
        """Give the one session of PostgreSQL that erases, which has the rights for it."""
        with psycopg.connect(self.store.lake.sessions, autocommit=True) as session:
            if missing := missing_rights(session):
                raise ErasureFailed(
                    f"the role {session.info.user} lacks rights in PostgreSQL that erasing needs: {'; '.join(missing)}"
                )
            if session.execute(CATALOGUE["become_eraser"]).fetchall() != [(True,)]:
                raise ErasureFailed("the lake is already being rewritten by another process")
            session.execute(f"SET lock_timeout = '{_TABLE_SECONDS}s'")
            yield session

    def _check_files(self) -> None:
        """Check that every file is there in its size: what is read from another one would be written again."""
        try:
            with self.store.reader() as connection:
                changed = changed_files(connection, self.store.lake.data)
        except duckdb.Error as error:
            raise ErasureFailed(f"the lake's files cannot be listed ({type(error).__name__})") from error
        if changed:
            raise ErasureFailed(f"files of the lake are not as they were written: {'; '.join(changed)}")

    def _rewrite(self, catalogue: psycopg.Connection) -> tuple[int, dict[str, Any]]:
        """Write the files again, and forget what was removed from them.

        Returns:
            The last transaction whose removals are forgotten, and PostgreSQL's moment of that.
        """
        with self.store.turn() as connection:
            ((_, covered),) = connection.execute(ERASE["log"].format(database="log")).fetchall()
            holders = _fetch(catalogue, "lock_holders")
            for step in ("flush", "rewrite", "merge", "expire"):
                connection.execute(SQL[step]).to_arrow_table()
            orphans = connection.execute(SQL["orphans"]).fetchall()
            with catalogue.transaction():
                catalogue.execute(CATALOGUE["keep_commits_away"])
                if _fetch(catalogue, "lock_holders") != holders:
                    raise ErasureFailed("another process took the lake's commit lock while it was rewritten")
                catalogue.execute(CATALOGUE["narrow_statistics"])
                catalogue.execute(CATALOGUE["forget_kept_statistics"])
                for (path,) in orphans:
                    catalogue.execute(CATALOGUE["schedule_orphan"], {"path": path})
                ((_, transaction),) = _fetch(catalogue, "moment")
            # Only now has it ended: who began before this instant may have seen what it removed.
            ((instant, _),) = _fetch(catalogue, "moment")
        return int(covered), {"instant": instant, "transaction": transaction}

    def _await_readers(self, catalogue: psycopg.Connection, moment: dict[str, Any], patience_seconds: float) -> None:
        patience = _Patience(patience_seconds)
        while left := _still_read(catalogue, moment):
            self._check_stop()
            if patience.is_over(left):
                catalogue.execute(CATALOGUE["end_readers_since"], moment)
            self.stop.wait(_LOOK_SECONDS)

    def _clean_up(self) -> int:
        """Remove files that no snapshot names. Return how many."""
        with self.store.turn() as connection:
            return int(connection.execute(SQL["clean_up"]).to_arrow_table().num_rows)

    def _renew(self, catalogue: psycopg.Connection, patience_seconds: float) -> None:
        for (statement,) in _fetch(catalogue, "rewriting"):
            patience = _Patience(patience_seconds)
            while not _is_done(catalogue, statement):
                self._check_stop()
                if patience.is_over("transactions read a table of the lake's catalogue without a pause"):
                    ((instant, _),) = _fetch(catalogue, "moment")
                    catalogue.execute(CATALOGUE["end_readers_since"], {"instant": instant})

    def _check_stop(self) -> None:
        if self.stop.is_set():
            raise ErasureFailed("the wait for readers of the lake was ended. It begins again at the next start")

    def _record(self, covered: int) -> int:
        return self.store.record_erased(covered)


def _fetch(catalogue: psycopg.Connection, name: str) -> list[tuple[Any, ...]]:
    return catalogue.execute(CATALOGUE[name]).fetchall()


def _still_read(catalogue: psycopg.Connection, moment: dict[str, Any]) -> str | None:
    """Say what has PostgreSQL keep what was removed before a moment; None: nothing."""
    ((readers,),) = catalogue.execute(CATALOGUE["readers_since"], moment).fetchall()
    if readers:
        return f"{readers} transactions read an earlier state of the lake"
    ((kept,),) = catalogue.execute(CATALOGUE["kept_for_standbys"], moment).fetchall()
    return f"{kept} replication slots or standbys hold an earlier state of the lake" if kept else None


def _is_done(catalogue: psycopg.Connection, statement: str) -> bool:
    """Run a statement; False if readers were in its way for too long."""
    try:
        catalogue.execute(statement)
    except errors.LockNotAvailable:
        return False
    return True


def _recycle_wal(catalogue: psycopg.Connection) -> None:
    """Have every file of the write-ahead log removed or written over.

    PostgreSQL gives files that it no longer needs another name, and keeps their bytes until it writes into them.
    """
    in_use = set(_fetch(catalogue, "wal_in_use"))
    ((_, kept),) = _fetch(catalogue, "wal_files")
    _begin_wal_files(catalogue, 1 + int(kept))
    if in_use & set(_fetch(catalogue, "wal_in_use")):
        raise ErasureFailed(
            "PostgreSQL keeps old files of its write-ahead log: for a replication slot, or for an archive that does "
            "not take them. matterlog lake check says more"
        )
    ((files, _),) = _fetch(catalogue, "wal_files")
    _begin_wal_files(catalogue, int(files))


def _begin_wal_files(catalogue: psycopg.Connection, count: int) -> None:
    for _ in range(count):
        catalogue.execute(CATALOGUE["next_wal_file"])
    catalogue.execute("CHECKPOINT")


def _hint(error: psycopg.Error) -> str:
    if isinstance(error, errors.InsufficientPrivilege):
        return "the role lacks a right, or a superuser reads the lake: matterlog lake check says more"
    if isinstance(error, errors.LockNotAvailable):
        return "somebody uses the catalogue's tables without a pause"
    return "does PostgreSQL answer?"
