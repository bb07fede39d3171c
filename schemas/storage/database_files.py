"""The files of a database, and the lock that says who may open it.

A *database* is one DuckDB file. Beside it are its write-ahead log, the owner's socket, the folder where DuckDB spills
data that exceeds its memory, the folder of a rewrite, and the *lock file*. The *owner* is the one process that writes.
It locks the lock file exclusively as long as it runs. A command that reads the file itself, when there is no owner,
locks it shared.

The lock is ours and on a file of its own because DuckDB's own one vanishes without a sound when the owning process
opens and closes the database file once more: POSIX drops a process's locks at any close.

A database has one name: a symbolic link is resolved once, so that everybody means the same lock and a rewrite replaces
the file and not the link. A second name of the file itself, a hard link, is refused: bytes that are erased under one
name would stay under the other.
"""

import errno
import fcntl
import glob
import logging
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from matterlog.schemas.errors import MatterlogError
from matterlog.schemas.storage.duckdb_lock import find_lock_holder
from matterlog.schemas.storage.private_files import is_foreign_link

logger = logging.getLogger(__name__)

# A child has its parent's lock from the fork until it is a program of its own, also where the parent was killed then.
_CHILD_START_SECONDS: Final = 2.0
_RETRY_SECONDS: Final = 0.02
# What stands beside a database under its name and these endings.
_ENDINGS: Final = (
    *(".lock", ".sock", ".wal", ".accounts", ".tmp", ".erasing", ".verifying", ".damaged"),
    *(".backups", ".snapshots", ".extracts.sqlite"),
)


class DatabaseInUse(MatterlogError):
    """Another process is using the database.

    ``process_id`` is the owner's; None when only readers have it, 0 when it is not known.
    """

    def __init__(self, path: Path, process_id: int | None) -> None:
        self.process_id = process_id
        unknown = "a process that is starting or ending, or not of this container"
        holder = f"process {process_id}, which owns it" if process_id else unknown
        if process_id is None:
            holder = "commands that read it"
        super().__init__(f"{path} is in use by {holder}: stop it, or wait until it ends")


class UnsafeFile(MatterlogError):
    """A file of the database has a second name, or is a link that leads elsewhere."""


class _Beside:
    """The path of what stands beside a database, under its name and an ending."""

    def __init__(self, ending: str) -> None:
        self._ending = ending

    def __get__(self, files: "DatabaseFiles", _owner: type) -> Path:
        return _beside(files.database, self._ending)


