"""The Kafka client's messages as records and positions."""

from collections.abc import Sequence
from functools import cached_property
from typing import Final, cast, overload

import confluent_kafka

from matterlog.consumers.reading.records import (
    ColumnarRecords,
    Columns,
    Headers,
    Position,
    Record,
    TopicPartition,
    header_bytes,
)

# The client briefly holds two copies of the messages it returns: small portions stay in the processor's cache.
_PORTION_MESSAGES: Final = 1_000
_PORTION_BYTES: Final = 1 << 20
# The one name among the headers of a record of which a header's name is not UTF-8: the client cannot hand those over.
UNREADABLE_HEADERS: Final = "(headers whose names are not UTF-8)"


def partition_of(message: confluent_kafka.Message) -> TopicPartition:
    """Return the topic and the partition that a message came from."""
    return str(message.topic()), int(message.partition() or 0)


def position_behind(message: confluent_kafka.Message) -> Position:
    """Return where reading goes on behind a record, and what tells it from another one at its offset."""
    kind, timestamp = message.timestamp()
    offset = int(message.offset() or 0)
    return Position(
        next_offset=offset + 1,
        last_timestamp_ms=None if kind == confluent_kafka.TIMESTAMP_NOT_AVAILABLE else timestamp,
        last_offset=offset,
        leader_epoch=message.leader_epoch(),
    )


def take_portion(
    consumer: confluent_kafka.Consumer, most: int, timeout_seconds: float
) -> list[confluent_kafka.Message]:
    """Wait for a message, and take some of those that the client has fetched behind it: fewer where it is large."""
    first = consumer.consume(1, timeout_seconds)
    more = min(most, _PORTION_MESSAGES, _PORTION_BYTES // max(1, size_of(first))) - 1
    # Without waiting: the client's own limits bound what it has fetched, whatever the sizes of the messages.
    return first + consumer.consume(more, 0.0) if first and more > 0 else first


def size_of(messages: Sequence[confluent_kafka.Message]) -> int:
    """Return how many bytes messages have. The last one's headers stand for all: looking into each takes too long."""
    keys = sum(map(len, filter(None, map(confluent_kafka.Message.key, messages))))
    headers = header_bytes(_headers_of(messages[-1])) * len(messages) if messages else 0
    return sum(map(len, messages)) + keys + headers


class Messages(ColumnarRecords):
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
            return Messages(self._messages[index])
        return record_of(self._messages[index])

    @cached_property
    def columns(self) -> Columns:
        """All records by column."""
        return Columns(
            topics=cast("list[str]", list(map(confluent_kafka.Message.topic, self._messages))),
            partitions=cast("list[int]", list(map(confluent_kafka.Message.partition, self._messages))),
            offsets=cast("list[int]", list(map(confluent_kafka.Message.offset, self._messages))),
            keys=list(map(confluent_kafka.Message.key, self._messages)),
            values=list(map(confluent_kafka.Message.value, self._messages)),
        )

    def ends(self) -> dict[TopicPartition, Position]:
        """Return, for each partition, where reading goes on behind its last record."""
        columns = self.columns
        last = dict(zip(zip(columns.topics, columns.partitions, strict=True), self._messages, strict=True))
        return {partition: position_behind(message) for partition, message in last.items()}


def record_of(message: confluent_kafka.Message) -> Record:
    """Return a message as a record."""
    kind, timestamp = message.timestamp()
    return Record(
        topic=str(message.topic()),
        partition=int(message.partition() or 0),
        offset=int(message.offset() or 0),
        timestamp_ms=None if kind == confluent_kafka.TIMESTAMP_NOT_AVAILABLE else timestamp,
        key=message.key(),
        headers=_headers_of(message),
        value=message.value(),
    )


def _headers_of(message: confluent_kafka.Message) -> Headers:
    try:
        # Called by map, which looks whether the client left an exception behind; the interpreter's own quick call may
        # not, and then hands out half a list.
        (headers,) = map(confluent_kafka.Message.headers, (message,))
    except (SystemError, UnicodeDecodeError):
        # Asked again, the client would hand out tuples without a name, and looking into one ends the process.
        message.set_headers([(UNREADABLE_HEADERS, None)])
        return ((UNREADABLE_HEADERS, None),)
    # The client's stubs allow text where bytes were asked for; without deserialisers it gives bytes.
    return tuple(cast("Sequence[tuple[str, bytes | None]]", headers or ()))
