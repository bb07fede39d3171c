"""The transport that sends events to Kafka. Tombstones have a producer of their own (``tombstone_producer.py``).

1. ``send`` never waits on the network. librdkafka queues the message and its own threads send it. A background thread
   here handles the outcomes, and it alone: a signal handler may raise anywhere in a caller's thread, and an outcome
   that is half handled would be lost. Each outcome needs the interpreter's lock, which a thread that emits without a
   pause rarely releases, so such a thread pauses for a moment now and then.
2. The client is idempotent with ``acks=all``: a message is stored once, however often librdkafka sends it.
3. A process that was forked has a client of its own, from its first use of the producer on. Not every fork runs
   Python's hooks (uWSGI's does not), so each use looks at a mark (``forks.py``).
4. What a client that met a fatal error gives back (``clients.py``) is sent again under its event ID: the log counts it
   once. What comes back a fourth time is a failure.
5. At the end of a process what still waits is flushed, for those who forgot ``close()`` (``processes.py``).
6. Every wait has an end.
7. What waits is never counted too low: an event counts before librdkafka has it. An emit that an exception ends in
   between counts too high, so librdkafka's own count is a second upper bound.
"""

import logging
import os
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Final, Self
from uuid import UUID

import confluent_kafka
from confluent_kafka import KafkaError

from matterlog.producers.clients import (
    LONGEST_CALL_SECONDS,
    Clients,
    Returned,
    is_fatal,
    is_given_back,
    reason_of,
    refusal_of,
)
from matterlog.producers.errors import BufferFull, InvalidSettings, NotDelivered, ProducerClosed, ProducerError
from matterlog.producers.processes import RealThread, at_end, original, real_lock
from matterlog.producers.transport import Counts, Failure, Message, Outcome
from matterlog.schemas.event_ids import text_of
from matterlog.schemas.forks import process_mark
from matterlog.schemas.registry_url import registry_failure, registry_settings
from matterlog.schemas.topics import PARTITIONER

if TYPE_CHECKING:
    from confluent_kafka.schema_registry import SchemaRegistryClient

logger = logging.getLogger(__name__)

# What the promises rest on; a setting that says otherwise is refused.
REQUIRED: Final[Mapping[str, str]] = {"enable.idempotence": "true", "acks": "all", "partitioner": PARTITIONER}
DEFAULTS: Final[Mapping[str, str]] = {
    "compression.type": "zstd",
    "linger.ms": "5",
    # About a quarter of an hour of a busy platform at 100 views a second, in at most 64 MiB.
    "queue.buffering.max.messages": "100000",
    "queue.buffering.max.kbytes": "65536",
    # A broker may be away for an hour before an event is given up; librdkafka's own five minutes are a long reboot.
    "delivery.timeout.ms": "3600000",
}
_EXIT_FLUSH_SECONDS: Final = 10.0
# What close() gives librdkafka to let go of events, and the background thread to end.
_LETTING_GO_SECONDS: Final = 1.0
# Between two looks at what still waits. Where gevent has patched time, other greenlets run meanwhile.
_LOOK_SECONDS: Final = 0.005
_TRIES_AGAIN: Final = 3
# A web app has a handful of messages under way: when so many wait, the broker is away, or emitters do not pause.
_MANY_WAITING: Final = 1_000
# How often an emitter looks, in messages: rarely enough that 99 of 100 calls do not pay for it.
_LOOK_EVERY: Final = 2048
# Enough for the background thread to handle a thousand outcomes or two.
_PAUSE_SECONDS: Final = 0.005

_instances: "weakref.WeakSet[KafkaProducer]" = weakref.WeakSet()
# By process, so that a child does not inherit one that somebody holds.
_adopting: dict[int, threading.RLock] = {}


