"""Snapshots: verified copies of the database file, each whole or not there.

1. A process of its own clones the file at a standstill of the writer, which takes as long as copying it; another one
   reads the clone through. The owner never opens its own file.
2. A snapshot is two files: the copy, and its description with the copy's SHA-256. The description is written last, so a
   copy without one is none.
3. A snapshot holds whatever bytes the file held, removed rows too. So a rewrite of the file renews the snapshots: one
   of the rewritten file takes the place of all that were taken before it.
"""

import hashlib
import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Final
from uuid import UUID

from pydantic import BaseModel, ConfigDict, ValidationError

from matterlog.consumers.database.erase_files import shred, sweep
from matterlog.consumers.database.erase_steps import CLONE, DESCRIPTION
from matterlog.consumers.database.step_process import run_step
from matterlog.consumers.database.store import Store
from matterlog.consumers.errors import ErasureFailed, SnapshotUnusable
from matterlog.consumers.worker import Worker
from matterlog.schemas import MatterlogError
from matterlog.schemas.database_files import DatabaseFiles
from matterlog.schemas.durable import sync

logger = logging.getLogger(__name__)

DEFAULT_KEPT: Final = 3
# Without a snapshot the first one is due after this share of the interval: not at every start.
_FIRST_AFTER: Final = 24
_LOOK_EVERY_SECONDS: Final = 10.0
_TAKING: Final = "taking"


class Description(BaseModel):
    """What a snapshot is: which log, up to which transaction, and its bytes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    log_id: UUID
    last_arrival: int
    positions: tuple[tuple[str, int, int], ...]
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Snapshot:
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
            SnapshotUnusable: the bytes are not those that were verified when it was taken.
        """
        try:
            with self.path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise SnapshotUnusable(f"snapshot {self.name} cannot be read ({error.strerror})") from error
        if found != self.description.sha256:
            raise SnapshotUnusable(f"snapshot {self.name} was changed since it was taken: choose another")

    def shred(self) -> None:
        """Overwrite and unlink it."""
        _description_path(self.path).unlink()
        shred(self.path)


_NAME: Final = "%Y%m%dT%H%M%S.%fZ"


def list_snapshots(paths: DatabaseFiles) -> list[Snapshot]:
    """Return the snapshots, the newest first; what has no description is none."""
    found = [_read(path) for path in paths.snapshots.glob("*.duckdb")] if paths.snapshots.is_dir() else []
    return sorted((each for each in found if each is not None), key=lambda each: each.name, reverse=True)


def find_snapshot(paths: DatabaseFiles, name: str | None) -> Snapshot:
    """Return the snapshot of this name, verified; without a name the newest one that is whole.

    Raises:
        SnapshotUnusable: it is not whole, or there is none.
    """
    listed = list_snapshots(paths)
    for snapshot in listed:
        if name is None:
            try:
                snapshot.verify()
            except SnapshotUnusable as error:
                logger.warning("%s", error)
                continue
            return snapshot
        if snapshot.name == name:
            snapshot.verify()
            return snapshot
    known = ", ".join(snapshot.name for snapshot in listed) or "none"
    raise SnapshotUnusable(f"there is no snapshot {name or 'that is whole'}; there are: {known}")


def take_snapshot(store: Store, kept: int, stop: Event | None = None) -> Snapshot:
    """Take a snapshot of an owner's database, and shred all but the newest ``kept``.

    Raises:
        ErasureFailed: the copy was not made, or is not what it should be; nothing is left of it.
        StoreFailed: the database failed; call ``reopen``.
    """
    if not store.erasing.acquire(blocking=False):
        raise ErasureFailed("the database file is being rewritten; its snapshots are renewed after that")
    try:
        return _take(store, kept, stop or Event())
    finally:
        store.erasing.release()


def renew_snapshots(store: Store, stop: Event) -> None:
    """Put one snapshot of a rewritten file in the place of all others; nothing where there were none.

    Raises:
        ErasureFailed, StoreFailed: as ``take_snapshot``; the others are still there then.
    """
    sweep(store.paths.snapshots / _TAKING)
    if list_snapshots(store.paths):
        _take(store, 1, stop)
    _sweep_all_but(store.paths, list_snapshots(store.paths))


class SnapshotByInterval(Worker):
    """Takes snapshots in a thread of its own; use as a context manager.

    Args:
        store: the owner's.
        every: how old the newest may become; zero for none.
        kept: how many are kept.
    """

    def __init__(self, store: Store, every: timedelta, kept: int) -> None:
        super().__init__("matterlog-snapshots")
        self._store = store
        self._every = every
        self.kept = kept
        self._started_at = datetime.now(UTC)
        # Why the last one was not taken; None when it was.
        self.trouble: str | None = None

    def is_due(self, now: datetime) -> bool:
        """Whether the newest is too old, or there is none and the owner has run for a while."""
        listed = list_snapshots(self._store.paths)
        due = listed[0].taken_at + self._every if listed else self._started_at + self._every / _FIRST_AFTER
        return now >= due and not self._store.recovering

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
            take_snapshot(self._store, self.kept, self._stop)
            self.trouble = None
        except (MatterlogError, OSError) as error:
            self.trouble = str(error) if isinstance(error, MatterlogError) else f"snapshots: {error.strerror}"
            if not self._stop.is_set():
                logger.warning("%s", self.trouble)


def _take(store: Store, kept: int, stop: Event) -> Snapshot:
    paths = store.paths
    folder = paths.snapshots / _TAKING
    sweep(folder)
    paths.snapshots.mkdir(mode=0o700, exist_ok=True)
    folder.mkdir(mode=0o700)
    try:
        with store.standstill():
            run_step("clone", str(folder), str(paths.database), stop=stop)
        taken_at = datetime.now(UTC)
        run_step("describe", str(folder), store.paths.memory_limit, stop=stop)
        path = paths.snapshots / f"{taken_at.strftime(_NAME)}.duckdb"
        (folder / CLONE).rename(path)
        (folder / DESCRIPTION).rename(_description_path(path))
        sync(paths.snapshots)
    except OSError as error:
        raise ErasureFailed(f"no snapshot was taken: {error.strerror}") from error
    finally:
        sweep(folder)
    listed = list_snapshots(paths)
    _sweep_all_but(paths, listed[:kept])
    logger.info("snapshot %s was taken", path.stem)
    return listed[0]


def _sweep_all_but(paths: DatabaseFiles, kept: list[Snapshot]) -> None:
    """Shred every snapshot but these, and copies that have no description."""
    for snapshot in list_snapshots(paths):
        if snapshot not in kept:
            snapshot.shred()
    names = {snapshot.path for snapshot in kept}
    for path in paths.snapshots.glob("*.duckdb"):
        if path not in names:
            shred(path)


def _description_path(path: Path) -> Path:
    return path.with_suffix(".json")


def _read(path: Path) -> Snapshot | None:
    try:
        snapshot = Snapshot(path, Description.model_validate_json(_description_path(path).read_bytes()))
        _ = snapshot.taken_at
    except (OSError, ValidationError, ValueError):
        return None
    return snapshot
