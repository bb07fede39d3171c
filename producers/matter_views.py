"""The producer that a web app calls when a user opens a matter."""

from datetime import datetime
from uuid import UUID

from matterlog.producers.event_producer import EventProducer
from matterlog.producers.transport import Transport
from matterlog.schemas import MatterType, MatterViewed, Topics, UserType, new_event_id
from matterlog.schemas.columns import VIEW_FIELDS
from matterlog.schemas.event_ids import text_of
from matterlog.schemas.plain_views import plain_body


class MatterViewProducer(EventProducer):
    """A producer of matter views. Any thread may emit, and no call waits on the network.

    Args:
        transport: a ``KafkaProducer``, or a ``MemoryProducer`` in tests.
        topic_prefix: the prefix of both topics' names.
        source: the CloudEvents source, a URI reference that names the web app.
    """

    def __init__(self, transport: Transport, *, topic_prefix: str = "", source: str = "matterlog") -> None:
        super().__init__(Topics(topic_prefix).matter_views, transport, source)

    def emit(
        self,
        *,
        user_id: str,
        user_name: str,
        user_email: str,
        user_type: UserType | str,
        matter_viewed_at: datetime,
        matter_id: str,
        matter_name: str,
        matter_type: MatterType | str,
        user_company_id: str | None = None,
        user_company_name: str | None = None,
        user_member_office_id: str | None = None,
        user_member_office_name: str | None = None,
        user_member_office_location_name: str | None = None,
        user_member_office_location_iso2: str | None = None,
        event_id: UUID | str | None = None,
    ) -> UUID:
        """Emit the view of a matter by a user and return the event's ID.

        Give ``event_id`` when you emit an event again: the same ID is counted once.

        Raises:
            InvalidEvent: a field breaks its rule. Nothing was sent.
            BufferFull, ProducerClosed: nothing was sent.
        """
        made = new_event_id() if event_id is None else event_id
        # In the order of OPTIONAL_FIELDS.
        optional = (
            user_company_id, user_company_name, user_member_office_id, user_member_office_name,
            user_member_office_location_name, user_member_office_location_iso2,
        )  # fmt: skip
        if type(made) is UUID:
            key = text_of(made)
            body = plain_body(
                key, user_id, user_name, user_email, user_type, matter_viewed_at, matter_id, matter_name, matter_type,
                optional=optional,
            )  # fmt: skip
            if body is not None:
                self._transport.send(self._message_of(made, key, key, self._frame + body, matter_viewed_at))
                return made
        required = (user_id, user_name, user_email, user_type, matter_viewed_at, matter_id, matter_name, matter_type)
        values = (*required, *optional)
        return self.emit_event(MatterViewed.checked({"event_id": made, **dict(zip(VIEW_FIELDS, values, strict=True))}))

    def emit_event(self, view: MatterViewed) -> UUID:
        """Emit an existing view. Raises the same errors as ``emit``."""
        self._transport.send(self._message(view))
        return view.event_id
