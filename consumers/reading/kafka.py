"""Reads both topics from Kafka.

1. Reading starts at the database's positions, by ``assign()``: one writer owns one file, so no group has to share
   partitions out. What the group holds is for lag tools alone, and a user without a right on it reads all the same.
2. Before reading, each position is checked against the topic: expired, another topic under the same name, or one that
   was cut and filled again, is an error with the way out in its text. Nothing jumps in silence: ``auto.offset.reset``
   is ``error``, and Kafka compares the last record's leader epoch too (KIP-320).
3. Every minute, new partitions are looked for and read from their beginning. A topic that was created again meanwhile
   is an error.
4. While no broker answers, the topics may be cut: when one does again, the positions are checked as at the start, and
   what was fetched unchecked is dropped.
5. Offsets may skip (compaction, transaction markers): the end of a partition counts as read when Kafka says that it is
   reached, wherever the last record stands.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import confluent_kafka
from confluent_kafka import KafkaError

from matterlog.consumers.errors import BrokerUnavailable, ConsumerError, PositionExpired
from matterlog.consumers.reading.client_settings import client_settings
from matterlog.consumers.reading.group_offsets import GroupOffsets
from matterlog.consumers.reading.kafka_topics import ANSWER_SECONDS, KafkaTopics, raise_or_wait
from matterlog.consumers.reading.messages import Messages, partition_of, size_of, take_portion
from matterlog.consumers.reading.positions_check import (
    FoundTopics,
    check_ids,
    check_positions,
    compare,
    last_offsets,
    topic_cut,
)
from matterlog.consumers.reading.records import Gap, Move, Position, Record, TopicPartition
from matterlog.schemas import Topics

logger = logging.getLogger(__name__)

# How long the client may take to fetch more of a backlog, and how many messages at once show that there is one: more
# than come one by one.
REFILL_SECONDS: Final = 0.2
_BACKLOG_MESSAGES: Final = 100
# A fetch ends after this many bytes, and the one message that exceeds them.
FETCH_BYTES: Final = 4 << 20
_CHECK_TOPICS_EVERY_SECONDS: Final = 60.0
_IS_BACK_SECONDS: Final = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetch:
    """The result of one fetch: its records, and one move for each partition (possibly without a record).

    ``size`` is the number of bytes of the records. ``is_full``: it ended at a limit, and more records may wait.
    """

    records: Sequence[Record] = ()
    moves: tuple[Move, ...] = ()
    size: int = 0
    is_full: bool = False


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
        self._configuration = client_settings(bootstrap_servers, topics.group, settings or {})
        self._asking = (bootstrap_servers, settings or {}, answer_seconds)
        self._group = GroupOffsets(self._configuration["group.id"])
        self._connect()
        self.topics = topics
        self.views_topic, self.deletions_topic = (topic.name for topic in topics.both)
        self._names = [self.views_topic, self.deletions_topic]
        # The position after the last fetched batch. None: the partition was never read.
        self._positions: dict[TopicPartition, Position | None] = {}
        self._topic_ids: dict[str, str | None] = {}
        # The end of each partition when reading started.
        self.ends_at_start: dict[TopicPartition, int] = {}
        self._topics_checked_at = 0.0
        # Whether no broker answered since the positions were last checked.
        self._was_away = False

    def _connect(self) -> None:
        try:
            configuration = {**self._configuration, "error_cb": self._note_connection, "on_commit": self._group.note}
            self._consumer = confluent_kafka.Consumer(configuration, logger=logger)
        except (confluent_kafka.KafkaException, ValueError, TypeError) as error:
            raise ConsumerError(f"the Kafka client refuses the consumer's settings: {error}") from error
        self._kafka = KafkaTopics(self._consumer, *self._asking)

    def _reconnect(self) -> None:
        self._consumer.close()
        self._connect()

    def close(self) -> None:
        """Close the connection to Kafka."""
        self._consumer.close()

    def ends(self) -> dict[TopicPartition, int]:
        """Return the end of each partition: the offset of its next record.

        Raises:
            BrokerUnavailable, RightMissing, TopicMissing
        """
        return _ends_of(self.bounds())

    def bounds(self) -> dict[TopicPartition, tuple[int, int]]:
        """Return the first offset that each partition holds, and its end; raises as ``ends`` does."""
        partitions = self._kafka.partitions(self._names_of(deletions_only=False), "Describe")
        return self._kafka.watermarks(partitions, "Describe")

    def refuse(
        self,
        cuts: Sequence[TopicPartition],
        positions: Mapping[TopicPartition, Position],
        *,
        deletions_only: bool = False,
    ) -> None:
        """Refuse to read topics that were found to be cut.

        Args:
            cuts: partitions of topics that were cut and have to be read again from their beginning.
            positions: where the database stands.
            deletions_only: the topic of views is left unread.

        Raises:
            TopicRemade: one of them is of these topics.
        """
        names = self._names_of(deletions_only=deletions_only)
        found = [partition for partition in cuts if partition[0] in names]
        if found:
            position = positions.get(found[0])
            raise topic_cut(found[0], 0 if position is None else position.next_offset, ())  # they are recorded already

    def _names_of(self, *, deletions_only: bool) -> list[str]:
        return [self.deletions_topic] if deletions_only else [self.views_topic, self.deletions_topic]

    def start(
        self, positions: Mapping[TopicPartition, Position], *, deletions_only: bool = False
    ) -> list[tuple[Gap, Move]]:
        """Check the positions against the topics and start reading there.

        Partitions that were never read start at offset 0. If that has expired, it is reported as a gap too.

        Args:
            positions: the Kafka positions from the database.
            deletions_only: do not read the topic of views.

        Returns:
            The expired positions, each as a gap, with the move that skips it. If there are any, reading has not
            started: move them and call ``start`` again.

        Raises:
            BrokerUnavailable, RightMissing, TopicMissing, TopicRemade
        """
        self._names = self._names_of(deletions_only=deletions_only)
        found = self._find(positions)
        self._topic_ids = dict(found.ids)
        self._positions = {partition: positions.get(partition) for partition in found.watermarks}
        self.ends_at_start = _ends_of(found.watermarks)
        # A partition that is not there any more has a position too.
        stored = {partition: position for partition, position in positions.items() if partition[0] in self._names}
        expired = check_positions(self._positions | stored, found)
        if not expired:
            self._assign(list(self._positions))
        self._topics_checked_at = time.monotonic()
        return expired

    def compare(self, positions: Mapping[TopicPartition, Position]) -> dict[TopicPartition, bool | None]:
        """Say of each partition whether what was read of it is still there, None where nothing tells; as ``start``."""
        return compare(positions, self.find(positions))

    def find(self, positions: Mapping[TopicPartition, Position]) -> FoundTopics:
        """Return both topics' state, with the last record that was read of each partition; raises as ``start``."""
        self._names = self._names_of(deletions_only=False)
        return self._find(positions)

    def _find(self, positions: Mapping[TopicPartition, Position]) -> FoundTopics:
        self._consumer.unassign()  # a fetch that waits for records would hold up every question below
        partitions = self._kafka.partitions(self._names, "Read")
        last = last_offsets({partition: positions.get(partition) for partition in partitions})
        return FoundTopics(
            ids=self._kafka.ids(self._names),
            watermarks=self._kafka.watermarks(partitions),
            last_records=self._kafka.records_at(last),
        )

    def fetch(self, max_records: int, timeout_seconds: float) -> Fetch:
        """Read up to ``max_records`` records and FETCH_BYTES, waiting at most ``timeout_seconds``.

        Raises:
            PositionExpired: records that were not read yet were deleted beneath the reader.
            TopicMissing, TopicRemade: a topic was deleted, created again, or cut, beneath the reader.
            RightMissing: the user may not read a topic.
            BrokerUnavailable: Kafka refuses for a reason that waiting does not cure.
        """
        self._check_topics()
        records, events, size = self._consume(max_records, timeout_seconds)
        if self._was_away:
            self._check_again()
            return Fetch()
        messages = Messages(records)
        ends = messages.ends()
        for message in events:
            self._handle(message, ends)
        return Fetch(
            records=messages,
            moves=tuple(self._move(partition, end) for partition, end in ends.items()),
            size=size,
            is_full=len(records) >= max_records or size >= FETCH_BYTES,
        )

    def commit(self, moves: Sequence[Move]) -> None:
        """Commit the group's offsets. Only lag tools use them, so a failure is only logged."""
        self._group.commit(self._consumer, moves)

    def _assign(self, partitions: Sequence[TopicPartition]) -> None:
        # The client has leader epochs compared for partitions alone that it does not know yet.
        self._reconnect()
        self._was_away = False
        self._consumer.assign([self._assigned(partition) for partition in partitions])

    def _assigned(self, partition: TopicPartition) -> confluent_kafka.TopicPartition:
        """Return where to read a partition, with the leader epoch of the record just before, which Kafka compares."""
        position = self._positions[partition] or Position(next_offset=0)
        if position.leader_epoch is None or position.last_offset != position.next_offset - 1:
            return confluent_kafka.TopicPartition(*partition, position.next_offset)
        return confluent_kafka.TopicPartition(*partition, position.next_offset, leader_epoch=position.leader_epoch)

    def _note_connection(self, error: KafkaError) -> None:
        """Note that no broker answers. The client calls this inside a call of ours."""
        if error.code() == KafkaError._ALL_BROKERS_DOWN:  # noqa: SLF001 - the client's name for it
            self._was_away = True

    def _check_again(self) -> None:
        """Check the positions, once a broker answers, and read on from them; raises as ``fetch`` does."""
        read = {partition: position for partition, position in self._positions.items() if position is not None}
        try:
            self._consumer.list_topics(self._names[0], timeout=_IS_BACK_SECONDS)
            self._reconnect()  # the client may remember that the topics had no leader
            found = self._find(read)
        except confluent_kafka.KafkaException:
            return
        except BrokerUnavailable as error:
            if error.topic == self.views_topic and self._deletions_answer():
                raise
            return
        check_positions(read, found)
        self._assign(list(self._positions))

    def _deletions_answer(self) -> bool:
        """Say whether Kafka answers about the topic of deletions: then views wait alone."""
        try:
            self._kafka.watermarks(self._kafka.partitions([self.deletions_topic], "Read"))
        except BrokerUnavailable:
            return False
        return True

    def _check_topics(self) -> None:
        """Look for new partitions, and for topics that were created again while they were read."""
        if time.monotonic() - self._topics_checked_at < _CHECK_TOPICS_EVERY_SECONDS:
            return
        self._topics_checked_at = time.monotonic()
        try:
            partitions, topic_ids = self._kafka.partitions(self._names, "Read"), self._kafka.ids(self._names)
        except BrokerUnavailable as error:
            logger.warning("%s. Reading continues when Kafka is available again", error)
            return
        check_ids(self._topic_ids, topic_ids)
        new = [partition for partition in partitions if partition not in self._positions]
        if new:
            logger.info("new partitions: %s", ", ".join(f"{topic} [{partition}]" for topic, partition in new))
            self._positions |= dict.fromkeys(new)
            self._consumer.incremental_assign([confluent_kafka.TopicPartition(*partition, 0) for partition in new])

    def _consume(
        self, max_records: int, timeout_seconds: float
    ) -> tuple[list[confluent_kafka.Message], list[confluent_kafka.Message], int]:
        """Take records, and messages that are none, until the timeout, and all that is queued already; and the size."""
        deadline = time.monotonic() + timeout_seconds
        records: list[confluent_kafka.Message] = []
        events: list[confluent_kafka.Message] = []
        some: list[confluent_kafka.Message] = []
        size = 0
        while (wanted := max_records - len(records)) > 0 and size < FETCH_BYTES:
            least = REFILL_SECONDS if len(some) >= _BACKLOG_MESSAGES else 0.0
            if not (some := take_portion(self._consumer, wanted, max(least, deadline - time.monotonic()))):
                break
            size += size_of(some)
            odd = [message for message in some if message.error() is not None]
            records += [message for message in some if message.error() is None] if odd else some
            events += odd
        return records, events, size

    def _handle(self, message: confluent_kafka.Message, ends: dict[TopicPartition, Position]) -> None:
        """Handle a message that is not a record: an error, or the end of a partition, which counts as read."""
        error = message.error()
        if error is not None and error.code() in {KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE}:  # noqa: SLF001 - the client's name for it
            raise self._position_lost(partition_of(message))
        if self._group.note(error):
            return
        if error is not None and error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001 - as above
            raise_or_wait(error, message.topic())
            return
        partition, reached = partition_of(message), int(message.offset() or 0)
        stands = ends.get(partition, Position(next_offset=self._next_offset(partition)))
        if reached > stands.next_offset:
            ends[partition] = replace(stands, next_offset=reached)

    def _position_lost(self, partition: TopicPartition) -> ConsumerError:
        """Return why Kafka refuses a position: it is before the records that are left; else the topic was cut."""
        stands = self._next_offset(partition)
        begin, _ = self._kafka.watermarks([partition])[partition]
        if stands >= begin:
            return topic_cut(partition, stands, [partition])
        return PositionExpired(
            f"{partition[0]} [{partition[1]}] @ {stands}: the position has expired: records were deleted from the "
            "topic before they were read. "
            "To record them as missing and continue after them, run: matterlog consume --accept-gaps",
            partition[0],
        )

    def _next_offset(self, partition: TopicPartition) -> int:
        position = self._positions.get(partition)
        return 0 if position is None else position.next_offset

    def _move(self, partition: TopicPartition, ends: Position) -> Move:
        before = self._positions.get(partition)
        position = replace(ends.behind(before or ends), topic_id=self._topic_ids.get(partition[0]))
        self._positions[partition] = position
        return Move(
            topic=partition[0],
            partition=partition[1],
            began=None if before is None else before.next_offset,
            ends=position,
        )


def _ends_of(watermarks: Mapping[TopicPartition, tuple[int, int]]) -> dict[TopicPartition, int]:
    return {partition: end for partition, (_, end) in watermarks.items()}
