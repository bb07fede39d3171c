"""The real file store on a real disk that outlives a crash, with points before and after every statement."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import duckdb

from matterlog.consumers.database.store import Store
from matterlog.schemas.storage.database_files import DatabaseFiles
from testbed.feed import files_in
from tests.faults.simulator.model import BrokenPromise, brief
from tests.faults.simulator.world import World

_SLOW_SECONDS = 20.0
# Where the database stands, what it calls missing, and what tells its rows apart. One statement takes a millisecond.
_LOOK = """
    SELECT (SELECT list((topic, kafka_partition, next_offset)) FROM log.positions),
        (SELECT list((topic, kafka_partition, first_missing, next_available)) FROM log.gaps),
        (SELECT list((event_id::VARCHAR, kafka_partition, kafka_offset)) FROM log.activity),
        (SELECT list((matter_id, event_id::VARCHAR)) FROM log.purges),
        (SELECT list((topic, kafka_partition, kafka_offset, error_kind)) FROM log.dead_letters)
"""


class Disk:
    """What is on the disk, and the store that a process has open on it.

    Args:
        world: the simulation.
        folder: for the files.
        template: a new database, which is copied.
    """

    def __init__(self, world: World, folder: Path, template: Path) -> None:
        """Put a new database there."""
        self._world = world
        self._folder = folder
        self._numbers = count()
        self._files = self._new_files()
        shutil.copyfile(template, self._files.database)
        world.on_crash = self._keep_what_is_there
        # How many bytes the write-ahead log keeps of what the commit that is under way adds. None: all of it.
        self.torn: float | None = None
        self._wal_before = 0
        self.store: SimulatedStore | None = None

    def _new_files(self) -> DatabaseFiles:
        folder = self._folder / str(next(self._numbers))
        folder.mkdir()
        return files_in(folder)

    @contextmanager
    def opened(self) -> Iterator["SimulatedStore"]:
        """Open the store as a new process does."""
        self._world.point("open")
        with SimulatedStore(self._files, self._world, self) as store:
            self.store = store
            try:
                store.look()
                yield store
            finally:
                self.store = None
                store.stop_looking()
                if self._world.is_dead:
                    store.close()

    def begin_commit(self) -> None:
        """Note how long the write-ahead log is."""
        self._wal_before = _size(self._files.wal)

    def _keep_what_is_there(self) -> None:
        """Copy the files as the dead process left them; the end of the last commit may not have reached the disk."""
        before, self._files = self._files, self._new_files()
        for name in ("database", "wal"):
            if getattr(before, name).exists():
                shutil.copyfile(getattr(before, name), getattr(self._files, name))
        added = _size(self._files.wal) - self._wal_before
        if self.torn is not None and added > 0:
            with self._files.wal.open("r+b") as wal:
                wal.truncate(self._wal_before + int(added * self.torn))
        self.torn = None


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


class SimulatedStore(Store):
    """The real store; its connection to DuckDB is watched, and looked over after every commit."""

    def __init__(self, paths: DatabaseFiles, world: World, disk: Disk) -> None:
        """Open the file."""
        self._world, self._disk = world, disk
        # Whether readers may come: not while it is opened again, or a commit is not looked at yet.
        self.is_open = False
        self._eye: duckdb.DuckDBPyConnection | None = None
        super().__init__(paths, clock=world.clock.now)

    def _writer(self) -> Any:
        return self._watched()

    @contextmanager
    def _watched(self) -> Iterator[Any]:
        with super()._writer() as connection:
            yield Watched(connection, self._world, self)

    def reopen(self, *given: Any) -> None:
        """Open the database again."""
        self._world.point("reopen")
        self.stop_looking()
        super().reopen(*given)
        self.look()

    def begin_commit(self) -> None:
        """Note that a commit begins."""
        self._disk.begin_commit()

    def look(self) -> None:
        """Compare the committed state with the model.

        Raises:
            BrokenPromise: they differ.
        """
        self._eye = self._eye or self._connection.cursor()
        self.is_open = True
        positions, gaps, *tables = ([*(each or ())] for each in self._eye.execute(_LOOK).fetchall()[0])
        missing = {(topic, number, at) for topic, number, first, behind in gaps for at in range(first, behind)}
        stands = {(topic, number): offset for topic, number, offset in positions}
        must = brief(self._world.model.advance(stands, missing))
        has = tuple(sorted(table) for table in tables)
        self._world.tell("stands", *sorted(stands.items()), "holds", *map(len, has))
        for name, rows, expected in zip(("views", "deletions", "dead letters"), has, must, strict=True):
            if rows != expected:
                lost, found = set(expected) - set(rows), set(rows) - set(expected)
                raise BrokenPromise(f"{name}: {lost or 'nothing'} is lost, {found or 'nothing'} should not be there")

    def stop_looking(self) -> None:
        """Close the second connection: it would keep the database open."""
        self.is_open = False
        if self._eye is not None:
            self._eye.close()
        self._eye = None


class Watched:
    """The writer's connection: a point before and after every statement, and a disk that may fail."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, world: World, store: SimulatedStore) -> None:
        """Watch it."""
        self._connection, self._world, self._store = connection, world, store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, statement: str, *values: Any) -> Any:
        """Run a statement."""
        kind = statement if statement in {"BEGIN", "COMMIT", "ROLLBACK"} else "statement"
        if kind == "COMMIT":
            return self._commit()
        self._world.point(kind)
        if self._world.is_wrong("slow disk"):
            self._world.clock.advance(_SLOW_SECONDS)
        if kind == "statement" and self._world.is_wrong("failing statement") and self._world.dice.random() < 0.2:
            raise duckdb.IOException("simulated: a statement failed")
        found = self._connection.execute(statement, *values)
        if kind == "statement":
            self._world.point("statement done")
        return found

    def _commit(self) -> Any:
        world = self._world
        self._store.begin_commit()
        world.point("COMMIT")
        outcome, world.next_commit = world.next_commit, None
        if outcome == "not made" or world.is_wrong("full"):
            raise duckdb.IOException("simulated: nothing was committed")
        self._store.is_open = False  # what is committed now, the model does not know yet
        found = self._connection.execute("COMMIT")
        world.point("COMMIT done")
        if outcome == "made":
            raise duckdb.FatalException("simulated: committed, but nobody knows")
        self._store.look()
        return found
