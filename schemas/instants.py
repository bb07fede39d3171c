"""Instants in UTC, and their form in the tables, which has no time zone."""

from datetime import UTC, datetime, timedelta
from typing import Final, overload

# What the clocks of machines may differ by.
CLOCKS_DIFFER: Final = timedelta(minutes=5)
_FIRST, _LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


def utc_now() -> datetime:
    """Return the current instant."""
    return datetime.now(UTC)


def stored_now() -> datetime:
    """Return the current instant in the form of the tables."""
    return as_stored(utc_now())


def is_ahead(instant: datetime, now: datetime) -> bool:
    """Return whether an instant lies so far ahead that a clock was wrong when it was written.

    No deadline may be counted from it: what waits since then is due now.
    """
    return instant > now + CLOCKS_DIFFER


@overload
def as_stored(instant: datetime) -> datetime: ...
@overload
def as_stored(instant: None) -> None: ...
def as_stored(instant: datetime | None) -> datetime | None:
    """Return an instant in the form of the tables, at the calendar's ends if it is beyond them. None stays None."""
    return None if instant is None else min(max(instant, _FIRST), _LAST).astimezone(UTC).replace(tzinfo=None)


@overload
def as_text(instant: datetime) -> str: ...
@overload
def as_text(instant: None) -> None: ...
def as_text(instant: datetime | None) -> str | None:
    """Return an instant as the report writes it. None stays None."""
    return None if instant is None else f"{as_stored(instant).isoformat(timespec='microseconds')}Z"