class KafkaProducer:
    """Carries messages to Kafka; safe to share between threads and to inherit through a fork.

    Args:
        bootstrap_servers: ``host:port``, several with commas.
        settings: further librdkafka settings by name (security, sizes, times).
        on_failure: called from a background thread for each event that the broker did not take.
        schema_registry: where schemas are registered; given, messages use the Confluent wire format. A URL, in which
            credentials may stand, or a client of confluent-kafka's.

    Raises:
        InvalidSettings: a setting is unknown, malformed, or contradicts the promises; eventlet has patched threads.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        *,
        settings: Mapping[str, str] | None = None,
        on_failure: Callable[[Failure], None] | None = None,
        schema_registry: "str | SchemaRegistryClient | None" = None,
    ) -> None:
        self._configuration = _configuration(bootstrap_servers, settings or {})
        self._on_failure = on_failure
        self._registry = _registry_client(schema_registry) if isinstance(schema_registry, str) else schema_registry
        self._closed = False
        # One for all messages: an object for each that waits would keep the garbage collector busy.
        self._on_delivery = self._settle
        self._open()
        _instances.add(self)

    def _open(self) -> None:
        """Make what a process has for itself."""
        self._sending, self._counting = real_lock(), real_lock()
        self._taken = self._delivered = self._failed = 0
        self._failures = _Failures(self._on_failure)
        self._headers: dict[str, tuple[tuple[str, str], ...]] = {}
        self._flushing = self._given_up = False
        self._stopped = self._closed
        self._pause = original("time", "sleep")
        if not self._closed:
            self._clients = Clients(self._configuration)
            # Nobody waits for the outcomes of a producer that is gone: each waiting message holds on to it.
            self._thread = RealThread(partial(_serve, weakref.ref(self)))
        at_end(_close_all)
        self._mark = process_mark()

    def _adopt(self) -> None:
        """In a forked child: have a client, locks and counts of its own."""
        with _adopting.setdefault(os.getpid(), real_lock()):
            if not self._mark[0]:
                self._open()

    @property
    def counts(self) -> Counts:
        """What became of this process's messages so far."""
        if not self._mark[0]:
            self._adopt()
        with self._sending, self._counting:
            done = self._delivered + self._failed
            waiting = min(self._taken - done, self._clients.held) if self._taken > done else 0
            return Counts(taken=done + waiting, delivered=self._delivered, failed=self._failed)

    def schema_id(self, topic: str, schema: str) -> int | None:
        """Register the schema under ``<topic>-value`` and return its ID; None when no registry is configured.

        Raises:
            ProducerError: the registry does not answer or refuses the schema.
        """
        if self._registry is None:
            return None
        from confluent_kafka.schema_registry import Schema  # noqa: PLC0415 - an extra, for who has a registry

        try:
            return int(self._registry.register_schema(f"{topic}-value", Schema(schema, "AVRO")))
        except Exception as error:  # httpx's, the registry's and urllib's errors have no common class
            raise ProducerError(
                f"{topic}-value was not registered: the schema registry {registry_failure(error)}. Check "
                "SCHEMA_REGISTRY_URL and that the registry runs"
            ) from error

    def send(self, message: Message, outcome: Outcome | None = None) -> None:
        """Queue a message; see ``Transport.send``."""
        if not self._mark[0]:
            self._adopt()
        event_id, topic, key, value, headers = message
        settle = self._on_delivery if outcome is None else partial(self._settle, event_id=event_id, outcome=outcome)
        with self._sending:
            if self._closed:
                raise ProducerClosed
            client = self._clients.current
            self._headers[topic] = headers
            self._taken += 1
            look = self._taken % _LOOK_EVERY == 0
            try:
                # By place, which the binding reads in half the time: -1 for the key's partition, 0 for the time of now.
                client.produce(topic, value, key, -1, settle, None, 0, list(headers))
            except BufferError:
                self._taken -= 1
                raise BufferFull from None
            except confluent_kafka.KafkaException as error:
                self._taken -= 1
                if not self._clients.heed(client, error):
                    reason = refusal_of((is_fatal(error) and self._clients.fatal) or error.args[0], topic)
                    raise ProducerError(f"Kafka's client did not accept an event: {reason}") from error
                self.send(message, outcome)
                return
        if look and len(client) > _MANY_WAITING:
            self._pause(_PAUSE_SECONDS)

    def flush(self, timeout_seconds: float) -> int:
        """Wait for the outcomes; see ``Transport.flush``."""
        deadline = time.monotonic() + timeout_seconds
        self._await(lambda: not self.counts.waiting, deadline)
        # What is to be told is told by the background thread: a callback of its own does not wait for itself.
        if not self._thread.is_current():
            self._await(lambda: not self._failures.waiting, max(time.monotonic() + _LETTING_GO_SECONDS, deadline))
        return self.counts.waiting

    def _await(self, is_done: Callable[[], bool], deadline: float) -> None:
        while not is_done():
            self._flushing = True
            if self._thread.is_current():
                self._clients.flush(LONGEST_CALL_SECONDS)
                self._send_again()
            if time.monotonic() >= deadline:
                return
            time.sleep(_LOOK_SECONDS)

    def close(self, timeout_seconds: float = 30.0) -> None:
        """Flush, then take no more; see ``Transport.close``. Closing again does nothing."""
        if not self._mark[0]:
            self._adopt()
        with self._sending:
            # One that was interrupted goes on.
            if self._stopped:
                return
            self._closed = True
        undelivered = self.flush(timeout_seconds)
        if undelivered:
            self._give_up()
        self._stopped = True
        self._thread.ends_within(_LETTING_GO_SECONDS)
        if undelivered:
            raise NotDelivered(
                f"the broker did not acknowledge {undelivered} events within {timeout_seconds:g} s: they are dropped",
                undelivered=undelivered,
            )

    def _give_up(self) -> None:
        """Make a failure of everything that still waits."""
        with self._sending:
            self._given_up = True
        self._clients.let_go()
        # For as long as the background thread gets on with it.
        left, before = sys.maxsize, sys.maxsize + 1
        while 0 < left < before:
            before, left = left, self.flush(_LETTING_GO_SECONDS) + len(self._failures.waiting)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _settle(
        self,
        error: KafkaError | None,
        message: confluent_kafka.Message,
        event_id: UUID | None = None,
        outcome: Outcome | None = None,
        tries: int = 0,
    ) -> None:
        if error is None:
            with self._counting:
                self._delivered += 1
            if outcome is not None:
                outcome(None)
            return
        returned = Returned(message, event_id or UUID((message.key() or b"").decode()), outcome, tries, self)
        given_back = is_given_back(error)
        if given_back and tries < _TRIES_AGAIN and not self._given_up:
            self._clients.again.append(returned)
        else:
            self._fail(returned, refusal_of((given_back and self._clients.fatal) or error, message.topic() or ""))

    def _fail(self, returned: Returned, reason: str) -> None:
        with self._counting:
            self._failed += 1
        failure = Failure(event_id=returned.event_id, topic=returned.message.topic() or "", reason=reason)
        self._failures.waiting.append((failure, returned.outcome))

    def _send_again(self) -> None:
        """Send again what broken clients have given back."""
        self._clients.take_back()
        while self._clients.again:
            with self._sending:
                if self._clients.current.broken and not self._given_up:
                    return
                returned = self._clients.again.popleft()
                if self._given_up:
                    self._fail(returned, "given up at close")
                    continue
                try:
                    self._produce_again(returned)
                except BufferError:
                    self._clients.again.appendleft(returned)
                    return
                except confluent_kafka.KafkaException as error:
                    if not is_fatal(error):
                        self._fail(returned, reason_of(error))
                        continue
                    self._clients.again.appendleft(returned)
                    self._clients.heed(self._clients.current, error)

    def _produce_again(self, returned: Returned) -> None:
        message, event_id, outcome, tries, _ = returned
        topic = message.topic() or ""
        settle = partial(self._settle, event_id=event_id, outcome=outcome, tries=tries + 1)
        # librdkafka gives no headers back. CloudEvents can do without a time, and the event has its own.
        headers: list[tuple[str, str | bytes | None]] = [
            (name, text_of(event_id) if name == "ce_id" else text)
            for name, text in self._headers.get(topic, ())
            if name != "ce_time"
        ]
        self._clients.current.produce(topic, message.value(), message.key(), -1, settle, None, 0, headers)


