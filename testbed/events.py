"""Events and records for tests that care about a few of their fields."""

from datetime import UTC, datetime
from typing import Any, Final

from matterlog.consumers.reading.records import Record
from matterlog.schemas import Event, MatterDeleted, MatterType, MatterViewed, Topics, UserType, encode
from matterlog.schemas.topics import key_of

NOON: Final = datetime(2026, 3, 1, 12, 0, 0, 678901, tzinfo=UTC)


def a_view(**changes: Any) -> MatterViewed:
    """A legal view with an ID of its own, and ``changes`` in it."""
    fields: dict[str, Any] = {
        "user_id": "u-1001",
        "user_name": "Zoë O’Hara",  # noqa: RUF001 - names hold such quotes
        "user_email": "zoe@example.com",
        "user_type": UserType.MEMBER,
        "matter_viewed_at": NOON,
        "matter_id": "m-42",
        "matter_name": "Project Heron",
        "matter_type": MatterType.LIVE,
    }
    return MatterViewed(**fields | changes)


def a_deletion(**changes: Any) -> MatterDeleted:
    """A legal deletion with an ID of its own, and ``changes`` in it."""
    fields: dict[str, Any] = {"matter_id": "m-42", "deleted_at": NOON}
    return MatterDeleted(**fields | changes)


def record_of(event: Event, partition: int, offset: int, *, prefix: str = "") -> Record:
    """An event as its topic holds it."""
    topics = Topics(prefix)
    topic = topics.matter_views if isinstance(event, MatterViewed) else topics.matter_deletions
    return Record(topic.name, partition, offset, 1_700_000_000_000 + offset, key_of(event).encode(), (), encode(event))
