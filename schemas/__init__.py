"""The shared formats: the events, their bytes, the topics, and the tables on disk."""

from matterlog.schemas.codec import decode, encode
from matterlog.schemas.errors import DecodeError, DecodeErrorKind, EncodeError, InvalidEvent, MatterlogError
from matterlog.schemas.event_ids import new_event_id
from matterlog.schemas.events import Event, MatterDeleted, MatterType, MatterViewed, UserType
from matterlog.schemas.topics import Topics

__all__ = [
    "DecodeError",
    "DecodeErrorKind",
    "EncodeError",
    "Event",
    "InvalidEvent",
    "MatterDeleted",
    "MatterType",
    "MatterViewed",
    "MatterlogError",
    "Topics",
    "UserType",
    "decode",
    "encode",
    "new_event_id",
]
