"""The base class of both producers: turns an event into a message (topic, key, framed bytes, CloudEvents headers)."""

from datetime import datetime
from typing import Final, Self
from uuid import UUID

from matterlog.producers.transport import Message, Transport
from matterlog.schemas import Event, MatterViewed, encode
from matterlog.schemas.codec import frame, newest_schema
from matterlog.schemas.event_ids import text_of
from matterlog.schemas.topics import CONTENT_TYPE, Topic, key_of

# CloudEvents 1.0, "Kafka Protocol Binding", binary content mode.
_VERSION: Final = ("ce_specversion", "1.0")
_CONTENT_TYPE: Final = ("content-type", CONTENT_TYPE)


class EventProducer:
    """A producer of one topic's events, which it passes to a transport as messages.

    Args:
        topic: the topic of the events.
        transport: asked for the schema's ID once, here, so that no later emit waits for a registry.
        source: the CloudEvents source, a URI reference that names the emitting application.
    """

    def __init__(self, topic: Topic, transport: Transport, source: str) -> None:
        self._topic = topic.name
        self._transport = transport
        self._source = ("ce_source", source)
        self._type = ("ce_type", f"matterlog.{topic.event.event_type}")
        schema = newest_schema(topic.event)
        self._schema_id = transport.schema_id(topic.name, schema.text)
        self._frame = frame(schema, self._schema_id)

    def flush(self, timeout_seconds: float = 30.0) -> int:
        """Wait for the broker's acknowledgements and return how many events are still unacknowledged."""
        return self._transport.flush(timeout_seconds)

    def close(self, timeout_seconds: float = 30.0) -> None:
        """Flush and close the transport.

        Raises:
            NotDelivered: some events were not acknowledged in time.
        """
        self._transport.close(timeout_seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _message(self, event: Event) -> Message:
        instant = event.matter_viewed_at if isinstance(event, MatterViewed) else event.deleted_at
        text = text_of(event.event_id)
        return self._message_of(event.event_id, text, key_of(event), encode(event, self._schema_id), instant)

    def _message_of(self, event_id: UUID, text: str, key: str, value: bytes, instant: datetime) -> Message:
        headers = (
            _VERSION,
            ("ce_id", text),
            self._type,
            self._source,
            ("ce_time", f"{instant.date().isoformat()}T{instant.time().isoformat()}Z"),
            _CONTENT_TYPE,
        )
        return Message(event_id, self._topic, key, value, headers)
