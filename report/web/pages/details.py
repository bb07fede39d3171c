"""The page of one matter, user or client. Its frame comes at once, and its figures as soon as they are counted."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Annotated, Any, Final, Literal
from urllib.parse import parse_qsl

from fastapi import APIRouter, Depends
from starlette.datastructures import ImmutableMultiDict
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from matterlog.report.engagement.analyses import ANALYSES
from matterlog.report.engagement.analyses.activity import ACTIVITY
from matterlog.report.engagement.analyses.analysis_spec import AnalysisSpec, TableColumn, day
from matterlog.report.engagement.analyses.matters import MATTERS
from matterlog.report.engagement.analyses.users import USERS
from matterlog.report.engagement.engagement import read_engagement
from matterlog.report.errors import InvalidFilter, ReportError
from matterlog.report.purges.receipts import REACH_OF_A_FILE, REACH_OF_A_LAKE, read_receipts
from matterlog.report.web.figures.log_questions import rows_of
from matterlog.report.web.http.frame import page
from matterlog.report.web.http.parameters import Fields
from matterlog.report.web.http.visitors import SignedIn, SiteParts, Visitor
from matterlog.report.web.identity.audit_log import Act
from matterlog.report.web.pages.engagement import (
    DETAILS,
    ROWS_SHOWN,
    activity_of,
    checked,
    page_of,
    seen_of,
    selects_of,
)
from matterlog.report.web.parts import Parts
from matterlog.report.web.reports.activity_choices import MAX_IDS
from matterlog.report.web.reports.engagement_choices import CheckedChoices, EngagementChoices
from matterlog.report.web.reports.file_choices import file_choices
from matterlog.report.web.reports.period_choices import DATE_TITLES

router = APIRouter()
# Where the figures stand in the frame. No name contains it, because names are escaped.
_FIGURES: Final = "<!-- figures -->"
_FIRST_SEEN: Final = TableColumn("First seen (UTC)", "first_view_at", day)
_VIEWS: Final = TableColumn("Views", "views")
# Figures of a page besides those that its analysis shows, and the tables below them.
_WEEKS: Final = (
    TableColumn("Visits in the last 7 days", "week_visits"),
    TableColumn("Usual week (median)", "usual_week", "{:,.1f}".format),
    TableColumn("Deviations from it", "score", "{:+.1f}".format),
)
_TABLES: Final = {MATTERS.name: (USERS,), USERS.name: (MATTERS,)}
_IN_TABLES: Final = frozenset(
    {*("user_name", "user_type", "matter_name", "matter_type"), *("visits", "visits_before", "trend"), "last_view_at"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A table of a page: its analysis, its columns, its first rows, and how many have views in the period."""

    spec: AnalysisSpec
    columns: tuple[TableColumn, ...]
    rows: list[dict[str, Any]]
    active: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Details:
    """The figures of a page: its row of the analysis, and its tables.

    ``own`` is None before the first view. ``hanging`` is what hangs on one person: a sentence and who it is about.
    ``shares_people``: views of its people count for other clients too.
    """

    own: dict[str, Any] | None
    shares_people: bool
    hanging: list[tuple[str, list[dict[str, Any]]]]
    tables: list[Listed]


@router.get("/reports/{subject}/details")
def details(
    request: Request,
    visitor: SignedIn,
    parts: SiteParts,
    subject: Literal["matters", "users", "clients"],
    sent: Annotated[ImmutableMultiDict[str, Any], Depends(Fields(EngagementChoices.fields()))],
) -> Response:
    """Show the page of the matter, user or client with an ID, or the receipt of a deleted matter."""
    # One matter counts whatever its type.
    asked = checked(parts, ({"matter_type": "all"} if subject == MATTERS.name else {}) | dict(sent))
    field, chosen = _chosen(asked, subject)
    with parts.log.reader() as connection:
        called = rows_of(connection, "called", kind=field, id=chosen)
        receipts = read_receipts(connection, chosen) if field == "matter" and not called else []
    if receipts:
        reach = REACH_OF_A_LAKE if receipts[0].not_covered == REACH_OF_A_LAKE.not_covered else REACH_OF_A_FILE
        return page(request, "receipt.html", receipt=receipts[0], meaning=reach.stages)
    if not called and field in {"matter", "user"}:
        raise HTTPException(HTTPStatus.NOT_FOUND, f"The log holds no {field} with this ID.")
    visitor.record(parts, Act.NAMES_SHOWN, request.url.path, 1)
    selects = selects_of(MATTERS)
    if subject != MATTERS.name:
        del selects["user_type"]
    frame = page(
        request,
        "details.html",
        status=HTTPStatus.UNPROCESSABLE_ENTITY if asked.problems else HTTPStatus.OK,
        field=field,
        chosen=chosen,
        called=called[0] if called else {"name": chosen, "more": None},
        choices=asked.choices,
        problems=asked.problems,
        selects=selects,
        date_choices=DATE_TITLES,
    )
    if asked.problems:
        return frame
    before, after = bytes(frame.body).split(_FIGURES.encode())

    def pieces() -> Iterator[bytes]:
        yield before
        yield _figures(request, visitor, parts, subject, asked)
        yield after

    return StreamingResponse(pieces(), media_type=frame.headers["content-type"])


