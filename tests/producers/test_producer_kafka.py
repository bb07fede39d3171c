"""What only the producer with a real broker can show: forks, ends of processes, a broker that dies, settings."""

import contextlib
import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import pytest

from matterlog.producers import (
    BufferFull,
    Counts,
    Failure,
    InvalidSettings,
    KafkaProducer,
    MatterViewProducer,
    NotDelivered,
)
from matterlog.schemas import Topics
from testbed.apache_kafka import LocalKafka
from testbed.events import a_view
from tests.topics_at_rest import make_topics, messages_of

pytestmark = pytest.mark.broker

ROOT: Final = Path(__file__).parents[2]
NOBODY: Final = "127.0.0.1:1"
# A process that hangs is ended after this, far beyond what it needs.
HANGS_SECONDS: Final = 240
# Its events linger, so that nothing but the end of the interpreter sends them.
FORGETS_CLOSE: Final = """
import sys
from matterlog.producers import KafkaProducer, MatterViewProducer, NotDelivered
from testbed.events import a_view

def handle_a_request():
    transport = KafkaProducer(sys.argv[1], settings={"linger.ms": "600000"})
    producer = MatterViewProducer(transport, topic_prefix=sys.argv[2])
    for _ in range(100):
        print(producer.emit_event(a_view()))

handle_a_request()
"""
# A child's event is given up soon, by threads that the child itself has; one that hangs is ended by an alarm.
FORKS_WITH_AN_EVENT_UNDER_WAY: Final = """
import os, signal
from matterlog.producers import KafkaProducer, MatterViewProducer
from testbed.events import a_view

transport = KafkaProducer("127.0.0.1:1", settings={"delivery.timeout.ms": "2000"})
producer = MatterViewProducer(transport)
producer.emit_event(a_view())
if child := os.fork():
    os.waitpid(child, 0)
else:
    signal.alarm(120)
    producer.emit_event(a_view())
    waiting = producer.flush(10)
    os.write(1, f"{transport.counts.taken} {waiting}".encode())
os._exit(0)
"""


@pytest.fixture
def topics(kafka: str, topic_prefix: str) -> Topics:
    """The topics of one test, made."""
    topics = Topics(topic_prefix)
    make_topics(kafka, topics, partitions=2)
    return topics


def keys_at_rest(servers: str, topics: Topics) -> list[str]:
    return sorted(bytes(message.key() or b"").decode() for message in messages_of(servers, topics.matter_views.name))


