"""The port between the two producers and the transport of their messages.

A *message* is one event as Kafka stores it. A *transport* accepts messages at once and delivers them in the background.
Each message has one *outcome*: delivered, or failed with the broker's reason. ``KafkaProducer`` is the transport for
production, ``MemoryProducer`` the one for the tests of web apps. One contract suite tests both.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol
from uuid import UUID


class Message(NamedTuple):
    """One event as Kafka stores it: ``key`` and header values are UTF-8 text, ``value`` is the framed Avro."""

    event_id: UUID
    topic: str
    key: str
    value: bytes
    headers: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """An event that was not delivered: its ID, its topic and the broker's reason, without its content."""

    event_id: UUID
    topic: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Counts of the messages so far: ``taken`` = ``delivered`` + ``failed`` + ``waiting``."""

    taken: int
    delivered: int
    failed: int

    @property
    def waiting(self) -> int:
        """How many messages were accepted and are neither delivered nor failed yet."""
        return self.taken - self.delivered - self.failed


# Called once, from a background thread. None means delivered.
Outcome = Callable[[Failure | None], None]


class Transport(Protocol):
    """A carrier of messages. Any thread may call any method."""

    @property
    def counts(self) -> Counts:
        """The counts of the messages so far."""

    def schema_id(self, topic: str, schema: str) -> int | None:
        """Return the registry's ID for an Avro schema of a topic's values, or None without a registry."""

    def send(self, message: Message, outcome: Outcome | None = None) -> None:
        """Accept a message at once, without waiting on the network.

        Args:
            message: the message. Without ``outcome``, its key must be the event's ID.
            outcome: called with the outcome.

        Raises:
            BufferFull, ProducerClosed: the message was not accepted.
        """

    def flush(self, timeout_seconds: float) -> int:
        """Wait until every message has its outcome. Return how many have none after ``timeout_seconds``."""

    def close(self, timeout_seconds: float) -> None:
        """Flush, then accept no more messages.

        Raises:
            NotDelivered: messages without an outcome after ``timeout_seconds`` were dropped.
        """
