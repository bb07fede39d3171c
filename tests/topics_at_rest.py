"""Topics of a real broker, made and read by Kafka's own clients, not by matterlog's."""

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final, cast

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewPartitions, NewTopic

from matterlog.schemas import Topics
from matterlog.schemas.topics import Topic

ANSWER_SECONDS: Final = 30.0
LOOK_SECONDS: Final = 0.05
NO_CHANGES: Final[Mapping[str, str]] = MappingProxyType({})


def admin_of(servers: str) -> AdminClient:
    """A client for questions and orders to the broker."""
    return AdminClient({"bootstrap.servers": servers})


def make_topics(servers: str, topics: Topics, *, partitions: int = 1, **changes: str) -> None:
    """Make both topics as an operator does, ``changes`` in their configuration (``_`` for ``.``); wait for them."""
    special = {name.replace("_", "."): value for name, value in changes.items()}
    make(servers, *topics.both, partitions=partitions, special=special)


def make(
    servers: str, *topics: Topic, partitions: int = 1, copies: int = 1, special: Mapping[str, str] = NO_CHANGES
) -> None:
    """Make these topics, with ``special`` in their configuration; wait for them."""
    admin = admin_of(servers)
    new = [
        NewTopic(topic.name, partitions, copies, config=dict(topic.configuration) | dict(special)) for topic in topics
    ]
    for future in admin.create_topics(new).values():
        future.result(ANSWER_SECONDS)
    for topic in topics:
        wait_for_partitions(servers, topic.name, partitions)


def remove_topics(servers: str, topics: Topics) -> None:
    """Delete both topics; wait until nobody sees them any more."""
    remove(servers, *topics.both)


def remove(servers: str, *topics: Topic) -> None:
    """Delete these topics; wait until nobody sees them any more."""
    admin = admin_of(servers)
    for future in admin.delete_topics([topic.name for topic in topics]).values():
        future.result(ANSWER_SECONDS)
    for topic in topics:
        wait_for_partitions(servers, topic.name, 0)


def add_partitions(servers: str, topic: str, partitions: int) -> None:
    """Give a topic more partitions; wait for them."""
    admin = admin_of(servers)
    admin.create_partitions([NewPartitions(topic, partitions)])[topic].result(ANSWER_SECONDS)
    wait_for_partitions(servers, topic, partitions)


def cut(servers: str, topic: str, before: int, partition: int = 0) -> None:
    """Delete the records of a partition below an offset, as retention would."""
    admin = admin_of(servers)
    [future] = admin.delete_records([TopicPartition(topic, partition, before)]).values()
    future.result(ANSWER_SECONDS)


def wait_for_partitions(servers: str, topic: str, partitions: int) -> None:
    """Return once the broker shows the topic with so many partitions, each with a leader."""
    admin = admin_of(servers)
    deadline = time.monotonic() + ANSWER_SECONDS
    while time.monotonic() < deadline:
        found = admin.list_topics(topic, ANSWER_SECONDS).topics[topic].partitions
        if len(found) == partitions and all(each.leader >= 0 for each in found.values()):
            return
        time.sleep(0.02)
    raise TimeoutError(f"{topic} did not get {partitions} partitions")


@contextlib.contextmanager
def reader_of(servers: str, topic: str) -> Iterator[Consumer]:
    """A consumer at the beginning of each partition that tells where their ends are."""
    consumer = Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": "assigned-by-hand",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 20,
        }
    )
    try:
        partitions = consumer.list_topics(topic, ANSWER_SECONDS).topics[topic].partitions
        consumer.assign([TopicPartition(topic, partition, 0) for partition in partitions])
        yield consumer
    finally:
        consumer.close()


def messages_of(servers: str, topic: str) -> list[Message]:
    """Every message of a topic, partition by partition in order."""
    with reader_of(servers, topic) as consumer:
        open_partitions = {each.partition for each in consumer.assignment()}
        messages = []
        while open_partitions:
            for message in consumer.consume(10_000, LOOK_SECONDS):
                if (error := message.error()) is None:
                    messages.append(message)
                elif error.code() == KafkaError._PARTITION_EOF:
                    open_partitions.discard(message.partition() or 0)
                else:
                    raise KafkaException(error)
    return sorted(messages, key=lambda each: (each.partition() or 0, each.offset() or 0))


def headers_of(message: Message) -> tuple[tuple[str, str], ...]:
    """A message's headers as text, in order."""
    # The client's stubs allow other types; it gives pairs of text and bytes.
    headers = cast("Sequence[tuple[str, bytes]]", message.headers() or ())
    return tuple((name, value.decode()) for name, value in headers)