@dataclass(frozen=True, slots=True)
class DatabaseFiles:
    """The paths that belong to one database file.

    Args:
        database: the DuckDB file; where a symbolic link is given, the file that it leads to stands here.
        memory_limit: how much memory DuckDB may take for it, as DuckDB writes it, such as ``2GB``.

    Raises:
        UnsafeFile: the database is a link that others can replace, or files stand beside the link.
    """

    database: Path
    memory_limit: str = "2GB"

    def __post_init__(self) -> None:
        given = self.database.absolute()
        object.__setattr__(self, "database", Path(os.path.realpath(given)))
        if is_foreign_link(given):
            raise UnsafeFile(
                f"{given} is a symbolic link in a folder that others can write: give the file itself, {self.database}"
            )
        self._check_beside_link(given)

    def __str__(self) -> str:
        return str(self.database)

    def _check_beside_link(self, given: Path) -> None:
        """Refuse what an older matterlog left beside a link: accounts, backups and a log that would be forgotten."""
        if given.parent.resolve() / given.name == self.database:
            return
        beside = (_beside(given, ending) for ending in _ENDINGS if ending not in {".lock", ".sock"})
        for left in (*beside, *_quarantined(given)):
            if _holds_something(left):
                ending = left.name.removeprefix(given.name)
                raise UnsafeFile(
                    f"{given} is a symbolic link to {self.database}, and {left} stands beside the link: stop whoever "
                    f"uses it and move it to {_beside(self.database, ending)}"
                )

    # The lock file, which contains the owner's process ID as text.
    lock = _Beside(".lock")
    # The socket on which the owner answers the command line.
    socket = _Beside(".sock")
    # DuckDB's write-ahead log.
    wal = _Beside(".wal")
    # An empty file: a damaged block was read. The owner reads the whole database when it opens it next.
    damaged = _Beside(".damaged")
    # The admin site's own SQLite file: accounts, sessions, the audit log.
    accounts = _Beside(".accounts")
    # The folder of a running rewrite: copies of the file and the new file. Emptied whenever the owner starts.
    erasing = _Beside(".erasing")
    # The folder for copies that are searched for a deleted matter, emptied whenever the owner starts.
    verifying = _Beside(".verifying")
    # The folder of verified copies of the database.
    backups = _Beside(".backups")
    # The register of extracts, an SQLite file that stays when the database is rebuilt.
    extracts = _Beside(".extracts.sqlite")

    @property
    def spill(self) -> Path:
        """Where DuckDB puts what exceeds its memory; swept whenever the owner starts."""
        # The operator may have linked it to a larger disk.
        return Path(os.path.realpath(_beside(self.database, ".tmp")))

    @property
    def quarantined(self) -> list[Path]:
        """What was moved aside: write-ahead logs that were refused, and databases that a recovery replaced."""
        return _quarantined(self.database)

    @property
    def backup_folders(self) -> tuple[Path, Path]:
        """The folders of backups: today's name, and the former name until an owner has renamed it."""
        return self.backups, _beside(self.database, ".snapshots")

    def written_owner(self) -> int | None:
        """Return the process ID that an owner has written into the lock file; None where none can be read."""
        try:
            text = self.lock.read_text().strip()
        except OSError:
            return None
        return int(text) if text.isdecimal() else None

    def check_names(self) -> None:
        """Check that the database has one name, and that nobody else has put links beside it.

        Names that a rewrite or a recovery gave the file, and a crash left, do not count: they are swept.

        Raises:
            UnsafeFile: it has another name, or there is such a link.
        """
        for path in (self.database, *(_beside(self.database, ending) for ending in _ENDINGS)):
            if is_foreign_link(path):
                raise UnsafeFile(f"{path} is a symbolic link in a folder that others can write: remove it")
        if not self.database.is_file():
            return
        found = self.database.stat()
        swept = [path for path in (*self.quarantined, *self.erasing.glob("*")) if path.is_file()]
        ours = sum(os.path.samestat(path.stat(), found) for path in swept)
        if found.st_nlink - ours > 1:
            raise UnsafeFile(
                f"{self.database} has another name (a hard link; inode {found.st_ino}), under which erased rows would "
                f"stay: remove the other name, which find FOLDER -inum {found.st_ino} finds"
            )

    @contextmanager
    def owned(self) -> Iterator[None]:
        """Lock the database as its owner.

        Raises:
            DatabaseInUse: another process owns or reads it.
            UnsafeFile: as ``check_names``.
        """
        with self._open_lock() as handle:
            self._lock(handle)
            self.check_names()
            self._ask_duckdb(to_write=True)
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
            UnsafeFile: as ``check_names``.
        """
        with self._open_lock() as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                raise DatabaseInUse(self.database, self._owner(handle)) from None
            self.check_names()
            self._ask_duckdb(to_write=False)
            yield

    def _ask_duckdb(self, *, to_write: bool) -> None:
        """Refuse a database that a process has open whose lock file was removed, or that is none of ours."""
        try:
            holder = find_lock_holder(self.database, to_write=to_write)
        except OSError:  # DuckDB cannot open it either, and says why
            return
        if holder is not None:
            raise DatabaseInUse(self.database, holder.process_id if holder.writes else None)

    @contextmanager
    def _open_lock(self) -> Iterator[int]:
        try:
            handle = os.open(self.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise UnsafeFile(f"{self.lock} is a symbolic link: remove it") from error
            raise MatterlogError(f"{self.lock} cannot be opened: {error.strerror}") from error
        try:
            found = os.fstat(handle)
            if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
                raise UnsafeFile(f"{self.lock} is no file of its own, or has another name: remove it")
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


def _beside(database: Path, ending: str) -> Path:
    return database.with_name(database.name + ending)


def _quarantined(database: Path) -> list[Path]:
    names = (glob.escape(path.name) for path in (database, _beside(database, ".wal")))
    return sorted(found for name in names for found in database.parent.glob(f"{name}.quarantined-*"))


def _holds_something(path: Path) -> bool:
    try:
        return path.is_file() or any(path.iterdir())
    except PermissionError:
        return True
    except OSError:  # it is not there
        return False


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
