"""User engagement, matter engagement and client analysis: a picture with its finding, and the table's first rows."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache, partial
from http import HTTPStatus
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends
from pydantic import AfterValidator
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from matterlog.report.engagement.analyses import ANALYSES, Analysis
from matterlog.report.engagement.analyses.analysis_spec import AnalysisSpec
from matterlog.report.engagement.client_views import views_of_client
from matterlog.report.engagement.engagement import read_engagement
from matterlog.report.engagement.engagement_files import EngagementFileRequest
from matterlog.report.errors import InvalidFilter
from matterlog.report.web.http.frame import page
from matterlog.report.web.http.parameters import Fields
from matterlog.report.web.http.visitors import SignedIn, SiteParts, Visitor
from matterlog.report.web.identity.audit_log import Act
from matterlog.report.web.parts import Parts
from matterlog.report.web.reports.engagement_choices import CheckedChoices, EngagementChoices
from matterlog.report.web.reports.file_choices import file_choices
from matterlog.report.web.reports.handing_over import hand_over_soon
from matterlog.report.web.reports.period_choices import DATE_TITLES

router = APIRouter()
ROWS_SHOWN: Final = 200
# The analysis with the page of one user, matter or client, by the field with its ID.
DETAILS: Final = {"matter": "matters", "user": "users", "company": "clients", "domain": "clients"}
_USER_TYPES: Final = {"all": "Everybody", "Member": "Members", "Guest": "Guests"}
_MATTER_TYPES: Final = {"live": "Live matters", "demo": "Demo matters", "all": "Live and demo"}
_RAW_VIEWS: Final = {"false": "Visits", "true": "Every view"}
_STEPS: Final = {"fitting": "Automatic", "day": "Day by day", "week": "Week by week", "month": "Month by month"}


FIELDS: Final = Fields((*EngagementChoices.fields(), "format"))
Sent = Annotated[Mapping[str, Any], Depends(FIELDS)]


def checked(parts: Parts, sent: Mapping[str, Any]) -> CheckedChoices:
    """Read and check the choices of a query string or a form; those of a client choose the views of its people.

    Raises:
        HTTPException: there is no such client.
    """
    asked = CheckedChoices.of(sent, parts.database.now())
    kind, client = ("company", asked.choices.company) if asked.choices.company else ("domain", asked.choices.domain)
    if not client:
        return asked

    def look() -> dict[str, Any]:
        with parts.log.reader() as connection:
            return views_of_client(connection, kind, client)

    found = parts.pictures.get((kind, client), look)
    if not found:
        raise HTTPException(HTTPStatus.NOT_FOUND, "The log holds no client with this ID.")
    return replace(asked, chosen=asked.chosen.model_copy(update=found))


def _page(request: Request, visitor: Visitor, parts: Parts, spec: AnalysisSpec, asked: CheckedChoices) -> Response:
    problems, seen = dict(asked.problems), None
    if not problems:
        try:
            seen = seen_of(parts, asked, spec.name)
            visitor.record(parts, Act.NAMES_SHOWN, request.url.path, len(seen.rows))
        except InvalidFilter as error:  # too many steps for one picture
            problems["by"] = str(error)
    return page(
        request,
        "engagement.html",
        status=HTTPStatus.UNPROCESSABLE_ENTITY if problems else HTTPStatus.OK,
        spec=spec,
        choices=asked.choices,
        problems=problems,
        selects=selects_of(spec),
        date_choices=DATE_TITLES,
        files={value: choice.label.title for value, choice in file_choices().items()},
        seen=seen,
        page_of=partial(page_of, spec, asked),
        activity_of=partial(activity_of, spec, asked, parts.database.now()),
    )


def selects_of(spec: AnalysisSpec) -> dict[str, tuple[str, Mapping[str, str]]]:
    """Return the selection lists besides the dates: title and options, by field."""
    selects: dict[str, tuple[str, Mapping[str, str]]] = {}
    if not spec.of_guests:
        selects["user_type"] = ("People", _USER_TYPES)
    selects |= {"matter_type": ("Matters", _MATTER_TYPES), "raw_views": ("Count", _RAW_VIEWS)}
    if spec.page is not None and spec.page.has_steps:
        selects["by"] = ("Over time", _STEPS)
    return selects


@dataclass(frozen=True, slots=True, kw_only=True)
class PageContent:
    """The picture of a page, and of its table the first rows, how many have views in the period, and the total."""

    picture: Any
    rows: list[dict[str, Any]]
    active: int
    total: int


def seen_of(parts: Parts, asked: CheckedChoices, analysis: str) -> PageContent:
    """Return what a page shows, cached for a minute while the log does not change.

    Raises:
        InvalidFilter: the period makes no sense or is too long for the picture.
        SiteBusy: too many other pictures are being made.
    """
    question = asked.request(analysis, parts.database.now())

    def look() -> PageContent:
        # Importing Altair takes a quarter of a second, so it waits until a picture is needed.
        from matterlog.report.charts import draw  # noqa: PLC0415

        with parts.log.reader() as connection:
            # The picture and the table ask the same question.
            ask = cache(lambda each: read_engagement(connection, each))
            picture = draw(analysis, question, ask, asked.choices.bucket)
            if question.spec.page is None:
                return PageContent(picture=picture, rows=[], active=0, total=0)
            table = ask(question).table
        rows, active = table.slice(0, ROWS_SHOWN).to_pylist(), sum(map(bool, table["views"].to_pylist()))
        return PageContent(picture=picture, rows=rows, active=active, total=table.num_rows)

    return parts.pictures.get((analysis, asked.choices), look)


def activity_of(
    spec: AnalysisSpec, asked: CheckedChoices, now: datetime, row: Mapping[str, Any], *, before: bool = False
) -> str | None:
    """Return the address of the Activity report with a row's views; None if no single filter selects them.

    ``before``: its views of the period before.
    """
    if spec.page is None or spec.page.views_by is None:
        return None
    field, column = spec.page.views_by
    return asked.activity_address(now, before=before, **{field: row[column]})


def page_of(spec: AnalysisSpec, asked: CheckedChoices, row: Mapping[str, Any]) -> str | None:
    """Return the address of the page of a row's user, matter or client; None if it has none."""
    field, column = spec.page.views_by if spec.page and spec.page.views_by else (row.get("client_kind"), "client_ID")
    return asked.details_address(DETAILS[field], **{field: row[column]}) if field in DETAILS else None


