"""The overview: the last thirty days at a glance, and the state of the pipeline in words."""

from datetime import timedelta
from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from matterlog.report.engagement import Analysis
from matterlog.report.web.engagement_choices import Asked
from matterlog.report.web.frame import page
from matterlog.report.web.health import complaints
from matterlog.report.web.log_questions import rows_of, since_when
from matterlog.report.web.pages.engagement import seen_of
from matterlog.report.web.visitors import SignedIn, SiteParts

router = APIRouter()
_GLANCE: Final = timedelta(days=30)


@router.get("/")
def overview(request: Request, visitor: SignedIn, parts: SiteParts) -> Response:  # noqa: ARG001 - who may see it
    """Show it."""
    since = parts.database.now() - _GLANCE
    with parts.log.reader() as connection:
        glance = since_when(connection, since)
        newest = rows_of(connection, "newest_view")[0]["at"]
    asked = Asked.of({}, parts.database.now())
    seen = seen_of(parts, "activity", asked, asked.request(Analysis.ACTIVITY, parts.database.now()))
    facts = {"glance": glance, "newest_view_at": newest, "since": since, "picture": seen.picture}
    return page(request, "overview.html", state=parts.pipeline.state(), problems=complaints(parts), **facts)
