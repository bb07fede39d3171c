"""A transport without a broker, for the tests of web apps.

It has the contract of ``KafkaProducer`` (one suite tests both): the same errors in the same cases, the same keys,
headers and bytes. It delivers at once.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from typing import Self

from matterlog.producers.errors import BufferFull, NotDelivered, ProducerClosed
from matterlog.producers.transport import Counts, Failure, Message, Outcome
from matterlog.schemas import Event, MatterDeleted, MatterViewed, decode

logger = logging.getLogger(__name__)


class MemoryProducer:
    """A transport that keeps messages in a list instead of sending them.

    Args:
        on_failure: called for each event that fails.
        capacity: how many messages it accepts before it raises BufferFull. None is no limit.
        failing: simulates a broker that refuses everything. Every message fails with this reason.
        stalled: simulates a broker that does not answer. Messages wait and have no outcome.
    """

    def __init__(
        self,
        *,
        on_failure: Callable[[Failure], None] | None = None,
        capacity: int | None = None,
        failing: str | None = None,
        stalled: bool = False,
    ) -> None:
        self.messages: list[Message] = []
        self._on_failure = on_failure
        self._capacity = capacity
        self._failing = failing
        self._stalled = stalled
        self._lock = threading.Lock()
        self._closed = False
        self._waiting: list[tuple[Message, Outcome | None]] = []
        self._failed = 0

    @property
    def views(self) -> list[MatterViewed]:
        """The matter views that were emitted, in order."""
        return [event for event in self._events() if isinstance(event, MatterViewed)]

    @property
    def deletions(self) -> list[MatterDeleted]:
        """The matter deletions that were emitted, in order."""
        return [event for event in self._events() if isinstance(event, MatterDeleted)]

    def _events(self) -> Iterator[Event]:
        return (decode(message.value) for message in self.messages)

    @property
    def counts(self) -> Counts:
        """The counts of the messages so far."""
        with self._lock:
            taken = len(self.messages)
            return Counts(taken=taken, delivered=taken - len(self._waiting) - self._failed, failed=self._failed)

    def schema_id(self, topic: str, schema: str) -> None:
        """Return None: there is no registry in memory."""

    def send(self, message: Message, outcome: Outcome | None = None) -> None:
        """Keep a message. See ``Transport.send``."""
        with self._lock:
            if self._closed:
                raise ProducerClosed
            if self._capacity is not None and len(self.messages) >= self._capacity:
                raise BufferFull
            self.messages.append(message)
            if self._stalled:
                self._waiting.append((message, outcome))
                return
            self._failed += self._failing is not None
        self._finish(message, outcome, self._failing)

    def _finish(self, message: Message, outcome: Outcome | None, reason: str | None) -> None:
        failure = None
        if reason is not None:
            failure = Failure(event_id=message.event_id, topic=message.topic, reason=reason)
            try:
                if self._on_failure is not None:
                    self._on_failure(failure)
            except Exception:
                # Like KafkaProducer: an error of the callback must not reach the caller of emit.
                logger.exception("on_failure raised for event %s", failure.event_id)
        if outcome is not None:
            outcome(failure)

    def flush(self, timeout_seconds: float) -> int:  # noqa: ARG002 - the port's signature
        """Return how many messages wait: all of them if stalled, otherwise none."""
        return self.counts.waiting

    def close(self, timeout_seconds: float = 30.0) -> None:  # noqa: ARG002 - the port's signature
        """Accept no more messages. See ``Transport.close``. A second call does nothing."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            undelivered, self._waiting = self._waiting, []
            self._failed += len(undelivered)
        for message, outcome in undelivered:
            self._finish(message, outcome, "not acknowledged before close")
        if undelivered:
            raise NotDelivered(
                f"the broker did not acknowledge {len(undelivered)} events", undelivered=len(undelivered)
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
