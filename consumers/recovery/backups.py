"""Backups: verified copies of the database file, each complete or absent.

1. A separate process clones the file while the writer stands still, for as long as copying takes. Another process reads
   the whole clone. The owner never opens its own file.
2. A backup is two files: the copy, and its description with the copy's SHA-256. The description is written last: a copy
   without one is not a backup.
3. Once a day, or with each backup, a process reads the whole file in such a clone, as the disk has it: the owner's own
   memory would hide a damaged block.
4. A backup holds all bytes that the file held, also those of removed rows. So a rewrite of the file renews the backups:
   one backup of the rewritten file replaces all earlier ones.
"""

import hashlib
import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Final
from uuid import UUID

from pydantic import BaseModel, ValidationError

from matterlog.consumers.database.copies import held_at_once, run_step, shred, sweep
from matterlog.consumers.database.erase_steps import CLONE, DESCRIPTION
from matterlog.consumers.database.store import Store
from matterlog.consumers.errors import BackupUnusable, ErasureFailed
from matterlog.consumers.worker import Worker
from matterlog.schemas import MatterlogError
from matterlog.schemas.instants import is_ahead
from matterlog.schemas.storage.database_files import DatabaseFiles
from matterlog.schemas.storage.durable import sync

logger = logging.getLogger(__name__)

DEFAULT_KEPT: Final = 3
# Without any backup, the first one is due after this fraction of the interval, not at every start.
_FIRST_AFTER: Final = 24
_LOOK_EVERY_SECONDS: Final = 10.0
_READ_EVERY: Final = timedelta(days=1)
_TAKING: Final = "taking"
_BEING_REWRITTEN: Final = "the database file is being rewritten. Its backups are renewed after that"


class Description(BaseModel, frozen=True, extra="forbid"):
    """The description of a backup: its log, last transaction, positions, size and SHA-256."""

    log_id: UUID
    last_arrival: int
    positions: tuple[tuple[str, int, int], ...]
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Backup:
    """A verified copy of the database file, named after the time (UTC) when it was taken."""

    path: Path
    description: Description

    @property
    def name(self) -> str:
        """The backup's name for ``matterlog restore``."""
        return self.path.stem

    @property
    def taken_at(self) -> datetime:
        """The time when the backup was taken."""
        return datetime.strptime(self.name, _NAME).replace(tzinfo=UTC)

    def verify(self) -> None:
        """Compare the copy with its description.

        Raises:
            BackupUnusable: the file cannot be read, or its bytes have changed since the backup was taken.
        """
        try:
            with self.path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise BackupUnusable(f"backup {self.name} cannot be read ({error.strerror})") from error
        if found != self.description.sha256:
            raise BackupUnusable(f"backup {self.name} has changed since it was taken: choose another")

    def shred(self) -> None:
        """Overwrite and unlink it."""
        if self.path.stat().st_nlink > 1:
            logger.warning("backup %s has another name, under which its rows stay: remove that one too", self.name)
        _description_path(self.path).unlink()
        shred(self.path)


_NAME: Final = "%Y%m%dT%H%M%S.%fZ"


def list_backups(paths: DatabaseFiles) -> list[Backup]:
    """Return the backups, the newest first; what has no description is none.

    Those of an instant that lies ahead come last: the clock was wrong, and each of today's is newer.
    """
    found, now = [_read(path) for path in _copies(paths)], datetime.now(UTC)
    listed = [each for each in found if each is not None]
    return sorted(listed, key=lambda each: (not is_ahead(each.taken_at, now), each.name), reverse=True)


def last_backup_at(paths: DatabaseFiles) -> datetime | None:
    """Return when the newest backup was taken, and so the whole file was read; None without one that is of the past."""
    now = datetime.now(UTC)
    return next((each.taken_at for each in list_backups(paths) if not is_ahead(each.taken_at, now)), None)


def find_backup(paths: DatabaseFiles, name: str | None) -> Backup:
    """Return the backup of this name after verifying it. Without a name, return the newest intact backup.

    Raises:
        BackupUnusable: the backup is damaged, or there is none.
    """
    listed = list_backups(paths)
    for backup in listed:
        if name is None:
            try:
                backup.verify()
            except BackupUnusable as error:
                logger.warning("%s", error)
                continue
            return backup
        if backup.name == name:
            backup.verify()
            return backup
    known = ", ".join(backup.name for backup in listed) or "none"
    raise BackupUnusable(f"there is no {'backup ' + name if name else 'intact backup'}. Existing backups: {known}")


def take_backup(store: Store, kept: int, stop: Event | None = None) -> Backup:
    """Take a backup of an owner's database, and shred all but the newest ``kept``.

    Raises:
        ErasureFailed: the copy could not be made or verified. Nothing is left of it.
        StoreFailed: the database failed, or has a damaged block. Call ``reopen``.
    """
    with held_at_once(store.copying, _BEING_REWRITTEN), store.doubting():
        return _take(store.paths, store.standstill(), kept, stop or Event())


def read_whole_file(store: Store, stop: Event) -> None:
    """Read every block of the database file, as the disk has it, in a copy. Raises the errors of ``take_backup``."""
    with (
        held_at_once(store.copying, _BEING_REWRITTEN),
        store.doubting(),
        _described(store.paths, store.standstill(), stop),
    ):
        logger.info("the whole database file was read: no block is damaged")


def back_up_file(paths: DatabaseFiles) -> Backup:
    """Take a backup of a closed database that the caller owns. Raises the errors of ``take_backup``.

    Keep all other backups except those with the same bytes, so that repeated tries do not fill the disk.
    """
    taken = _take(paths, nullcontext(), None, Event())
    for other in list_backups(paths):
        if other != taken and other.description.sha256 == taken.description.sha256:
            other.shred()
    return taken