@contextlib.contextmanager
def stopped(kafka: LocalKafka) -> Iterator[None]:
    """The broker's process does nothing, and its connections stay."""
    assert kafka.pid is not None
    os.kill(kafka.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(kafka.pid, signal.SIGCONT)


def output_of(*command: str) -> list[str]:
    whole = [sys.executable, *command]
    ran = subprocess.run(whole, cwd=ROOT, capture_output=True, text=True, timeout=HANGS_SECONDS, check=False)
    assert ran.returncode == 0, ran.stderr
    return sorted(ran.stdout.split())


@pytest.mark.parametrize("ending", ["sys.exit", "os._exit"])
def test_a_forking_web_server_loses_and_doubles_nothing(kafka: str, topics: Topics, ending: str) -> None:
    """Each process's events arrive exactly once, however a child ends, and nobody hangs."""
    emitted = output_of("-m", "tests.producers.forking_web_server", kafka, topics.prefix, ending)
    assert len(emitted) > 60
    assert keys_at_rest(kafka, topics) == emitted


def test_a_forked_child_has_a_client_of_its_own() -> None:
    """Its threads see to its own event, and its parent's is none of its counts."""
    assert output_of("-c", FORKS_WITH_AN_EVENT_UNDER_WAY) == ["0", "1"]


def test_events_are_delivered_at_the_interpreters_end(kafka: str, topics: Topics) -> None:
    """A script that forgets ``close()``, and even the producer, loses nothing."""
    emitted = output_of("-c", FORGETS_CLOSE, kafka, topics.prefix)
    assert len(emitted) == 100
    assert keys_at_rest(kafka, topics) == emitted


def test_a_forgotten_producer_ends_its_thread() -> None:
    """Nothing is left behind by a producer that nobody holds and that has nothing to deliver."""
    producer = KafkaProducer(NOBODY)
    thread = producer._thread
    del producer
    gc.collect()
    assert thread.ends_within(HANGS_SECONDS)


def test_an_event_whose_acknowledgement_is_lost_is_stored_once(
    local_kafka: LocalKafka, caplog: pytest.LogCaptureFixture
) -> None:
    """The broker stores it, answers too late, and gets it again: as the same message, by its producer's number."""
    caplog.set_level("DEBUG", "matterlog.producers.kafka")
    servers, topics = local_kafka.bootstrap_servers, Topics()
    make_topics(servers, topics)
    producer = MatterViewProducer(KafkaProducer(servers, settings={"socket.timeout.ms": "500"}))
    emitted = [str(producer.emit_event(a_view()))]
    producer.flush()
    with stopped(local_kafka):
        emitted += [str(producer.emit_event(a_view())) for _ in range(20)]
        while "Timed out ProduceRequest in flight" not in caplog.text:
            time.sleep(0.01)
    producer.close()
    assert keys_at_rest(servers, topics) == sorted(emitted)


def test_a_broker_that_dies_and_comes_back_costs_no_event(local_kafka: LocalKafka, topic_prefix: str) -> None:
    """Emitting goes on meanwhile, and what was not acknowledged is sent again."""
    servers, topics = local_kafka.bootstrap_servers, Topics(topic_prefix)
    make_topics(servers, topics)
    transport = KafkaProducer(servers, settings={"reconnect.backoff.max.ms": "500"})
    producer, emitted, stop = MatterViewProducer(transport, topic_prefix=topics.prefix), list[str](), threading.Event()

    def emit_on() -> None:
        while not stop.wait(0.001):
            emitted.append(str(producer.emit_event(a_view())))

    thread = threading.Thread(target=emit_on)
    thread.start()
    local_kafka.kill()
    local_kafka.start()
    stop.set()
    thread.join()
    producer.close()
    assert keys_at_rest(servers, topics) == sorted(emitted)


def test_an_event_that_nobody_takes_in_time_is_a_failure() -> None:
    """After ``delivery.timeout.ms`` the callback hears of it, from a background thread."""
    failures, heard = list[tuple[Failure, str]](), threading.Event()

    def on_failure(failure: Failure) -> None:
        failures.append((failure, threading.current_thread().name))
        heard.set()

    with KafkaProducer(NOBODY, settings={"delivery.timeout.ms": "50"}, on_failure=on_failure) as transport:
        event_id = MatterViewProducer(transport).emit_event(a_view())
        assert heard.wait(HANGS_SECONDS)
    assert [(failure.event_id, thread) for failure, thread in failures] == [(event_id, "matterlog-deliveries")]
    assert "timed out" in failures[0][0].reason


def test_an_emitter_that_does_not_pause_leaves_outcomes_and_callbacks_to_their_thread(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """They are handled all the same, while it emits on."""
    caplog.set_level("ERROR", "matterlog.producers")  # a line for each of tens of thousands of failures
    told = list[tuple[str, str]]()

    def on_failure(failure: Failure) -> None:
        told.append((str(failure.event_id), threading.current_thread().name))

    transport = KafkaProducer(NOBODY, settings={"delivery.timeout.ms": "50"}, on_failure=on_failure)
    producer, emitted = MatterViewProducer(transport), list[str]()
    while not transport.counts.failed:
        emitted.append(str(producer.emit_event(a_view())))
    assert producer.flush() == 0
    assert sorted(told) == sorted((event_id, "matterlog-deliveries") for event_id in emitted)
    assert transport.counts == Counts(taken=len(emitted), delivered=0, failed=len(emitted))
    producer.close()


def test_events_that_wait_are_nothing_to_the_garbage_collector() -> None:
    """It would look through all of them again and again, within the calls of emit()."""
    producer = MatterViewProducer(KafkaProducer(NOBODY))
    view = a_view().model_dump(exclude={"event_id"})
    gc.collect()
    before = len(gc.get_objects())
    for _ in range(1_000):
        producer.emit(**view)
    assert len(gc.get_objects()) - before < 100
    with pytest.raises(NotDelivered):
        producer.close(0)


def test_a_signal_handler_may_look_amid_an_emit() -> None:
    """It runs in the thread that emits, which may hold the producer's locks at that moment."""
    transport, handled = KafkaProducer(NOBODY), list[int]()
    producer, main = MatterViewProducer(transport), threading.get_ident()

    def handle(number: int, _frame: object) -> None:
        handled.append(number)
        assert transport.counts.taken >= 0

    def signal_on() -> None:
        while len(handled) < 500:
            signal.pthread_kill(main, signal.SIGUSR1)
            time.sleep(0.0005)

    before, thread = signal.signal(signal.SIGUSR1, handle), threading.Thread(target=signal_on)
    thread.start()
    while thread.is_alive():
        with contextlib.suppress(BufferFull):
            producer.emit_event(a_view())
    signal.signal(signal.SIGUSR1, before)
    with pytest.raises(NotDelivered):
        transport.close(0)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"enable.idempotence": "false"}, "enable.idempotence"),
        ({"acks": "1"}, "acks"),
        ({"acks": "all", "request.required.acks": "1"}, "acks"),
        ({"partitioner": "random"}, "partitioner"),
        ({"retries": "0"}, "retries"),
        ({"max.in.flight.requests.per.connection": "6"}, "max.in.flight"),
        ({"no.such.setting": "1"}, "no.such.setting"),
        ({"socket.timeout.ms": "soon"}, "socket.timeout.ms"),
    ],
)
def test_settings_that_break_a_promise_are_refused_at_construction(settings: Mapping[str, str], named: str) -> None:
    """So are unknown ones and malformed ones; the text names the setting."""
    with pytest.raises(InvalidSettings, match=named):
        KafkaProducer(NOBODY, settings=settings)


def test_no_address_is_an_invalid_setting() -> None:
    """librdkafka would wait for ever."""
    with pytest.raises(InvalidSettings, match="bootstrap_servers is empty"):
        KafkaProducer("")


def test_a_refused_configuration_leaves_no_thread_behind() -> None:
    """The error is all that there is."""
    before = set(threading.enumerate())
    with pytest.raises(InvalidSettings):
        KafkaProducer(NOBODY, settings={"no.such.setting": "1"})
    assert set(threading.enumerate()) <= before
