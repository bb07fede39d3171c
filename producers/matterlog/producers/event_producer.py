"""What both producers are: an event as a message (topic, key, framed bytes, CloudEvents headers), and an end."""

from types import TracebackType
from typing import Final, Self

from matterlog.schemas import Event, MatterViewed, encode
from matterlog.schemas.codec import newest_schema
from matterlog.schemas.topics import CONTENT_TYPE, Topic, key_of

from .transport import Message, Transport

# CloudEvents 1.0, "Kafka Protocol Binding", binary content mode.
CLOUDEVENTS_VERSION: Final = "1.0"


class EventProducer:
    """Writes the events of one topic as messages, and hands them to a transport.

    Args:
        topic: where they go.
        transport: asked once for the schema's ID, so that no later emit waits for a registry.
        source: the CloudEvents source, a URI reference of whoever emits.
    """

    def __init__(self, topic: Topic, transport: Transport, source: str) -> None:
        self._topic = topic.name
        self._transport = transport
        self._source = source
        self._schema_id = transport.schema_id(topic.name, newest_schema(topic.event).text)

    def flush(self, timeout_seconds: float = 30.0) -> int:
        """Wait for the broker's acknowledgements; return how many events still wait."""
        return self._transport.flush(timeout_seconds)

    def close(self, timeout_seconds: float = 30.0) -> None:
        """Flush and close the transport.

        Raises:
            NotDelivered: events were not acknowledged in time.
        """
        self._transport.close(timeout_seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _message(self, event: Event) -> Message:
        instant = event.matter_viewed_at if isinstance(event, MatterViewed) else event.deleted_at
        return Message(
            event_id=event.event_id,
            topic=self._topic,
            key=key_of(event),
            value=encode(event, self._schema_id),
            headers=(
                ("ce_specversion", CLOUDEVENTS_VERSION),
                ("ce_id", str(event.event_id)),
                ("ce_type", f"matterlog.{event.event_type}"),
                ("ce_source", self._source),
                ("ce_time", instant.isoformat().replace("+00:00", "Z")),
                ("content-type", CONTENT_TYPE),
            ),
        )
