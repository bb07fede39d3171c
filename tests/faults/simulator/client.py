"""The Kafka client as the consumer uses it, on the simulated broker; the consumer's own code above it is real."""

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, Final

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException

from matterlog.consumers.reading.kafka import KafkaSource
from matterlog.consumers.reading.kafka_topics import KafkaTopics
from matterlog.consumers.reading.records import TopicPartition
from testbed.feed import TOPICS
from tests.faults.simulator.model import Handed
from tests.faults.simulator.world import World

_SERVERS: Final = "simulated:9092"
_SLOW_SECONDS: Final = 3.0


class Client:
    """Stands in for ``confluent_kafka.Consumer``.

    Args:
        world: the simulation.
        on_error: is told that no broker answers.
    """

    def __init__(self, world: World, on_error: Callable[[KafkaError], None]) -> None:
        """Begin without partitions."""
        self._world = world
        self._on_error = on_error
        # Where each assigned partition stands, and those of which the end was told, or an error.
        self._at: dict[TopicPartition, int] = {}
        self._told: dict[TopicPartition, int] = {}
        self._lost: set[TopicPartition] = set()
        # The restart of the broker that this client knows of.
        self._knows = world.broker.restarts
        # Whether what is handed out is read, and not only looked at.
        self.reads = False

    def assign(self, partitions: Sequence[confluent_kafka.TopicPartition]) -> None:
        """Begin to read these partitions."""
        self._world.point("assign", *(f"{each.topic[7:12]} [{each.partition}] @ {each.offset}" for each in partitions))
        self._at, self._told, self._lost = {}, {}, set()
        self._add(partitions)

    def incremental_assign(self, partitions: Sequence[confluent_kafka.TopicPartition]) -> None:
        """Begin to read these partitions too."""
        self._world.point("assign more", len(partitions))
        self._add(partitions)

    def _add(self, partitions: Sequence[confluent_kafka.TopicPartition]) -> None:
        for each in partitions:
            place = (each.topic, each.partition)
            self._at[place] = each.offset
            if each.leader_epoch is not None and each.leader_epoch >= 0 and self._is_truncated(each):
                self._lost.add(place)
                self._told[place] = -1

    def _is_truncated(self, asked: confluent_kafka.TopicPartition) -> bool:
        if self._world.broker.begins((asked.topic, asked.partition)) is None:
            return False
        partition = self._world.broker.partition((asked.topic, asked.partition))
        return asked.offset > partition.end or partition.epoch_at(asked.offset - 1) != asked.leader_epoch

    def unassign(self) -> None:
        """Read nothing."""
        self._at, self.reads = {}, False

    def consume(self, num_messages: int = 1, timeout: float = 0.0) -> list[confluent_kafka.Message]:
        """Hand out some messages of some partitions."""
        self._world.point("consume")
        self._world.between_batches()
        found = [] if self._has_nothing_for_now() else self._take(num_messages)
        if found:
            self._world.tell(
                "took", *(f"{str(each.topic())[7:12]} [{each.partition()}] @ {each.offset()}" for each in found)
            )
        else:
            self._world.clock.advance(timeout * (1 if self._world.is_healed else self._world.options.idle))
        return found

    def _has_nothing_for_now(self) -> bool:
        world = self._world
        if world.is_wrong("away") or self._knows < world.broker.restarts:
            # A client tells that the connection was lost even where nobody asked it meanwhile.
            self._knows = world.broker.restarts
            self._on_error(KafkaError(KafkaError._ALL_BROKERS_DOWN))
            return True
        if world.is_wrong("slow"):
            world.clock.advance(_SLOW_SECONDS)
            return world.dice.random() < 0.7
        return self.reads and world.dice.random() < world.options.hesitates

    def _take(self, most: int) -> list[confluent_kafka.Message]:
        dice = self._world.dice
        found: list[confluent_kafka.Message] = []
        if self._world.is_wrong("failing reads") and self._at and dice.random() < 0.5:
            topic, number = dice.choice(sorted(self._at))
            return [confluent_kafka.Message(topic, number, error=KafkaError(KafkaError._TRANSPORT))]
        for place in dice.sample(sorted(self._at), len(self._at)):
            if most - len(found) > 0 and not self._world.broker.topics[place[0]].is_missing:
                found += self._take_from(place, min(most - len(found), dice.randint(1, self._world.options.portion)))
        return found

    def _take_from(self, place: TopicPartition, most: int) -> list[confluent_kafka.Message]:
        at, told = self._at[place], self._told.get(place)
        if self._world.broker.begins(place) is None:
            return []
        partition = self._world.broker.partition(place)
        if place in self._lost or not partition.begin <= at <= partition.end:
            self._told[place] = at
            return [] if told == at else [_event(place, at, KafkaError._AUTO_OFFSET_RESET)]
        found: list[confluent_kafka.Message] = []
        while at < partition.end and len(found) < most:
            if (message := partition.messages.get(at)) is not None:
                found.append(self._message(message.record, partition.epoch_at(at)))
            self._note(place, at)
            at += 1
        self._at[place] = at
        if at == partition.end and told != at and len(found) < most:
            self._told[place] = at
            found.append(_event(place, at, KafkaError._PARTITION_EOF))
        return found

    def _note(self, place: TopicPartition, offset: int) -> None:
        if self.reads:
            partition, model = self._world.broker.partition(place), self._world.model
            model.handed[place][offset] = Handed(partition.messages.get(offset), partition.life)

    def _message(self, record: Any, epoch: int) -> confluent_kafka.Message:
        timestamp = (confluent_kafka.TIMESTAMP_CREATE_TIME, record.timestamp_ms)
        address = (record.topic, record.partition, record.offset)
        content = (record.key, record.value, list(record.headers))
        if not self._world.broker.tells_epochs:
            return confluent_kafka.Message(*address, *content, timestamp=timestamp)
        return confluent_kafka.Message(*address, *content, timestamp=timestamp, leader_epoch=epoch)

    def list_topics(self, topic: str, timeout: float = 0.0) -> Any:
        """Tell the partitions of a topic."""
        self._ask("list topics", topic, timeout)
        found = self._world.broker.topics[topic]
        error = KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART) if found.is_missing else None
        return SimpleNamespace(
            topics={topic: SimpleNamespace(error=error, partitions=dict.fromkeys(range(len(found.partitions))))}
        )

    def get_watermark_offsets(self, partition: confluent_kafka.TopicPartition, timeout: float = 0.0) -> tuple[int, int]:
        """Tell where a partition begins and ends."""
        self._ask("watermarks", partition.topic, timeout)
        found = self._world.broker.partition((partition.topic, partition.partition))
        return found.begin, found.end

    def _ask(self, question: str, topic: str, timeout: float) -> None:
        world = self._world
        world.point(question, topic)
        if world.is_wrong("away") or (
            question == "watermarks" and world.unanswered == topic and world.is_wrong("unanswered")
        ):
            world.clock.advance(timeout)
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))

    def committed(self, partitions: Sequence[Any], timeout: float = 0.0) -> None:
        """Say that the group's broker is there."""

    def commit(self, offsets: Sequence[Any], *, asynchronous: bool) -> None:
        """Commit the group's offsets, which nobody reads."""

    def close(self) -> None:
        """End."""
        self._at = {}


def _event(place: TopicPartition, offset: int, code: int) -> confluent_kafka.Message:
    return confluent_kafka.Message(*place, offset, error=KafkaError(code))


class Topics(KafkaTopics):
    """The questions to Kafka, which are real but for the one that needs a client of its own."""

    def __init__(self, world: World, client: Client) -> None:
        """Ask through this client."""
        super().__init__(client, _SERVERS, {}, 1.0)  # type: ignore[arg-type]
        self._world = world

    def ids(self, names: Sequence[str]) -> dict[str, str | None]:
        """Tell the topics' IDs."""
        self.partitions(names, "Read")
        return {name: f"id {self._world.broker.topics[name].number}" for name in names}


class Source(KafkaSource):
    """The real reader, on the simulated client."""

    def __init__(self, world: World) -> None:
        """Connect."""
        self._world = world
        super().__init__(_SERVERS, TOPICS)

    def _connect(self) -> None:
        client = Client(self._world, self._note_connection)
        self._consumer = client  # type: ignore[assignment]
        self._kafka = Topics(self._world, client)

    def _assign(self, partitions: Sequence[TopicPartition]) -> None:
        super()._assign(partitions)
        self._consumer.reads = True  # type: ignore[attr-defined]
