"""Rewriting the database file: what was removed from the tables leaves the file's bytes.

Deleting leaves rows readable in a DuckDB file; only a new file, written by a fresh process, has none of them. So:

1. At a standstill of the writer a process clones the file; readers and then the writer go on.
2. A fresh process copies the clone's rows into a new file.
3. At a second standstill the file is cloned again, what came since is brought over, and every table is compared.
4. Nobody reads for a moment: the database is closed, the new file takes its place in one rename, and is opened.
5. The old file and the clone are overwritten and unlinked, with what was moved aside, and a backup of the new file
   takes the place of all others; only then the receipts say so.

A crash at any step leaves the old file or the new one where it belongs. What was removed stays recorded as such until
step 5 is done, so that the next owner takes the work up again. What is removed after step 1 waits for the next rewrite.
"""

import logging
import os
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple

from matterlog.consumers.database.copies import run_step, shred, sweep
from matterlog.consumers.database.erase_steps import CLONE, NEW, OLD, SQL
from matterlog.consumers.database.store import Store
from matterlog.consumers.errors import ErasureFailed, StoreFailed
from matterlog.consumers.recovery.backups import renew_backups
from matterlog.schemas.storage.database_files import DatabaseFiles
from matterlog.schemas.storage.durable import sync

logger = logging.getLogger(__name__)

# How long whoever begins to read may have to wait.
_READERS_WAIT_SECONDS: Final = 2.0
# How long a moment is awaited in which nobody reads, before readers are asked to wait.
_UNREAD_WAIT_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 0.1
_ROOM_TO_SPARE_BYTES: Final = 64 * 1024 * 1024


class Step(StrEnum):
    """What a rewrite has just done; a crash right behind each of them is tried."""

    BEGAN = "began"
    CLONED = "cloned"
    COPIED = "copied"
    BROUGHT = "brought"
    CLOSED = "closed"
    LINKED = "linked"
    REPLACED = "replaced"
    OPENED = "opened"
    SWEPT = "swept"
    RECORDED = "recorded"


class Removals(NamedTuple):
    """What was removed and may still be in the file: how many times, and the instant of the first (UTC, no zone)."""

    waiting: int
    since: datetime | None


def removals(store: Store) -> Removals:
    """Read what was removed and may still be in the file."""
    with store.reader() as reader:
        return Removals(*reader.execute(SQL["removals"]).fetchall()[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewrite:
    """What a rewrite did: removals whose bytes are gone, and its cost in seconds and bytes."""

    removals: int
    seconds: float
    writer_paused_seconds: float
    readers_paused_seconds: float
    bytes_before: int
    bytes_after: int

    def __str__(self) -> str:
        return (
            f"the database file was rewritten in {self.seconds:.1f} s, from {self.bytes_before:,} to "
            f"{self.bytes_after:,} bytes, without the bytes of {self.removals} removals; writing paused for "
            f"{self.writer_paused_seconds:.1f} s, reading for {self.readers_paused_seconds:.1f} s"
        )


@dataclass(slots=True)
class Eraser:
    """Rewrites the database file that a store owns.

    Args:
        store: the owner's.
        stop: set, a rewrite is broken off as soon as that is safe.
        reached: called after each step.
    """

    store: Store
    stop: threading.Event = field(default_factory=threading.Event)
    reached: Callable[[Step], None] = lambda _: None
    _prepared_at: float = field(default=0.0, init=False)

    def run(self, *, patience_seconds: float) -> Rewrite:
        """Rewrite the file, whatever waits for it.

        Args:
            patience_seconds: how long readers are waited for, before those that still read are interrupted.

        Raises:
            ErasureFailed: the old file stays as it was, or the new one is in place and the old one is not yet gone.
            UnsafeFile: the old file stays as it was, for under another name its bytes would stay too.
            DatabaseUnusable: the file cannot be opened any more.
        """
        with self.store.copying.at_once("the database file is being rewritten already"):
            try:
                return self._rewrite(patience_seconds)
            except OSError as error:
                raise ErasureFailed(f"the database file was not rewritten: {error.strerror}") from error
            except StoreFailed as error:
                self.store.reopen()
                raise ErasureFailed(f"the database file was not rewritten: {error}") from error
            finally:
                sweep(self._paths.erasing)

    @property
    def _paths(self) -> DatabaseFiles:
        return self.store.paths

    def _rewrite(self, patience_seconds: float) -> Rewrite:
        began = time.monotonic()
        before = self._begin()
        with self.store.standstill():
            self._run_step("clone", str(self._paths.database))
        cloned_in = time.monotonic() - began
        self.reached(Step.CLONED)
        covered = self._run_step("copy", self._paths.memory_limit)
        shred(self._paths.erasing / CLONE)
        self.reached(Step.COPIED)
        exchanged_in, readers_held = self._exchange(patience_seconds)
        self.reached(Step.OPENED)
        self._sweep()
        self.reached(Step.SWEPT)
        gone = self._record(covered)
        self.reached(Step.RECORDED)
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
                f"to rewrite {self._paths.database} takes {needed:,} free bytes beside it, {free:,} are there: make "
                f"room for {needed - free:,} more"
            )
        sweep(self._paths.erasing)
        self._paths.erasing.mkdir(mode=0o700)
        self.reached(Step.BEGAN)
        return size

    def _run_step(self, name: str, *arguments: str) -> int:
        return run_step(name, str(self._paths.erasing), *arguments, stop=self.stop)

    def _exchange(self, patience_seconds: float) -> tuple[float, float]:
        """Put the new file in place; return for how many seconds writing and reading paused at most."""
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
            logger.info("the database is read without a pause: its rewritten file waits to take its place")

    def _wait_for_readers(self, until: float) -> None:
        gone = self.store.readers.wait_until_gone
        while not gone(_LOOK_SECONDS) and time.monotonic() < until and not self.stop.is_set():
            pass

    def _prepare(self) -> None:
        self._run_step("bring", str(self._paths.database), self._paths.memory_limit)
        self.reached(Step.BROUGHT)
        self._prepared_at = time.monotonic()

    def _replace(self) -> None:
        self.reached(Step.CLOSED)
        if self._paths.wal.exists():
            raise ErasureFailed("the database was closed and has a write-ahead log: its file was not exchanged")
        self._paths.check_names()
        os.link(self._paths.database, self._paths.erasing / OLD)
        self.reached(Step.LINKED)
        (self._paths.erasing / NEW).replace(self._paths.database)
        sync(self._paths.erasing)
        sync(self._paths.database.parent)
        self.reached(Step.REPLACED)

    def _sweep(self) -> None:
        sweep(self._paths.erasing)
        for aside in self._paths.quarantined:
            shred(aside)
        sync(self._paths.database.parent)
        renew_backups(self.store, self.stop)

    def _record(self, covered: int) -> int:
        """Record that the file is rid of what was removed up to this transaction; return how many removals."""
        with self.store.transaction() as transaction:
            transaction.connection.execute(SQL["record_file_erased"], {"now": transaction.now, "arrival": covered})
            ((gone,),) = transaction.connection.execute(SQL["forget_removals"], {"arrival": covered}).fetchall()
        return int(gone)
