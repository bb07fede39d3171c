"""The shipped stand-in for a web app's own tests: what was emitted, without a broker.

It keeps the contract of ``KafkaProducer`` (one suite tests both): the same errors at the same moments, the same keys,
headers and bytes. It delivers at once.
"""

import logging
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from matterlog.producers.errors import BufferFull, NotDelivered, ProducerClosed
from matterlog.producers.transport import Counts, Failure, Message, Outcome
from matterlog.schemas import MatterDeleted, MatterViewed, decode

logger = logging.getLogger(__name__)


class MemoryProducer:
    """Keeps messages in a list instead of sending them.

    Args:
        on_failure: called for each event that fails.
        capacity: how many messages it takes before it raises BufferFull; None for no limit.
        failing: a broker that takes nothing: every message fails with this reason.
        stalled: a broker that does not answer: messages wait, and have no outcome.
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
        return [event for event in map(self._event, self.messages) if isinstance(event, MatterViewed)]

    @property
    def deletions(self) -> list[MatterDeleted]:
        """The matter deletions that were emitted, in order."""
        return [event for event in map(self._event, self.messages) if isinstance(event, MatterDeleted)]

    @staticmethod
    def _event(message: Message) -> MatterViewed | MatterDeleted:
        return decode(message.value)

    @property
    def counts(self) -> Counts:
        """What became of the messages so far."""
        with self._lock:
            taken = len(self.messages)
            return Counts(taken=taken, delivered=taken - len(self._waiting) - self._failed, failed=self._failed)

    def schema_id(self, topic: str, schema: str) -> None:
        """There is no registry in memory."""

    def send(self, message: Message, outcome: Outcome | None = None) -> None:
        """Keep a message; see ``Transport.send``."""
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
        self._settle(message, outcome, self._failing)

    def _settle(self, message: Message, outcome: Outcome | None, reason: str | None) -> None:
        failure = None
        if reason is not None:
            failure = Failure(event_id=message.event_id, topic=message.topic, reason=reason)
            self._report(failure)
        if outcome is not None:
            outcome(failure)

    def _report(self, failure: Failure) -> None:
        if self._on_failure is None:
            return
        try:
            self._on_failure(failure)
        except Exception:
            # As KafkaProducer does: a callback's error is nothing that emit raises.
            logger.exception("on_failure raised for event %s", failure.event_id)

    def flush(self, timeout_seconds: float) -> int:  # noqa: ARG002 - the port's signature
        """Return how many messages wait: all of a stalled broker's, else none."""
        return self.counts.waiting

    def close(self, timeout_seconds: float = 30.0) -> None:  # noqa: ARG002 - the port's signature
        """Take no more; see ``Transport.close``. Closing again does nothing."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            undelivered, self._waiting = self._waiting, []
            self._failed += len(undelivered)
        for message, outcome in undelivered:
            self._settle(message, outcome, "given up at close")
        if undelivered:
            raise NotDelivered(
                f"{len(undelivered)} events were not acknowledged and are given up", undelivered=len(undelivered)
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
