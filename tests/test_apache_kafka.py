"""The test bed itself: a real broker takes topics and records, compacts, and survives its own death."""

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from testbed.apache_kafka import LocalKafka
from testbed.apache_kafka.broker import BrokerFailed, free_ports, require_free, wait_until_it_answers

pytestmark = pytest.mark.broker

COMPACTED = {"cleanup.policy": "compact"}
# Rolls a segment with nearly every record and compacts whatever is dirty.
COMPACTED_AT_ONCE = {**COMPACTED, "segment.ms": "100", "min.cleanable.dirty.ratio": "0.001"}
ROOT = Path(__file__).parents[1]
COMPACTION_TIMEOUT_SECONDS = 60.0


def create_topic(bootstrap_servers: str, name: str, config: dict[str, str]) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap_servers})
    admin.create_topics([NewTopic(name, 1, 1, config=config)])[name].result(timeout=10)


def produce(bootstrap_servers: str, topic: str, *records: tuple[bytes, bytes]) -> None:
    producer = Producer({"bootstrap.servers": bootstrap_servers, "enable.idempotence": True})
    for key, value in records:
        producer.produce(topic, key=key, value=value)
    assert producer.flush(10) == 0


def read_back(bootstrap_servers: str, topic: str) -> list[tuple[object, object]]:
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap_servers,
            "group.id": "assigned-by-hand",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
        }
    )
    consumer.assign([TopicPartition(topic, 0, 0)])
    try:
        messages: list[Message] = []
        while not (messages and messages[-1].error()):
            messages += consumer.consume(1, timeout=10)
        return [(each.key(), each.value()) for each in messages[:-1]]
    finally:
        consumer.close()


def stored(kafka: LocalKafka, topic: str) -> bytes:
    return b"".join(each.read_bytes() for each in sorted((kafka.log_dir / f"{topic}-0").glob("*.log*")))


def test_records_of_a_compacted_topic_are_read_back(kafka: str, topic_prefix: str) -> None:
    """The shared broker stores what it is given, in order."""
    topic = f"{topic_prefix}records"
    create_topic(kafka, topic, COMPACTED)
    produce(kafka, topic, (b"a", b"1"), (b"b", b"2"))
    assert read_back(kafka, topic) == [(b"a", b"1"), (b"b", b"2")]


def test_a_killed_broker_keeps_its_records(local_kafka: LocalKafka) -> None:
    """Kill and start again: the same address answers with the same records."""
    create_topic(local_kafka.bootstrap_servers, "kept", COMPACTED)
    produce(local_kafka.bootstrap_servers, "kept", (b"a", b"1"))
    local_kafka.kill()
    local_kafka.start()
    assert read_back(local_kafka.bootstrap_servers, "kept") == [(b"a", b"1")]


def test_compaction_takes_the_old_value_off_the_disk(local_kafka: LocalKafka) -> None:
    """The cleaner runs within a test's patience, and segment files show it."""
    servers = local_kafka.bootstrap_servers
    create_topic(servers, "compacted", COMPACTED_AT_ONCE)
    produce(servers, "compacted", (b"a", b"old-value"))
    assert b"old-value" in stored(local_kafka, "compacted")
    deadline = time.monotonic() + COMPACTION_TIMEOUT_SECONDS
    while b"old-value" in stored(local_kafka, "compacted") and time.monotonic() < deadline:
        time.sleep(0.2)
        produce(servers, "compacted", (b"a", b"new-value"))
    assert b"old-value" not in stored(local_kafka, "compacted")


@pytest.mark.usefixtures("kafka_jars")
def test_a_broker_does_not_outlive_its_starter(tmp_path: Path) -> None:
    """Whoever runs `python -m testbed.apache_kafka` may die of anything: the broker goes with it."""
    [port] = free_ports(1)
    command = [sys.executable, "-m", "testbed.apache_kafka", "--port", str(port), "--directory", str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        assert starter.stdout.readline() == f"bootstrap.servers=127.0.0.1:{port}\n"
        starter.kill()
    time.sleep(1)
    require_free(port)


USING = """
import sys, pathlib
from testbed.apache_kafka.shared import shared_kafka
with shared_kafka(pathlib.Path(sys.argv[1]), lambda line: None) as servers:
    print(servers, flush=True)
    sys.stdin.read()
"""


@pytest.mark.usefixtures("kafka_jars")
def test_processes_share_a_broker_that_ends_with_the_last_of_them(tmp_path: Path) -> None:
    """However that one ends: a worker of a test run may die of anything."""
    command = [sys.executable, "-c", USING, str(tmp_path)]
    streams: dict[str, Any] = {"cwd": ROOT, "stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **streams) as first, subprocess.Popen(command, **streams) as second:
        assert first.stdout is not None
        assert second.stdout is not None
        address = first.stdout.readline().strip()
        assert second.stdout.readline().strip() == address
        first.communicate()
        wait_until_it_answers(address)
        second.kill()
    port = int(address.rpartition(":")[2])
    deadline = time.monotonic() + 60
    while not is_free(port):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def is_free(port: int) -> bool:
    try:
        require_free(port)
    except BrokerFailed:
        return False
    return True
