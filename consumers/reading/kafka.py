"""Reading both topics from Kafka.

1. Reading starts at the database's positions, by ``assign()``: one writer owns one file, so no group has to share
   partitions out. What the group holds is for lag tools alone.
2. Before reading, each position is checked against the topic: expired, or another topic under the same name, is an
   error with the way out in its text. Nothing jumps in silence: ``auto.offset.reset`` is ``error``.
3. Every minute, new partitions are looked for and read from their beginning, and a topic that was made anew while it
   was read is an error.
4. Offsets may skip (compaction, transaction markers): the end of a partition counts as read when Kafka says that it is
   reached, wherever the last record stands.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, cast, overload

import confluent_kafka
from confluent_kafka import KafkaError

from matterlog.consumers.errors import BrokerUnavailable, ConsumerError, PositionExpired
from matterlog.consumers.reading.kafka_topics import ANSWER_SECONDS, KafkaTopics, partition_of
from matterlog.consumers.reading.positions_check import (
    ExpiredPositions,
    FoundTopics,
    check_ids,
    check_positions,
    last_offsets,
)
from matterlog.consumers.reading.records import ColumnarRecords, Columns, Move, Position, Record, TopicPartition
from matterlog.schemas import Topics

logger = logging.getLogger(__name__)

GROUP: Final = "matterlog"
# What the promises rest on; a setting that says otherwise is refused.
REQUIRED: Final[Mapping[str, str]] = {
    "enable.auto.commit": "false",
    "enable.auto.offset.store": "false",
    "auto.offset.reset": "error",
    "isolation.level": "read_committed",
    "check.crcs": "true",
    "allow.auto.create.topics": "false",
    "enable.partition.eof": "true",
}
# Bounds on what an over-large message or a long backlog may cost in memory.
DEFAULTS: Final[Mapping[str, str]] = {
    "fetch.message.max.bytes": "1048576",
    "receive.message.max.bytes": "100000000",
    "queued.max.messages.kbytes": "2048",
    # librdkafka's default of a second leaves the queue empty for most of it when a backlog is read.
    "fetch.queue.backoff.ms": "5",
}
# The client holds what it hands over twice for a moment: a few at a time stay small and in the processor's cache.
_MESSAGES_AT_ONCE: Final = 1_000
_LOOK_AROUND_EVERY_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetch:
    """What one fetch brought: records, and each partition's step (which may be there without a record)."""

    records: Sequence[Record]
    moves: tuple[Move, ...]


