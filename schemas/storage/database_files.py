"""The files of a database, and who may open it.

A *database* is one DuckDB file. Beside it stand its write-ahead log, the owner's socket, the folder where DuckDB
spills what exceeds its memory, the folder of a rewrite, and the *lock file*. The *owner* is the one process that
writes; it holds the lock file exclusively for its whole life. A command that reads the file itself, when there is no
owner, holds it shared.

The lock is ours and on a file of its own because DuckDB's own one vanishes without a sound when the owning process
opens and closes the database file once more: POSIX drops a process's locks at any close.
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

# A child has its parent's lock from the fork until it is a program of its own, also where the parent was killed then.
_CHILD_STARTS_SECONDS: Final = 2.0
_LOOK_AGAIN_SECONDS: Final = 0.02


class DatabaseInUse(MatterlogError):
    """Another process has the database.

    ``process_id`` is the owner's; None when only readers have it, 0 when the owner has not written its own yet.
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
        memory_limit: how much memory DuckDB may take for it, as DuckDB writes it, such as ``2GB``.
    """

    database: Path
    memory_limit: str = "2GB"

    def _beside(self, ending: str) -> Path:
        return self.database.with_name(self.database.name + ending)

    @property
    def lock(self) -> Path:
        """Held by the owner; holds the owner's process ID as text."""
        return self._beside(".lock")

    @property
    def socket(self) -> Path:
        """Where the owner answers the command line."""
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
        """Where DuckDB puts what exceeds its memory; swept whenever the owner starts."""
        return self._beside(".tmp")

    @property
    def erasing(self) -> Path:
        """The folder of a rewrite under way: copies of the file, and the new one; swept whenever the owner starts."""
        return self._beside(".erasing")

    @property
    def verifying(self) -> Path:
        """The folder for copies in which a deleted matter is looked for; swept whenever the owner starts."""
        return self._beside(".verifying")

    @property
    def quarantined(self) -> list[Path]:
        """What was moved aside: write-ahead logs that were refused, and databases that a recovery replaced."""
        names = (glob.escape(path.name) for path in (self.database, self.wal))
        return sorted(found for name in names for found in self.database.parent.glob(f"{name}.quarantined-*"))

    @property
    def backups(self) -> Path:
        """The folder of verified copies of the database."""
        return self._beside(".backups")

    @property
    def backup_folders(self) -> tuple[Path, Path]:
        """Where backups are looked for: their folder, and the one of its former name until an owner has renamed it."""
        return self.backups, self._beside(".snapshots")

    @property
    def extracts(self) -> Path:
        """The register of what was handed out, an SQLite file: it stays when the database is made anew."""
        return self._beside(".extracts.sqlite")

    @contextmanager
    def owned(self) -> Iterator[None]:
        """Hold the database as its owner.

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
        """Take the lock; where a process that is gone has it, a child that it was just starting has it for a moment."""
        deadline = time.monotonic() + _CHILD_STARTS_SECONDS
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                owner = self._owner(handle)
                if not owner or _is_there(owner) or time.monotonic() > deadline:
                    raise DatabaseInUse(self.database, owner) from None
            else:
                return
            time.sleep(_LOOK_AGAIN_SECONDS)

    def _rename_backups(self) -> None:
        """Give the folder of backups its name of today; where that cannot be, both are used and nothing moves."""
        folder, former = self.backup_folders
        if not former.is_dir():
            return
        try:
            if folder.exists():
                former.rmdir()  # which the system allows where it is empty
            else:
                former.rename(folder)
        except OSError as error:
            logger.warning("backups are used in both %s and %s (%s)", folder, former, error.strerror)

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Hold the database for reading the file itself, which no owner may write meanwhile.

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
        """Read the owner's process ID; None when only readers hold the lock, 0 when there is none to read."""
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            text = os.pread(handle, 32, 0).strip()
            return int(text) if text.isdigit() else 0
        return None


def _is_there(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # another user's
    return True


def _write_process_id(handle: int, text: str) -> None:
    os.ftruncate(handle, 0)
    os.pwrite(handle, text.encode(), 0)
