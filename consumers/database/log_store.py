"""What every store of the log does, whatever it is kept in: each change is one transaction, in the same steps.

A *store* is the log opened for changing it. The file store (``store.py``) has it in one DuckDB file that its process
owns. The lake store (``lake/lake_store.py``) has it in DuckLake, which other machines change too. A store adds how a
transaction begins and commits, and which deleted matters are known in it.

1. ``apply`` is one transaction: rows, deletions, dead letters and positions are committed together, or none is.
2. An exception from COMMIT does not mean "not committed". After any failure the store does nothing until it is
   reopened. Its positions then say what was committed. A batch is never retried without reading them.
3. A transaction knows every deletion that was committed before it, so no view of a deleted matter gets in.
"""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import datetime
from functools import partial
from typing import Self

import duckdb
import pyarrow as pa

from matterlog.consumers.database.batch import Batch, BatchResult, Decode
from matterlog.consumers.database.dead_letters import (
    DeadLetterAddress,
    addresses_of,
    in_slices,
    kept_letters,
    remove_dead_letters,
    take_dead_letters,
)
from matterlog.consumers.database.recall_list import HandedOutExtracts, Recall
from matterlog.consumers.database.transaction import SQL, Transaction, begin_transaction, read_positions
from matterlog.consumers.reading.positions_check import FoundTopics
from matterlog.consumers.reading.records import DecodedRecords, Gap, Move, Position, TopicPartition
from matterlog.schemas import Topics


