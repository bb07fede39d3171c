"""The calendar of an analysis: its period, the period before, and the days of a time zone. No I/O.

1. Instants are UTC. A *wall* time is the time on a clock in the time zone, stored without a zone.
2. Offsets from UTC come only from ``zoneinfo``, so that a day is the same here and in the database.
3. A day begins at its first instant, as in a filter.
"""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from enum import StrEnum
from math import ceil
from typing import Final, Self

from matterlog.report.errors import InvalidFilter
from matterlog.report.log.filters import Filter, beginning_of, end_of_today
from matterlog.schemas.events import EARLIEST
from matterlog.schemas.instants import as_stored

_DAY: Final = timedelta(days=1)
_SECOND: Final = timedelta(seconds=1)
_TICK: Final = timedelta(microseconds=1)
# No zone has changed its offset twice within so short a time since 1970.
_SEARCH_STEP: Final = timedelta(hours=12)


class Bucket(StrEnum):
    """The unit of time by which views are counted; a week begins on Monday."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """From ``since`` (included) to ``until`` (not included); the period before begins at ``before_since``, if any."""

    since: datetime
    until: datetime
    before_since: datetime | None

    @classmethod
    def of(cls, asked: Filter, *, now: datetime, zone: tzinfo, first_view: datetime | None) -> Self:
        """Return the period of a filter.

        It never reaches beyond today. A filter without a beginning means all time: the period begins with the day of
        the first view, or with the last day where there is no view.

        Raises:
            InvalidFilter: the period begins at or after its end, or after ``now``.
        """
        until = period_end(asked, now, zone)
        if asked.since is None:
            first_day = wall(first_view or until - _TICK, zone).date()
            return cls(since=beginning_of(first_day, zone), until=until, before_since=None)
        if asked.since >= min(until, now):
            text = f"the period begins at {asked.since.isoformat()}, which is not before its end or now"
            raise InvalidFilter(text, "from")
        since = max(asked.since, EARLIEST)
        return cls(since=since, until=until, before_since=_same_length_before(since, until, zone))


def period_end(asked: Filter, now: datetime, zone: tzinfo) -> datetime:
    """Return the first instant after the period."""
    until = end_of_today(now, zone)
    return until if asked.until is None else max(min(asked.until.astimezone(UTC), until), EARLIEST)


def wall(instant: datetime, zone: tzinfo) -> datetime:
    """Return the time on the zone's clock; in UTC at the calendar's ends, if the zone's clock would be beyond them."""
    try:
        return instant.astimezone(zone).replace(tzinfo=None)
    except OverflowError:
        return as_stored(instant)


def _same_length_before(since: datetime, until: datetime, zone: tzinfo) -> datetime:
    """Go back by the period's length in wall time, so that whole days follow whole days."""
    if until - since < _DAY:
        return since - (until - since)
    began = wall(since, zone)
    return (began - (wall(until, zone) - began)).replace(tzinfo=zone).astimezone(UTC)


def offsets(since: datetime, until: datetime, zone: tzinfo) -> Iterator[tuple[datetime, datetime, timedelta]]:
    """Return the zone's offsets from UTC, in order: from when (included) to when (not included), and the offset."""
    began = before = since
    while before < until:
        after = min(before + _SEARCH_STEP, until)
        if _utc_offset(before, zone) != _utc_offset(after, zone):
            change = _change_between(before, after, zone)
            if change < until:
                yield began, change, _utc_offset(began, zone)
                began = change
        before = after
    yield began, until, _utc_offset(began, zone)


def _change_between(before: datetime, after: datetime, zone: tzinfo) -> datetime:
    """Return the first instant of the offset that is valid at ``after``; offsets change at whole seconds."""
    offset = _utc_offset(after, zone)
    begin = before.replace(microsecond=0)

    def has_changed(seconds: int) -> bool:
        return _utc_offset(begin + seconds * _SECOND, zone) == offset

    return begin + _SECOND * bisect_left(range(ceil((after - begin) / _SECOND)), x=True, key=has_changed)


def _utc_offset(instant: datetime, zone: tzinfo) -> timedelta:
    return instant.astimezone(zone).utcoffset() or timedelta()


def buckets(period: Period, by: Bucket, zone: tzinfo, now: datetime) -> Iterator[tuple[date, float]]:
    """Return the first day of each bucket in the period, and how many of its hours are in the period and over."""
    day = _first_day(wall(period.since, zone).date(), by)
    while (begins := beginning_of(day, zone)) < period.until:
        next_day = following(day, by)
        inside = min(beginning_of(next_day, zone), period.until, now) - max(begins, period.since)
        yield day, inside / timedelta(hours=1)
        day = next_day


def last_day(period: Period, zone: tzinfo) -> date:
    """Return the day of the period's last instant, in the zone."""
    return wall(period.until - _TICK, zone).date()


def _first_day(day: date, by: Bucket) -> date:
    if by is Bucket.MONTH:
        return day.replace(day=1)
    return day - day.weekday() * _DAY if by is Bucket.WEEK else day


def following(day: date, by: Bucket) -> date:
    """Return the first day of the bucket after the one that begins on ``day``."""
    if by is Bucket.MONTH:
        return (day.replace(day=1) + 31 * _DAY).replace(day=1)
    return day + (7 if by is Bucket.WEEK else 1) * _DAY
