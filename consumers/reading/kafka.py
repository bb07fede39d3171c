"""Reads both topics from Kafka.

1. Reading starts at the database's positions with ``assign()``. One writer owns one file, so no consumer group shares
   out partitions. The group's offsets only serve lag tools.
2. Before reading, each position is checked against the topic. An expired position, or another topic with the same name,
   is an error whose text says what to do. Positions never jump silently: ``auto.offset.reset`` is ``error``.
3. Every minute, the source looks for new partitions and reads them from their beginning. A topic that was created again
   meanwhile is an error.
4. Offsets may skip (compaction, transaction markers): the end of a partition counts as read when Kafka says that it is
   reached, whatever the offset of the last record is.
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
# The delivery guarantees depend on these. A different value is refused.
REQUIRED: Final[Mapping[str, str]] = {
    "enable.auto.commit": "false",
    "enable.auto.offset.store": "false",
    "auto.offset.reset": "error",
    "isolation.level": "read_committed",
    "check.crcs": "true",
    "allow.auto.create.topics": "false",
    "enable.partition.eof": "true",
}
# Limits on the memory that an over-large message or a long backlog takes.
DEFAULTS: Final[Mapping[str, str]] = {
    "fetch.message.max.bytes": "1048576",
    "receive.message.max.bytes": "100000000",
    "queued.max.messages.kbytes": "2048",
    # With librdkafka's default of one second, the queue is empty most of the time while a backlog is read.
    "fetch.queue.backoff.ms": "5",
}
# The client briefly holds two copies of the messages it returns: small portions stay in the processor's cache.
_MESSAGES_AT_ONCE: Final = 1_000
_CHECK_TOPICS_EVERY_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetch:
    """The result of one fetch: its records, and one move for each partition (possibly without a record)."""

    records: Sequence[Record]
    moves: tuple[Move, ...]


class KafkaSource:
    """A Kafka client that reads both topics from given positions. Not safe for use by two threads.

    Args:
        bootstrap_servers: ``host:port``, several separated by commas.
        topics: the topics to read.
        settings: further librdkafka settings by name.
        answer_seconds: how long to wait for Kafka's answer to a question about topics.

    Raises:
        ConsumerError: a setting is unknown, malformed, or differs from a required value.
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
            raise ConsumerError(f"the Kafka client refuses the consumer's settings: {error}") from error
        self._kafka = KafkaTopics(self._consumer, bootstrap_servers, settings or {}, answer_seconds)
        self._topics = topics
        self._names = [topic.name for topic in topics.both]
        # The position after the last fetched batch. None: the partition was never read.
        self._positions: dict[TopicPartition, Position | None] = {}
        self._topic_ids: dict[str, str | None] = {}
        # The end of each partition when reading started.
        self.ends_at_start: dict[TopicPartition, int] = {}
        self._topics_checked_at = 0.0

    def close(self) -> None:
        """Close the connection to Kafka."""
        self._consumer.close()

    def ends(self) -> dict[TopicPartition, int]:
        """Return the end of each partition: the offset of its next record.

        Raises:
            BrokerUnavailable, TopicMissing
        """
        return _ends_of(self._kafka.watermarks(self._kafka.partitions(self._names)))

    def start(self, positions: Mapping[TopicPartition, Position], *, deletions_only: bool = False) -> ExpiredPositions:
        """Check the positions against the topics and start reading there.

        Partitions that were never read start at offset 0. If that has expired, it is reported as a gap too.

        Args:
            positions: the Kafka positions from the database.
            deletions_only: do not read the topic of views.

        Returns:
            The expired positions. If there are any, reading has not started: move them and call ``start`` again.

        Raises:
            BrokerUnavailable, TopicMissing, TopicRemade
        """
        both = self._topics.both
        self._names = [topic.name for topic in (both[1:] if deletions_only else both)]
        self._consumer.unassign()  # a fetch that waits for records would delay every request below
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
        self._topics_checked_at = time.monotonic()
        return expired

    def fetch(self, max_records: int, timeout_seconds: float) -> Fetch:
        """Read up to ``max_records`` records, waiting at most ``timeout_seconds``.

        Raises:
            PositionExpired: records were deleted from a partition before they were read.
            TopicMissing, TopicRemade: a topic was deleted, or created again, while it was read.
            BrokerUnavailable: Kafka reports an error that is not transient.
        """
        self._check_topics()
        found = self._consume(max_records, timeout_seconds)
        events = [message for message in found if message.error() is not None]
        messages = _Messages([message for message in found if message.error() is None] if events else found)
        ends = messages.ends()
        for message in events:
            self._handle(message, ends)
        return Fetch(records=messages, moves=tuple(self._move(partition, *end) for partition, end in ends.items()))

    def commit(self, moves: Sequence[Move]) -> None:
        """Commit the group's offsets. Only lag tools use them, so a failure is only logged."""
        offsets = [confluent_kafka.TopicPartition(move.topic, move.partition, move.ends.next_offset) for move in moves]
        try:
            self._consumer.commit(offsets=offsets, asynchronous=True)
        except confluent_kafka.KafkaException as error:
            logger.warning("the group's offsets were not committed: %s", error)

    def _assign(self, partitions: Sequence[TopicPartition]) -> None:
        self._consumer.assign(
            [confluent_kafka.TopicPartition(*partition, self._next_offset(partition)) for partition in partitions]
        )

    def _check_topics(self) -> None:
        """Look for new partitions, and for topics that were created again while they were read."""
        if time.monotonic() - self._topics_checked_at < _CHECK_TOPICS_EVERY_SECONDS:
            return
        self._topics_checked_at = time.monotonic()
        try:
            partitions, topic_ids = self._kafka.partitions(self._names), self._kafka.ids(self._names)
        except BrokerUnavailable as error:
            logger.warning("%s. Reading continues when Kafka is available again", error)
            return
        check_ids(self._topic_ids, topic_ids)
        new = [partition for partition in partitions if partition not in self._positions]
        if new:
            logger.info("new partitions: %s", ", ".join(f"{topic} [{partition}]" for topic, partition in new))
            self._positions |= dict.fromkeys(new)
            self._consumer.incremental_assign([confluent_kafka.TopicPartition(*partition, 0) for partition in new])

    def _consume(self, max_records: int, timeout_seconds: float) -> list[confluent_kafka.Message]:
        """Take messages until the timeout. Messages that are already queued are taken even after it."""
        deadline = time.monotonic() + timeout_seconds
        found: list[confluent_kafka.Message] = []
        while (wanted := min(_MESSAGES_AT_ONCE, max_records - len(found))) > 0:
            some = self._consumer.consume(wanted, max(0.0, deadline - time.monotonic()))
            found += some
            if len(some) < wanted:
                break
        return found

    def _handle(self, message: confluent_kafka.Message, ends: dict[TopicPartition, tuple[int, int | None]]) -> None:
        """Handle a message that is not a record: an error, or the end of a partition, which counts as read."""
        error = message.error()
        if error is not None and error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001 - the client's name for it
            _raise_or_wait(message, error)
            return
        partition, reached = partition_of(message), int(message.offset() or 0)
        next_offset, timestamp = ends.get(partition, (self._next_offset(partition), None))
        if reached > next_offset:
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
    """Raise an error that is not transient. Log a transient one."""
    if error.code() in {KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE}:  # noqa: SLF001 - as above
        record = f"{message.topic()} [{message.partition()}] @ {message.offset()}"
        raise PositionExpired(
            f"{record}: the position has expired: records were deleted from the topic before they were read. "
            "To record them as missing and continue after them, run: matterlog consume --accept-gaps"
        )
    if error.fatal() or (not error.retriable() and error.code() >= 0):
        raise BrokerUnavailable(f"Kafka reports an error: {error.str()}")
    logger.warning("Kafka: %s", error.str())


def _configuration(bootstrap_servers: str, settings: Mapping[str, str]) -> dict[str, str]:
    for name, value in REQUIRED.items():
        if settings.get(name, value) != value:
            raise ConsumerError(f"{name} must stay {value}: otherwise records could be lost or duplicated")
    return {**DEFAULTS, "group.id": GROUP, **settings, **REQUIRED, "bootstrap.servers": bootstrap_servers}


class _Messages(ColumnarRecords):
    """The client's messages as a sequence of records, each built only on access."""

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
        """Return for each partition the offset after its last record, and that record's timestamp."""
        columns = self.columns()
        last = dict(zip(zip(columns.topics, columns.partitions, strict=True), self._messages, strict=True))
        records = [_record(message) for message in last.values()]
        return {(record.topic, record.partition): (record.next_offset, record.timestamp_ms) for record in records}


def _record(message: confluent_kafka.Message) -> Record:
    kind, timestamp = message.timestamp()
    # The client's type stubs also allow text. Without deserialisers it returns bytes.
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
