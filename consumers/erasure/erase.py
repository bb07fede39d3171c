"""Rewriting of the database file, so that rows removed from the tables also leave the file's bytes.

Deleted rows stay readable in a DuckDB file. Only a new file, written by a fresh process, has none of them. So:

1. While the writer stands still, a process clones the file. Readers continue meanwhile, the writer afterwards.
2. A fresh process copies the clone's rows into a new file.
3. At a second standstill, the file is cloned again, later changes are copied, and every table is compared.
4. While nobody reads, the database is closed, replaced by the new file in one rename, and opened.
5. The old file, the clone and files that were moved aside are overwritten and unlinked, and a backup of the new file
   replaces all others. Only then do the receipts say so.

A crash at any step leaves the old file or the new one in place. Removals stay recorded until step 5 is done, so that
the next owner resumes the work. Rows that are removed after step 1 wait for the next rewrite.
"""

import logging
import os
import shutil
import threading
import time
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple

import duckdb

from matterlog.consumers.database.copies import held_at_once, run_step, shred, sweep
from matterlog.consumers.database.erase_steps import CLONE, NEW, OLD
from matterlog.consumers.database.log_store import LogStore
from matterlog.consumers.database.opening import SQL
from matterlog.consumers.database.store import Store
from matterlog.consumers.errors import ErasureFailed, StoreFailed
from matterlog.consumers.recovery.backups import renew_backups
from matterlog.schemas.storage.damage import in_words
from matterlog.schemas.storage.database_files import DatabaseFiles
from matterlog.schemas.storage.durable import sync

logger = logging.getLogger(__name__)

# How long new readers may have to wait.
_READERS_WAIT_SECONDS: Final = 2.0
# How long to wait for a moment in which nobody reads, before new readers must wait.
_UNREAD_WAIT_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 0.1
_ROOM_TO_SPARE_BYTES: Final = 64 * 1024 * 1024


class Removals(NamedTuple):
    """Removals whose bytes may still be in the file: how many, and when the first was (UTC, no zone)."""

    waiting: int
    since: datetime | None


def removals(store: LogStore) -> Removals:
    """Read how many removals may still be in the file, and since when.

    Raises:
        StoreFailed: the store failed, or is being reopened.
    """
    try:
        with store.reader() as reader:
            return Removals(*reader.execute(SQL["removals"]).fetchall()[0])
    except duckdb.Error as error:
        raise StoreFailed(f"the list of removals to erase could not be read ({in_words(error)})") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewrite:
    """The result of a rewrite: the number of erased removals, and the cost in seconds and bytes."""

    removals: int
    seconds: float
    writer_paused_seconds: float
    readers_paused_seconds: float
    bytes_before: int
    bytes_after: int

    def __str__(self) -> str:
        return (
            f"the database file was rewritten in {self.seconds:.1f} s, from {self.bytes_before:,} to "
            f"{self.bytes_after:,} bytes, without the bytes of {self.removals} removals. Writing paused for "
            f"{self.writer_paused_seconds:.1f} s, reading for {self.readers_paused_seconds:.1f} s"
        )


