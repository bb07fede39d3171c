"""What the consumer's memory is bounded by: bytes, whatever is in the topic."""

import os
import secrets
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import confluent_kafka
import pytest

from matterlog.app.topics.topics_admin import TopicAdmin
from matterlog.schemas import Topics, encode
from testbed.command import MATTERLOG, environment
from testbed.events import a_view

MESSAGES: Final = 500
SIZE: Final = 900_000
_MB: Final = 1_000_000
# docs/operations.md, "Memory": what the consumer takes itself, and DuckDB's memory_limit.
OWN_MB: Final = 1_200
DUCKDB_MB: Final = 600
# Of those, what is read ahead and waits.
READING_MB: Final = 330

# Reads a topic to its end as the consumer does, slower than Kafka gives; prints by how many MB the process grew.
READ: Final = """
import sys, time
from matterlog.consumers.materialise import decoder
from matterlog.consumers.reading.kafka import KafkaSource
from matterlog.consumers.reading.prefetch import Prefetch, settle_memory
from matterlog.consumers.reading.schema_registry import RegisteredSchemas
from matterlog.schemas import Topics

def peak():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) // 1000

servers, prefix, count, keeps = sys.argv[1:]
settle_memory()
topics = Topics(prefix)
source = KafkaSource(servers, topics)
source.start({})
before, read = peak(), 0
decode = decoder(topics, RegisteredSchemas(None))
with Prefetch(source, decode, 61_440, keep_records=lambda: keeps == "keeps") as batches:
    while read < int(count):
        if (batch := batches.next(1.0)) is not None:
            read += batch.decoded.records
            time.sleep(0.2)
print(peak() - before)
"""


def junk(content: bytes) -> dict[str, Any]:
    """A message that is no event."""
    return {"key": b"k", "value": content}


def large_key(content: bytes) -> dict[str, Any]:
    """One that is large, although its value is small."""
    return {"key": content, "value": b"no event"}


def large_header(content: bytes) -> dict[str, Any]:
    """Likewise."""
    return {"key": b"k", "value": b"no event", "headers": [("trace", content)]}


def large_field(content: bytes) -> dict[str, Any]:
    """A view with a field longer than any may be."""
    view = a_view()
    return {"key": str(view.event_id), "value": encode(view.model_copy(update={"matter_name": content.hex()[:SIZE]}))}


def fill(servers: str, prefix: str, message: Callable[[bytes], dict[str, Any]], count: int = MESSAGES) -> None:
    """Make both topics and write ``count`` messages of SIZE bytes into the one of views."""
    topics = Topics(prefix)
    TopicAdmin(servers, {}).create(topics, 3, 1)
    noise = os.urandom(SIZE + count)
    producer = confluent_kafka.Producer({"bootstrap.servers": servers, "queue.buffering.max.kbytes": 32_768})
    for number in range(count):
        while True:
            try:
                producer.produce(
                    topics.matter_views.name, partition=number % 3, **message(noise[number : number + SIZE])
                )
                break
            except BufferError:
                producer.poll(0.1)
    assert not producer.flush(60)


@pytest.fixture(scope="module")
def full_of_junk(kafka: str) -> str:
    """The prefix of two topics, of which that of views is full of junk. Two tests read it."""
    prefix = f"t-{secrets.token_hex(4)}-"
    fill(kafka, prefix, junk)
    return prefix


@pytest.mark.parametrize(("message", "keeps"), [(large_key, "drops"), (large_header, "drops"), (large_field, "keeps")])
def test_what_is_read_ahead_is_bounded_in_bytes(
    kafka: str, topic_prefix: str, message: Callable[[bytes], dict[str, Any]], keeps: str
) -> None:
    """A batch of thousands of messages of nearly a megabyte each would take gigabytes."""
    fill(kafka, topic_prefix, message)
    assert grown_by_reading(kafka, topic_prefix, keeps) < READING_MB


def test_what_is_read_ahead_of_junk_is_bounded_in_bytes(kafka: str, full_of_junk: str) -> None:
    assert grown_by_reading(kafka, full_of_junk, "drops") < READING_MB


def grown_by_reading(kafka: str, prefix: str, keeps: str) -> int:
    """By how many MB a process grows that reads the topic of views."""
    # Not forked from the command server: its memory is what counts.
    command = [sys.executable, "-c", READ, kafka, prefix, str(MESSAGES), keeps]
    return int(subprocess.run(command, env=environment(), capture_output=True, text=True, check=True).stdout)


def test_large_junk_is_kept_within_the_memory_that_the_documents_state(
    kafka: str, full_of_junk: str, tmp_path: Path
) -> None:
    """Looking for what is kept already read all that is kept, until DuckDB had no memory left."""
    # As above.
    arguments = ["consume", "--until-caught-up", "--max-dead-letters", "1", "--database", str(tmp_path / "log.duckdb")]
    topics = ["--bootstrap-servers", kafka, "--topic-prefix", full_of_junk]
    settings = environment({"MATTERLOG_MEMORY_LIMIT": f"{DUCKDB_MB}MB"})
    with subprocess.Popen([MATTERLOG, *arguments, *topics], env=settings, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        told = process.stdout.read().decode()
        _, code, used = os.wait4(process.pid, 0)
        process.returncode = code
    assert f"{MESSAGES} dead letters" in told
    assert used.ru_maxrss * 1024 < (OWN_MB + DUCKDB_MB) * _MB
