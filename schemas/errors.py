"""Errors of an event, grouped by whose fault they are.

    MatterlogError                 caught by the command line, which prints its text
    ├── InvalidEvent (ValueError)  the caller's fault: a field is missing or breaks its rule
    ├── EncodeError                our fault: the event could not be written as Avro
    ├── DecodeError                the message's fault: its bytes are not a valid event
    └── LakeUnusable               the operator's: a lake's catalogue, storage or software cannot be used
        └── LakeUnreachable        the operator's: its catalogue or storage does not answer, which may pass

Other packages add their own branches in their own ``errors.py``. No error's text contains the value of a field:
events are personal data, and errors are logged.
"""

from enum import StrEnum


class MatterlogError(Exception):
    """matterlog could not complete the request."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or type(self).__doc__)


class InvalidEvent(MatterlogError, ValueError):
    """The event is not valid. ``problems`` lists each wrong field with the rule that it breaks."""

    def __init__(self, event_type: str, problems: tuple[tuple[str, str], ...]) -> None:
        self.event_type = event_type
        self.problems = problems
        super().__init__(f"{event_type}: " + "; ".join(f"{field} {rule}" for field, rule in problems))


class EncodeError(MatterlogError):
    """The event cannot be written as Avro."""


class DecodeErrorKind(StrEnum):
    """The reason why bytes are not a valid event. It is stored with the dead letter and counted."""

    OVERSIZE = "oversize"
    UNKNOWN_FRAMING = "unknown-framing"
    UNKNOWN_SCHEMA = "unknown-schema"
    TRUNCATED = "truncated"
    TRAILING_BYTES = "trailing-bytes"
    MALFORMED = "malformed"
    OUT_OF_LIMITS = "out-of-limits"


class DecodeError(MatterlogError):
    """The bytes are not a valid event. ``kind`` says why and ``detail`` says where."""

    def __init__(self, kind: DecodeErrorKind, detail: str) -> None:
        self.kind = kind
        self.detail = detail
        super().__init__(f"{kind}: {detail}")
