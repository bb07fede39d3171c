"""The last 30 days at a glance: figures, each compared with the 30 days before by a sign and in words."""

from dataclasses import dataclass
from datetime import UTC, datetime

from matterlog.report.engagement.engagement_period import Period
from matterlog.report.log.filters import Filter
from matterlog.report.log.reader import LogConnection
from matterlog.report.web.figures.log_questions import rows_of
from matterlog.schemas.instants import as_stored


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A figure of the last 30 days and of the 30 days before. ``address`` is the page with its details."""

    title: str
    address: str
    value: int
    before: int

    @property
    def sign(self) -> str:
        return "=" if self.value == self.before else "▲" if self.value > self.before else "▼"

    @property
    def words(self) -> str:
        if self.value == self.before:
            return "the same as in the 30 days before" if self.value else "none in the 30 days before either"
        if self.before == 0:
            return "none in the 30 days before"
        percent = round(100 * abs(self.value - self.before) / self.before)
        share = f"{percent:,}%" if percent else "under 1%"
        return f"{share} {'more' if self.value > self.before else 'fewer'} than {self.before:,} in the 30 days before"


def figures_of(connection: LogConnection, days: Filter, now: datetime) -> tuple[Figure, ...]:
    """Return the figures of a period up to today, without demo matters.

    Args:
        connection: the connection of a reader.
        days: the filter with the days of the period.
        now: an instant of today.
    """
    period = Period.of(days, now=now, zone=UTC, first_view=None)
    counted = rows_of(
        connection,
        "last_days",
        since=as_stored(period.since),
        before_since=as_stored(period.before_since),
        until=as_stored(period.until),
    )[0]
    return tuple(
        Figure(title=title, address=f"/reports/{page}", value=counted[name], before=counted[f"{name}_before"])
        for title, name, page in (
            ("Views", "views", "activity?last=30d&matter_type=live"),
            ("Active users", "users", "users"),
            ("Active matters", "matters", "matters"),
        )
    )
