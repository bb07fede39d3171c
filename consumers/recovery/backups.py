"""Backups: verified copies of the database file, each whole or not there.

1. A process of its own clones the file at a standstill of the writer, which takes as long as copying it; another one
   reads the clone through. The owner never opens its own file.
2. A backup is two files: the copy, and its description with the copy's SHA-256. The description is written last, so a
   copy without one is none.
3. A backup holds whatever bytes the file held, removed rows too. So a rewrite of the file renews the backups: one
   of the rewritten file takes the place of all that were taken before it.
"""

import hashlib
import logging
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Final
from uuid import UUID

from pydantic import BaseModel, ConfigDict, ValidationError

from matterlog.consumers.database.copies import run_step, shred, sweep
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
# Without a backup the first one is due after this share of the interval: not at every start.
_FIRST_AFTER: Final = 24
_LOOK_EVERY_SECONDS: Final = 10.0
_TAKING: Final = "taking"


class Description(BaseModel):
    """What a backup is: which log, up to which transaction, and its bytes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    log_id: UUID
    last_arrival: int
    positions: tuple[tuple[str, int, int], ...]
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Backup:
    """A verified copy; its name is the instant (UTC) at which it was taken."""

    path: Path
    description: Description

    @property
    def name(self) -> str:
        """What ``matterlog restore`` calls it."""
        return self.path.stem

    @property
    def taken_at(self) -> datetime:
        """When it was taken."""
        return datetime.strptime(self.name, _NAME).replace(tzinfo=UTC)

    def verify(self) -> None:
        """Compare the copy with its description.

        Raises:
            BackupUnusable: the bytes are not those that were verified when it was taken.
        """
        try:
            with self.path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise BackupUnusable(f"backup {self.name} cannot be read ({error.strerror})") from error
        if found != self.description.sha256:
            raise BackupUnusable(f"backup {self.name} was changed since it was taken: choose another")

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


def find_backup(paths: DatabaseFiles, name: str | None) -> Backup:
    """Return the backup of this name, verified; without a name the newest one that is whole.

    Raises:
        BackupUnusable: it is not whole, or there is none.
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
    raise BackupUnusable(f"there is no backup {name or 'that is whole'}; there are: {known}")


def take_backup(store: Store, kept: int, stop: Event | None = None) -> Backup:
    """Take a backup of an owner's database, and shred all but the newest ``kept``.

    Raises:
        ErasureFailed: the copy was not made, or is not what it should be; nothing is left of it.
        StoreFailed: the database failed; call ``reopen``.
    """
    with store.copying.at_once("the database file is being rewritten; its backups are renewed after that"):
        return _take(store.paths, store.standstill(), kept, stop or Event())


def back_up_file(paths: DatabaseFiles) -> Backup:
    """Take a backup of a database that the caller owns and has not open; raises as ``take_backup`` does.

    All others are kept but those of the very same bytes: who tries again and again does not fill the disk.
    """
    taken = _take(paths, nullcontext(), None, Event())
    for other in list_backups(paths):
        if other != taken and other.description.sha256 == taken.description.sha256:
            other.shred()
    return taken


def renew_backups(store: Store, stop: Event) -> None:
    """Put one backup of a rewritten file in the place of all others; nothing where there were none.

    Raises:
        ErasureFailed, StoreFailed: as ``take_backup``; the others are still there then.
    """
    _sweep_unfinished(store.paths)
    if list_backups(store.paths):
        _take(store.paths, store.standstill(), 1, stop)
    _sweep_all_but(store.paths, list_backups(store.paths))


class BackupByInterval(Worker):
    """Takes backups in a thread of its own; use as a context manager.

    Args:
        store: the owner's.
        every: how old the newest may become; zero for none.
        kept: how many are kept.
    """

    def __init__(self, store: Store, every: timedelta, kept: int) -> None:
        super().__init__("matterlog-backups")
        self._store = store
        self._every = every
        self.kept = kept
        self._started_at = datetime.now(UTC)
        # Why the last one was not taken; None when it was.
        self.trouble: str | None = None

    def is_due(self, now: datetime) -> bool:
        """Whether the newest is too old, or there is none and the owner has run for a while."""
        listed = list_backups(self._store.paths)
        since, wait = (listed[0].taken_at, self._every) if listed else (self._started_at, self._every / _FIRST_AFTER)
        return (now >= since + wait or is_ahead(since, now)) and not self._store.recovering

    def _run(self) -> None:
        if not self._every:
            return
        pause = min(_LOOK_EVERY_SECONDS, self._every.total_seconds() / 100)
        while not self._stop.wait(pause):
            if self.is_due(datetime.now(UTC)):
                self._try()
                pause = _LOOK_EVERY_SECONDS * (_FIRST_AFTER if self.trouble else 1)

    def _try(self) -> None:
        try:
            take_backup(self._store, self.kept, self._stop)
            self.trouble = None
        except (MatterlogError, OSError) as error:
            self.trouble = str(error) if isinstance(error, MatterlogError) else f"backups: {error.strerror}"
            if not self._stop.is_set():
                logger.warning("%s", self.trouble)


def _take(paths: DatabaseFiles, standstill: AbstractContextManager[None], kept: int | None, stop: Event) -> Backup:
    folder = paths.backups / _TAKING
    _sweep_unfinished(paths)
    paths.backups.mkdir(mode=0o700, exist_ok=True)
    folder.mkdir(mode=0o700)
    try:
        with standstill:
            run_step("clone", str(folder), str(paths.database), stop=stop)
        taken_at = datetime.now(UTC)
        run_step("describe", str(folder), paths.memory_limit, stop=stop)
        path = paths.backups / f"{taken_at.strftime(_NAME)}.duckdb"
        (folder / CLONE).rename(path)
        (folder / DESCRIPTION).rename(_description_path(path))
        sync(paths.backups)
    except OSError as error:
        raise ErasureFailed(f"no backup was taken: {error.strerror}") from error
    finally:
        sweep(folder)
    listed = list_backups(paths)
    _sweep_all_but(paths, listed[:kept])
    logger.info("backup %s was taken", path.stem)
    return listed[0]


def _sweep_all_but(paths: DatabaseFiles, kept: list[Backup]) -> None:
    """Shred every backup but these, and copies that have no description."""
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
    """Shred what a backup that was broken off left."""
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