class _Failures:
    """Failures on their way to whoever asked for them: an application's callback is not called amid an emit."""

    def __init__(self, on_failure: Callable[[Failure], None] | None) -> None:
        self._on_failure = on_failure
        # Until it is told.
        self.waiting: deque[tuple[Failure, Outcome | None]] = deque()

    def report(self) -> None:
        """Report what waits."""
        while self.waiting:
            failure, outcome = self.waiting[0]
            self._tell(failure)
            if outcome is not None:
                outcome(failure)
            self.waiting.popleft()

    def _tell(self, failure: Failure) -> None:
        logger.warning("event %s was not delivered to %s: %s", failure.event_id, failure.topic, failure.reason)
        if self._on_failure is None:
            return
        try:
            self._on_failure(failure)
        except BaseException:
            # A web app's own callback may raise anything; the failures behind it must be reported all the same.
            logger.exception("on_failure raised for event %s", failure.event_id)


def _configuration(bootstrap_servers: str, settings: Mapping[str, str]) -> dict[str, str]:
    if not bootstrap_servers:
        raise InvalidSettings("bootstrap_servers is empty: give the brokers' host:port")
    for name, value in REQUIRED.items():
        if settings.get(name, value) != value:
            raise InvalidSettings(f"{name} must stay {value}: without it events could be lost or doubled")
    return {**DEFAULTS, **settings, **REQUIRED, "bootstrap.servers": bootstrap_servers}


def _registry_client(url: str) -> "SchemaRegistryClient":
    try:
        from confluent_kafka.schema_registry import SchemaRegistryClient  # noqa: PLC0415 - an extra, as above

        return SchemaRegistryClient.new_client(registry_settings(url))
    except ModuleNotFoundError as error:
        raise InvalidSettings("a schema registry needs: pip install 'matterlog[registry]'") from error
    except ValueError as error:
        raise InvalidSettings("the schema registry's URL is not valid: give it as http://host:8081") from error


def _serve(reference: "weakref.ref[KafkaProducer]") -> None:
    """Serve the outcomes of a producer for as long as somebody has it, without having it oneself while waiting."""
    while (producer := reference()) is not None and not producer._stopped:  # noqa: SLF001 - this module's own
        clients, flushing = producer._clients, producer._flushing  # noqa: SLF001
        producer._flushing = False  # noqa: SLF001
        del producer
        if flushing:
            clients.flush(LONGEST_CALL_SECONDS)
        else:
            clients.poll(clients.current, LONGEST_CALL_SECONDS)
        if (producer := reference()) is not None:
            producer._send_again()  # noqa: SLF001
            producer._failures.report()  # noqa: SLF001
            del producer


def _close_all() -> None:
    for producer in list(_instances):
        if not producer._mark[0]:  # noqa: SLF001 - this module's own
            continue
        try:
            producer.close(_EXIT_FLUSH_SECONDS)
        except NotDelivered as error:
            logger.error("at exit: %s", error)  # noqa: TRY400 - a trace of the interpreter's end helps nobody
