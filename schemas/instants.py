"""Instants are in UTC; in the tables they stand without a zone."""

from datetime import UTC, datetime
from typing import overload


def utc_now() -> datetime:
    """Return the present instant."""
    return datetime.now(UTC)


def stored_now() -> datetime:
    """Return the present instant as the tables have it."""
    return as_stored(utc_now())


@overload
def as_stored(instant: datetime) -> datetime: ...
@overload
def as_stored(instant: None) -> None: ...
def as_stored(instant: datetime | None) -> datetime | None:
    """Return an instant as the tables have it; None stays None."""
    return None if instant is None else instant.astimezone(UTC).replace(tzinfo=None)
