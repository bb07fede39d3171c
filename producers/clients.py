"""librdkafka's clients of one process: the one in use, and those that met a fatal error.

1. A forked child never frees its parent's client: librdkafka's threads do not survive a fork, and freeing the client
   would wait for them for ever.
2. A fatal error ends a client for good. Another one takes its place; the broken one gives back what it holds.
3. Every call is shorter than the 200 ms at which confluent-kafka would go on after a fatal error, into our callbacks,
   with the exception pending: what they call would fail, and leave locks held.
"""

import ctypes
import logging
import os
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple
from uuid import UUID

import confluent_kafka
from confluent_kafka import KafkaError

from matterlog.producers.errors import InvalidSettings
from matterlog.producers.processes import real_lock
from matterlog.producers.transport import Outcome
from matterlog.schemas.kafka_rights import missing_right

# The name that operators know from the producer's own lines.
logger = logging.getLogger("matterlog.producers.kafka")

LONGEST_CALL_SECONDS: Final = 0.15
# A client that breaks younger than this is replaced only then: what broke it is likely to break the next one.
_RENEW_AFTER_SECONDS: Final = 1.0
# How a client that met a fatal error gives back what it was to send, or what made it meet one.
_GIVEN_BACK: Final = {
    KafkaError._PURGE_QUEUE,  # noqa: SLF001 - the client's names
    KafkaError._PURGE_INFLIGHT,  # noqa: SLF001
    KafkaError._FATAL,  # noqa: SLF001
    KafkaError._FENCED,  # noqa: SLF001
    KafkaError._INCONSISTENT,  # noqa: SLF001
    KafkaError.INVALID_PRODUCER_EPOCH,
    KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER,
    KafkaError.UNKNOWN_PRODUCER_ID,
}


class Client(confluent_kafka.Producer):
    """librdkafka's producer, which only the process that made it can free.

    Raises:
        InvalidSettings: a setting is unknown, malformed, or contradicts another one.
    """

    def __init__(self, configuration: Mapping[str, str]) -> None:
        self.process = os.getpid()
        self.made = time.monotonic()
        # Set when it met a fatal error.
        self.broken = False
        try:
            super().__init__(dict(configuration), logger=logger)
        except (confluent_kafka.KafkaException, ValueError, TypeError) as error:
            raise InvalidSettings(f"Kafka's client refused the producer's settings: {reason_of(error)}") from error

    def __del__(
        self,
        # Bound here, as modules may be gone at the interpreter's end.
        _getpid: Callable[[], int] = os.getpid,
        _keep: Callable[[Any], None] = ctypes.pythonapi.Py_IncRef,
        _object: Callable[[Any], Any] = ctypes.py_object,
    ) -> None:
        if _getpid() != self.process:
            _keep(_object(self))


class Returned(NamedTuple):
    """An event that a broken client has given back, and how often it was sent again before."""

    message: confluent_kafka.Message
    event_id: UUID
    outcome: Outcome | None
    tries: int
    # Whoever is to send it again: held for as long as the event waits, as a client holds it for what it sends.
    producer: object


class Clients:
    """The client in use, and broken ones until they have given back all that they hold.

    Raises:
        InvalidSettings: as ``Client`` does.
    """

    def __init__(self, configuration: Mapping[str, str]) -> None:
        self._configuration = configuration
        self._replacing = real_lock()
        self._broken: list[Client] = []
        self.current = Client(configuration)
        self.again: deque[Returned] = deque()
        # The last fatal error.
        self.fatal: KafkaError | None = None

    @property
    def held(self) -> int:
        """How many events have no outcome, at most: librdkafka counts its own log lines, too."""
        return sum(len(client) for client in {*self._broken, self.current}) + len(self.again)

    def poll(self, client: Client, seconds: float) -> None:
        """Serve a client's outcomes; heed a fatal error."""
        try:
            client.poll(seconds)
        except confluent_kafka.KafkaException as error:
            self.heed(client, error)

    def flush(self, seconds: float) -> None:
        """Serve the outcomes, and have librdkafka send at once; heed a fatal error."""
        client = self.current
        try:
            client.flush(seconds)
        except confluent_kafka.KafkaException as error:
            self.heed(client, error)

    def heed(self, client: Client, error: confluent_kafka.KafkaException) -> bool:
        """Replace a client that has met a fatal error; return whether another one has taken its place."""
        if not is_fatal(error):
            logger.error("Kafka's client failed: %s", reason_of(error))
            return False
        with self._replacing:
            if client is not self.current:
                return True
            if not client.broken:
                # librdkafka can no longer promise that nothing is lost or doubled: it refuses what comes.
                logger.error("Kafka's client cannot go on, another one takes its place: %s", reason_of(error))
                client.broken, self.fatal = True, error.args[0]
            return self._replace()

    def _replace(self) -> bool:
        if time.monotonic() - self.current.made < _RENEW_AFTER_SECONDS:
            return False
        try:
            client = Client(self._configuration)
        except InvalidSettings as error:
            logger.error("%s; it is tried again", error)  # noqa: TRY400 - the text says it all
            return False
        self._broken.append(self.current)
        self.current = client
        return True

    def take_back(self) -> None:
        """Replace the client in use if it is broken, and serve what broken ones give back."""
        if self.current.broken:
            with self._replacing:
                if self.current.broken:
                    self._replace()
        for client in list(self._broken):
            client.purge(blocking=False)
            self.poll(client, 0)
            if not len(client):
                self._broken.remove(client)

    def let_go(self) -> None:
        """Have every client give back what it holds."""
        for client in (*self._broken, self.current):
            client.purge(blocking=False)


def is_given_back(error: KafkaError) -> bool:
    """Return whether an event failed because its client is broken or let go of it, not for what it is."""
    return error.code() in _GIVEN_BACK


def is_fatal(error: confluent_kafka.KafkaException) -> bool:
    """Return whether a client that raised this error can never send anything again."""
    found = error.args[0]
    return bool(found.fatal()) or found.code() == KafkaError._FATAL  # noqa: SLF001 - the client's name


def refusal_of(error: KafkaError, topic: str) -> str:
    """Return why Kafka did not take a message for a topic, for people.

    An idempotent producer is refused as a whole where its user may write to no topic.
    """
    if error.code() in {KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.CLUSTER_AUTHORIZATION_FAILED}:
        return missing_right("Write", f"topic {topic}")
    return str(error.str())


def reason_of(error: BaseException) -> str:
    """Return what an error says, without its number."""
    first = error.args[0] if error.args else error
    return first.str() if isinstance(first, KafkaError) else str(first)
