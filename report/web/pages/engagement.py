"""User engagement, matter engagement, client analysis: a picture with its finding, and the first rows of the table."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import cache
from http import HTTPStatus
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from matterlog.report.engagement.engagement import Analysis, Engagement, EngagementRequest, read_engagement
from matterlog.report.engagement.engagement_files import EngagementFileRequest
from matterlog.report.errors import InvalidFilter
from matterlog.report.web.http.frame import page
from matterlog.report.web.http.visitors import SignedIn, SiteParts
from matterlog.report.web.parts import Parts
from matterlog.report.web.reports.activity_choices import Dates
from matterlog.report.web.reports.engagement_choices import Asked, Counting, Matters, People, Steps
from matterlog.report.web.reports.file_choices import FileChoice, file_choices
from matterlog.report.web.reports.handing_over import hand_over_soon

router = APIRouter()
_ROWS_SHOWN: Final = 200
_NOTHING: Final = "\N{EN DASH}"


_DATES: Final = {
    Dates.LAST_30: "Last 30 days",
    Dates.LAST_90: "Last 90 days",
    Dates.ALL: "All time",
    Dates.SELECTED: "Selected dates",
}
_PEOPLE: Final = {People.ALL: "Everybody", People.MEMBERS: "Members", People.GUESTS: "Guests"}
_MATTERS: Final = {Matters.LIVE: "Live matters", Matters.DEMO: "Demo matters", Matters.ALL: "Live and demo"}
_COUNTING: Final = {Counting.VISITS: "Visits", Counting.VIEWS: "Every view"}
_STEPS: Final = {
    Steps.FITTING: "As fits the period",
    Steps.DAY: "Day by day",
    Steps.WEEK: "Week by week",
    Steps.MONTH: "Month by month",
}
# By the column that names who or what a row is of; the Activity report's field is called as the page is.
_IDS: Final = {"users": "user_ID", "matters": "matter_ID"}
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
    """A column of a page's table: its title, the analysis' column, how a value is written, and what stands below it."""

    title: str
    name: str
    write: Callable[[Any], str] = _number
    below: str | None = None

    @property
    def is_figure(self) -> bool:
        """Whether it stands to the right."""
        return self.write in {_number, _percent, _change}


_ACTIVE: Final = (Column("Visits", "visits"), Column("Before", "visits_before"), Column("Trend", "trend", _change))
_SEEN: Final = Column("Last seen (UTC)", "last_view_at", _day)
COLUMNS: Final[Mapping[str, tuple[Column, ...]]] = {
    "users": (
        Column("User", "user_name", _text, below="user_email"),
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


def asked_period(request: Request, parts: SiteParts) -> Asked:
    """Return what the address asks for."""
    return Asked.of(request.query_params, parts.database.now())


@dataclass(frozen=True, slots=True)
class Sent:
    """What a form asks for, and as which kind of file."""

    asked: Asked
    file: FileChoice


async def sent_choices(request: Request, parts: SiteParts) -> Sent:
    """Return what the form asks for.

    Raises:
        InvalidFilter: a kind of file that the page does not offer.
    """
    fields = await request.form()
    file = file_choices().get(str(fields.get("file", "csv")))
    if file is None:
        raise InvalidFilter("The page does not offer this kind of file.")
    return Sent(Asked.of(fields, parts.database.now()), file)


Period = Annotated[Asked, Depends(asked_period)]


def _page(request: Request, parts: Parts, subject: str, asked: Asked) -> Response:
    problems, seen = dict(asked.problems), None
    if not problems:
        try:
            seen = seen_of(parts, subject, asked, asked.request(Analysis(subject), parts.database.now()))
        except InvalidFilter as error:  # a picture has no room for so many steps
            problems["by"] = str(error)
    return page(
        request,
        "engagement.html",
        status=HTTPStatus.UNPROCESSABLE_ENTITY if problems else HTTPStatus.OK,
        subject=subject,
        title=_TITLES[subject],
        lead=_LEADS[subject],
        asked=asked,
        choices=asked.choices,
        problems=problems,
        selects=_selects(subject),
        date_choices=_DATES,
        files={value: choice.label.title for value, choice in file_choices().items()},
        columns=columns_of(subject, asked),
        seen=seen,
    )


def _selects(subject: str) -> dict[str, tuple[str, Mapping[Any, str]]]:
    """Return the lists to choose from besides the dates: by field, what it is called and what it offers."""
    everywhere: dict[str, tuple[str, Mapping[Any, str]]] = {}
    everywhere |= {"people": ("People", _PEOPLE), "matters": ("Matters", _MATTERS), "counting": ("Count", _COUNTING)}
    match subject:
        case "clients":  # they are guests
            del everywhere["people"]
        case "matters":
            everywhere["by"] = ("Over time", _STEPS)
    return everywhere


@dataclass(frozen=True, slots=True)
class Cell:
    """A value as it is shown, what stands below it, and where more of it is."""

    text: str
    is_figure: bool
    below: str | None = None
    address: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A picture, and of the table the first rows and how many there are."""

    picture: Any
    rows: list[list[Cell]]
    total: int


