"""User engagement, matter engagement and client analysis: a picture with its finding, and the table's first rows."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from http import HTTPStatus
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends
from pydantic import AfterValidator
from starlette.requests import Request
from starlette.responses import Response

from matterlog.report.engagement.analyses import ANALYSES, Analysis
from matterlog.report.engagement.analyses.analysis_spec import AnalysisPage, AnalysisSpec, TableColumn
from matterlog.report.engagement.engagement import Engagement, EngagementRequest, read_engagement
from matterlog.report.engagement.engagement_files import EngagementFileRequest
from matterlog.report.errors import InvalidFilter
from matterlog.report.web.http.frame import page
from matterlog.report.web.http.visitors import SignedIn, SiteParts
from matterlog.report.web.parts import Parts
from matterlog.report.web.reports.activity_choices import Dates
from matterlog.report.web.reports.engagement_choices import CheckedChoices, Counting, Matters, People, Steps
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
    Steps.FITTING: "Automatic",
    Steps.DAY: "Day by day",
    Steps.WEEK: "Week by week",
    Steps.MONTH: "Month by month",
}


def asked_period(request: Request, parts: SiteParts) -> CheckedChoices:
    """Read the choices from the query string."""
    return CheckedChoices.of(request.query_params, parts.database.now())


@dataclass(frozen=True, slots=True)
class DownloadForm:
    """The choices of a download form, with the kind of file."""

    asked: CheckedChoices
    file: FileChoice


async def sent_choices(request: Request, parts: SiteParts) -> DownloadForm:
    """Read a download form.

    Raises:
        InvalidFilter: the page does not offer this kind of file.
    """
    fields = await request.form()
    file = file_choices().get(str(fields.get("file", "csv")))
    if file is None:
        raise InvalidFilter("The page does not offer this kind of file.")
    return DownloadForm(CheckedChoices.of(fields, parts.database.now()), file)


Period = Annotated[CheckedChoices, Depends(asked_period)]


def _page(request: Request, parts: Parts, spec: AnalysisSpec, asked: CheckedChoices) -> Response:
    problems, seen = dict(asked.problems), None
    if not problems:
        try:
            seen = seen_of(parts, asked, asked.request(spec.name, parts.database.now()))
        except InvalidFilter as error:  # too many steps for one picture
            problems["by"] = str(error)
    return page(
        request,
        "engagement.html",
        status=HTTPStatus.UNPROCESSABLE_ENTITY if problems else HTTPStatus.OK,
        spec=spec,
        asked=asked,
        choices=asked.choices,
        problems=problems,
        selects=_selects(spec),
        date_choices=_DATES,
        files={value: choice.label.title for value, choice in file_choices().items()},
        columns=columns_of(spec.page, asked) if spec.page else (),
        seen=seen,
    )


def _selects(spec: AnalysisSpec) -> dict[str, tuple[str, Mapping[Any, str]]]:
    """Return the selection lists besides the dates: title and options, by field."""
    selects: dict[str, tuple[str, Mapping[Any, str]]] = {}
    if not spec.of_guests:
        selects["people"] = ("People", _PEOPLE)
    selects |= {"matters": ("Matters", _MATTERS), "counting": ("Count", _COUNTING)}
    if spec.page is not None and spec.page.has_steps:
        selects["by"] = ("Over time", _STEPS)
    return selects


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a table: its text, a second line below it, and the address that it links to."""

    text: str
    is_figure: bool
    below: str | None = None
    address: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PageContent:
    """The picture of a page, and of its table the first rows and the total."""

    picture: Any
    rows: list[list[Cell]]
    total: int


def seen_of(parts: Parts, asked: CheckedChoices, question: EngagementRequest) -> PageContent:
    """Return what a page shows, cached for a minute while the log does not change.

    Raises:
        InvalidFilter: the period makes no sense or is too long for the picture.
        SiteBusy: too many other pictures are being made.
    """
    return parts.pictures.get((question.analysis, asked.choices), lambda: _look(parts, asked, question))


def _look(parts: Parts, asked: CheckedChoices, question: EngagementRequest) -> PageContent:
    # Importing Altair takes a quarter of a second, so it waits until a picture is needed.
    from matterlog.report.charts import draw  # noqa: PLC0415

    with parts.log.reader() as connection:
        # The picture and the table ask the same question.
        ask = cache(lambda each: read_engagement(connection, each))
        picture = draw(question.analysis, question, ask, asked.choices.bucket)
        about = question.spec.page
        if about is None:
            return PageContent(picture=picture, rows=[], total=0)
        answer = ask(question)
    return PageContent(picture=picture, rows=_rows(answer, about, asked), total=answer.table.num_rows)


