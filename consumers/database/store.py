"""The single writer of the database: one batch, one transaction.

1. ``apply`` is one DuckDB transaction: rows, deletions, dead letters and positions become true together or not at all.
2. An exception from COMMIT does not say "not committed". After any failure the store does nothing more until it is
   opened again, and the positions that it then holds say what is true; a batch is never tried again blindly.
3. Readers get cursors of the same instance: they see a committed state and block nobody.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from types import TracebackType
from typing import Final, Self

import duckdb
import pyarrow as pa

from matterlog.consumers.database.batch import SQL, Applied, BatchTransaction
from matterlog.consumers.database.dead_letters import DeadLetterPlace, chosen, list_dead_letters
from matterlog.consumers.database.erase_files import sweep
from matterlog.consumers.database.opening import WRITER_THREADS, open_database, use_log, use_threads
from matterlog.consumers.database.recall_list import HandedOutExtracts, Recall
from matterlog.consumers.errors import BeingRecovered, StoreFailed
from matterlog.consumers.reading.records import Decoded, Gap, Move, Position, Record, TopicPartition
from matterlog.schemas.database_files import DatabaseFiles
from matterlog.schemas.instants import stored_now

logger = logging.getLogger(__name__)

# How long readers get to stop before the store gives up closing.
READERS_STOP_SECONDS: Final = 10.0
# Readers who come later than this after a transaction get all processors; before, the writer's one thread.
WRITER_RESTS_SECONDS: Final = 1.0
# A reader between two statements does not feel an interruption, so it is repeated.
_INTERRUPT_EVERY_SECONDS: Final = 0.05

# Records -> what they are.
Decode = Callable[[Sequence[Record]], Decoded]


class Store:
    """The database, owned. Use as a context manager.

    Args:
        paths: the database's files.
        extracts: the register of what was handed out; without it no recall list is ever complete.
        clock: gives the instant written beside what is done, in UTC without a zone.

    Raises:
        DatabaseInUse: another process owns or reads the database.
        DatabaseUnusable: the file cannot be opened.
    """

    def __init__(
        self,
        paths: DatabaseFiles,
        *,
        extracts: HandedOutExtracts | None = None,
        clock: Callable[[], datetime] = stored_now,
    ) -> None:
        self.paths = paths
        self._extracts = extracts
        # Held while the file is rewritten: two rewrites would use one folder.
        self.erasing = threading.Lock()
        self._clock = clock
        # Held by whoever uses the writer's connection, or puts another in its place.
        self._writing = threading.Lock()
        self._failed = False
        self._closed = False
        # How often the database was opened again.
        self.restarts = 0
        # When a transaction last began, in seconds that rise.
        self._wrote_at = -WRITER_RESTS_SECONDS
        self._readers: set[duckdb.DuckDBPyConnection] = set()
        self._readers_changed = threading.Condition()
        # New readers wait while this is so.
        self._exchanging = False
        with ExitStack() as owned:
            owned.enter_context(paths.owned())
            for folder in (paths.erasing, paths.verifying):
                sweep(folder)  # who was killed left copies of the file there
            self._open()
            self._owned = owned.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open(self) -> None:
        self._connection = open_database(self.paths)
        self._threads = use_threads(self._connection, WRITER_THREADS)
        deleted = self._connection.execute(SQL["deleted_matters"]).fetchall()
        self._deleted = pa.array([matter for (matter,) in deleted], pa.string())
        # Put together again, and not every deletion is applied yet.
        self.recovering = bool(self._connection.execute(SQL["unfinished_recoveries"]).fetchall())
        self._failed = False

    def close(self) -> None:
        """Close the database and give up owning it. Closing again does nothing."""
        with self._owned, self._writing, self._readers_changed:
            self._closed = self._failed = True
            self._close_connection()

    def reopen(self) -> None:
        """Close the database and open it again, still owning it: the cure for a failed transaction.

        Raises:
            StoreFailed: the store was closed, or a reader does not stop; two instances on one file would destroy it.
            DatabaseUnusable: the file cannot be opened.
        """
        logger.warning("opening the database again")
        with self._writing, self._readers_changed:
            if self._closed:
                raise StoreFailed("the database is closed")
            self._failed = True
            self._close_connection()
            self._open()
            self.restarts += 1

    def _close_connection(self) -> None:
        deadline = time.monotonic() + READERS_STOP_SECONDS
        while self._readers:
            if time.monotonic() > deadline:
                raise StoreFailed("a reader of the database does not stop")
            for reader in self._readers:
                reader.interrupt()
            self._readers_changed.wait(_INTERRUPT_EVERY_SECONDS)
        self._connection.close()

    @contextmanager
    def reader(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Give a connection for reading, of one thread's own, for as long as the context lasts."""
        with self._readers_changed:
            self._readers_changed.wait_for(lambda: not self._exchanging)
            cursor = self._connection.cursor()
            if not self._readers and time.monotonic() - self._wrote_at > WRITER_RESTS_SECONDS:
                use_threads(cursor, self._threads)
            self._readers.add(cursor)
        try:
            use_log(cursor)
            yield cursor
        finally:
            # Together, so that nobody interrupts a cursor that is closed already.
            with self._readers_changed:
                self._readers.discard(cursor)
                if not self._readers:
                    with suppress(duckdb.Error):  # a failed instance refuses this too
                        use_threads(cursor, WRITER_THREADS)
                cursor.close()
                self._readers_changed.notify_all()

    @contextmanager
    def served(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Give a reader to somebody outside of this process.

        Raises:
            BeingRecovered: the database may hold matters that were deleted since its snapshot.
        """
        if self.recovering:
            raise BeingRecovered(
                "the log was put together again and is served once every deletion is read; try again in a moment"
            )
        with self.reader() as connection:
            yield connection

    def end_recovery(self) -> None:
        """Say that every deletion is applied: the log is served again; raises as ``apply`` does."""
        with self.transaction() as steps:
            steps.connection.execute(SQL["end_recoveries"], {"now": steps.now})
        self.recovering = False
        logger.warning("every deletion is applied: the log is served again")

    def wait_until_unread(self, seconds: float) -> bool:
        """Wait until nobody reads, but no longer than so many seconds; return whether nobody does."""
        with self._readers_changed:
            return self._readers_changed.wait_for(lambda: not self._readers, seconds)

    @contextmanager
    def standstill(self) -> Iterator[None]:
        """Hold transactions off; all that is committed is in the file itself, and readers go on.

        Raises:
            StoreFailed: as for ``apply``.
        """
        with self._writing:
            self._require_sound()
            try:
                self._connection.execute("CHECKPOINT log")
            except duckdb.Error as error:
                self._failed = True
                raise StoreFailed(f"the database failed ({type(error).__name__})") from error
            yield

    def exchange_file(
        self, prepare: Callable[[], None], replace: Callable[[], None], *, readers_seconds: float, interrupt: bool
    ) -> bool:
        """Open another file in place of this one, while no transaction runs and nobody reads.

        Args:
            prepare: called first, while readers still read.
            replace: puts the other file where this one is, which is closed by then.
            readers_seconds: how long new readers wait for those that read to end.
            interrupt: interrupt who reads on after that.

        Returns:
            Whether it was done; False: somebody reads on, and nothing was changed.

        Raises:
            StoreFailed: as for ``apply`` and ``reopen``.
            DatabaseUnusable: the file cannot be opened.
        """
        with self.standstill():
            prepare()
            with self._readers_held_off():
                if not self._readers_changed.wait_for(lambda: not self._readers, readers_seconds) and not interrupt:
                    return False
                self._close_connection()
                self._failed = True
                try:
                    replace()
                finally:
                    self._open()
        return True

    @contextmanager
    def _readers_held_off(self) -> Iterator[None]:
        with self._readers_changed:
            self._exchanging = True
            try:
                yield
            finally:
                self._exchanging = False
                self._readers_changed.notify_all()

    def positions(self) -> dict[TopicPartition, Position]:
        """Return where reading of each partition goes on.

        Raises:
            StoreFailed: a transaction failed; call ``reopen`` first.
        """
        with self._writing:
            self._require_sound()
            rows = self._connection.execute(SQL["positions"]).fetchall()
        return {
            (topic, partition): Position(next_offset=offset, topic_id=topic_id, last_timestamp_ms=timestamp)
            for topic, partition, offset, topic_id, timestamp in rows
        }

    def apply(self, decoded: Decoded, moves: Sequence[Move], decode: Decode | None = None) -> Applied:
        """Apply one batch in one transaction.

        Args:
            decoded: the batch's records.
            moves: where each partition's records began and end.
            decode: records -> what they are, for the conflicts that a deletion settles; without it they stay dead
                letters until they are retried.

        Raises:
            PositionMoved: the batch does not begin where the database stands; nothing was applied.
            RecordsNotKept: a conflict needs a record that the batch came without; nothing was applied.
            StoreFailed: DuckDB failed; call ``reopen`` and go on from ``positions``.
        """
        with self.transaction() as steps:
            return steps.apply(decoded, moves, decode)

    def record_gaps(self, gaps: Sequence[Gap], moves: Sequence[Move]) -> None:
        """Record offsets that are lost, and move the positions behind them; raises as ``apply`` does."""
        with self.transaction() as steps:
            steps.record_gaps(gaps)
            steps.move(moves)

    def retry(self, places: Sequence[DeadLetterPlace] | None, decode: Decode) -> Applied:
        """Decode dead letters again and apply them in one transaction; what fails again is kept again.

        Args:
            places: which; None for all.
            decode: records -> what they are.

        Raises:
            ConsumerError: no dead letter stands at one of the places.
            StoreFailed: as for ``apply``.
        """
        with self.transaction() as steps:
            letters = chosen(list_dead_letters(steps.connection), places)
            steps.remove_dead_letters([letter.place for letter in letters])
            steps.retrying = True
            return steps.apply(decode([letter.record for letter in letters]), (), decode)

    def discard(self, places: Sequence[DeadLetterPlace] | None) -> int:
        """Remove dead letters for good, from their topic too, and return how many; raises as ``retry`` does."""
        with self.transaction() as steps:
            letters = chosen(list_dead_letters(steps.connection), places)
            steps.bury(letters)
            steps.remove_dead_letters([letter.place for letter in letters])
            steps.remember_discard()
        return len(letters)

    @contextmanager
    def transaction(self) -> Iterator[BatchTransaction]:
        """One transaction at a time: the loop's and everybody else's take turns; raises as ``apply`` does."""
        with self._writing, ExitStack() as reading:
            self._require_sound()
            self._wrote_at = time.monotonic()
            try:
                self._connection.execute("BEGIN")
                steps = BatchTransaction(self._connection, self._deleted, self._clock(), self._next_arrival())
                recall = self._recall(steps, reading)
                yield steps
                self._connection.execute("COMMIT")
                self._deleted = steps.deleted
                self._complete(recall)
            except duckdb.Error as error:
                self._failed = True
                raise StoreFailed(f"the database failed ({type(error).__name__})") from error
            except BaseException:
                self._roll_back()
                raise

    def _recall(self, steps: BatchTransaction, reading: ExitStack) -> list[Recall]:
        """Have a transaction that purges matters name the files that hold them; return its recall once it has one."""
        begun: list[Recall] = []

        def record(matters: Sequence[str]) -> None:
            if self._extracts is not None:
                if not begun:
                    begun.append(Recall(self._extracts, reading.enter_context(self.reader()), steps.arrival))
                begun[0].record(self._connection, matters)

        steps.recall = record
        return begun

    def _complete(self, recalls: Sequence[Recall]) -> None:
        for recall in recalls:
            self._connection.execute("BEGIN")
            recall.complete(self._connection, self._clock())
            self._connection.execute("COMMIT")

    def _next_arrival(self) -> int:
        ((log_id, arrival),) = self._connection.execute(SQL["take_last_arrival"]).fetchall()
        self._connection.execute(SQL["put_arrival"], {"log_id": log_id, "arrival": arrival})
        return int(arrival)

    def _require_sound(self) -> None:
        if self._failed:
            raise StoreFailed("an earlier transaction failed, and the database was not opened again since")

    def _roll_back(self) -> None:
        try:
            self._connection.execute("ROLLBACK")
        except duckdb.Error:
            self._failed = True