def _chosen(asked: CheckedChoices, subject: str) -> tuple[str, str]:
    """Return the field that the address of a page has, and the ID in it.

    Raises:
        InvalidFilter: another field has an ID too.
    """
    ids = {name: getattr(asked.choices, name) for name in DETAILS if getattr(asked.choices, name)}
    own = [name for name, place in DETAILS.items() if place == subject]
    if len(ids) != 1 or not ids.keys() & set(own):
        raise InvalidFilter(f"Give this page one ID, as {' or '.join(own)}.")
    return next(iter(ids.items()))


def _figures(request: Request, visitor: Visitor, parts: Parts, subject: str, asked: CheckedChoices) -> bytes:
    """Return the part of the page that has to be counted; the reason if that is not possible."""
    now, spec = parts.database.now(), ANALYSES[subject]
    facts: dict[str, Any] = {"problem": None}
    try:
        picture = seen_of(parts, asked, ACTIVITY.name).picture
        seen = parts.pictures.get(("details", subject, asked.choices), lambda: _details(parts, asked, subject))
        names = sum(len(each.rows) for each in seen.tables)
        visitor.record(parts, Act.NAMES_SHOWN, f"{request.url.path}#figures", names)
        report = asked.activity_choices(now)
        assert spec.page is not None and report is not None  # noqa: S101, PT018 - for the type checker
        facts |= {
            "seen": seen,
            "picture": picture,
            "choices": asked.choices,
            "columns": (_VIEWS, *spec.page.columns[1:], *(_WEEKS if subject == MATTERS.name else ()), _FIRST_SEEN),
            "files": {value: choice.label.title for value, choice in file_choices().items()},
            "extract": parse_qsl(report.query(), keep_blank_values=True),
            "is_too_large": len(asked.chosen.users) > MAX_IDS,
            "address": asked.activity_address(now),
            "page_of": lambda each: partial(page_of, each, asked),
            "activity_of": lambda each: partial(activity_of, each, asked, now),
        }
    except ReportError as error:
        facts = {"problem": str(error)}
    return bytes(page(request, "details_seen.html", **facts).body)


def _details(parts: Parts, asked: CheckedChoices, subject: str) -> Details:
    now, choices = parts.database.now(), asked.choices
    with parts.log.reader() as connection:
        found = read_engagement(connection, asked.request(subject, now)).table.to_pylist()
        tables = {
            spec.name: read_engagement(connection, asked.request(spec.name, now)).table.to_pylist()
            for spec in _TABLES.get(subject, (USERS, MATTERS))
        }
    client = choices.company or choices.domain
    own = [row for row in found if not client or row["client_ID"] == client]
    return Details(
        own=own[0] if own else None,
        shares_people=len(own) < len(found),
        hanging=_hanging(tables.get(USERS.name, [])),
        tables=[_listed(ANALYSES[name], rows) for name, rows in tables.items()],
    )


def _listed(spec: AnalysisSpec, rows: list[dict[str, Any]]) -> Listed:
    assert spec.page is not None  # noqa: S101 - for the type checker
    columns = tuple(column for column in spec.page.columns if column.name in _IN_TABLES)
    active = sum(bool(row["views"]) for row in rows)
    return Listed(spec=spec, columns=columns, rows=rows[:ROWS_SHOWN], active=active, total=len(rows))


def _hanging(people: Sequence[dict[str, Any]]) -> list[tuple[str, list[dict[str, Any]]]]:
    came = [each for each in people if each["views"]]
    most = max((each["visits_before"] or 0 for each in people), default=0)
    most_active = [each for each in people if most and each["visits_before"] == most]
    found = [("One person alone came in this period:", came)] if len(came) == 1 else []
    if most_active and not any(each["views"] for each in most_active):
        found.append(("The most active in the period before did not come in this one:", most_active))
    return found
