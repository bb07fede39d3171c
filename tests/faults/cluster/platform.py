"""A platform on three brokers: its emitters, its consumer, and the comparison of what was emitted with the table."""

import random
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Final

from matterlog.app.owner.access import open_log
from matterlog.app.owner.questions import StatusQuestion
from matterlog.consumers.reading.kafka import KafkaSource
from matterlog.report.log.reader import PartitionStatus, open_for_reading
from matterlog.schemas import Topics
from testbed.apache_kafka import LocalCluster
from tests.faults.cluster.emitting import Emitted, Emitting
from tests.faults.installation import Consuming, Installation
from tests.topics_at_rest import wait_for_partitions

PARTITIONS: Final = 3
COPIES: Final = 3
BATCH_RECORDS: Final = 20
CUT: Final = "the topic was cut"
CAUGHT_UP_SECONDS: Final = 150.0
_LOOK_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class Platform:
    """The nodes, the installation on them, and all that was emitted."""

    nodes: LocalCluster
    installation: Installation
    dice: random.Random
    emitted: Emitted = field(default_factory=Emitted)

    @property
    def topics(self) -> Topics:
        """Both topics."""
        return self.installation.topics

    def make_topics(self) -> None:
        """Make both topics as an operator does: each record on three brokers, acknowledged when two have it."""
        made = self.installation.run("topics", "create", "--partitions", PARTITIONS, "--replication-factor", COPIES)
        assert made.code == 0, made.err
        for topic in self.topics.both:
            wait_for_partitions(self.installation.servers, topic.name, PARTITIONS)

    def emitting(self, **settings: str) -> Emitting:
        """Emit while the block runs. ``settings`` have ``_`` for ``.``."""
        named = {name.replace("_", "."): value for name, value in settings.items()}
        return Emitting(self.installation.servers, self.topics.prefix, self.dice, named, self.emitted)

    @contextmanager
    def consuming(self) -> Iterator[Consuming]:
        """A running consumer that has begun to read."""
        with self.installation.consuming("--batch-records", BATCH_RECORDS) as consumer:
            consumer.wait_until_consuming()
            yield consumer

    def has_caught_up(self, consumer: Consuming) -> bool:
        """Return True once a running consumer has read all that the topics hold, False once it says: one was cut."""
        deadline = time.monotonic() + CAUGHT_UP_SECONDS
        with closing(KafkaSource(self.installation.servers, self.topics)) as source:
            # A topic that was cut may end before the position.
            while (ends := source.ends()) != self._positions(ends):
                said = consumer.errors.read_text("utf-8")
                if CUT in said:
                    return False
                assert consumer.process.poll() is None, said
                assert time.monotonic() < deadline, f"ends {ends}, positions {self._positions(ends)}:\n{said}"
                time.sleep(_LOOK_SECONDS)
        return True

    def wait_until_told(self, consumer: Consuming) -> None:
        """Return once a consumer says that a topic was cut, which may end it."""
        deadline = time.monotonic() + CAUGHT_UP_SECONDS
        while CUT not in (said := consumer.errors.read_text("utf-8")):
            assert time.monotonic() < deadline, f"ends {self.ends()}:\n{said}"
            time.sleep(_LOOK_SECONDS)

    def ends(self) -> dict[tuple[str, int], int]:
        """The end of each partition of both topics."""
        with closing(KafkaSource(self.installation.servers, self.topics)) as source:
            return source.ends()

    def compare(self, what: str) -> None:
        """Compare the table with what was emitted, while nobody owns the database; ``what`` is said beside."""
        with open_for_reading(self.installation.paths) as connection:
            rows = connection.execute("SELECT event_id, user_id, matter_id FROM activity").fetchall()
            purged = connection.execute("SELECT matter_id FROM purges").fetchall()
        print(f"{what}: {self.emitted}, {len(rows)} rows, {len(purged)} purged matters")  # noqa: T201 - for who counts
        assert self.emitted.problems(rows, [matter for (matter,) in purged]) == []

    def _positions(self, partitions: Iterable[tuple[str, int]]) -> dict[tuple[str, int], int]:
        with open_log(self.installation.paths) as log:
            found: tuple[PartitionStatus, ...] = log.ask(StatusQuestion()).positions
        read = {(each.topic, each.partition): each.next_offset for each in found}
        return {partition: read.get(partition, 0) for partition in partitions}
