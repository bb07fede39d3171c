"""The single writer of the database: one batch, one transaction.

1. ``apply`` is one DuckDB transaction: rows, deletions, dead letters and positions become true together or not at all.
2. An exception from COMMIT does not say "not committed". After any failure the store does nothing more until it is
   opened again, and the positions that it then holds say what is true; a batch is never tried again blindly.
3. What a batch deleted is known before the next transaction begins: no view of it is let in.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import datetime

import duckdb

from matterlog.consumers.database.batch import Batch, BatchResult, Decode
from matterlog.consumers.database.dead_letters import DeadLetterAddress, addresses_of, take_dead_letters
from matterlog.consumers.database.owned_database import OwnedDatabase
from matterlog.consumers.database.recall_list import HandedOutExtracts, Recall
from matterlog.consumers.database.transaction import SQL, Transaction, next_arrival
from matterlog.consumers.reading.records import DecodedRecords, Gap, Move, Position, TopicPartition
from matterlog.schemas import Topics
from matterlog.schemas.instants import stored_now
from matterlog.schemas.storage.database_files import DatabaseFiles

logger = logging.getLogger(__name__)


class Store(OwnedDatabase):
    """The log in its database, owned. Use as a context manager.

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
        super().__init__(paths)
        self._extracts = extracts
        self._clock = clock

    def positions(self) -> dict[TopicPartition, Position]:
        """Return where reading of each partition goes on.

        Raises:
            StoreFailed: a transaction failed; call ``reopen`` first.
        """
        with self._writer() as connection:
            rows = connection.execute(SQL["positions"]).fetchall()
        return {
            (topic, partition): Position(
                next_offset=offset,
                topic_id=topic_id,
                last_timestamp_ms=timestamp,
                last_offset=last_offset,
                leader_epoch=leader_epoch,
            )
            for topic, partition, offset, topic_id, timestamp, last_offset, leader_epoch in rows
        }

    def apply(self, decoded: DecodedRecords, moves: Sequence[Move], decode: Decode | None = None) -> BatchResult:
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
        return self._apply(lambda batch: batch.apply(decoded, moves, decode))

    def retry(self, addresses: Sequence[DeadLetterAddress] | None, decode: Decode) -> BatchResult:
        """Decode dead letters again and apply them in one transaction; what fails again is kept again.

        Args:
            addresses: which; None for all.
            decode: records -> what they are.

        Raises:
            ConsumerError: no dead letter stands at one of the addresses.
            StoreFailed: as for ``apply``.
        """

        def again(batch: Batch) -> BatchResult:
            letters = take_dead_letters(batch.transaction, addresses)
            return batch.apply(decode([letter.record for letter in letters]), (), decode)

        return self._apply(again, retrying=True)

    def discard(self, addresses: Sequence[DeadLetterAddress] | None) -> int:
        """Remove dead letters for good, from their topic too, and return how many; raises as ``retry`` does."""
        with self.transaction() as transaction:
            letters = take_dead_letters(transaction, addresses)
            transaction.bury((letter.record, letter.matter_id) for letter in letters)
            transaction.run("remember_discard", now=transaction.now, arrival=transaction.arrival)
            if transaction.has_doubts():
                with transaction.incoming("discarded", addresses_of(letters)):
                    transaction.run("forget_discarded")
        return len(letters)

    def record_gaps(self, gaps: Sequence[Gap], moves: Sequence[Move]) -> None:
        """Record offsets that are lost, and move the positions behind them; raises as ``apply`` does."""
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
            transaction.run("forget_cuts")
            transaction.run("record_cuts", arrival=transaction.arrival)

    def begin_rereads(
        self, partitions: Sequence[TopicPartition], bounds: Mapping[TopicPartition, tuple[int, int]], topics: Topics
    ) -> None:
        """Have partitions read again from their beginning; raises as ``apply`` does.

        Until their records come, what the log holds of them counts as held by the database only.

        Args:
            partitions: which.
            bounds: the first offset of each, and its end; none of one that is not there any more.
            topics: of the log.
        """
        with self.transaction() as transaction, transaction.incoming_cuts(partitions, bounds):
            arrival = transaction.arrival
            transaction.run("forget_cuts")
            transaction.run("begin_rereads", arrival=arrival)
            transaction.run("forget_positions")
            transaction.run("begin_again", now=transaction.now)
            transaction.run("doubt_again")
            transaction.run("doubt_views", arrival=arrival, views=topics.matter_views.name)
            transaction.run("doubt_deletions", arrival=arrival, deletions=topics.matter_deletions.name)
            transaction.run("doubt_dead_letters", arrival=arrival)

    def end_recovery(self) -> None:
        """Say that every deletion is applied: the log is served again; raises as ``apply`` does."""
        with self.transaction() as transaction:
            transaction.run("end_recoveries", now=transaction.now)
        with self._writing:
            self._instance = replace(self._instance, recovering=False)
        logger.warning("every deletion is applied: the log is served again")

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """One transaction at a time: the loop's and everybody else's take turns; raises as ``apply`` does."""
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

                applied = work(Batch(transaction, self._instance.deleted, recall, retrying))
                now_deleted = self._instance.with_deleted(applied.matters_deleted)
                # Whatever breaks before the store knows what is deleted leaves it failed, so that it reads that again.
                self._failed = True
            self._instance, self._failed = now_deleted, False
            for each in recalls:
                with self._committed(connection):
                    each.complete(connection, self._clock())
        return applied

    @contextmanager
    def _begun(self, connection: duckdb.DuckDBPyConnection) -> Iterator[Transaction]:
        self.readers.writer_begins()
        with self._committed(connection):
            yield Transaction(connection, self._clock(), next_arrival(connection))

    @contextmanager
    def _committed(self, connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
        """Commit what is done inside; roll it back where something fails that is not DuckDB."""
        connection.execute("BEGIN")
        try:
            yield
            connection.execute("COMMIT")
        except duckdb.Error:
            raise  # whether it was committed is not known
        except BaseException:
            self._roll_back(connection)
            raise

    def _roll_back(self, connection: duckdb.DuckDBPyConnection) -> None:
        try:
            connection.execute("ROLLBACK")
        except duckdb.Error:
            self._failed = True
