"""What the deletion service calls when a matter is gone for good."""

from concurrent.futures import Future
from datetime import UTC, datetime
from uuid import UUID

from matterlog.producers.errors import NotDelivered
from matterlog.producers.event_producer import EventProducer
from matterlog.producers.transport import Failure, Transport
from matterlog.schemas import MatterDeleted, Topics


class MatterDeletionProducer(EventProducer):
    """Emits matter deletions, and by default waits until the broker holds each for good.

    Args:
        transport: a ``KafkaProducer``, or a ``MemoryProducer`` in tests.
        topic_prefix: stands before both topics' names.
        source: the CloudEvents source, a URI reference of the deletion service.
    """

    def __init__(self, transport: Transport, *, topic_prefix: str = "", source: str = "matterlog") -> None:
        super().__init__(Topics(topic_prefix).matter_deletions, transport, source)

    def emit(
        self,
        *,
        matter_id: str,
        deleted_at: datetime | None = None,
        event_id: UUID | str | None = None,
        wait_seconds: float | None = 30.0,
    ) -> UUID:
        """Say that a matter is gone for good, and return the event's ID.

        Args:
            matter_id: the matter; its ID is never used again.
            deleted_at: the instant of the deletion; now if not given.
            event_id: given when an event is repeated.
            wait_seconds: how long to wait for the broker's acknowledgement; None not to wait.

        Raises:
            InvalidEvent: a field breaks its rule; nothing was sent.
            BufferFull, ProducerClosed: nothing was sent.
            NotDelivered: no acknowledgement in time, or the broker refused. Emitting again is safe.
        """
        fields = {
            "matter_id": matter_id,
            "deleted_at": datetime.now(UTC) if deleted_at is None else deleted_at,
        }
        identity = {} if event_id is None else {"event_id": event_id}
        return self.emit_event(MatterDeleted.checked(fields | identity), wait_seconds=wait_seconds)

    def emit_event(self, deletion: MatterDeleted, *, wait_seconds: float | None = 30.0) -> UUID:
        """Emit a deletion that is made already; raises as ``emit`` does."""
        answer: Future[Failure | None] = Future()
        self._transport.send(self._message(deletion), answer.set_result)
        if wait_seconds is not None:
            _await(answer, wait_seconds)
        return deletion.event_id


def _await(answer: "Future[Failure | None]", wait_seconds: float) -> None:
    try:
        failure = answer.result(wait_seconds)
    except TimeoutError:
        raise NotDelivered(
            f"the broker has not acknowledged the deletion within {wait_seconds:g} s; it may still arrive, and "
            "emitting it again is safe",
            undelivered=1,
        ) from None
    if failure is not None:
        raise NotDelivered(f"the broker refused the deletion: {failure.reason}", undelivered=1)
