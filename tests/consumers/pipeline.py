"""Both topics of a test, the real producers before them, and the real consumer with a database behind them."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event as Signal
from typing import Any

import confluent_kafka
import duckdb

from matterlog.consumers.database.batch import BatchResult
from matterlog.consumers.database.store import Store
from matterlog.consumers.materialise import Materialiser, decoder
from matterlog.consumers.reading.kafka import KafkaSource
from matterlog.consumers.reading.kafka_topics import ANSWER_SECONDS
from matterlog.consumers.reading.schema_registry import RegisteredSchemas
from matterlog.producers import KafkaProducer, MatterDeletionProducer, MatterViewProducer
from matterlog.schemas import Event, MatterViewed, Topics, encode
from matterlog.schemas.storage.database_files import DatabaseFiles
from matterlog.schemas.topics import key_of


@dataclass(slots=True)
class Pipeline:
    """One test's way from ``emit`` to the activity table.

    Args:
        servers: the broker.
        topics: names of its own on it.
        database: the file.
        registered: what a schema registry knows.
        answer_seconds: how long Kafka has for an answer.
    """

    servers: str
    topics: Topics
    database: Path
    registered: RegisteredSchemas = field(default_factory=lambda: RegisteredSchemas(None))
    answer_seconds: float = ANSWER_SECONDS

    @property
    def views(self) -> str:
        """The name of the topic of views."""
        return self.topics.matter_views.name

    @property
    def deletions(self) -> str:
        """The name of the topic of deletions."""
        return self.topics.matter_deletions.name

    def emit(self, *events: Event) -> None:
        """Emit events with the real producers; return when they are at rest."""
        with KafkaProducer(self.servers) as transport:
            views = MatterViewProducer(transport, topic_prefix=self.topics.prefix)
            deletions = MatterDeletionProducer(transport, topic_prefix=self.topics.prefix)
            for event in events:
                if isinstance(event, MatterViewed):
                    views.emit_event(event)
                else:
                    deletions.emit_event(event)

    def write(self, *events: Event, partition: int = 0) -> None:
        """Write events as the producers would, without their wait for a producer ID: half a second of a test."""
        self._produce([(self._topic_of(event), key_of(event), encode(event)) for event in events], partition)

    def _topic_of(self, event: Event) -> str:
        return self.views if isinstance(event, MatterViewed) else self.deletions

    def put(self, topic: str, *messages: tuple[str | bytes, bytes | None], partition: int = 0) -> None:
        """Write messages, key and value, as they are."""
        self._produce([(topic, key, value) for key, value in messages], partition)

    def _produce(self, messages: Sequence[tuple[str, str | bytes, bytes | None]], partition: int) -> None:
        producer = confluent_kafka.Producer({"bootstrap.servers": self.servers})
        for topic, key, value in messages:
            producer.produce(topic, key=key, value=value, partition=partition)
        assert producer.flush(30) == 0

    def source(self) -> KafkaSource:
        """The real reader; the broker answers at once that nothing is there, for a test has no time."""
        return KafkaSource(self.servers, self.topics, {"fetch.wait.max.ms": "20"}, self.answer_seconds)

    def catch_up(self, open_store: Callable[[DatabaseFiles], Store] = Store, **options: Any) -> BatchResult:
        """Run the real consumer in this process until it has caught up; ``options`` are the Materialiser's."""
        return self.run(Signal(), open_store, until_caught_up=True, **options)

    def run(
        self,
        stop: Signal,
        open_store: Callable[[DatabaseFiles], Store] = Store,
        *,
        until_caught_up: bool = False,
        **options: Any,
    ) -> BatchResult:
        """Run the real consumer in this process until ``stop`` is set."""
        decode = decoder(self.topics, self.registered)
        with closing(self.source()) as source, open_store(DatabaseFiles(self.database)) as store:
            materialiser = Materialiser(source=source, store=store, decode=decode, **options)
            return materialiser.run(stop, until_caught_up=until_caught_up)

    def rows(self, query: str) -> list[Any]:
        """Ask the database that nobody has open; a single column comes as plain values."""
        with duckdb.connect(str(self.database), read_only=True) as connection:
            found = connection.execute(query).fetchall()
        return sorted(row[0] if len(row) == 1 else row for row in found)

    def stored(self) -> list[Any]:
        """The event IDs of the activity table."""
        return self.rows("SELECT event_id FROM activity")

    def positions(self) -> dict[tuple[str, int], int]:
        """Where the database says that reading goes on."""
        return {
            (t, p): offset for t, p, offset in self.rows("SELECT topic, kafka_partition, next_offset FROM positions")
        }

    def dead_letters(self) -> list[tuple[str, str]]:
        """The dead letters' topics, without the prefix, and kinds."""
        kinds = self.rows("SELECT topic, error_kind FROM dead_letters")
        return [(topic.removeprefix(self.topics.prefix), kind) for topic, kind in kinds]


def ids_of(events: Iterable[Event]) -> list[Any]:
    """The events' IDs in order, as the table gives them."""
    return sorted(event.event_id for event in events)
