"""A whole installation for tests that kill: topics on a real broker, a database, and the real command."""

import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from confluent_kafka import KafkaError, Producer
from confluent_kafka import Message as Delivered

from matterlog.consumers.database.store import Store
from matterlog.consumers.reading.records import Record
from matterlog.report.log.reader import open_for_reading
from matterlog.schemas import Topics
from matterlog.schemas.storage.database_files import DatabaseFiles
from matterlog.schemas.topics import PARTITIONER
from testbed.command import Ended, environment, popen, run
from tests.consumers.histories import Message, Outcome, outcome_of, tables

PATIENCE_SECONDS: Final = 120.0
LOOK_SECONDS: Final = 0.01
# What `consume` says when it owns the database and answers.
CONSUMING: Final = "consuming into"
# All rows are of records that the positions have passed, and none stands twice.
INCONSISTENT: Final = """
SELECT event_id, count(*), max(kafka_offset) FROM activity a
GROUP BY event_id, kafka_partition
HAVING count(*) > 1 OR max(kafka_offset) >= (
    SELECT coalesce(max(next_offset), 0) FROM positions p
    WHERE p.topic LIKE '%matter-views' AND p.kafka_partition = a.kafka_partition
)
"""


@dataclass(slots=True)
class Consuming:
    """A running ``matterlog consume`` and what it printed."""

    process: subprocess.Popen[bytes]
    paths: DatabaseFiles
    output: Path
    errors: Path

    def wait_until(self, said: Callable[[str], bool]) -> None:
        """Return when standard error satisfies ``said``."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not said(self.errors.read_text("utf-8")):
            assert self.process.poll() is None, self.errors.read_text("utf-8")
            assert time.monotonic() < deadline, self.errors.read_text("utf-8")
            time.sleep(LOOK_SECONDS)

    def wait_until_consuming(self) -> None:
        """Return when it owns the database and answers."""
        self.wait_until(lambda text: CONSUMING in text)

    def written(self) -> int:
        """The size of the write-ahead log, which each batch changes."""
        return self.paths.wal.stat().st_size if self.paths.wal.exists() else 0

    def end(self, how: signal.Signals) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(how)
        return self.process.wait(PATIENCE_SECONDS)


@dataclass(frozen=True, slots=True)
class Installation:
    """Names of a test's own on a shared broker, and a folder for the database."""

    servers: str
    topics: Topics
    folder: Path

    @property
    def paths(self) -> DatabaseFiles:
        """The database's files."""
        return DatabaseFiles(self.folder / "log.duckdb")

    def run(self, *arguments: object, **settings: str) -> Ended:
        """Run a command to its end."""
        return run(*map(str, arguments), cwd=self.folder, settings=self.settings() | settings)

    @contextmanager
    def consuming(self, *arguments: object) -> Iterator[Consuming]:
        """A running consumer; whatever the test does with it, it has ended afterwards."""
        output, errors = self.folder / "output", self.folder / "errors"
        with output.open("wb") as out, errors.open("wb") as err:
            process = popen(
                ["consume", "--max-dead-letters", "1", *arguments],
                cwd=self.folder,
                env=environment(self.settings()),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )
        try:
            yield Consuming(process, self.paths, output, errors)
        finally:
            process.kill()
            process.wait()

    def settings(self) -> dict[str, str]:
        """The settings by their variables."""
        return {
            "MATTERLOG_BOOTSTRAP_SERVERS": self.servers,
            "MATTERLOG_TOPIC_PREFIX": self.topics.prefix,
            "MATTERLOG_DATABASE": str(self.paths.database),
        }

    def catch_up(self) -> None:
        """Consume everything that is there."""
        done = self.run("consume", "--until-caught-up", "--max-dead-letters", "1")
        assert done.code == 0, done.err

    def send(self, messages: Iterable[Message]) -> list[Message]:
        """Write messages with their keys; return them as the topics hold them, in any order."""
        producer = Producer({"bootstrap.servers": self.servers, "partitioner": PARTITIONER, "linger.ms": 5})
        at_rest: list[Message] = []

        def delivered(message: Message) -> Callable[[KafkaError | None, Delivered], None]:
            return lambda error, found: at_rest.append(replace(message, record=_as_delivered(message, error, found)))

        for message in messages:
            record = message.record
            producer.produce(
                f"{self.topics.prefix}{record.topic}",
                key=record.key,
                value=record.value,
                headers=list(record.headers),
                on_delivery=delivered(message),
            )
            producer.poll(0)
        assert producer.flush(PATIENCE_SECONDS) == 0
        return at_rest

    def outcome(self) -> Outcome:
        """What the tables hold."""
        with Store(self.paths) as store:
            return outcome_of(*tables(store))

    def inconsistencies(self) -> Sequence[object]:
        """What must never be seen, after a kill at whatever moment; nothing where there is no database yet."""
        if not self.paths.database.exists():
            return []
        with open_for_reading(self.paths) as connection:
            return connection.execute(INCONSISTENT).fetchall()


def _as_delivered(message: Message, error: KafkaError | None, found: Delivered) -> Record:
    assert error is None, error
    return message.record._replace(
        topic=str(found.topic()),
        partition=int(found.partition() or 0),
        offset=int(found.offset() or 0),
        timestamp_ms=found.timestamp()[1],
    )
