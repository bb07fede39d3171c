"""One bench for each transport: where it is well, where nobody answers, where every message is refused.

The Kafka bench makes all three with a real broker or with none: a topic that takes only the smallest messages refuses,
and a port that nobody listens on never answers.
"""

import contextlib
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from matterlog.producers import Failure, KafkaProducer, MemoryProducer, NotDelivered, Transport
from matterlog.schemas import Topics
from tests.topics_at_rest import headers_of, make_topics, messages_of

NOBODY: Final = "127.0.0.1:1"

OnFailure = Callable[[Failure], None]


class AtRest(NamedTuple):
    """A message where it was sent to, in a form that all transports share."""

    topic: str
    key: str
    value: bytes
    headers: tuple[tuple[str, str], ...]


class Bench(Protocol):
    """Makes transports of one kind in each state, and looks at what arrived."""

    def well(self, on_failure: OnFailure | None = None) -> Transport:
        """A transport that delivers."""

    def stalled(self, on_failure: OnFailure | None = None) -> Transport:
        """A transport that nobody answers: no message has an outcome."""

    def full_after(self, messages: int) -> Transport:
        """A stalled transport whose buffer holds so many messages."""

    def refusing(self, on_failure: OnFailure | None = None) -> Transport:
        """A transport whose messages are all refused."""

    def at_rest(self, topic: str) -> list[AtRest]:
        """What arrived in a topic, in order."""


class MemoryBench:
    """Transports without a broker."""

    def __init__(self) -> None:
        self._made: list[MemoryProducer] = []

    def _keep(self, transport: MemoryProducer) -> MemoryProducer:
        self._made.append(transport)
        return transport

    def well(self, on_failure: OnFailure | None = None) -> MemoryProducer:
        return self._keep(MemoryProducer(on_failure=on_failure))

    def stalled(self, on_failure: OnFailure | None = None) -> MemoryProducer:
        return MemoryProducer(stalled=True, on_failure=on_failure)

    def full_after(self, messages: int) -> MemoryProducer:
        return MemoryProducer(stalled=True, capacity=messages)

    def refusing(self, on_failure: OnFailure | None = None) -> MemoryProducer:
        return MemoryProducer(failing="the broker takes nothing", on_failure=on_failure)

    def at_rest(self, topic: str) -> list[AtRest]:
        messages = [message for transport in self._made for message in transport.messages if message.topic == topic]
        return [AtRest(each.topic, each.key, each.value, each.headers) for each in messages]


class KafkaBench:
    """Transports to a real broker, and to nobody."""

    def __init__(self, servers: str, topics: Topics, closing: contextlib.ExitStack) -> None:
        self._servers = servers
        self._topics = topics
        self._closing = closing

    def _open(self, servers: str, on_failure: OnFailure | None = None, **settings: str) -> KafkaProducer:
        named = {name.replace("_", "."): value for name, value in settings.items()}
        transport = KafkaProducer(servers, settings=named, on_failure=on_failure)
        self._closing.callback(_give_up, transport)
        return transport

    def well(self, on_failure: OnFailure | None = None) -> KafkaProducer:
        make_topics(self._servers, self._topics)
        return self._open(self._servers, on_failure)

    def stalled(self, on_failure: OnFailure | None = None) -> KafkaProducer:
        return self._open(NOBODY, on_failure)

    def full_after(self, messages: int) -> KafkaProducer:
        return self._open(NOBODY, queue_buffering_max_messages=str(messages))

    def refusing(self, on_failure: OnFailure | None = None) -> KafkaProducer:
        make_topics(self._servers, self._topics, max_message_bytes="64")
        return self._open(self._servers, on_failure)

    def at_rest(self, topic: str) -> list[AtRest]:
        return [
            AtRest(topic, bytes(each.key() or b"").decode(), bytes(each.value() or b""), headers_of(each))
            for each in messages_of(self._servers, topic)
        ]


def _give_up(transport: KafkaProducer) -> None:
    with contextlib.suppress(NotDelivered):
        transport.close(0)
