"""User engagement, matter engagement, client analysis: a picture with its finding, and the first rows of the table."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from functools import cache
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query
from starlette.requests import Request
from starlette.responses import Response

from matterlog.report.engagement import Analysis, Engagement, EngagementRequest, read_engagement, zone_of
from matterlog.report.engagement_period import last_days
from matterlog.report.errors import InvalidFilter
from matterlog.report.filters import Filter
from matterlog.report.web.frame import page
from matterlog.report.web.parts import Parts
from matterlog.report.web.visitors import SignedIn, SiteParts

router = APIRouter()
_ROWS_SHOWN: Final = 200
_NOTHING: Final = "\N{EN DASH}"


class Days(StrEnum):
    """Which period: whole days of the time zone, today included."""

    WEEK = "7"
    MONTH = "30"
    QUARTER = "90"
    YEAR = "365"
    ALL = "all"


PERIODS: Final = {
    Days.WEEK: "Last 7 days",
    Days.MONTH: "Last 30 days",
    Days.QUARTER: "Last 90 days",
    Days.YEAR: "Last 365 days",
    Days.ALL: "All time",
}
_TITLES: Final = {"users": "User engagement", "matters": "Matter engagement", "clients": "Client analysis"}
_LEADS: Final = {
    "users": "Who uses the platform, how much, and who may need a hand.",
    "matters": "Which matters are busy, which are quiet, and when.",
    "clients": "How active the outside parties are.",
}


def _text(value: object) -> str:
    return _NOTHING if value is None else str(value)


def _number(value: int | None) -> str:
    return _NOTHING if value is None else f"{value:,}"


def _percent(value: float | None) -> str:
    return _NOTHING if value is None else f"{value:.0%}"


def _change(value: float | None) -> str:
    return _NOTHING if value is None else f"{value:+.0%}"


def _day(value: datetime | date | None) -> str:
    return _NOTHING if value is None else f"{value:%Y-%m-%d}"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a page's table: its title, the analysis' column, and how a value is written."""

    title: str
    name: str
    write: Callable[[Any], str] = _number

    @property
    def is_figure(self) -> bool:
        """Whether it stands to the right."""
        return self.write in {_number, _percent, _change}


