"""The words of a picture's title: they are true of the data, also for a tie, for one row and for no rows."""

from collections.abc import Sequence
from datetime import date

from matterlog.report.engagement.engagement_period import Bucket

# Up to this many equals are named; more are only counted.
MAX_NAMED = 3


def counted(number: int, one: str, many: str | None = None) -> str:
    """Return ``1 visit``, ``12,345 visits``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def share(part: int, whole: int) -> str:
    """Return a share in whole per cent; it never rounds to 0% or 100%."""
    if 0 < part < whole:
        percent = round(100 * part / whole)
        return "under 1%" if percent == 0 else "over 99%" if percent == 100 else f"{percent}%"  # noqa: PLR2004
    return "100%" if part else "0%"


def listed(items: Sequence[str]) -> str:
    """Return ``a``, ``a and b``, ``a, b and c``."""
    return " and ".join([", ".join(items[:-1]), items[-1]] if len(items) > 1 else items)


def day_of(day: date) -> str:
    """Return ``3 Nov 2026``, whatever the process's locale."""
    months = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
    return f"{day.day} {months[day.month - 1]} {day.year}"


def bucket_of(day: date, by: Bucket) -> str:
    """Return the name of a bucket: ``Tue 3 Nov 2026``, ``the week of 2 Nov 2026``, ``Nov 2026``."""
    match by:
        case Bucket.DAY:
            return f"{('Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun')[day.weekday()]} {day_of(day)}"
        case Bucket.WEEK:
            return f"the week of {day_of(day)}"
        case Bucket.MONTH:
            return day_of(day).split(" ", 1)[1]


def busiest(counts: Sequence[tuple[str, int]], *, unit: str, noun: str) -> str:
    """Say when most visits were.

    Args:
        counts: the name and the visits of each hour or day.
        unit: the word for one of them, such as ``hour``.
        noun: the word for what is counted, such as ``visit``.
    """
    most = max((visits for _, visits in counts), default=0)
    if not most:
        return f"No {noun}s"
    first = [name for name, visits in counts if visits == most]
    if len(first) == 1:
        return f"{_capital(first[0])} is the busiest {unit}: {counted(most, noun)}"
    if len(first) <= MAX_NAMED:
        return f"{_capital(listed(first))} are the busiest {unit}s: {counted(most, noun)} each"
    return f"{len(first):,} {unit}s are equally the busiest: {counted(most, noun)} each"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
