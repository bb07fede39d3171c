"""The simulated Kafka: topics of partitions that hold messages, and everything that may happen to them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Final

from matterlog.consumers.reading.records import Record, TopicPartition
from testbed.feed import DELETIONS, VIEWS
from tests.consumers.histories import Message

# Far from the simulated clock: a producer's clock is its own. Each message has an instant of its own.
_FIRST_TIMESTAMP_MS: Final = 1_700_000_000_000
_TICK_MS: Final = 7


@dataclass(slots=True)
class Partition:
    """One partition: its messages by offset, and where it begins and ends.

    Args:
        expired: the offset before which messages expired at some time.
        life: how often it was cut or made anew.
        forks: for each time the life that began then and the offset from which on messages were lost.
        epochs: each leader epoch with its first offset.
    """

    messages: dict[int, Message] = field(default_factory=dict)
    begin: int = 0
    end: int = 0
    expired: int = 0
    life: int = 0
    forks: list[tuple[int, int]] = field(default_factory=list)
    epochs: list[tuple[int, int]] = field(default_factory=lambda: [(0, 0)])

    def epoch_at(self, offset: int) -> int:
        """Return the leader epoch of what stands at an offset."""
        return max(epoch for epoch, first in self.epochs if first <= offset)

    def lose_from(self, offset: int) -> None:
        """Lose all messages from an offset on, as where a broker's volume is put back to an older copy."""
        self.messages = {at: message for at, message in self.messages.items() if at < offset}
        epoch = self.epochs[-1][0] + 1
        self.epochs = [each for each in self.epochs if each[1] < offset] + [(epoch, offset)]
        self.life += 1
        self.forks.append((self.life, offset))
        self.end = offset
        self.begin = min(self.begin, offset)

    def lost_since(self, offset: int, life: int, until: int) -> bool:
        """Say whether a message that was read in one life is not there any more in a later one."""
        return any(life < began <= until and offset >= fork for began, fork in self.forks)


@dataclass(slots=True)
class Topic:
    """A topic; it is missing for as long as it was deleted and not created again."""

    number: int
    partitions: list[Partition]
    missing_until: int = 0
    is_missing: bool = False


class Broker:
    """Both topics, and who writes into them. A key decides on the partition, as the producers' partitioner does."""

    def __init__(self, partitions: int, *, tells_epochs: bool) -> None:
        """Make the topics."""
        self.tells_epochs = tells_epochs
        self.restarts = 0
        self._partitions = partitions
        self._serial = count()
        self._ids = count()
        self.topics = {name: self._new_topic() for name in (VIEWS, DELETIONS)}

    def _new_topic(self) -> Topic:
        return Topic(next(self._ids), [Partition() for _ in range(self._partitions)])

    def partition(self, place: TopicPartition) -> Partition:
        """Return a partition."""
        return self.topics[place[0]].partitions[place[1]]

    def begins(self, place: TopicPartition) -> int | None:
        """Return the first offset of a partition. None: it is not there."""
        return self.partition(place).begin if place in self.places() else None

    def has_expired(self, place: TopicPartition, offset: int) -> bool:
        """Say whether a message may have expired."""
        return place in self.places() and offset < self.partition(place).expired

    def places(self, topic: str | None = None) -> Iterator[TopicPartition]:
        """Yield every partition, or those of a topic."""
        for name, found in self.topics.items():
            if topic in {None, name}:
                yield from ((name, number) for number in range(len(found.partitions)))

    def write(self, message: Message, partition: int | None = None) -> Message | None:
        """Write a message; return it as it stands there. None: its topic is missing."""
        topic = self.topics[message.record.topic]
        if topic.is_missing:
            return None
        key = message.record.key or b""
        number = sum(key) % len(topic.partitions) if partition is None else partition
        if number >= len(topic.partitions):
            return None
        chosen = topic.partitions[number]
        record = message.record._replace(
            partition=number, offset=chosen.end, timestamp_ms=_FIRST_TIMESTAMP_MS + _TICK_MS * next(self._serial)
        )
        chosen.messages[chosen.end] = written = Message(record, message.event, message.flaw)
        chosen.end += 1
        return written

    def add_partition(self, topic: str) -> None:
        """Add a partition: from now on keys go elsewhere."""
        self.topics[topic].partitions.append(Partition())

    def abort(self, place: TopicPartition, messages: int) -> None:
        """Abort a transaction: offsets that no reader of committed messages ever sees, and the marker behind them."""
        self.partition(place).end += messages + 1

    def expire(self, place: TopicPartition, offset: int) -> None:
        """Drop what is older than an offset."""
        partition = self.partition(place)
        partition.begin = max(partition.begin, min(offset, partition.end))
        partition.expired = max(partition.expired, partition.begin)
        partition.messages = {at: each for at, each in partition.messages.items() if at >= partition.begin}

    def compact(self, place: TopicPartition, newest: int) -> None:
        """Drop every message that is not the last one of its key, but for the newest ones: the cleaner leaves them."""
        partition = self.partition(place)
        last = {each.record.key: at for at, each in sorted(partition.messages.items())}
        limit = partition.end - newest
        partition.messages = {
            at: each
            for at, each in partition.messages.items()
            if at >= limit or each.record.key is None or last[each.record.key] == at
        }

    def cut(self, place: TopicPartition, offset: int) -> None:
        """Lose the end of a partition."""
        self.partition(place).lose_from(offset)

    def make_anew(self, topic: str, missing_until: int) -> None:
        """Delete a topic and create it again at that step under its name: without its messages, with another ID."""
        before = self.topics[topic].partitions
        found = self.topics[topic] = self._new_topic()
        for partition, gone in zip(found.partitions, before, strict=False):
            partition.life, partition.forks, partition.expired = gone.life, gone.forks, gone.expired
            partition.lose_from(0)
            partition.epochs = [(0, 0)]
        found.is_missing, found.missing_until = True, missing_until

    def come_back(self, step: int | None = None) -> None:
        """Create the topics whose time has come. None: all."""
        for topic in self.topics.values():
            topic.is_missing = topic.is_missing and step is not None and step < topic.missing_until


def tombstone(topic: str, key: bytes) -> Message:
    """Return a message without a value."""
    return Message(Record(topic, 0, 0, None, key, (), None), None, None)
