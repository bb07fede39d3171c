"""What is said and how it looks at rest: the events, their bytes, the topics, the tables."""

from .codec import decode, encode
from .errors import DecodeError, DecodeErrorKind, EncodeError, InvalidEvent, MatterlogError
from .event_ids import new_event_id
from .events import Event, MatterDeleted, MatterType, MatterViewed, UserType
from .topics import Topics

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
