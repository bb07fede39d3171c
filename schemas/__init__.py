"""The shared formats: the events, their bytes, the topics, and the tables on disk."""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
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
# Each is imported with its first use: a step of an erasure, which is a process of its own, needs only the errors.
_MODULES: Final = {
    **dict.fromkeys(("decode", "encode"), "codec"),
    **dict.fromkeys(("DecodeError", "DecodeErrorKind", "EncodeError", "InvalidEvent", "MatterlogError"), "errors"),
    **dict.fromkeys(("Event", "MatterDeleted", "MatterType", "MatterViewed", "UserType"), "events"),
    "new_event_id": "event_ids",
    "Topics": "topics",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(f".{_MODULES[name]}", __name__), name)
    return found