def seen_of(parts: Parts, subject: str, asked: Asked, question: EngagementRequest) -> Seen:
    """Return what a page shows; the same for a minute while the log stays as it is.

    Raises:
        InvalidFilter: the period makes no sense, or the picture has no room for it.
        SiteBusy: too many ask for something else at once.
    """
    return parts.pictures.get((subject, asked.choices), lambda: _look(parts, subject, asked, question))


def _look(parts: Parts, subject: str, asked: Asked, question: EngagementRequest) -> Seen:
    # Altair takes a quarter of a second to import: not before somebody looks at a picture.
    from matterlog.report.charts import Subject, draw  # noqa: PLC0415

    with parts.log.reader() as connection:
        # The picture asks what the table asks.
        ask = cache(lambda each: read_engagement(connection, each))
        picture = draw(Subject(subject), question, ask, asked.choices.bucket)
        if subject not in COLUMNS:
            return Seen(picture=picture, rows=[], total=0)
        answer = ask(question)
    return Seen(picture=picture, rows=_rows(answer, subject, asked), total=answer.table.num_rows)


def columns_of(subject: str, asked: Asked) -> tuple[Column, ...]:
    """Return the columns of a page's table; what is counted is called by its name."""
    views = asked.choices.counting is Counting.VIEWS
    return tuple(
        replace(column, title="Views") if views and column.name == "visits" else column for column in COLUMNS[subject]
    )


def _rows(answer: Engagement, subject: str, asked: Asked) -> list[list[Cell]]:
    first = answer.table.slice(0, _ROWS_SHOWN).to_pylist()
    return [cells_of(subject, COLUMNS[subject], row, asked, answer.request.now) for row in first]


def cells_of(
    subject: str, columns: Sequence[Column], row: Mapping[str, Any], asked: Asked, now: datetime
) -> list[Cell]:
    """Return a row as it is shown; its first cell leads to the views behind it."""
    cells = [
        Cell(column.write(row[column.name]), column.is_figure, None if column.below is None else row[column.below])
        for column in columns
    ]
    return [replace(cells[0], address=_activity_of(subject, row, asked, now)), *cells[1:]]


def _activity_of(subject: str, row: Mapping[str, Any], asked: Asked, now: datetime) -> str | None:
    """Return the address of the Activity report of a row's user or matter; a client's views have no one filter."""
    if subject not in _IDS:
        return None
    query = asked.activity_query(now, **{subject: row[_IDS[subject]]})
    return f"/reports/activity?{query}"


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


_ENDINGS: Final = {"svg": "image/svg+xml", "json": "application/json"}


@router.post("/reports/{subject}/download")
def download(
    request: Request,
    visitor: SignedIn,
    parts: SiteParts,
    subject: Literal["users", "matters", "clients"],
    sent: Annotated[Sent, Depends(sent_choices)],
) -> Response:
    """Give the whole table as a file, at once or from the page that shows how far it is."""
    if sent.asked.problems:
        return _page(request, parts, subject, sent.asked)
    question = sent.asked.request(Analysis(subject), parts.database.now())
    wanted = EngagementFileRequest(engagement=question, format=sent.file.format, excel=sent.file.excel)
    return hand_over_soon(parts, visitor, wanted)


@router.get("/reports/{subject}/picture.{ending}")
def picture(
    visitor: SignedIn,  # noqa: ARG001 - who may see it
    parts: SiteParts,
    asked: Period,
    subject: Literal["users", "matters", "clients", "activity"],
    ending: Literal["svg", "json"],
    look: Literal["light", "dark"] = "light",
) -> Response:
    """Give a page's picture in the colours of a look, or the same as a description that the page's script draws."""
    from matterlog.report.charts import Look, PictureFormat, render, vega_of  # noqa: PLC0415

    question = asked.request(Analysis(subject), parts.database.now())
    seen = seen_of(parts, subject, asked, question)

    def made() -> bytes:
        if ending == "json":
            return vega_of(seen.picture, Look(look))
        return render(seen.picture, PictureFormat.SVG, Look(look))

    return Response(parts.pictures.get((subject, asked.choices, look, ending), made), media_type=_ENDINGS[ending])
