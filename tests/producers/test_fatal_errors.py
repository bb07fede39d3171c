"""librdkafka's fatal errors: its client is dead for good, but no event is lost and nobody waits for ever."""

import ctypes
import gc
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import confluent_kafka
import pytest
from confluent_kafka import KafkaError

from matterlog.producers import (
    Counts,
    Failure,
    KafkaProducer,
    MatterDeletionProducer,
    MatterViewProducer,
    NotDelivered,
    ProducerError,
)
from matterlog.producers.clients import refusal_of
from matterlog.producers.tombstone_producer import TombstoneProducer
from matterlog.schemas import Topics
from testbed.apache_kafka import LocalKafka
from testbed.events import a_deletion, a_view
from tests.topics_at_rest import headers_of, make_topics, messages_of

NOBODY: Final = "127.0.0.1:1"
WAIT_SECONDS: Final = 60.0
# They wait until a flush.
LINGERS: Final = {"linger.ms": "600000"}


def plant_fatal_error(client: confluent_kafka.Producer) -> None:
    """Have librdkafka's own test function break the client; its wheel keeps librdkafka beside the package."""
    folder = Path(confluent_kafka.__file__).parents[1] / "confluent_kafka.libs"
    libraries = list(folder.glob("librdkafka*"))
    if not libraries:
        pytest.skip("librdkafka is not a library of its own here")
    plant = ctypes.CDLL(str(libraries[0])).rd_kafka_test_fatal_error
    plant.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p]
    # The binding's object begins with librdkafka's handle.
    handle = ctypes.c_void_p.from_address(id(client) + object.__basicsize__)
    plant(handle, KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER, b"planted")


def keys_at_rest(servers: str, topic: str) -> list[str]:
    return sorted(bytes(message.key() or b"").decode() for message in messages_of(servers, topic))


def test_a_broker_that_comes_back_on_older_data_costs_no_event(local_kafka: LocalKafka, tmp_path: Path) -> None:
    """It has forgotten the producer's numbers; what comes from then on arrives, and emitting never fails."""
    servers, topics, copy = local_kafka.bootstrap_servers, Topics(), tmp_path / "older"
    make_topics(servers, topics)
    transport = KafkaProducer(servers, settings={"reconnect.backoff.max.ms": "500"})
    producer = MatterViewProducer(transport)

    def emit(count: int) -> list[str]:
        emitted = [str(producer.emit_event(a_view())) for _ in range(count)]
        assert producer.flush(WAIT_SECONDS) == 0
        return emitted

    emitted = emit(10)
    local_kafka.kill()
    shutil.copytree(local_kafka.log_dir, copy)
    local_kafka.start()
    emit(10)
    local_kafka.kill()
    shutil.rmtree(local_kafka.log_dir)
    shutil.copytree(copy, local_kafka.log_dir)
    local_kafka.start()
    for _ in range(10):
        emitted += emit(10)
    producer.close()
    assert transport._clients.fatal
    assert set(keys_at_rest(servers, topics.matter_views.name)) >= set(emitted)
    assert transport.counts == Counts(taken=120, delivered=120, failed=0)


@pytest.fixture
def topics(kafka: str, topic_prefix: str) -> Topics:
    """The topics of one test, made."""
    topics = Topics(topic_prefix)
    make_topics(kafka, topics)
    return topics


def test_what_a_broken_client_holds_is_sent_again(kafka: str, topics: Topics) -> None:
    """Each event once here, as none was under way; with its headers, but for the time, which it has itself."""
    with KafkaProducer(kafka, settings=LINGERS) as transport:
        producer = MatterViewProducer(transport, topic_prefix=topics.prefix, source="/web")
        emitted = [str(producer.emit_event(a_view())) for _ in range(100)]
        plant_fatal_error(transport._clients.current)
        emitted += [str(emit_when_it_can(producer)) for _ in range(100)]
    messages = messages_of(kafka, topics.matter_views.name)
    assert sorted(bytes(each.key() or b"").decode() for each in messages) == sorted(emitted)
    assert transport.counts == Counts(taken=200, delivered=200, failed=0)
    for each in messages:
        headers = dict(headers_of(each))
        assert (headers["ce_id"], headers["ce_source"]) == (bytes(each.key() or b"").decode(), "/web")


def emit_when_it_can(producer: MatterViewProducer) -> object:
    """A client that is younger than a second is not replaced at once; then the event was not taken."""
    while True:
        try:
            return producer.emit_event(a_view())
        except ProducerError:
            time.sleep(0.05)


