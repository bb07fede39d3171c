"""The port between the two producers and whatever carries their messages.

A *message* is one event as Kafka will hold it. A *transport* takes messages at once and delivers them in the
background; each message has one *outcome*: delivered, or failed with the broker's reason. ``KafkaProducer`` is the
transport of production, ``MemoryProducer`` the one of a web app's own tests; one contract suite holds both.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol
from uuid import UUID


class Message(NamedTuple):
    """One event as Kafka holds it: ``key`` and header values are UTF-8 text, ``value`` the framed Avro bytes."""

    event_id: UUID
    topic: str
    key: str
    value: bytes
    headers: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """An event that the broker did not take: its coordinates and the broker's reason, no content."""

    event_id: UUID
    topic: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What became of the messages so far: ``taken`` = ``delivered`` + ``failed`` + ``waiting``."""

    taken: int
    delivered: int
    failed: int

    @property
    def waiting(self) -> int:
        """Taken, and neither delivered nor failed yet."""
        return self.taken - self.delivered - self.failed


# Called once, from a background thread: None for delivered.
Outcome = Callable[[Failure | None], None]


class Transport(Protocol):
    """What carries messages; every method may be called from any thread."""

    @property
    def counts(self) -> Counts:
        """What became of the messages so far."""

    def schema_id(self, topic: str, schema: str) -> int | None:
        """Return the registry's ID of an Avro schema text for a topic's values, None without a registry."""

    def send(self, message: Message, outcome: Outcome | None = None) -> None:
        """Take a message at once, without waiting on the network.

        Args:
            message: taken with its event's ID for a key, unless somebody waits for its outcome.
            outcome: told what became of it.

        Raises:
            BufferFull, ProducerClosed: the message was not taken.
        """

    def flush(self, timeout_seconds: float) -> int:
        """Wait until every message has its outcome; return how many still wait after ``timeout_seconds``."""

    def close(self, timeout_seconds: float) -> None:
        """Flush, then take no more.

        Raises:
            NotDelivered: messages still waited after ``timeout_seconds``; they are given up.
        """
