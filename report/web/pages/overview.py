"""The overview: the last 30 days at a glance, the busiest matters, and the state of the pipeline in words."""

from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any, Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from matterlog.report.engagement.analyses.activity import ACTIVITY
from matterlog.report.engagement.analyses.matters import MATTERS, MATTERS_PAGE
from matterlog.report.engagement.engagement import read_engagement
from matterlog.report.errors import LogUnavailable
from matterlog.report.web.figures.glance import Figure, figures_of
from matterlog.report.web.figures.log_questions import rows_of
from matterlog.report.web.health import complaints
from matterlog.report.web.http.faults import RETRY_AFTER
from matterlog.report.web.http.frame import page
from matterlog.report.web.http.visitors import SignedIn, SiteParts
from matterlog.report.web.identity.audit_log import Act
from matterlog.report.web.pages.engagement import activity_of, page_of, seen_of
from matterlog.report.web.parts import Parts
from matterlog.report.web.reports.engagement_choices import CheckedChoices

router = APIRouter()
_BUSIEST: Final = 5
_SHOWN: Final = {"matter_name", "visits", "visits_before", "trend", "mark"}
_COLUMNS: Final = tuple(column for column in MATTERS_PAGE.columns if column.name in _SHOWN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Glance:
    """The last 30 days in figures, with the busiest matters. ``is_young``: the log began in the 30 days before."""

    figures: tuple[Figure, ...]
    busiest: list[dict[str, Any]]
    is_young: bool


@router.get("/")
def overview(request: Request, visitor: SignedIn, parts: SiteParts) -> Response:
    """Show the overview; only the state of the pipeline while the log cannot be read."""
    asked = CheckedChoices.of({}, parts.database.now())
    facts: dict[str, Any] = {
        "state": parts.pipeline.state(),
        "problems": complaints(parts),
        "since": asked.chosen.since,
    }
    try:
        with parts.log.reader() as connection:
            newest = rows_of(connection, "newest_view")[0]["at"]
        picture = seen_of(parts, asked, ACTIVITY.name).picture
        glance = parts.pictures.get(("glance", asked.choices), lambda: _glance(parts, asked))
    except LogUnavailable as error:
        status = HTTPStatus.SERVICE_UNAVAILABLE
        answer = page(request, "overview.html", status=status, unavailable=str(error), **facts)
        answer.headers["Retry-After"] = RETRY_AFTER[status]
        return answer
    facts |= {"glance": glance, "columns": _COLUMNS, "newest_view_at": newest, "picture": picture}
    visitor.record(parts, Act.NAMES_SHOWN, "/", len(glance.busiest))
    facts["page_of"] = partial(page_of, MATTERS, asked)
    facts["activity_of"] = partial(activity_of, MATTERS, asked, parts.database.now())
    return page(request, "overview.html", unavailable=None, **facts)


def _glance(parts: Parts, asked: CheckedChoices) -> Glance:
    now = parts.database.now()
    with parts.log.reader() as connection:
        figures = figures_of(connection, asked.chosen, now)
        matters = read_engagement(connection, asked.request(MATTERS.name, now))
    facts = matters.facts
    rows = [row for row in matters.table.slice(0, _BUSIEST).to_pylist() if row["visits"]]
    return Glance(
        figures=figures,
        busiest=rows,
        is_young=bool(facts.log_since and facts.before_since and facts.log_since > facts.before_since),
    )
