"""The readers of the owner's database: cursors of its one DuckDB instance, which see a committed state."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

import duckdb

from matterlog.consumers.database.opening import WRITER_THREADS, use_log, use_threads
from matterlog.consumers.errors import StoreFailed

# How long readers have to stop: on a busy machine one that gives way is seldom on. Then closing the instance fails.
READERS_STOP_SECONDS: Final = 30.0
# Readers that begin later than this after a transaction get all processors. Earlier ones share the writer's thread.
WRITER_RESTS_SECONDS: Final = 1.0
# An interruption between two statements of a reader has no effect, so it is repeated.
_INTERRUPT_EVERY_SECONDS: Final = 0.05


class Readers:
    """The readers of the database, across all its instances; ``follow`` names the first one."""

    def __init__(self) -> None:
        self._cursors: set[duckdb.DuckDBPyConnection] = set()
        self._changed = threading.Condition()
        # Whether new readers must wait.
        self._paused = False
        # When the last transaction began, in monotonic seconds.
        self._wrote_at = -WRITER_RESTS_SECONDS

    def follow(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Switch to the instance of the writer's connection. The caller ensures that nobody reads the previous one."""
        self._connection = connection
        self._threads = use_threads(connection, WRITER_THREADS)

    def writer_begins(self) -> None:
        """Note that a transaction begins: new readers leave the writer its thread."""
        self._wrote_at = time.monotonic()

    @contextmanager
    def reader(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Give a connection for reading to one thread, until the context ends."""
        with self._changed:
            self._changed.wait_for(lambda: not self._paused)
            cursor = self._connection.cursor()
            if not self._cursors and time.monotonic() - self._wrote_at > WRITER_RESTS_SECONDS:
                use_threads(cursor, self._threads)
            self._cursors.add(cursor)
        try:
            use_log(cursor)
            yield cursor
        finally:
            # Under one lock, so that a closed cursor is never interrupted.
            with self._changed:
                self._cursors.discard(cursor)
                if not self._cursors:
                    with suppress(duckdb.Error):  # a failed instance refuses this too
                        use_threads(cursor, WRITER_THREADS)
                cursor.close()
                self._changed.notify_all()

    def wait_until_unread(self, seconds: float) -> bool:
        """Wait at most so many seconds until nobody reads. Return whether nobody does."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._cursors, seconds)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Make new readers wait until the context ends. Current readers continue."""
        with self._changed:
            self._paused = True
            try:
                yield
            finally:
                self._paused = False
                self._changed.notify_all()

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Interrupt current readers, and keep everybody from reading until the context ends.

        Raises:
            StoreFailed: a reader does not stop.
        """
        with self._changed:
            deadline = time.monotonic() + READERS_STOP_SECONDS
            while self._cursors:
                if time.monotonic() > deadline:
                    raise StoreFailed("a reader of the database does not stop")
                for cursor in self._cursors:
                    cursor.interrupt()
                self._changed.wait(_INTERRUPT_EVERY_SECONDS)
            yield