def test_a_deletion_outlives_the_client_that_took_it(kafka: str, topics: Topics) -> None:
    """Whoever waits for the acknowledgement gets it from the next client."""
    with KafkaProducer(kafka, settings=LINGERS) as transport, ThreadPoolExecutor() as executor:
        producer = MatterDeletionProducer(transport, topic_prefix=topics.prefix)
        waiting = executor.submit(producer.emit_event, a_deletion(matter_id="m-7"))
        while not transport.counts.taken:
            time.sleep(0.01)
        plant_fatal_error(transport._clients.current)
        transport.flush(WAIT_SECONDS)
        waiting.result(WAIT_SECONDS)
    assert keys_at_rest(kafka, topics.matter_deletions.name) == ["m-7"]


def test_a_forgotten_producer_sends_again_what_a_broken_client_held(kafka: str, topics: Topics) -> None:
    """Nobody has it any more, neither its user nor the client."""
    transport = KafkaProducer(kafka, settings=LINGERS)
    emitted = [str(MatterViewProducer(transport, topic_prefix=topics.prefix).emit_event(a_view())) for _ in range(10)]
    thread = transport._thread
    transport._clients._configuration = {**transport._configuration, "linger.ms": "5"}
    plant_fatal_error(transport._clients.current)
    del transport
    deadline = time.monotonic() + WAIT_SECONDS
    while not thread.ends_within(0.1):
        gc.collect()  # a producer refers to itself, by what it gives to its client
        assert time.monotonic() < deadline
    assert keys_at_rest(kafka, topics.matter_views.name) == sorted(emitted)


@pytest.mark.parametrize("breaks", [1, 5])
def test_every_wait_for_a_broken_client_ends(breaks: int) -> None:
    """While outcomes are served by two threads, and whatever breaks again; what is given up is told."""
    told, emitted = list[Failure](), list[str]()
    transport = KafkaProducer(NOBODY, on_failure=told.append)
    producer = MatterViewProducer(transport)
    for _ in range(breaks):
        emitted += [str(emit_when_it_can(producer)) for _ in range(500)]
        plant_fatal_error(transport._clients.current)
        began = time.monotonic()
        producer.flush(1)
        assert time.monotonic() - began < 10
    began = time.monotonic()
    with pytest.raises(NotDelivered):
        producer.close(1)
    assert time.monotonic() - began < 10
    assert sorted(str(each.event_id) for each in told) == sorted(emitted)
    assert transport.counts == Counts(taken=len(emitted), delivered=0, failed=len(emitted))


def test_an_event_that_breaks_every_client_is_told_with_the_reason() -> None:
    """It is not sent again for ever."""
    told = list[Failure]()
    transport = KafkaProducer(NOBODY, on_failure=told.append)
    event_id = MatterViewProducer(transport).emit_event(a_view())
    deadline = time.monotonic() + WAIT_SECONDS
    while not told and time.monotonic() < deadline:
        plant_fatal_error(transport._clients.current)
        time.sleep(0.05)
    assert [(each.event_id, "planted" in each.reason) for each in told] == [(event_id, True)]
    transport.close(0)


def test_a_callback_that_never_returns_holds_nobody_up() -> None:
    """Closing waits for it as long as it was told to, and a little."""
    released = threading.Event()

    def on_failure(_failure: Failure) -> None:
        released.wait(WAIT_SECONDS)

    transport = KafkaProducer(NOBODY, settings={"delivery.timeout.ms": "50"}, on_failure=on_failure)
    MatterViewProducer(transport).emit_event(a_view())
    while not transport.counts.failed:
        time.sleep(0.01)
    began = time.monotonic()
    transport.close(0.5)
    assert time.monotonic() - began < 10
    released.set()


def test_tombstones_outlive_a_broken_client(kafka: str, topics: Topics) -> None:
    """Who waits is told, and the next try has a client that works."""
    writer, tombstone = TombstoneProducer(kafka, {"enable.idempotence": "true"}), (0, b"key", None)
    name = topics.matter_views.name
    assert writer.write(name, [tombstone], threading.Event()) is None
    plant_fatal_error(writer._client)
    assert "cannot be sent" in (writer.write(name, [tombstone], threading.Event()) or "")
    assert writer.write(name, [tombstone], threading.Event()) is None
    assert keys_at_rest(kafka, name) == ["key", "key"]


@pytest.mark.parametrize("code", [KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.CLUSTER_AUTHORIZATION_FAILED])
def test_a_user_that_may_write_to_no_topic_is_told_the_right_that_it_lacks(code: int) -> None:
    """Which of the two Kafka says first is chance."""
    assert "needs Write on topic matter-views. Give it with: kafka-acls" in refusal_of(KafkaError(code), "matter-views")
