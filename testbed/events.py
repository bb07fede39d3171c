"""Events and records for tests that set only a few of the fields."""

from datetime import UTC, datetime
from typing import Any, Final

from matterlog.consumers.reading.records import Record
from matterlog.schemas import Event, MatterDeleted, MatterType, MatterViewed, Topics, UserType, encode
from matterlog.schemas.topics import key_of

NOON: Final = datetime(2026, 3, 1, 12, 0, 0, 678901, tzinfo=UTC)


def a_view(**changes: Any) -> MatterViewed:
    """Return a valid view with a new ID and these ``changes``."""
    fields: dict[str, Any] = {
        "user_id": "u-1001",
        "user_name": "Zoë O’Hara",  # noqa: RUF001 - names contain such quotes
        "user_email": "zoe@example.com",
        "user_type": UserType.MEMBER,
        "matter_viewed_at": NOON,
        "matter_id": "m-42",
        "matter_name": "Project Heron",
        "matter_type": MatterType.LIVE,
    }
    return MatterViewed(**fields | changes)


def a_deletion(**changes: Any) -> MatterDeleted:
    """Return a valid deletion with a new ID and these ``changes``."""
    fields: dict[str, Any] = {"matter_id": "m-42", "deleted_at": NOON}
    return MatterDeleted(**fields | changes)


def record_of(event: Event, partition: int, offset: int, *, prefix: str = "") -> Record:
    """Return the record of an event in its topic."""
    topics = Topics(prefix)
    topic = topics.matter_views if isinstance(event, MatterViewed) else topics.matter_deletions
    return Record(topic.name, partition, offset, 1_700_000_000_000 + offset, key_of(event).encode(), (), encode(event))
