"""The transport that sends events to Kafka. Tombstones have a producer of their own (``tombstone_producer.py``).

1. ``send`` never waits on the network. librdkafka queues the message and its own threads send it. A background thread
   here handles the outcomes. Each outcome needs the interpreter's lock, which a thread that emits without a pause
   rarely releases, so such a thread handles outcomes itself, some hundred at once.
2. The client is idempotent with ``acks=all``: a message is stored once, however often librdkafka sends it.
3. A forked child opens its own client and never touches its parent's. librdkafka's threads do not survive a fork, and
   freeing the parent's client in the child would wait for them for ever.
4. At the end of the interpreter unsent messages are flushed, in case the caller forgot ``close()``.
"""

import atexit
import ctypes
import logging
import os
import threading
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self
from uuid import UUID

import confluent_kafka

from matterlog.producers.errors import BufferFull, InvalidSettings, NotDelivered, ProducerClosed, ProducerError
from matterlog.producers.transport import Counts, Failure, Message, Outcome
from matterlog.schemas.registry_url import reason_of, registry_settings
from matterlog.schemas.topics import PARTITIONER

if TYPE_CHECKING:
    from confluent_kafka.schema_registry import SchemaRegistryClient

logger = logging.getLogger(__name__)

# The delivery guarantees need these values. Any other value is refused.
REQUIRED: Final[Mapping[str, str]] = {
    "enable.idempotence": "true",
    "acks": "all",
    "partitioner": PARTITIONER,
}
DEFAULTS: Final[Mapping[str, str]] = {
    "compression.type": "zstd",
    "linger.ms": "5",
    # About a quarter of an hour of a busy platform at 100 views a second, in at most 64 MiB.
    "queue.buffering.max.messages": "100000",
    "queue.buffering.max.kbytes": "65536",
    # The broker may be unavailable for an hour before an event fails. librdkafka's own five minutes are a long reboot.
    "delivery.timeout.ms": "3600000",
}
# The background thread sleeps this long in librdkafka when nothing happens. close() waits for it at most this long.
_POLL_SECONDS: Final = 0.2
_EXIT_FLUSH_SECONDS: Final = 10.0
# A web app has a handful of unsent messages. This many mean that the broker is unavailable or emitters do not pause.
_LONG_QUEUE: Final = 1_000
# An emitter checks the queue once in so many messages, so that 99 of 100 calls do not pay for it.
_CHECK_QUEUE_EVERY: Final = 256

_instances: "weakref.WeakSet[KafkaProducer]" = weakref.WeakSet()


