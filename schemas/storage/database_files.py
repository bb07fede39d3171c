"""The files of a database, and the lock that says who may open it.

A *database* is one DuckDB file. Beside it are its write-ahead log, the owner's socket, the folder where DuckDB spills
data that exceeds its memory, the folder of a rewrite, and the *lock file*. The *owner* is the one process that writes.
It locks the lock file exclusively as long as it runs. A command that reads the file itself, when there is no owner,
locks it shared.

We lock a separate file because DuckDB's own lock silently disappears when the owner opens and closes the database file
once more: POSIX drops all of a process's locks on a file when the process closes any handle of it.
"""

import fcntl
import glob
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from matterlog.schemas.errors import MatterlogError

logger = logging.getLogger(__name__)

# A child inherits its parent's lock at the fork and keeps it until exec, even if the parent is killed meanwhile.
_CHILD_START_SECONDS: Final = 2.0
_RETRY_SECONDS: Final = 0.02


class DatabaseInUse(MatterlogError):
    """Another process is using the database.

    ``process_id`` is the owner's. None means that only readers use it, 0 that the owner has not written its ID yet.
    """

    def __init__(self, path: Path, process_id: int | None) -> None:
        self.process_id = process_id
        holder = f"process {process_id}, which owns it" if process_id else "a process that is starting or ending"
        if process_id is None:
            holder = "commands that read it"
        super().__init__(f"{path} is in use by {holder}: stop it, or wait until it ends")


@dataclass(frozen=True, slots=True)
class DatabaseFiles:
    """The paths that belong to one database file.

    Args:
        database: the DuckDB file.
        memory_limit: how much memory DuckDB may use for it, in DuckDB's notation, such as ``2GB``.
    """

    database: Path
    memory_limit: str = "2GB"

    def _beside(self, ending: str) -> Path:
        return self.database.with_name(self.database.name + ending)

    @property
    def lock(self) -> Path:
        """The lock file, which contains the owner's process ID as text."""
        return self._beside(".lock")

    @property
    def socket(self) -> Path:
        """The socket on which the owner answers the command line."""
        return self._beside(".sock")

    @property
    def wal(self) -> Path:
        """DuckDB's write-ahead log."""
        return self._beside(".wal")

    @property
    def accounts(self) -> Path:
        """The admin site's own SQLite file: accounts, sessions, the audit log."""
        return self._beside(".accounts")

    @property
    def spill(self) -> Path:
        """The folder for data that exceeds DuckDB's memory, emptied whenever the owner starts."""
        return self._beside(".tmp")

    @property
    def erasing(self) -> Path:
        """The folder of a running rewrite: copies of the file and the new file. Emptied whenever the owner starts."""
        return self._beside(".erasing")

    @property
    def verifying(self) -> Path:
        """The folder for copies that are searched for a deleted matter, emptied whenever the owner starts."""
        return self._beside(".verifying")

    @property
    def quarantined(self) -> list[Path]:
        """Files that were moved aside: refused write-ahead logs, and databases that a recovery replaced."""
        names = (glob.escape(path.name) for path in (self.database, self.wal))
        return sorted(found for name in names for found in self.database.parent.glob(f"{name}.quarantined-*"))

    @property
    def backups(self) -> Path:
        """The folder of verified copies of the database."""
        return self._beside(".backups")

    @property
    def backup_folders(self) -> tuple[Path, Path]:
        """The folders of backups: today's name, and the former name until an owner has renamed it."""
        return self.backups, self._beside(".snapshots")

    @property
    def extracts(self) -> Path:
        """The register of extracts, an SQLite file that stays when the database is rebuilt."""
        return self._beside(".extracts.sqlite")

    @contextmanager
    def owned(self) -> Iterator[None]:
        """Lock the database as its owner.

        Raises:
            DatabaseInUse: another process owns or reads it.
        """
        with self._open_lock() as handle:
            self._lock(handle)
            _write_process_id(handle, f"{os.getpid()}\n")
            try:
                self._rename_backups()
                yield
            finally:
                _write_process_id(handle, "")

    def _lock(self, handle: int) -> None:
        """Take the lock. Retry for a moment if a dead owner's child, which was just starting, still has it."""
        deadline = time.monotonic() + _CHILD_START_SECONDS
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                owner = self._owner(handle)
                if not owner or _is_running(owner) or time.monotonic() > deadline:
                    raise DatabaseInUse(self.database, owner) from None
            else:
                return
            time.sleep(_RETRY_SECONDS)

    def _rename_backups(self) -> None:
        """Rename the folder of backups to today's name. If that fails, use both and move nothing."""
        folder, former = self.backup_folders
        if not former.is_dir():
            return
        try:
            if folder.exists():
                former.rmdir()  # which fails unless it is empty
            else:
                former.rename(folder)
        except OSError as error:
            logger.warning("cannot rename %s to %s (%s): both hold backups", former, folder, error.strerror)

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Lock the database for reading the file itself, so that no owner can write meanwhile.

        Raises:
            DatabaseInUse: a process owns it.
        """
        with self._open_lock() as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                raise DatabaseInUse(self.database, self._owner(handle)) from None
            yield

    @contextmanager
    def _open_lock(self) -> Iterator[int]:
        try:
            handle = os.open(self.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise MatterlogError(f"{self.lock} cannot be opened: {error.strerror}") from error
        try:
            yield handle
        finally:
            os.close(handle)

    @staticmethod
    def _owner(handle: int) -> int | None:
        """Read the owner's process ID: None if only readers hold the lock, 0 if it is not written yet."""
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            text = os.pread(handle, 32, 0).strip()
            return int(text) if text.isdigit() else 0
        return None


def _is_running(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # it belongs to another user
    return True


def _write_process_id(handle: int, text: str) -> None:
    os.ftruncate(handle, 0)
    os.pwrite(handle, text.encode(), 0)