class KafkaSource:
    """Reads both topics from given positions. Not for use by two threads.

    Args:
        bootstrap_servers: ``host:port``, several with commas.
        topics: what to read.
        settings: further librdkafka settings by name.
        answer_seconds: how long Kafka has for an answer to a question about topics.

    Raises:
        ConsumerError: a setting is unknown, malformed, or contradicts the promises.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        topics: Topics,
        settings: Mapping[str, str] | None = None,
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        configuration = _configuration(bootstrap_servers, settings or {})
        try:
            self._consumer = confluent_kafka.Consumer(configuration, logger=logger)
        except (confluent_kafka.KafkaException, ValueError, TypeError) as error:
            raise ConsumerError(f"Kafka refuses the consumer's settings: {error}") from error
        self._kafka = KafkaTopics(self._consumer, bootstrap_servers, settings or {}, answer_seconds)
        self._topics = topics
        self._names = [topic.name for topic in topics.both]
        # Where the database stands after every batch that was fetched; None where it never read the partition.
        self._positions: dict[TopicPartition, Position | None] = {}
        self._topic_ids: dict[str, str | None] = {}
        # The end of each partition when reading started.
        self.ends_at_start: dict[TopicPartition, int] = {}
        self._looked_around = 0.0

    def close(self) -> None:
        """Leave Kafka."""
        self._consumer.close()

    def ends(self) -> dict[TopicPartition, int]:
        """Return the end of each partition: the offset that its next record will have.

        Raises:
            BrokerUnavailable, TopicMissing
        """
        return _ends_of(self._kafka.watermarks(self._kafka.partitions(self._names)))

    def start(self, positions: Mapping[TopicPartition, Position], *, deletions_only: bool = False) -> ExpiredPositions:
        """Check the positions against the topics and start reading there.

        Partitions that were never read start at their beginning; where that is gone, the gap is reported too.

        Args:
            positions: where the database stands.
            deletions_only: leave the topic of views unread.

        Returns:
            What has expired. Nothing is read of it until ``start`` is called with positions behind the gaps.

        Raises:
            BrokerUnavailable, TopicMissing, TopicRemade
        """
        both = self._topics.both
        self._names = [topic.name for topic in (both[1:] if deletions_only else both)]
        self._consumer.unassign()  # a fetch that waits for records would hold up every question below
        partitions = self._kafka.partitions(self._names)
        self._topic_ids = self._kafka.ids(self._names)
        self._positions = {partition: positions.get(partition) for partition in partitions}
        last = self._kafka.timestamps(last_offsets(self._positions, self._topic_ids))
        watermarks = self._kafka.watermarks(partitions)
        self.ends_at_start = _ends_of(watermarks)
        found = FoundTopics(ids=self._topic_ids, watermarks=watermarks, last_timestamps=last)
        expired = check_positions(self._positions, found)
        if not expired.gaps:
            self._assign(partitions)
        self._looked_around = time.monotonic()
        return expired

    def fetch(self, max_records: int, timeout_seconds: float) -> Fetch:
        """Read up to ``max_records`` records, waiting at most ``timeout_seconds``.

        Raises:
            PositionExpired: a partition was cut beneath the reader.
            TopicMissing, TopicRemade: a topic was deleted, or made anew, beneath the reader.
            BrokerUnavailable: Kafka refuses for a reason that waiting does not cure.
        """
        self._look_around()
        found = self._consume(max_records, timeout_seconds)
        events = [message for message in found if message.error() is not None]
        messages = _Messages([message for message in found if message.error() is None] if events else found)
        ends = messages.ends()
        for message in events:
            self._heed(message, ends)
        return Fetch(records=messages, moves=tuple(self._move(partition, *end) for partition, end in ends.items()))

    def commit(self, moves: Sequence[Move]) -> None:
        """Tell the group where reading stands: for lag tools alone, so a failure is only logged."""
        offsets = [confluent_kafka.TopicPartition(move.topic, move.partition, move.ends.next_offset) for move in moves]
        try:
            self._consumer.commit(offsets=offsets, asynchronous=True)
        except confluent_kafka.KafkaException as error:
            logger.warning("the group's offsets were not committed: %s", error)

    def _assign(self, partitions: Sequence[TopicPartition]) -> None:
        self._consumer.assign(
            [confluent_kafka.TopicPartition(*partition, self._next_offset(partition)) for partition in partitions]
        )

    def _look_around(self) -> None:
        """Find new partitions, and topics that were made anew while they were read."""
        if time.monotonic() - self._looked_around < _LOOK_AROUND_EVERY_SECONDS:
            return
        self._looked_around = time.monotonic()
        try:
            partitions, topic_ids = self._kafka.partitions(self._names), self._kafka.ids(self._names)
        except BrokerUnavailable as error:
            logger.warning("%s; reading goes on when it is back", error)
            return
        check_ids(self._topic_ids, topic_ids)
        new = [partition for partition in partitions if partition not in self._positions]
        if new:
            logger.info("new partitions: %s", ", ".join(f"{topic} [{partition}]" for topic, partition in new))
            self._positions |= dict.fromkeys(new)
            self._consumer.incremental_assign([confluent_kafka.TopicPartition(*partition, 0) for partition in new])

    def _consume(self, max_records: int, timeout_seconds: float) -> list[confluent_kafka.Message]:
        """Take what comes in time; what waits already is taken although the time is over."""
        deadline = time.monotonic() + timeout_seconds
        found: list[confluent_kafka.Message] = []
        while (wanted := min(_MESSAGES_AT_ONCE, max_records - len(found))) > 0:
            some = self._consumer.consume(wanted, max(0.0, deadline - time.monotonic()))
            found += some
            if len(some) < wanted:
                break
        return found

    def _heed(self, message: confluent_kafka.Message, ends: dict[TopicPartition, tuple[int, int | None]]) -> None:
        """Heed what is no record: an error; or the end of a partition, which counts as read."""
        error = message.error()
        if error is not None and error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001 - the client's name for it
            _raise_or_wait(message, error)
            return
        partition, reached = partition_of(message), int(message.offset() or 0)
        stands, timestamp = ends.get(partition, (self._next_offset(partition), None))
        if reached > stands:
            ends[partition] = (reached, timestamp)

    def _next_offset(self, partition: TopicPartition) -> int:
        position = self._positions.get(partition)
        return 0 if position is None else position.next_offset

    def _move(self, partition: TopicPartition, next_offset: int, timestamp_ms: int | None) -> Move:
        before = self._positions.get(partition)
        position = Position(
            next_offset=next_offset, topic_id=self._topic_ids.get(partition[0]), last_timestamp_ms=timestamp_ms
        )
        self._positions[partition] = position
        return Move(
            topic=partition[0],
            partition=partition[1],
            began=None if before is None else before.next_offset,
            ends=position,
        )


def _ends_of(watermarks: Mapping[TopicPartition, tuple[int, int]]) -> dict[TopicPartition, int]:
    return {partition: end for partition, (_, end) in watermarks.items()}


def _raise_or_wait(message: confluent_kafka.Message, error: KafkaError) -> None:
    """Raise what waiting does not cure."""
    if error.code() in {KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE}:  # noqa: SLF001 - as above
        record = f"{message.topic()} [{message.partition()}] @ {message.offset()}"
        raise PositionExpired(
            f"{record}: the position has expired: records were deleted from the topic before they were read. "
            "To record the gap and go on behind it: matterlog consume --accept-gaps"
        )
    if error.fatal() or (not error.retriable() and error.code() >= 0):
        raise BrokerUnavailable(f"Kafka refuses: {error.str()}")
    logger.warning("Kafka: %s", error.str())


def _configuration(bootstrap_servers: str, settings: Mapping[str, str]) -> dict[str, str]:
    for name, value in REQUIRED.items():
        if settings.get(name, value) != value:
            raise ConsumerError(f"{name} must stay {value}: without it records could be lost or doubled")
    return {**DEFAULTS, "group.id": GROUP, **settings, **REQUIRED, "bootstrap.servers": bootstrap_servers}


class _Messages(ColumnarRecords):
    """The client's messages as records that are made only where somebody asks for one."""

    def __init__(self, messages: list[confluent_kafka.Message]) -> None:
        self._messages = messages

    def __len__(self) -> int:
        return len(self._messages)

    @overload
    def __getitem__(self, index: int) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Record]: ...
    def __getitem__(self, index: int | slice) -> Record | Sequence[Record]:
        if isinstance(index, slice):
            return _Messages(self._messages[index])
        return _record(self._messages[index])

    def columns(self) -> Columns:
        """Return all records by column."""
        return self._columns

    @cached_property
    def _columns(self) -> Columns:
        return Columns(
            topics=cast("list[str]", list(map(confluent_kafka.Message.topic, self._messages))),
            partitions=cast("list[int]", list(map(confluent_kafka.Message.partition, self._messages))),
            offsets=cast("list[int]", list(map(confluent_kafka.Message.offset, self._messages))),
            keys=list(map(confluent_kafka.Message.key, self._messages)),
            values=list(map(confluent_kafka.Message.value, self._messages)),
        )

    def ends(self) -> dict[TopicPartition, tuple[int, int | None]]:
        """Return, for each partition, where reading goes on behind its last record, and that record's timestamp."""
        columns = self.columns()
        last = dict(zip(zip(columns.topics, columns.partitions, strict=True), self._messages, strict=True))
        records = [_record(message) for message in last.values()]
        return {(record.topic, record.partition): (record.next_offset, record.timestamp_ms) for record in records}


def _record(message: confluent_kafka.Message) -> Record:
    kind, timestamp = message.timestamp()
    # The client's stubs allow text where bytes were asked for; without deserialisers it gives bytes.
    headers = cast("Sequence[tuple[str, bytes | None]]", message.headers() or ())
    return Record(
        topic=str(message.topic()),
        partition=int(message.partition() or 0),
        offset=int(message.offset() or 0),
        timestamp_ms=None if kind == confluent_kafka.TIMESTAMP_NOT_AVAILABLE else timestamp,
        key=message.key(),
        headers=tuple(headers),
        value=message.value(),
    )