class KafkaProducer:
    """A transport to Kafka. It may be shared between threads and inherited by a fork.

    Args:
        bootstrap_servers: ``host:port``, separated by commas.
        settings: more librdkafka settings by name (security, sizes, timeouts).
        on_failure: called from a background thread for each event that was not delivered.
        schema_registry: the registry's URL, which may contain credentials, or a confluent-kafka registry client. With a
            registry, messages use the Confluent wire format.

    Raises:
        InvalidSettings: a setting is unknown, malformed, or would break the delivery guarantees.
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
        # One bound method for all messages: one for each unsent message would keep the garbage collector busy.
        self._on_delivery = self._record
        self._open()
        _instances.add(self)

    def _open(self) -> None:
        self._reset()
        self._stop, self._emitters_serve = threading.Event(), threading.Event()
        try:
            self._client = confluent_kafka.Producer(self._configuration, logger=logger)
        except (confluent_kafka.KafkaException, ValueError, TypeError) as error:
            raise InvalidSettings(f"Kafka's client refused the producer's settings: {_reason(error)}") from error
        serve = partial(_serve, self._client, self._stop, self._emitters_serve, self._failures)
        self._thread = threading.Thread(target=serve, name="matterlog-deliveries", daemon=True)
        self._thread.start()
        # Each unsent message references the producer, so a producer that was collected has no outcomes left to handle.
        weakref.finalize(self, self._stop.set).atexit = False

    def _reset(self) -> None:
        self._sending, self._counting = threading.Lock(), threading.Lock()
        self._taken = self._delivered = self._failed = 0
        self._failures = _Failures(self._on_failure)

    def _reopen_in_child(self) -> None:
        # An extra reference, never released, so that nothing frees the parent's client in this process.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._client))
        if self._closed:
            self._reset()
        else:
            self._open()

    @property
    def counts(self) -> Counts:
        """The counts of this process's messages so far."""
        with self._sending, self._counting:
            return Counts(taken=self._taken, delivered=self._delivered, failed=self._failed)

    def schema_id(self, topic: str, schema: str) -> int | None:
        """Register the schema under ``<topic>-value`` and return its ID, or None without a registry.

        Raises:
            ProducerError: the registry did not answer or refused the schema.
        """
        if self._registry is None:
            return None
        from confluent_kafka.schema_registry import Schema  # noqa: PLC0415 - an optional dependency

        try:
            return int(self._registry.register_schema(f"{topic}-value", Schema(schema, "AVRO")))
        except Exception as error:  # httpx's, the registry's and urllib's errors have no common class
            raise ProducerError(
                f"{topic}-value was not registered: the schema registry {reason_of(error)}. Check SCHEMA_REGISTRY_URL "
                "and that the registry runs"
            ) from error

    def send(self, message: Message, outcome: Outcome | None = None) -> None:
        """Queue a message. See ``Transport.send``."""
        event_id, topic, key, value, headers = message
        callback = self._on_delivery if outcome is None else partial(self._record, event_id=event_id, outcome=outcome)
        with self._sending:
            if self._closed:
                raise ProducerClosed
            try:
                # Positional, which takes half the time: -1 lets the key choose the partition, 0 is the present time.
                self._client.produce(topic, value, key, -1, callback, None, 0, list(headers))
            except BufferError:
                raise BufferFull from None
            except confluent_kafka.KafkaException as error:
                raise ProducerError(f"Kafka's client did not accept an event: {_reason(error)}") from error
            self._taken += 1
            check = self._taken % _CHECK_QUEUE_EVERY == 0
        if check and len(self._client) > _LONG_QUEUE:
            self._emitters_serve.set()
            _poll(self._client, 0)

    def flush(self, timeout_seconds: float) -> int:
        """Wait until every message has its outcome. See ``Transport.flush``."""
        self._client.flush(timeout_seconds)
        self._failures.report()
        return self.counts.waiting

    def close(self, timeout_seconds: float = 30.0) -> None:
        """Flush, then accept no more messages. See ``Transport.close``. A second call does nothing."""
        with self._sending:
            if self._closed:
                return
            self._closed = True
        undelivered = self.flush(timeout_seconds)
        self._client.purge()
        self._client.flush(_POLL_SECONDS)
        self._failures.report()
        self._stop.set()
        self._thread.join()
        if undelivered:
            raise NotDelivered(
                f"the broker did not acknowledge {undelivered} events within {timeout_seconds:g} s: they are dropped",
                undelivered=undelivered,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _record(
        self,
        error: confluent_kafka.KafkaError | None,
        message: confluent_kafka.Message,
        event_id: UUID | None = None,
        outcome: Outcome | None = None,
    ) -> None:
        with self._counting:
            self._delivered += error is None
            self._failed += error is not None
        if error is not None:
            event_id = event_id or UUID((message.key() or b"").decode())
            failure = Failure(event_id=event_id, topic=message.topic() or "", reason=error.str())
            self._failures.add(failure, outcome)
        elif outcome is not None:
            outcome(None)


class _Failures:
    """A queue of failures that are still to be reported, so that no callback of an application runs inside an emit."""

    def __init__(self, on_failure: Callable[[Failure], None] | None) -> None:
        self._on_failure = on_failure
        self._waiting: deque[tuple[Failure, Outcome | None]] = deque()
        # A callback may flush or close.
        self._reporting = threading.RLock()

    def add(self, failure: Failure, outcome: Outcome | None) -> None:
        """Queue a failure. Any thread may call this."""
        self._waiting.append((failure, outcome))

    def report(self) -> None:
        """Report every failure that was added before this call."""
        with self._reporting:
            while self._waiting:
                failure, outcome = self._waiting.popleft()
                self._report_one(failure)
                if outcome is not None:
                    outcome(failure)

    def _report_one(self, failure: Failure) -> None:
        logger.warning("event %s was not delivered to %s: %s", failure.event_id, failure.topic, failure.reason)
        if self._on_failure is None:
            return
        try:
            self._on_failure(failure)
        except Exception:
            # A web app's callback may raise anything. The failures after this one must still be reported.
            logger.exception("on_failure raised for event %s", failure.event_id)


def _configuration(bootstrap_servers: str, settings: Mapping[str, str]) -> dict[str, str]:
    if not bootstrap_servers:
        raise InvalidSettings("bootstrap_servers is empty: give the host:port of one or more brokers")
    for name, value in REQUIRED.items():
        if settings.get(name, value) != value:
            raise InvalidSettings(f"{name} must stay {value}: without it events could be lost or doubled")
    return {**DEFAULTS, **settings, **REQUIRED, "bootstrap.servers": bootstrap_servers}


def _registry_client(url: str) -> "SchemaRegistryClient":
    try:
        from confluent_kafka.schema_registry import SchemaRegistryClient  # noqa: PLC0415 - as above

        return SchemaRegistryClient.new_client(registry_settings(url))
    except ModuleNotFoundError as error:
        raise InvalidSettings("the registry's client is not installed: pip install 'matterlog[registry]'") from error
    except ValueError as error:
        raise InvalidSettings("the schema registry's URL is not valid: give it as http://host:8081") from error


def _serve(
    client: confluent_kafka.Producer, stop: threading.Event, emitters_serve: threading.Event, failures: _Failures
) -> None:
    while not stop.is_set():
        if emitters_serve.is_set():
            # Two threads that handle outcomes would take the interpreter's lock from each other for every one.
            emitters_serve.clear()
            stop.wait(_POLL_SECONDS)
        else:
            _poll(client, _POLL_SECONDS)
        failures.report()


def _poll(client: confluent_kafka.Producer, seconds: float) -> None:
    try:
        client.poll(seconds)
    except confluent_kafka.KafkaException as error:
        # librdkafka can no longer guarantee delivery exactly once. It fails all queued messages and refuses new ones.
        logger.error("Kafka's client has stopped (%s): restart this process", _reason(error))  # noqa: TRY400 - a stack trace adds nothing


def _reason(error: BaseException) -> str:
    first = error.args[0] if error.args else error
    return first.str() if isinstance(first, confluent_kafka.KafkaError) else str(first)


@atexit.register
def _flush_all_at_exit() -> None:
    for producer in list(_instances):
        try:
            producer.close(_EXIT_FLUSH_SECONDS)
        except NotDelivered as error:
            logger.error("at interpreter exit: %s", error)  # noqa: TRY400 - a stack trace adds nothing


def _reopen_all_in_child() -> None:
    for producer in list(_instances):
        producer._reopen_in_child()  # noqa: SLF001 - the fork hook is this module's own


os.register_at_fork(after_in_child=_reopen_all_in_child)
