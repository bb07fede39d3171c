"""The consumer's loop: fetch, decode and apply batches.

1. When a batch fails in the database, the loop does not retry that batch. It reopens the store, reads its positions and
   fetches from there: the positions say whether the batch was committed.
2. When views cannot be read on, they wait alone. Nothing of their batch was applied, so the loop reads on from the
   positions in the database, deletions only. Whoever writes views cannot keep a deletion from being applied.
3. What keeps deletions from being read on stops both.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
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
    BrokerUnavailable,
    ReadingFailed,
    RecordsNotKept,
    RegistryUnavailable,
    StoreFailed,
    StoreUnavailable,
    TooManyDeadLetters,
    TopicMissing,
    TopicRemade,
)
from matterlog.consumers.reading.decode import decode_records
from matterlog.consumers.reading.fast_decode import decode_views
from matterlog.consumers.reading.kafka import KafkaSource
from matterlog.consumers.reading.prefetch import FETCH_SECONDS, FetchedBatch, Prefetch
from matterlog.consumers.reading.records import DecodedRecords, Reject, TopicPartition
from matterlog.consumers.reading.schema_registry import RegisteredSchemas
from matterlog.consumers.recovery.recovery import reopen_or_recover
from matterlog.consumers.recovery.reread import tell_gap
from matterlog.consumers.waits import Wait, WaitKeeper
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
        max_dead_letters: the share of dead letters in a topic, 0 to 1, above which a batch is not applied and the topic
            is not read on.
        accept_gaps: record expired offsets as missing and continue after them.
        patience_seconds: how long to wait for a store that is away. None: for as long as it takes.
        on_reading: called when reading starts or waits, also after a failure, with what waits.
        on_applied: called after each batch.
        views: the wait of views, which an earlier loop of the process may have begun.
    """

    source: KafkaSource
    store: LogStore
    decode: Decode
    batch_records: int = DEFAULT_BATCH_RECORDS
    max_dead_letters: float = DEFAULT_MAX_DEAD_LETTERS
    accept_gaps: bool = False
    patience_seconds: float | None = None
    on_reading: Callable[[Wait | None], None] = lambda _: None
    on_applied: Callable[[BatchResult], None] = lambda _: None
    views: WaitKeeper = field(default_factory=lambda: WaitKeeper(views_alone=True))
    _both: WaitKeeper = field(default_factory=lambda: WaitKeeper(views_alone=False), init=False)
    _failures: int = field(default=0, init=False)
    # How often the store was away since the last batch, and since when.
    _absences: int = field(default=0, init=False)
    _away_since: float = field(default=0.0, init=False)
    # Events read since the last judgement and how many of them are rejects, by topic.
    _judged: dict[str, tuple[int, int]] = field(default_factory=dict, init=False)
    _deletions_only: bool = field(default=False, init=False)
    # Whether reading of views started, or began to wait.
    _has_started: bool = field(default=False, init=False)
    # How many more batches keep their records.
    _keeping: int = field(default=0, init=False)
    # The positions in the database.
    _reached: dict[TopicPartition, int] = field(default_factory=dict, init=False)

    @property
    def wait(self) -> Wait | None:
        """What is not read for now, if anything."""
        return self._both.wait or self.views.wait

    def views_topic_is_sure(self) -> bool:
        """Say whether the topic of views is the one that was read, as far as reading it has shown."""
        wait = self.views.wait
        return self._has_started and not (wait and isinstance(wait.error, TopicMissing | TopicRemade))

    def views_are_read(self) -> bool:
        """Say whether views are read, and up to where their topic ended when reading started."""
        ends = self.source.ends_at_start
        views = [each for each in ends if each[0] == self.source.views_topic and not self._deletions_only]
        return bool(views) and all(self._reached.get(each, 0) >= ends[each] for each in views)

    def run(self, stop: Event, *, until_caught_up: bool = False) -> BatchResult:
        """Run until ``stop`` is set, or until all records are applied that were in the topics at the start.

        What stops the reading of views alone is raised at the end, and only if the loop runs until it has caught up:
        then the deletions are applied that were there at the start.

        Returns:
            The sum of all batches' results.

        Raises:
            BrokerUnavailable, TopicMissing, PositionExpired: see the text of each.
            TopicRemade: likewise; a topic that was cut is read no more until its partitions are read again.
            TooManyDeadLetters: the batch was not applied; nothing of it is lost.
            StoreFailed: the database failed several times in a row.
            StoreUnavailable: the store was away for longer than the patience.
            PositionMoved: another consumer reads into the same log.
            WouldLose, DatabaseUnusable, BackupUnusable: it is damaged, and was not recovered.
            DatabaseReplaced: the database file is not the one that was opened.
        """
        try:
            deleted = self._apply_deletions(stop) if self.store.recovering else BatchResult()
            applied = deleted + self._run(stop, until_caught_up=until_caught_up)
        except TopicRemade as error:
            self._do(partial(self._remember_cut, error), stop)
            raise
        if until_caught_up and self.views.wait is not None and not stop.is_set():
            raise self.views.wait.error
        return applied

    def _apply_deletions(self, stop: Event) -> BatchResult:
        """Apply all deletions: nobody may read a restored or rebuilt database before that."""
        applied = self._run(stop, until_caught_up=True)
        if not stop.is_set():
            self.store.end_recovery()
        return applied

    def _run(self, stop: Event, *, until_caught_up: bool) -> BatchResult:
        self._deletions_only = self.store.recovering or self.views.wait is not None
        start = self._start if until_caught_up else partial(self._start_or_wait, stop)
        total = self._do(start, stop)
        ends = dict(self.source.ends_at_start) if until_caught_up else None
        while not self._done(stop, ends):
            try:
                for applied in self._apply_batches(stop, ends):
                    total += applied
                if not self._done(stop, ends):
                    self._deletions_only = False  # views may be read again
                    start()
            except StoreFailed as error:
                total += self._recover(error, stop, start)
            except RecordsNotKept:
                # Conflicts are rare, and keeping every record takes most of the memory.
                self._keeping = _KEEP_RECORDS_BATCHES
                total += self._do(start, stop)
            except ReadingFailed as error:
                total += self._do(partial(self._read_without, error, start, stop), stop)
        return total

    def _done(self, stop: Event, ends: Mapping[TopicPartition, int] | None) -> bool:
        if ends is None or stop.is_set():
            return stop.is_set()
        left = self.source.views_topic if self._deletions_only else None
        return all(self._reached.get(each, 0) >= end for each, end in ends.items() if each[0] != left)

    def _start(self) -> None:
        """Start to read at the positions in the database; without views if they alone cannot be read."""
        try:
            self._start_reading()
        except ReadingFailed as error:
            if not self._concerns_views_alone(error):
                raise
            self._let_views_wait(error)
            self._start_reading()
        if not self._deletions_only:
            self.views.end()
        self._has_started = not self.store.recovering
        self.on_reading(self.wait)

    def _start_reading(self) -> None:
        positions = self.store.positions()
        self.source.refuse(self.store.cuts(), positions, deletions_only=self._deletions_only)
        self._reached = {partition: position.next_offset for partition, position in positions.items()}
        expired = self.source.start(positions, deletions_only=self._deletions_only)
        if not expired:
            return
        for gap, move in expired:
            tell_gap(gap, "consume", accepted=self.accept_gaps or move.began is None)
        self.store.record_gaps([gap for gap, _ in expired], [move for _, move in expired])
        self._start_reading()

    def _concerns_views_alone(self, error: ReadingFailed) -> bool:
        return error.topic == self.source.views_topic and not self._deletions_only

    def _let_views_wait(self, error: ReadingFailed) -> None:
        if isinstance(error, TopicRemade):
            self._remember_cut(error)
        self._deletions_only = True
        self._judged.pop(self.source.views_topic, None)
        self.views.begin(error)

    def _remember_cut(self, error: TopicRemade) -> None:
        """Remember a topic that was cut: what tells it may be gone from the topic by the next start."""
        if error.cut and error.doubtful:
            self.store.record_cuts(error.doubtful)

    def _read_without(self, error: ReadingFailed, start: Callable[[], None], stop: Event) -> None:
        """Read on without what the error concerns; raise it if neither that nor time helps."""
        if self._concerns_views_alone(error):
            self._let_views_wait(error)
        elif isinstance(error, RegistryUnavailable):
            self._await(error, error.ask_again, stop)
        else:
            raise error
        if not stop.is_set():
            start()

    def _start_or_wait(self, stop: Event) -> None:
        """Start to read; where Kafka does not answer about deletions either, wait until it does."""
        try:
            self._start()
        except BrokerUnavailable as error:
            self._await(error, self._start, stop)

    def _await(self, error: BrokerUnavailable, ask: Callable[[], object], stop: Event) -> None:
        """Wait with views and deletions until what is asked for has an answer."""
        while True:
            self._both.begin(error)
            self.on_reading(self.wait)
            while not self._both.may_end:
                if stop.wait(FETCH_SECONDS):
                    return
                self.store.check()
            try:
                ask()
            except BrokerUnavailable as again:
                error = again
            else:
                self._both.end()
                self.on_reading(self.wait)
                return

    def _views_may_be_read(self) -> bool:
        """Say whether to try to read views again. A registry is asked first: deletions need not pause for that."""
        if self.views.wait is None or not self.views.may_end:
            return False
        if isinstance(error := self.views.wait.error, RegistryUnavailable):
            try:
                error.ask_again()
            except RegistryUnavailable as again:
                self.views.begin(again)
                self.on_reading(self.wait)
                return False
        return True

    def _apply_batches(self, stop: Event, ends: Mapping[TopicPartition, int] | None) -> Iterator[BatchResult]:
        """Apply prefetched batches until stopped, caught up, the database fails, or views may be read again."""
        batches = Prefetch(self.source, self.decode, self.batch_records, keep_records=lambda: self._keeping > 0)
        with batches:
            while not self._done(stop, ends):
                self.views.remind()
                if ends is None and self._views_may_be_read():
                    return
                if (batch := batches.next(FETCH_SECONDS)) is not None:
                    yield self._apply(batch)
                    batches.applied(batch)
                else:
                    self.store.check()

    def _apply(self, batch: FetchedBatch) -> BatchResult:
        judged = self._judge(batch.decoded)
        applied = self.store.apply(batch.decoded, batch.moves, self.decode)
        self._keeping = max(0, self._keeping - 1)
        self._judged = judged
        self._failures = self._absences = 0
        self._reached |= {(move.topic, move.partition): move.ends.next_offset for move in batch.moves}
        if any(move.topic == self.source.views_topic for move in batch.moves):
            self.views.forget_pauses()
        self._report(batch.decoded, applied)
        return applied

    def _judge(self, decoded: DecodedRecords) -> dict[str, tuple[int, int]]:
        """Raise an error if too many of a topic's latest records are rejects, as after a bad deployment.

        Each topic is judged by itself, so that no flood in one hides what is wrong in the other.

        Returns:
            How many records of each topic to judge together with the next batch, and how many of them are rejects.
        """
        events = {self.source.deletions_topic: decoded.deletions, self.source.views_topic: decoded.views}
        return {topic: self._judge_topic(topic, read.num_rows, decoded.rejects) for topic, read in events.items()}

    def _judge_topic(self, topic: str, read: int, rejects: Sequence[Reject]) -> tuple[int, int]:
        mine = [reject for reject in rejects if reject.record.topic == topic]
        before = self._judged.get(topic, (0, 0))
        judged, rejected = before[0] + read + len(mine), before[1] + len(mine)
        if judged < MIN_RECORDS_TO_JUDGE:
            return judged, rejected
        if rejected / judged > self.max_dead_letters:
            first = mine[0] if mine else None
            raise TooManyDeadLetters(
                f"{rejected} of the last {judged} records could not be read as events"
                + (f" (the first: {first.record.coordinates}: {first.kind})" if first else "")
                + f", more than {self.max_dead_letters:.0%}. The batch was not applied. Fix the producer, then run "
                "with --max-dead-letters 1 to keep these records as dead letters",
                topic,
            )
        return 0, 0

    def _do(self, work: Callable[[], None], stop: Event) -> BatchResult:
        try:
            work()
        except StoreFailed as error:
            return self._recover(error, stop, work)
        return BatchResult()

    def _recover(self, error: StoreFailed, stop: Event, work: Callable[[], None]) -> BatchResult:
        """Reopen the store as soon as it is there and do the work, unless ``stop`` is set.

        Returns:
            What was applied so that a damaged database is served again.
        """
        deleted, was_recovering = BatchResult(), self.store.recovering
        while not stop.wait(self._pause_after(error)):
            try:
                reopen_or_recover(self.store, self.source)
                if self.store.recovering and not was_recovering:
                    deleted += self._apply_deletions(stop)
                    self._deletions_only = self.views.wait is not None
                work()
            except StoreFailed as again:
                error = again
            else:
                break
        return deleted

    def _pause_after(self, error: StoreFailed) -> float:
        """Return how long to wait. Raise the error after several failures in a row, or when the patience is over."""
        cause = type(error.__cause__).__name__
        if not isinstance(error, StoreUnavailable):
            self._failures += 1
            logger.error("%s (%s): failure %d of %d in a row", error, cause, self._failures, _MAX_FAILURES_IN_A_ROW)
            if self._failures >= _MAX_FAILURES_IN_A_ROW:
                raise error
            return _FIRST_PAUSE_SECONDS * 2.0 ** (self._failures - 1)
        self._away_since = self._away_since if self._absences else monotonic()
        if self.patience_seconds is not None and monotonic() - self._away_since > self.patience_seconds:
            raise error
        pause = min(_FIRST_PAUSE_SECONDS * 2.0 ** min(self._absences, _MAX_FAILURES_IN_A_ROW), _LAST_PAUSE_SECONDS)
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
