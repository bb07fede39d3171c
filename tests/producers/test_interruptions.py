"""An exception that a signal handler raises amid a call, such as Celery's soft time limit: the counts stay true."""

import contextlib
import gc
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, Final, cast

import pytest

from matterlog.producers import Failure, KafkaProducer, MatterViewProducer, NotDelivered
from matterlog.producers.clients import Client
from testbed.events import a_view

NOBODY: Final = "127.0.0.1:1"
WAIT_SECONDS: Final = 30.0


class SoftTimeLimit(BaseException):
    """What a signal handler raises; as SystemExit, no error that somebody catches."""


class HeldClient:
    """A client that holds what it gets until it is told to answer; it notes who handles its answers."""

    broken = False
    made = float("inf")

    def __init__(self) -> None:
        self.held: list[Callable[[None, None], None]] = []
        self.answers = False
        self.served_by = set[str]()
        self.before: Callable[[], None] = lambda: None
        self.after: Callable[[], None] = lambda: None

    def produce(self, *given: Any) -> None:
        self.before()
        self.held.append(given[4])
        self.after()

    def poll(self, _seconds: float) -> None:
        time.sleep(0.001)
        while self.answers and self.held:
            self.served_by.add(threading.current_thread().name)
            self.held[0](None, None)
            del self.held[0]

    flush = poll

    def purge(self, *, blocking: bool) -> None: ...

    def __len__(self) -> int:
        return len(self.held)


@pytest.fixture
def client() -> HeldClient:
    """The client of the producer below."""
    return HeldClient()


@pytest.fixture
def transport(client: HeldClient) -> Iterator[KafkaProducer]:
    """A producer to the client above."""
    producer = KafkaProducer(NOBODY)
    producer._clients.current = cast("Client", client)
    yield producer
    client.answers = True
    with contextlib.suppress(NotDelivered):
        producer.close(1)


def interrupt() -> None:
    raise SoftTimeLimit


def emit_interrupted(transport: KafkaProducer, number: int) -> bool:
    """Emit an event and raise at the so-manieth line of ``send``; return whether it has so many lines."""
    code, lines, seen = KafkaProducer.send.__code__, 0, set[int]()

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal lines
        if frame.f_code is not code:
            return None
        # A with statement's line comes again at its end, where no signal is handled before the lock is released.
        if event == "line" and frame.f_lineno not in seen:
            seen.add(frame.f_lineno)
            lines += 1
            if lines == number:
                raise SoftTimeLimit
        return trace

    producer, before = MatterViewProducer(transport), sys.gettrace()
    sys.settrace(trace)
    try:
        producer.emit_event(a_view())
    except SoftTimeLimit:
        return True
    finally:
        sys.settrace(before)
    return False


def test_an_exception_at_any_line_of_an_emit_leaves_the_counts_true(
    transport: KafkaProducer, client: HeldClient
) -> None:
    """What the client holds waits, nothing else does; each time a whole emit follows."""
    number = 1
    while emit_interrupted(transport, number):
        assert transport.counts.waiting == len(client)
        number += 1
    assert number > 10
    assert transport.flush(0) == len(client)
    client.answers = True
    assert transport.flush(WAIT_SECONDS) == 0


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_exception_around_the_clients_call_leaves_the_counts_true(
    transport: KafkaProducer, client: HeldClient, when: str
) -> None:
    """Python handles signals when a call of C returns: then the client has the event already."""
    setattr(client, when, interrupt)
    with pytest.raises(SoftTimeLimit):
        MatterViewProducer(transport).emit_event(a_view())
    assert transport.flush(0) == len(client) == (when == "after")


def test_outcomes_are_handled_where_no_signal_is(transport: KafkaProducer, client: HeldClient) -> None:
    """One that is half handled would be lost: neither counted, nor told, nor sent again."""
    producer = MatterViewProducer(transport)
    for number in range(1, 2_049):
        client.answers = number == 2_048
        producer.emit_event(a_view())
    assert producer.flush(WAIT_SECONDS) == 0
    assert client.served_by == {"matterlog-deliveries"}


def test_a_close_that_was_interrupted_goes_on_when_it_is_called_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first one has said nothing of what it leaves."""
    transport = KafkaProducer(NOBODY)
    MatterViewProducer(transport).emit_event(a_view())
    with monkeypatch.context() as patch:
        patch.setattr(transport, "flush", lambda _: interrupt())
        with pytest.raises(SoftTimeLimit):
            transport.close()
    with pytest.raises(NotDelivered, match="1 events"):
        transport.close(0)


def test_signals_amid_emits_leave_the_counts_true() -> None:
    """As many are told as close() says, and nothing is counted below zero."""
    told, interrupted = list[Failure](), 0
    transport = KafkaProducer(NOBODY, settings={"log_level": "0"}, on_failure=told.append)
    producer, view = MatterViewProducer(transport), a_view()

    def handle(*_: object) -> None:
        raise SoftTimeLimit

    # What is raised while garbage is collected reaches nobody; pytest would call it an error.
    gc.collect()
    gc.disable()
    before = signal.signal(signal.SIGALRM, handle)
    try:
        while interrupted < 100:
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.0002 + interrupted % 7 * 0.0001)
                for _ in range(200):
                    producer.emit_event(view)
                signal.setitimer(signal.ITIMER_REAL, 0)
            except (SoftTimeLimit, TypeError):
                # confluent-kafka makes a TypeError of what is raised while it reads a header.
                interrupted += 1
            assert transport.counts.waiting >= 0
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        gc.enable()
    with pytest.raises(NotDelivered) as caught:
        transport.close(0)
    assert caught.value.undelivered == len(told) == transport.counts.failed
