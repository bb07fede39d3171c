"""The filter that chooses rows of the log, the same for command line, API, pages and extracts.

1. A row passes a field if it has any of the field's values. It must pass every field; an empty field passes all rows.
2. Times are instants in UTC. ``since`` is included and ``until`` is not, so the last instant of a day is never missed.
3. A day is a whole day in UTC, or in the time zone that was chosen. The last day is included. Today is the last of the
   last days, and ends at midnight too: so a period stays the same all day, and so does the one before it.
4. An extract's manifest has the filter as data (``model_dump(mode="json")``) and as a sentence (``words``).
"""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any, Final, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AwareDatetime, BaseModel

from matterlog.report.errors import InvalidFilter
from matterlog.schemas import MatterType, UserType
from matterlog.schemas.instants import as_stored
from matterlog.schemas.storage.statements import load_statements

SQL: Final = load_statements(__package__, "alike.sql")
# The value of ``last`` for everything, and the default period of engagement. That of an extract is all time.
ALL_TIME: Final = "all"
ENGAGEMENT_PERIOD: Final = "30d"
_PERIOD: Final = re.compile(r"^([1-9][0-9]{0,4})d$")
_DAY: Final = timedelta(days=1)
_TICK: Final = timedelta(microseconds=1)


class Filter(BaseModel, frozen=True, extra="forbid"):
    """Which rows of the activity table."""

    since: AwareDatetime | None = None
    until: AwareDatetime | None = None
    matters: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    user_types: tuple[UserType, ...] = ()
    matter_types: tuple[MatterType, ...] = ()
    companies: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        *,
        now: datetime,
        last: str | None = None,
        first_day: str | None = None,
        last_day: str | None = None,
        zone: tzinfo = UTC,
        default: str = ALL_TIME,
        **fields: Any,
    ) -> Self:
        """Make a filter from the text that a person wrote.

        Args:
            now: an instant of today.
            last: a number of whole days up to today, such as ``30d``, or ``all``.
            first_day: a day, or a full timestamp with a zone.
            last_day: the same; this day or instant is included.
            zone: the time zone of the days.
            default: the value of ``last`` if no period is given.
            fields: the other fields, by name.

        Raises:
            InvalidFilter: a date is invalid, the end is before the beginning, or ``last`` is combined with days.
        """
        if last is not None and (first_day is not None or last_day is not None):
            raise InvalidFilter("--last cannot be combined with --from or --to", "last", "from", "to")
        since = None if first_day is None else _beginning(first_day, zone)
        until = None if last_day is None else _end(last_day, zone)
        if since is until is None and (days := _days(default if last is None else last)) is not None:
            until = end_of_today(now, zone)
            since = beginning_of(now.astimezone(zone).date() - (days - 1) * _DAY, zone)
        if since is not None and until is not None and since >= until:
            raise InvalidFilter(f"--from {first_day} is after --to {last_day}", "from", "to")
        return cls(since=since, until=until, **fields)

    def parameters(self) -> dict[str, Any]:
        """Return the values of the WHERE clause; times without a zone, as in the table."""
        return {
            "since": as_stored(self.since),
            "until": as_stored(self.until),
            "matters": list(self.matters) or None,
            "users": list(self.users) or None,
            "user_types": [str(kind) for kind in self.user_types] or None,
            "matter_types": [str(kind) for kind in self.matter_types] or None,
            "companies": list(self.companies) or None,
        }

    def may_hold(self, matter_id: str) -> bool:
        """Return whether rows of this matter can pass the field ``matters``."""
        return not self.matters or matter_id in self.matters

    def words(self) -> str:
        """Return the filter as a sentence; times are in UTC."""
        parts = [
            _any_of("by", "", self.users, "user", "users"),
            _any_of("by", "", [kind.lower() + "s" for kind in self.user_types]),
            _any_of("by people of", "", self.companies, "company", "companies"),
            _any_of("of", "", self.matters, "matter", "matters"),
            _any_of("of", " matters", self.matter_types),
            *_times_in_words(self.since, self.until),
        ]
        return "All views" + "".join(f" {part}" for part in parts if part) + "."


def _any_of(begins: str, ends: str, values: Sequence[str], one: str = "", many: str = "") -> str:
    if not values:
        return ""
    *others, last = values
    listed = f"{', '.join(others)} or {last}" if others else last
    noun = many if others else one
    return f"{begins} {noun + ' ' if noun else ''}{listed}{ends}"


def _times_in_words(since: datetime | None, until: datetime | None) -> Iterator[str]:
    if since is not None:
        yield f"from {since.astimezone(UTC).date()}" if _is_midnight(since) else f"from {_written(since)}"
    if until is not None and _is_midnight(until):
        yield f"to the end of {(until.astimezone(UTC) - _DAY).date()}"
    elif until is not None:
        yield f"to {_written(until - _TICK)}"
    if since is not None or until is not None:
        yield "(UTC)"


def _is_midnight(instant: datetime) -> bool:
    return instant.astimezone(UTC).time() == time.min


def _written(instant: datetime) -> str:
    return as_stored(instant).isoformat()


def _days(last: str) -> int | None:
    if last == ALL_TIME:
        return None
    if (match := _PERIOD.match(last)) is None:
        text = f"--last {last!r} is not a period: write a number of days, such as 30d or 90d, or {ALL_TIME}"
        raise InvalidFilter(text, "last")
    return int(match[1])


def _beginning(text: str, zone: tzinfo) -> datetime:
    moment = _moment(text, "from")
    return moment if isinstance(moment, datetime) else beginning_of(moment, zone)


def _end(text: str, zone: tzinfo) -> datetime | None:
    """Return the first instant after the period; None where the calendar ends before it."""
    moment = _moment(text, "to")
    try:
        return moment + _TICK if isinstance(moment, datetime) else beginning_of(moment + _DAY, zone)
    except OverflowError:
        return None


def zone_of(name: str) -> ZoneInfo:
    """Return the time zone with an IANA name.

    Raises:
        InvalidFilter: there is no such time zone.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, OSError, ValueError):  # unknown, a folder of zones, or not the form of a name
        raise InvalidFilter(f"{name!r} is not a time zone: use an IANA name like Europe/London", "timezone") from None


def end_of_today(now: datetime, zone: tzinfo) -> datetime:
    """Return the first instant of tomorrow."""
    return beginning_of(now.astimezone(zone).date() + _DAY, zone)


def beginning_of(day: date, zone: tzinfo) -> datetime:
    """Return a day's first instant: 01:00 where clocks skip midnight, the first midnight where they show two."""
    try:
        return datetime.combine(day, time.min, zone).astimezone(UTC)
    except OverflowError:  # in UTC the calendar's first day begins before the calendar
        return datetime.min.replace(tzinfo=UTC)


def _moment(text: str, name: str) -> date | datetime:
    try:
        return date.fromisoformat(text) if len(text) == len("2026-11-22") else _instant(text)
    except (ValueError, OverflowError):
        raise InvalidFilter(
            f"--{name} {text!r} is not a date: write a day like 2026-11-22, or an instant like 2026-11-22T14:05:09Z",
            name,
        ) from None


def _instant(text: str) -> datetime:
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError("no zone")
    return instant.astimezone(UTC)


def alike(text: str) -> str:
    """Return an SQL expression that is equal for texts that look alike to a person; ``text`` is one too."""
    return SQL["alike"].format(text=text)