_ACTIVE: Final = (Column("Visits", "visits"), Column("Before", "visits_before"), Column("Trend", "trend", _change))
_SEEN: Final = Column("Last seen (UTC)", "last_view_at", _day)
COLUMNS: Final[Mapping[str, tuple[Column, ...]]] = {
    "users": (
        Column("User", "user_name", _text),
        Column("E-mail", "user_email", _text),
        Column("Type", "user_type", _text),
        *_ACTIVE,
        Column("Matters", "matters"),
        Column("Active days", "active_days"),
        _SEEN,
        Column("Status", "status", _text),
    ),
    "matters": (
        Column("Matter", "matter_name", _text),
        Column("Type", "matter_type", _text),
        *_ACTIVE,
        Column("Members", "members"),
        Column("Guests", "guests"),
        Column("Busiest day", "busiest_day", _day),
        _SEEN,
        Column("Mark", "mark", _text),
    ),
    "clients": (
        Column("Client", "client_name", _text),
        Column("Kind", "client_kind", _text),
        *_ACTIVE,
        Column("Matters", "matters"),
        Column("People", "people"),
        Column("Reach", "reach", _percent),
        _SEEN,
        Column("Health", "health", _text),
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a page was asked for."""

    days: Days
    timezone: str
    include_demo: bool

    def request(self, analysis: Analysis, now: datetime) -> EngagementRequest:
        """Return it as a question.

        Raises:
            InvalidFilter: there is no such time zone.
        """
        zone = zone_of(self.timezone)
        since = None if self.days is Days.ALL else last_days(int(self.days), now=now, zone=zone)
        return EngagementRequest(
            analysis=analysis,
            now=now,
            filter=Filter(since=since),
            timezone=self.timezone,
            include_demo=self.include_demo,
        )

    def query(self) -> str:
        """Return it as an address's query."""
        demo = {"demo": "true"} if self.include_demo else {}
        return urlencode({"days": self.days, "timezone": self.timezone} | demo)


def asked_period(
    days: Days = Days.MONTH,
    timezone: Annotated[str, Query(max_length=80)] = "UTC",
    *,
    demo: bool = False,
) -> Asked:
    """Return what the address asks for."""
    return Asked(days=days, timezone=timezone.strip() or "UTC", include_demo=demo)


Period = Annotated[Asked, Depends(asked_period)]


def _page(request: Request, parts: Parts, subject: str, asked: Asked) -> Response:
    facts: dict[str, Any] = {"problem": None, "picture": None, "rows": [], "total": 0}
    try:
        question = asked.request(Analysis(subject), parts.database.now())
    except InvalidFilter as error:
        facts["problem"] = str(error)
    else:
        seen = seen_of(parts, subject, asked, question)
        facts |= {"picture": seen.picture, "rows": seen.rows, "total": seen.total}
    return page(
        request,
        "engagement.html",
        status=200 if facts["problem"] is None else 422,
        subject=subject,
        title=_TITLES[subject],
        lead=_LEADS[subject],
        asked=asked,
        periods=PERIODS,
        columns=COLUMNS[subject],
        **facts,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A picture, and of the table the first rows and how many there are."""

    picture: Any
    rows: list[list[tuple[str, bool]]]
    total: int


def seen_of(parts: Parts, subject: str, asked: Asked, question: EngagementRequest) -> Seen:
    """Return what a page shows; the same for a minute while the log stays as it is.

    Raises:
        InvalidFilter: the period makes no sense.
        SiteBusy: too many ask for something else at once.
    """
    return parts.pictures.get((subject, asked), lambda: _look(parts, subject, question))


def _look(parts: Parts, subject: str, question: EngagementRequest) -> Seen:
    # Altair takes a quarter of a second to import: not before somebody looks at a picture.
    from matterlog.report.charts import Subject, draw  # noqa: PLC0415

    with parts.log.reader() as connection:
        # The picture asks what the table asks.
        ask = cache(lambda each: read_engagement(connection, each))
        picture = draw(Subject(subject), question, ask)
        if subject not in COLUMNS:
            return Seen(picture=picture, rows=[], total=0)
        answer = ask(question)
    return Seen(picture=picture, rows=_rows(answer, subject), total=answer.table.num_rows)


def _rows(answer: Engagement, subject: str) -> list[list[tuple[str, bool]]]:
    columns = COLUMNS[subject]
    first = answer.table.slice(0, _ROWS_SHOWN).to_pylist()
    return [[(column.write(row[column.name]), column.is_figure) for column in columns] for row in first]


@router.get("/reports/users")
def users(request: Request, visitor: SignedIn, parts: SiteParts, asked: Period) -> Response:  # noqa: ARG001 - who may
    """Show who uses the platform."""
    return _page(request, parts, "users", asked)


@router.get("/reports/matters")
def matters(request: Request, visitor: SignedIn, parts: SiteParts, asked: Period) -> Response:  # noqa: ARG001
    """Show which matters are busy and which are quiet."""
    return _page(request, parts, "matters", asked)


@router.get("/reports/clients")
def clients(request: Request, visitor: SignedIn, parts: SiteParts, asked: Period) -> Response:  # noqa: ARG001
    """Show how active the outside parties are."""
    return _page(request, parts, "clients", asked)


@router.get("/reports/{subject}/picture.svg")
def picture(
    visitor: SignedIn,  # noqa: ARG001 - who may see it
    parts: SiteParts,
    asked: Period,
    subject: Literal["users", "matters", "clients", "activity"],
    look: Literal["light", "dark"] = "light",
) -> Response:
    """Give a page's picture in the colours of a look."""
    from matterlog.report.charts import Look, PictureFormat, render  # noqa: PLC0415

    question = asked.request(Analysis(subject), parts.database.now())
    seen = seen_of(parts, subject, asked, question)
    drawn = parts.pictures.get((subject, asked, look), lambda: render(seen.picture, PictureFormat.SVG, Look(look)))
    return Response(drawn, media_type="image/svg+xml")
