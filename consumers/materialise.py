"""The consumer's loop: fetch, decode and apply batches.

When a batch fails in the database, the loop does not retry that batch. It reopens the store, reads its positions and
fetches from there: the positions say whether the batch was committed. A store that is away is waited for.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from threading import Event
from time import monotonic
from typing import Final

from matterlog.consumers.database.batch import BatchResult, Decode
from matterlog.consumers.database.log_store import LogStore
from matterlog.consumers.database.opening import ROW_GROUP_ROWS
from matterlog.consumers.errors import (
    PositionExpired,
    RecordsNotKept,
    StoreFailed,
    StoreUnavailable,
    TooManyDeadLetters,
    TopicRemade,
)
from matterlog.consumers.reading.decode import decode_records
from matterlog.consumers.reading.fast_decode import decode_views
from matterlog.consumers.reading.kafka import KafkaSource
from matterlog.consumers.reading.prefetch import FETCH_SECONDS, FetchedBatch, Prefetch
from matterlog.consumers.reading.records import DecodedRecords, TopicPartition
from matterlog.consumers.reading.schema_registry import RegisteredSchemas
from matterlog.schemas import Topics

logger = logging.getLogger(__name__)

# Larger batches commit more rows a second. Smaller ones show readers new views sooner. Whole row groups are compressed
# once and read fastest.
DEFAULT_BATCH_RECORDS: Final = 2 * ROW_GROUP_ROWS
DEFAULT_MAX_DEAD_LETTERS: Final = 0.5
# Fewer records than this do not prove a bad deployment: one bad message must not stop an idle topic.
MIN_RECORDS_TO_JUDGE: Final = 20
_MAX_FAILURES_IN_A_ROW: Final = 5
_FIRST_PAUSE_SECONDS: Final = 0.5
_LAST_PAUSE_SECONDS: Final = 10.0
# After a conflict, records are kept for this many batches: a faulty producer causes many conflicts in a row.
_KEEP_RECORDS_BATCHES: Final = 100


class Decoder(StrEnum):
    """The Avro decoder for views: pyruhvro decodes many at once, fastavro (the reference) one by one."""

    PYRUHVRO = "pyruhvro"
    FASTAVRO = "fastavro"


def decoder(topics: Topics, schemas: RegisteredSchemas, chosen: Decoder = Decoder.PYRUHVRO) -> Decode:
    """Return a function that decodes records of these topics and asks the schema registry where needed."""
    at_once = decode_views if chosen is Decoder.PYRUHVRO else None
    return lambda records: decode_records(records, topics, schemas.of(records), at_once)


@dataclass(slots=True)
class Materialiser:
    """The loop that reads the topics into the database.

    Args:
        source: reads the records from Kafka.
        store: the database that they are applied to.
        decode: decodes records. ``decoder`` makes such a function.
        batch_records: the maximum number of records in one transaction.
        max_dead_letters: the share of dead letters, 0 to 1, above which a batch is not applied and the loop stops.
        accept_gaps: record expired offsets as missing and continue after them.
        patience_seconds: how long to wait for a store that is away. None: for as long as it takes.
        on_started: called when reading starts, also after a failure.
        on_applied: called after each batch.
    """

    source: KafkaSource
    store: LogStore
    decode: Decode
    batch_records: int = DEFAULT_BATCH_RECORDS
    max_dead_letters: float = DEFAULT_MAX_DEAD_LETTERS
    accept_gaps: bool = False
    patience_seconds: float | None = None
    on_started: Callable[[], None] = lambda: None
    on_applied: Callable[[BatchResult], None] = lambda _: None
    _failures: int = field(default=0, init=False)
    # How often the store was away since the last batch, and since when.
    _absences: int = field(default=0, init=False)
    _away_since: float = field(default=0.0, init=False)
    _judged: int = field(default=0, init=False)
    _deletions_only: bool = field(default=False, init=False)
    _rejected: int = field(default=0, init=False)
    # How many more batches keep their records.
    _keeping: int = field(default=0, init=False)
    # The positions in the database.
    _reached: dict[TopicPartition, int] = field(default_factory=dict, init=False)

    def run(self, stop: Event, *, until_caught_up: bool = False) -> BatchResult:
        """Run until ``stop`` is set, or until all records are applied that were in the topics at the start.

        Returns:
            The sum of all batches' results.

        Raises:
            BrokerUnavailable, TopicMissing, PositionExpired: see the text of each.
            TopicRemade: likewise; a topic that was cut is read no more until its partitions are read again.
            TooManyDeadLetters: the batch was not applied; nothing of it is lost.
            StoreFailed: the database failed several times in a row.
            StoreUnavailable: the store was away for longer than the patience.
            PositionMoved: another consumer reads into the same log.
            DatabaseReplaced: the database file is not the one that was opened.
        """
        try:
            deleted = self._apply_deletions(stop) if self.store.recovering else BatchResult()
            return deleted + self._run(stop, until_caught_up=until_caught_up)
        except TopicRemade as error:
            if error.cut and error.doubtful:
                # What tells it may be gone from the topic by the next start.
                self._do(partial(self.store.record_cuts, error.doubtful), stop)
            raise

    def _apply_deletions(self, stop: Event) -> BatchResult:
        """Apply all deletions: nobody may read a restored or rebuilt database before that."""
        self._deletions_only = True
        try:
            applied = self._run(stop, until_caught_up=True)
        finally:
            self._deletions_only = False
        if not stop.is_set():
            self.store.end_recovery()
        return applied

    def _run(self, stop: Event, *, until_caught_up: bool) -> BatchResult:
        self._do(self._start, stop)
        ends = dict(self.source.ends_at_start) if until_caught_up else None
        total = BatchResult()
        while not self._done(stop, ends):
            try:
                for applied in self._apply_batches(stop, ends):
                    total += applied
            except StoreFailed as error:
                self._recover(error, stop, self._start)
            except RecordsNotKept:
                # Conflicts are rare, and keeping every record takes most of the memory.
                self._keeping = _KEEP_RECORDS_BATCHES
                self._do(self._start, stop)
        return total

    def _done(self, stop: Event, ends: Mapping[TopicPartition, int] | None) -> bool:
        if ends is None:
            return stop.is_set()
        return stop.is_set() or all(self._reached.get(partition, 0) >= end for partition, end in ends.items())

    def _do(self, work: Callable[[], None], stop: Event) -> None:
        try:
            work()
        except StoreFailed as error:
            self._recover(error, stop, work)

    def _start(self) -> None:
        positions = self.store.positions()
        self.source.refuse(self.store.cuts(), positions, deletions_only=self._deletions_only)
        self._reached = {partition: position.next_offset for partition, position in positions.items()}
        expired = self.source.start(positions, deletions_only=self._deletions_only)
        if not expired.gaps:
            self.on_started()
            return
        for gap, move in zip(expired.gaps, expired.moves, strict=True):
            missing = f"{gap.topic} [{gap.partition}]: offsets {gap.first_missing} to {gap.next_available - 1} expired"
            if move.began is not None and not self.accept_gaps:
                raise PositionExpired(
                    f"{missing} from the topic before they were read. To record them as missing and continue after "
                    "them, run: matterlog consume --accept-gaps"
                )
            logger.error("%s from the topic before they were read. They are recorded as missing", missing)
        self.store.record_gaps(expired.gaps, expired.moves)
        self._start()

    def _apply_batches(self, stop: Event, ends: Mapping[TopicPartition, int] | None) -> Iterator[BatchResult]:
        """Apply prefetched batches until stopped, caught up, or the database fails."""
        batches = Prefetch(self.source, self.decode, self.batch_records, keep_records=lambda: self._keeping > 0)
        with batches:
            while not self._done(stop, ends):
                if (batch := batches.next(FETCH_SECONDS)) is not None:
                    yield self._apply(batch)
                    batches.applied(batch)
                else:
                    self.store.check()

    def _apply(self, batch: FetchedBatch) -> BatchResult:
        judged = self._judge(batch.decoded)
        applied = self.store.apply(batch.decoded, batch.moves, self.decode)
        self._keeping = max(0, self._keeping - 1)
        self._judged, self._rejected = judged
        self._failures = self._absences = 0
        self._reached |= {(move.topic, move.partition): move.ends.next_offset for move in batch.moves}
        self._report(batch.decoded, applied)
        return applied

    def _judge(self, decoded: DecodedRecords) -> tuple[int, int]:
        """Raise an error if too many of the latest records are rejects, as after a bad deployment.

        Returns:
            How many records to judge together with the next batch, and how many of them are rejects.
        """
        judged, rejected = self._judged + decoded.records, self._rejected + len(decoded.rejects)
        if judged < MIN_RECORDS_TO_JUDGE:
            return judged, rejected
        if rejected / judged > self.max_dead_letters:
            first = decoded.rejects[0] if decoded.rejects else None
            raise TooManyDeadLetters(
                f"{rejected} of the last {judged} records could not be read as events"
                + (f" (the first: {first.record.coordinates}: {first.kind})" if first else "")
                + f", more than {self.max_dead_letters:.0%}. The batch was not applied. Fix the producer, then run "
                "with --max-dead-letters 1 to keep these records as dead letters"
            )
        return 0, 0

    def _recover(self, error: StoreFailed, stop: Event, work: Callable[[], None]) -> None:
        """Reopen the store as soon as it is there and do the work, unless ``stop`` is set."""
        while not stop.wait(self._pause_after(error)):
            try:
                self.store.reopen()
                work()
            except StoreFailed as again:
                error = again
            else:
                return

    def _pause_after(self, error: StoreFailed) -> float:
        """Return how long to wait. Raise the error after several failures in a row, or when the patience is over."""
        cause = type(error.__cause__).__name__
        if not isinstance(error, StoreUnavailable):
            self._failures += 1
            logger.error("%s (%s): failure %d of %d in a row", error, cause, self._failures, _MAX_FAILURES_IN_A_ROW)
            if self._failures >= _MAX_FAILURES_IN_A_ROW:
                raise error
            return _FIRST_PAUSE_SECONDS * 2 ** (self._failures - 1)
        self._away_since = self._away_since if self._absences else monotonic()
        if self.patience_seconds is not None and monotonic() - self._away_since > self.patience_seconds:
            raise error
        pause = min(_FIRST_PAUSE_SECONDS * 2 ** min(self._absences, _MAX_FAILURES_IN_A_ROW), _LAST_PAUSE_SECONDS)
        self._absences += 1
        logger.error("%s: failure %d since the last batch. Trying again in %.1f s", error, self._absences, pause)
        return pause

    def _report(self, decoded: DecodedRecords, applied: BatchResult) -> None:
        for reject in decoded.rejects:
            logger.warning("dead letter: %s: %s", reject.record.coordinates, reject.kind)
        for matter in applied.matters_deleted:
            logger.info("purged matter %s", matter)
        if applied.records:
            logger.debug("applied %s", applied)
        self.on_applied(applied)