def renew_backups(store: Store, stop: Event) -> None:
    """Replace all backups by one of the rewritten file. If there are no backups, take none.

    Raises:
        ErasureFailed, StoreFailed: as in ``take_backup``. The old backups are still there then.
    """
    _sweep_unfinished(store.paths)
    if list_backups(store.paths):
        _take(store.paths, store.standstill(), 1, stop)
    _sweep_all_but(store.paths, list_backups(store.paths))


class BackupByInterval(Worker):
    """A background thread that takes backups at an interval, and has the whole file read once a day at least.

    Use as a context manager.

    Args:
        store: the owner's store.
        every: how old the newest backup may become. Zero: take none.
        kept: how many backups to keep.
    """

    def __init__(self, store: Store, every: timedelta, kept: int) -> None:
        super().__init__("matterlog-backups")
        self._store = store
        self._every = every
        self.kept = kept
        self._started_at = datetime.now(UTC)
        self._read_at: datetime | None = None
        # Why the last backup failed. None: it did not.
        self.trouble: str | None = None

    def due_at(self, now: datetime) -> datetime | None:
        """Return when the next backup is due: at once if the newest one lies ahead. None if no backups are wanted."""
        listed = list_backups(self._store.paths)
        since, wait = (listed[0].taken_at, self._every) if listed else (self._started_at, self._every / _FIRST_AFTER)
        due = min(now, self._started_at) if is_ahead(since, now) else since + wait
        return due if self._every else None

    def is_due(self, now: datetime) -> bool:
        """Return whether the newest backup is too old, or there is none and the owner has run for a while."""
        due = self.due_at(now)
        return due is not None and now >= due and not self._store.recovering

    @property
    def read_at(self) -> datetime | None:
        """When the whole file was last found to be undamaged; None where that is not known."""
        return max(filter(None, (self._read_at, last_backup_at(self._store.paths))), default=None)

    def is_reading_due(self, now: datetime) -> bool:
        """Return whether the whole file was last read too long ago, or the owner has run for a while without that."""
        since, wait = self.read_at or self._started_at, _READ_EVERY if self.read_at else _READ_EVERY / _FIRST_AFTER
        return (now >= since + wait or is_ahead(since, now)) and not self._store.recovering

    def _run(self) -> None:
        pause = min(_LOOK_EVERY_SECONDS, (self._every or _READ_EVERY).total_seconds() / 100)
        while not self._stop.wait(pause):
            now = datetime.now(UTC)
            if self.is_due(now):
                self._try(lambda: take_backup(self._store, self.kept, self._stop))
            elif self.is_reading_due(now):
                self._try(lambda: read_whole_file(self._store, self._stop))
                self._read_at = self._read_at if self.trouble else now
            else:
                continue
            pause = _LOOK_EVERY_SECONDS * (_FIRST_AFTER if self.trouble else 1)

    def _try(self, work: Callable[[], object]) -> None:
        try:
            work()
            self.trouble = None
        except (MatterlogError, OSError) as error:
            self.trouble = str(error) if isinstance(error, MatterlogError) else f"backups: {error.strerror}"
            if not self._stop.is_set():
                logger.warning("%s", self.trouble)


def _take(paths: DatabaseFiles, standstill: AbstractContextManager[None], kept: int | None, stop: Event) -> Backup:
    with _described(paths, standstill, stop) as (folder, taken_at):
        path = paths.backups / f"{taken_at.strftime(_NAME)}.duckdb"
        (folder / CLONE).rename(path)
        (folder / DESCRIPTION).rename(_description_path(path))
        sync(paths.backups)
    listed = list_backups(paths)
    _sweep_all_but(paths, listed[:kept])
    logger.info("backup %s was taken", path.stem)
    return listed[0]


@contextmanager
def _described(
    paths: DatabaseFiles, standstill: AbstractContextManager[None], stop: Event
) -> Iterator[tuple[Path, datetime]]:
    """Give the folder with a clone of the file that was read whole, and its description, and the time of the clone."""
    folder = paths.backups / _TAKING
    _sweep_unfinished(paths)
    try:
        paths.backups.mkdir(mode=0o700, exist_ok=True)
        folder.mkdir(mode=0o700)
        with standstill:
            run_step("clone", str(folder), str(paths.database), stop=stop)
        taken_at = datetime.now(UTC)
        run_step("describe", str(folder), paths.memory_limit, stop=stop)
        yield folder, taken_at
    except OSError as error:
        raise ErasureFailed(f"the backup failed: {error.strerror}") from error
    finally:
        sweep(folder)


def _sweep_all_but(paths: DatabaseFiles, kept: list[Backup]) -> None:
    """Shred every backup except these, and all copies without a description."""
    for backup in list_backups(paths):
        if backup not in kept:
            backup.shred()
    names = {backup.path for backup in kept}
    for path in _copies(paths):
        if path not in names:
            shred(path)


def _copies(paths: DatabaseFiles) -> list[Path]:
    return [path for folder in paths.backup_folders for path in folder.glob("*.duckdb")]


def _sweep_unfinished(paths: DatabaseFiles) -> None:
    for folder in paths.backup_folders:
        sweep(folder / _TAKING)


def _description_path(path: Path) -> Path:
    return path.with_suffix(".json")


def _read(path: Path) -> Backup | None:
    try:
        backup = Backup(path, Description.model_validate_json(_description_path(path).read_bytes()))
        _ = backup.taken_at
    except (OSError, ValidationError, ValueError):
        return None
    return backup
