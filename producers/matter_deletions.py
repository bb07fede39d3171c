"""The producer that the deletion service calls when a matter is deleted for good."""

from concurrent.futures import Future
from datetime import UTC, datetime
from uuid import UUID

from matterlog.producers.errors import NotDelivered
from matterlog.producers.event_producer import EventProducer
from matterlog.producers.transport import Failure, Transport
from matterlog.schemas import MatterDeleted, Topics


class MatterDeletionProducer(EventProducer):
    """A producer of matter deletions that by default waits until the broker has stored each one.

    Args:
        transport: a ``KafkaProducer``, or a ``MemoryProducer`` in tests.
        topic_prefix: the prefix of both topics' names.
        source: the CloudEvents source, a URI reference that names the deletion service.
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
        """Emit the deletion of a matter and return the event's ID.

        Args:
            matter_id: the deleted matter, whose ID is never used again.
            deleted_at: the instant of the deletion, by default now.
            event_id: the ID of an event that is emitted again.
            wait_seconds: how long to wait for the broker's acknowledgement. None does not wait.

        Raises:
            InvalidEvent: a field breaks its rule. Nothing was sent.
            BufferFull, ProducerClosed: nothing was sent.
            NotDelivered: the broker refused or did not acknowledge in time. Emitting again is safe.
        """
        fields = {"matter_id": matter_id, "deleted_at": datetime.now(UTC) if deleted_at is None else deleted_at}
        identity = {} if event_id is None else {"event_id": event_id}
        return self.emit_event(MatterDeleted.checked(fields | identity), wait_seconds=wait_seconds)

    def emit_event(self, deletion: MatterDeleted, *, wait_seconds: float | None = 30.0) -> UUID:
        """Emit an existing deletion. Raises the same errors as ``emit``."""
        answer: Future[Failure | None] = Future()
        self._transport.send(self._message(deletion), answer.set_result)
        if wait_seconds is None:
            return deletion.event_id
        try:
            failure = answer.result(wait_seconds)
        except TimeoutError:
            raise NotDelivered(
                f"the broker did not acknowledge the deletion within {wait_seconds:g} s. It may still arrive: "
                "it is safe to emit it again",
                undelivered=1,
            ) from None
        if failure is not None:
            raise NotDelivered(f"the broker refused the deletion: {failure.reason}", undelivered=1)
        return deletion.event_id
