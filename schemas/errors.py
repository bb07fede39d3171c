"""What can go wrong with an event, split by whose fault it is.

    MatterlogError                 caught by the command line: its text is for a person
    ├── InvalidEvent (ValueError)  the caller's: a field is missing or breaks its rule
    ├── EncodeError                ours: an event that could not be written as Avro
    └── DecodeError                the message's: bytes that are no event of ours

The packages above add their own branches in their own ``errors.py``. No error's text holds a field's
value: an event is personal data, and errors end up in logs.
"""

from enum import StrEnum


class MatterlogError(Exception):
    """matterlog could not do what it was asked."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or type(self).__doc__)


class InvalidEvent(MatterlogError, ValueError):
    """An event that breaks the contract; ``problems`` lists each field and the rule that it breaks."""

    def __init__(self, event_type: str, problems: tuple[tuple[str, str], ...]) -> None:
        self.event_type = event_type
        self.problems = problems
        super().__init__(f"{event_type}: " + "; ".join(f"{field} {rule}" for field, rule in problems))


class EncodeError(MatterlogError):
    """The event cannot be written as Avro."""


class DecodeErrorKind(StrEnum):
    """Why bytes are not an event of ours; kept with the dead letter and used to count."""

    OVERSIZE = "oversize"
    UNKNOWN_FRAMING = "unknown-framing"
    UNKNOWN_SCHEMA = "unknown-schema"
    TRUNCATED = "truncated"
    TRAILING_BYTES = "trailing-bytes"
    MALFORMED = "malformed"
    OUT_OF_LIMITS = "out-of-limits"


class DecodeError(MatterlogError):
    """The bytes are not an event of ours; ``kind`` says why, ``detail`` where."""

    def __init__(self, kind: DecodeErrorKind, detail: str) -> None:
        self.kind = kind
        self.detail = detail
        super().__init__(f"{kind}: {detail}")