class LogStore(ABC):
    """The log, opened for changing it.

    Args:
        extracts: the register of extracts. Without it, recall lists are never complete.
        clock: returns the current time, in UTC without a zone.
    """

    # Whether the log was restored or rebuilt, and not all deletions are applied yet.
    recovering: bool

    def __init__(self, extracts: HandedOutExtracts | None, clock: Callable[[], datetime]) -> None:
        self._extracts = extracts
        self._clock = clock
        # Held while the writer's connection is used or exchanged.
        self._writing = threading.Lock()
        self._closed = False
        # Whether a transaction failed since the store was opened. Nothing is changed until it is opened again.
        self._failed = False
        # The last transaction that was committed. None: there was none yet.
        self._last: Transaction | None = None
        # How often the log was reopened.
        self.restarts = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.close()

    @abstractmethod
    def reader(self) -> AbstractContextManager[duckdb.DuckDBPyConnection]:
        """Give a connection for reading committed states to one thread, until the context ends."""

    @abstractmethod
    def check(self) -> None:
        """Check, while no records come, that what this store writes into is still the log.

        Raises:
            DatabaseReplaced: it is not.
        """

    @abstractmethod
    def reopen(self) -> None:
        """Open the log anew, as needed after a failed transaction.

        Raises:
            StoreFailed, DatabaseUnusable: see the text of each.
        """

    @abstractmethod
    def close(self) -> None:
        """Close the log. Closing again does nothing."""

    @abstractmethod
    def _writer(self) -> AbstractContextManager[duckdb.DuckDBPyConnection]:
        """Give the writer's connection to one thread at a time. An error of DuckDB marks the store as failed."""

    @abstractmethod
    def _committed(self, connection: duckdb.DuckDBPyConnection) -> AbstractContextManager[None]:
        """Commit the block's changes, or roll them back after an error that is not DuckDB's."""

    @abstractmethod
    def _deleted(self, transaction: Transaction) -> pa.Array:
        """Return all matters that were deleted before this transaction."""

    @abstractmethod
    def _remember_deleted(self, deleted: pa.Array, transaction: Transaction) -> None:
        """Note the deleted matters after a transaction that was committed."""

    def positions(self) -> dict[TopicPartition, Position]:
        """Return the Kafka position of each partition.

        Raises:
            StoreFailed: a transaction failed. Call ``reopen`` first.
        """
        with self._writer() as connection:
            return read_positions(connection)

    def apply(self, decoded: DecodedRecords, moves: Sequence[Move], decode: Decode | None = None) -> BatchResult:
        """Apply one batch in one transaction.

        Args:
            decoded: the batch's records.
            moves: where each partition's records begin and end.
            decode: decodes records, for the conflicts that a deletion settles. Without it they stay dead letters
                until they are retried.

        Raises:
            PositionMoved: the batch does not begin at the stored positions. Nothing was applied.
            RecordsNotKept: the batch came without a record that a conflict needs. Nothing was applied.
            StoreFailed: DuckDB failed. Call ``reopen`` and continue from ``positions``.
        """
        return self._apply(lambda batch: batch.apply(decoded, moves, decode))

    def retry(self, addresses: Sequence[DeadLetterAddress] | None, decode: Decode) -> BatchResult:
        """Decode dead letters again and apply them, a transaction for each slice. Keep those that fail again.

        Args:
            addresses: the dead letters to retry. None: all.
            decode: decodes records.

        Raises:
            ConsumerError: there is no dead letter at one of the addresses.
            StoreFailed: as in ``apply``.
        """

        def again(chosen: Sequence[DeadLetterAddress], batch: Batch) -> BatchResult:
            letters = take_dead_letters(batch.transaction, chosen)
            return batch.apply(decode([letter.record for letter in letters]), (), decode)

        with self._writer() as connection:
            kept = kept_letters(connection, addresses)
        total = BatchResult()
        for chosen in in_slices((letter.address, letter.size) for letter in kept):
            total += self._apply(partial(again, chosen), retrying=True)
        return total

    def discard(self, addresses: Sequence[DeadLetterAddress] | None) -> int:
        """Remove dead letters for good, from their topic too. Return how many. Raises the errors of ``retry``."""
        with self.transaction() as transaction:
            letters = kept_letters(transaction.connection, addresses)
            discarded = [letter.address for letter in letters]
            remove_dead_letters(transaction, discarded)
            transaction.bury((one.address.topic, one.address.partition, one.key, one.matter_id) for one in letters)
            transaction.run("remember_discard", now=transaction.now, arrival=transaction.arrival)
            if transaction.has_doubts():
                with transaction.incoming("discarded", addresses_of(discarded)):
                    transaction.run("forget_discarded")
        return len(letters)

    def record_gaps(self, gaps: Sequence[Gap], moves: Sequence[Move]) -> None:
        """Record missing offsets and move the positions past them. Raises the errors of ``apply``."""
        with self.transaction() as transaction:
            transaction.record_gaps(gaps)
            transaction.move(moves)

    def cuts(self) -> list[TopicPartition]:
        """Return the partitions of which nothing is read until they are read again; raises as ``positions`` does."""
        with self._writer() as connection:
            return connection.execute(SQL["cuts"]).fetchall()

    def rereading(self) -> bool:
        """Whether a partition is being read again, and its end is not reached yet; raises as ``positions`` does."""
        with self._writer() as connection:
            return connection.execute(SQL["rereading"]).fetchall() == [(True,)]

    def record_cuts(self, partitions: Sequence[TopicPartition]) -> None:
        """Remember partitions that have to be read again, until they are; raises as ``apply`` does."""
        with self.transaction() as transaction, transaction.incoming_cuts(partitions):
            transaction.forget_partitions("cuts")
            transaction.run("record_cuts", arrival=transaction.arrival)

    def begin_rereads(
        self, partitions: Sequence[TopicPartition], found: FoundTopics, topics: Topics, gaps: Sequence[Gap] = ()
    ) -> None:
        """Have partitions read again from their beginning; raises as ``apply`` does.

        Until their records come, what the log holds of them counts as held by the database only.

        Args:
            partitions: which.
            found: the first offset of each, its end and its topic's ID; none of one that is not there any more.
            topics: of the log.
            gaps: what expired of them before it was read, which is recorded as missing.
        """
        with self.transaction() as transaction, transaction.incoming_cuts(partitions, found):
            arrival = transaction.arrival
            if gaps:
                transaction.record_gaps(gaps)
            for table in ("cuts", "positions", "database_only"):
                transaction.forget_partitions(table)
            transaction.run("begin_rereads", arrival=arrival)
            transaction.run("begin_again", now=transaction.now)
            views, deletions = (topic.name for topic in topics.both)
            transaction.run("doubt", arrival=arrival, views=views, deletions=deletions)

    def record_erased(self, arrival: int) -> int:
        """Record that removals up to this transaction are erased. Return how many. Raises the errors of ``apply``."""
        with self.transaction() as transaction:
            transaction.run("record_file_erased", now=transaction.now, arrival=arrival)
            return transaction.run("forget_removals", arrival=arrival)

    def end_recovery(self) -> None:
        """Record that all deletions are applied, so that the log is served again. Raises the errors of ``apply``."""
        with self.transaction() as transaction:
            transaction.run("end_recoveries", now=transaction.now)

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Run one transaction. The consumer's loop and all others take turns. Raises the errors of ``apply``."""
        with self._writer() as connection, self._begun(connection) as transaction:
            yield transaction

    def _apply(self, work: Callable[[Batch], BatchResult], *, retrying: bool = False) -> BatchResult:
        recalls: list[Recall] = []
        with self._writer() as connection, ExitStack() as reading:
            with self._begun(connection) as transaction:

                def recall(matters: Sequence[str]) -> None:
                    if self._extracts is not None:
                        before = reading.enter_context(self.reader())
                        recalls.append(Recall(self._extracts, before, matters, transaction.arrival))
                        recalls[0].record(connection)

                deleted = self._deleted(transaction)
                applied = work(Batch(transaction, deleted, recall, retrying))
                if applied.matters_deleted:
                    deleted = pa.concat_arrays([deleted, pa.array(applied.matters_deleted, pa.string())])
                # If anything fails before the store knows the deletions, it counts as failed and reads them again.
                self._failed = True
            self._remember_deleted(deleted, transaction)
            self._failed = False
            for each in recalls:
                with self._committed(connection):
                    each.complete(connection, self._clock())
        return applied

    @contextmanager
    def _begun(self, connection: duckdb.DuckDBPyConnection) -> Iterator[Transaction]:
        with self._committed(connection):
            transaction = begin_transaction(connection, self._clock(), self._last)
            yield transaction
        self._last = transaction