def pages() -> APIRouter:
    """Return the page of each analysis that has one."""
    shown = APIRouter()
    for spec in ANALYSES.values():
        if spec.page is not None:
            shown.add_api_route(f"/reports/{spec.name}", _shows(spec), methods=["GET"])
    return shown


def _shows(spec: AnalysisSpec) -> Callable[..., Response]:
    def show(request: Request, visitor: SignedIn, parts: SiteParts, sent: Sent) -> Response:
        return _page(request, visitor, parts, spec, checked(parts, sent))

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
    sent: Sent,
) -> Response:
    """Download the whole table, or redirect to its progress page if it takes longer."""
    file = file_choices().get(str(sent.get("format", "csv")))
    if file is None:
        raise InvalidFilter("The page does not offer this kind of file.")
    asked = checked(parts, sent)
    if asked.problems:
        return _page(request, visitor, parts, ANALYSES[subject], asked)
    question = asked.request(subject, parts.database.now())
    wanted = EngagementFileRequest(engagement=question, format=file.format, excel=file.excel)
    return hand_over_soon(parts, visitor, wanted)


@router.get("/reports/{subject}/picture.{ending}")
def picture(
    visitor: SignedIn,  # noqa: ARG001 - who may see it
    parts: SiteParts,
    subject: Annotated[Analysis, AfterValidator(_with_picture)],
    ending: Literal["svg", "json"],
    sent: Sent,
    look: Literal["light", "dark"] = "light",
) -> Response:
    """Return a page's picture as SVG in a look's colours, or as JSON that the page's script draws."""
    from matterlog.report.charts import Look, PictureFormat, render, vega_of  # noqa: PLC0415

    asked = checked(parts, sent)
    seen = seen_of(parts, asked, subject)

    def made() -> bytes:
        if ending == "json":
            return vega_of(seen.picture, Look(look))
        return render(seen.picture, PictureFormat.SVG, Look(look))

    return Response(parts.pictures.get((subject, asked.choices, look, ending), made), media_type=_ENDINGS[ending])
