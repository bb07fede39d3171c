"""Instants in UTC, and their form in the tables, which has no time zone."""

from datetime import UTC, datetime
from typing import overload


def utc_now() -> datetime:
    """Return the current instant."""
    return datetime.now(UTC)


def stored_now() -> datetime:
    """Return the current instant in the form of the tables."""
    return as_stored(utc_now())


@overload
def as_stored(instant: datetime) -> datetime: ...
@overload
def as_stored(instant: None) -> None: ...
def as_stored(instant: datetime | None) -> datetime | None:
    """Return an instant in the form of the tables. None stays None."""
    return None if instant is None else instant.astimezone(UTC).replace(tzinfo=None)