def columns_of(about: AnalysisPage, asked: CheckedChoices) -> tuple[TableColumn, ...]:
    """Return the columns of a page's table; "Visits" becomes "Views" if views are counted."""
    views = asked.choices.counting is Counting.VIEWS
    return tuple(
        replace(column, title="Views") if views and column.name == "visits" else column for column in about.columns
    )


def _rows(answer: Engagement, about: AnalysisPage, asked: CheckedChoices) -> list[list[Cell]]:
    first = answer.table.slice(0, _ROWS_SHOWN).to_pylist()
    return [cells_of(about, about.columns, row, asked, answer.request.now) for row in first]


def cells_of(
    about: AnalysisPage, columns: Sequence[TableColumn], row: Mapping[str, Any], asked: CheckedChoices, now: datetime
) -> list[Cell]:
    """Return the cells of a row. The first one links to the views behind it."""
    cells = [
        Cell(_written(column, row), column.is_figure, None if column.below is None else row[column.below])
        for column in columns
    ]
    return [replace(cells[0], address=_activity_of(about, row, asked, now)), *cells[1:]]


def _written(column: TableColumn, row: Mapping[str, Any]) -> str:
    value = row[column.name]
    return _NOTHING if value is None else column.write(value)


def _activity_of(about: AnalysisPage, row: Mapping[str, Any], asked: CheckedChoices, now: datetime) -> str | None:
    """Return the address of the Activity report with a row's views; None if no single filter selects them."""
    if about.views_by is None:
        return None
    field, column = about.views_by
    return f"/reports/activity?{asked.activity_query(now, **{field: row[column]})}"


def pages() -> APIRouter:
    """Return the page of each analysis that has one."""
    shown = APIRouter()
    for spec in ANALYSES.values():
        if spec.page is not None:
            shown.add_api_route(f"/reports/{spec.name}", _shows(spec), methods=["GET"])
    return shown


def _shows(spec: AnalysisSpec) -> Callable[..., Response]:
    def show(request: Request, visitor: SignedIn, parts: SiteParts, asked: Period) -> Response:  # noqa: ARG001 - who may
        return _page(request, parts, spec, asked)

    return show


def _with_page(analysis: str) -> str:
    if ANALYSES[analysis].page is None:
        raise ValueError("it has no page")
    return analysis


def _with_picture(analysis: str) -> str:
    if ANALYSES[analysis].is_part:
        raise ValueError("it has no picture")
    return analysis


_ENDINGS: Final = {"svg": "image/svg+xml", "json": "application/json"}


@router.post("/reports/{subject}/download")
def download(
    request: Request,
    visitor: SignedIn,
    parts: SiteParts,
    subject: Annotated[Analysis, AfterValidator(_with_page)],
    sent: Annotated[DownloadForm, Depends(sent_choices)],
) -> Response:
    """Download the whole table, or redirect to its progress page if it takes longer."""
    if sent.asked.problems:
        return _page(request, parts, ANALYSES[subject], sent.asked)
    question = sent.asked.request(subject, parts.database.now())
    wanted = EngagementFileRequest(engagement=question, format=sent.file.format, excel=sent.file.excel)
    return hand_over_soon(parts, visitor, wanted)


@router.get("/reports/{subject}/picture.{ending}")
def picture(
    visitor: SignedIn,  # noqa: ARG001 - who may see it
    parts: SiteParts,
    asked: Period,
    subject: Annotated[Analysis, AfterValidator(_with_picture)],
    ending: Literal["svg", "json"],
    look: Literal["light", "dark"] = "light",
) -> Response:
    """Return a page's picture as SVG in a look's colours, or as JSON that the page's script draws."""
    from matterlog.report.charts import Look, PictureFormat, render, vega_of  # noqa: PLC0415

    seen = seen_of(parts, asked, asked.request(subject, parts.database.now()))

    def made() -> bytes:
        if ending == "json":
            return vega_of(seen.picture, Look(look))
        return render(seen.picture, PictureFormat.SVG, Look(look))

    return Response(parts.pictures.get((subject, asked.choices, look, ending), made), media_type=_ENDINGS[ending])