@dataclass(slots=True)
class Eraser:
    """The rewriter of a store's database file.

    Args:
        store: the owner's store.
        stop: when set, interrupts a rewrite as soon as that is safe.
    """

    store: Store
    stop: threading.Event = field(default_factory=threading.Event)
    _prepared_at: float = field(default=0.0, init=False)

    def run(self, *, patience_seconds: float) -> Rewrite:
        """Rewrite the file, whether or not removals wait for it.

        Args:
            patience_seconds: how long to wait for readers. Those that still read after that are interrupted.

        Raises:
            ErasureFailed: the old file stays as it was, or the new one is in place and the old one is not yet gone.
            UnsafeFile: the old file stays as it was, for under another name its bytes would stay too.
            DatabaseUnusable: the file cannot be opened any more.
        """
        with held_at_once(self.store.copying, "the database file is already being rewritten"):
            try:
                with self.store.doubting():
                    return self._rewrite(patience_seconds)
            except OSError as error:
                raise ErasureFailed(f"the database file was not rewritten: {error.strerror}") from error
            except StoreFailed as error:
                self.store.reopen()
                raise ErasureFailed(f"the database file was not rewritten: {error}") from error
            finally:
                sweep(self._paths.erasing)

    def tidy(self) -> None:
        """Do nothing: it is one file."""

    def await_end(self) -> None:
        """Wait until a rewrite that somebody else began has ended."""
        with self.store.copying:
            pass

    @property
    def _paths(self) -> DatabaseFiles:
        return self.store.paths

    def _rewrite(self, patience_seconds: float) -> Rewrite:
        began = time.monotonic()
        before = self._begin()
        with self.store.standstill():
            self._run_step("clone", str(self._paths.database))
        cloned_in = time.monotonic() - began
        covered = self._run_step("copy", self._paths.memory_limit)
        shred(self._paths.erasing / CLONE)
        exchanged_in, readers_held = self._exchange(patience_seconds)
        self._sweep()
        gone = self.store.record_erased(covered)
        return Rewrite(
            removals=gone,
            seconds=time.monotonic() - began,
            writer_paused_seconds=max(cloned_in, exchanged_in),
            readers_paused_seconds=readers_held,
            bytes_before=before,
            bytes_after=self._paths.database.stat().st_size,
        )

    def _begin(self) -> int:
        """Make room and the folder; return the file's size."""
        self._paths.check_names()
        size = self._paths.database.stat().st_size
        needed = 2 * size + _ROOM_TO_SPARE_BYTES
        if (free := shutil.disk_usage(self._paths.database.parent).free) < needed:
            raise ErasureFailed(
                f"rewriting {self._paths.database} needs {needed:,} free bytes on its disk, but only {free:,} are "
                f"free: make room for {needed - free:,} more"
            )
        sweep(self._paths.erasing)
        self._paths.erasing.mkdir(mode=0o700)
        return size

    def _run_step(self, name: str, *arguments: str) -> int:
        return run_step(name, str(self._paths.erasing), *arguments, stop=self.stop)

    def _exchange(self, patience_seconds: float) -> tuple[float, float]:
        """Put the new file in place. Return for how many seconds writing and reading paused at most."""
        last_try = time.monotonic() + patience_seconds
        while True:
            self._wait_for_readers(min(last_try, time.monotonic() + _UNREAD_WAIT_SECONDS))
            began = time.monotonic()
            if self.store.exchange_file(
                self._prepare, self._replace, readers_seconds=_READERS_WAIT_SECONDS, interrupt=began >= last_try
            ):
                ended = time.monotonic()
                return ended - began, ended - self._prepared_at
            shred(self._paths.erasing / CLONE)
            logger.info("readers use the database without a pause: the rewritten file waits to replace it")

    def _wait_for_readers(self, until: float) -> None:
        unread = self.store.readers.wait_until_unread
        while not unread(_LOOK_SECONDS) and time.monotonic() < until and not self.stop.is_set():
            pass

    def _prepare(self) -> None:
        self._run_step("catch_up", str(self._paths.database), self._paths.memory_limit)
        self._prepared_at = time.monotonic()

    def _replace(self) -> None:
        if self._paths.wal.exists():
            raise ErasureFailed("the database still has a write-ahead log after closing: its file was not replaced")
        self._paths.check_names()
        os.link(self._paths.database, self._paths.erasing / OLD)
        self._rename()

    def _rename(self) -> None:
        (self._paths.erasing / NEW).replace(self._paths.database)
        sync(self._paths.erasing)
        sync(self._paths.database.parent)

    def _sweep(self) -> None:
        sweep(self._paths.erasing)
        for aside in self._paths.quarantined:
            shred(aside)
        sync(self._paths.database.parent)
        renew_backups(self.store, self.stop)
