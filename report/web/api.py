"""The API for programs, below ``/api/v1``: extracts, engagement, status. OpenAPI describes it.

1. Every request needs a token. A token is valid for its scopes and for a limited number of requests a minute.
2. An answer is complete, or it is an error as ``problem+json``. No answer with status 200 contains a failure.
3. A client that sends an ETag gets a 304 without a file if its rows are unchanged (``etags``).
"""

from collections.abc import Callable
from functools import cache
from http import HTTPStatus
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Path, Query
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from matterlog.report.engagement.analyses import Analysis
from matterlog.report.engagement.engagement import EngagementRequest, Names
from matterlog.report.engagement.engagement_files import EngagementFileRequest
from matterlog.report.engagement.engagement_period import Bucket
from matterlog.report.errors import ExtractGone, TooManyTries
from matterlog.report.extracts.formats import CSV, FORMATS, JSON, FormatName
from matterlog.report.extracts.requests import ExtractRequest
from matterlog.report.handover.register import Channel
from matterlog.report.log.filters import ALL_TIME, ENGAGEMENT_PERIOD, Filter, zone_of
from matterlog.report.log.reader import read_status
from matterlog.report.web.extracts.site_extract import SiteExtract
from matterlog.report.web.http.parameters import only_known
from matterlog.report.web.http.visitors import SiteParts, address_of, bearer, holder_of
from matterlog.report.web.identity.api_tokens import Scope, TokenHolder
from matterlog.report.web.identity.audit_log import Actor
from matterlog.report.web.identity.rate_limits import network_of
from matterlog.report.web.parts import Parts
from matterlog.report.web.reports.etags import etag_of, is_named
from matterlog.report.web.reports.handing_over import abandon, hand_over, until_made
from matterlog.schemas import MatterType, UserType
from matterlog.schemas.columns import ColumnSet

PREFIX: Final = "/api/v1"
_PROBLEMS: Final = {
    400: "The parameters make no sense. The field `parameters` names them.",
    401: "Missing, invalid or expired token.",
    403: "The token does not have the scope for this.",
    422: "A parameter is missing, or its value is not allowed.",
    429: "Too many requests. Retry-After says how many seconds to wait.",
    503: "The log cannot be read at the moment, or the site is busy.",
}
_PROBLEM: Final = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
_RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    status: {"description": text, "content": _PROBLEM} for status, text in _PROBLEMS.items()
}
_FILE: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "The file.", "content": {each.media_type: {} for each in FORMATS.values()}},
    304: {"description": "Not modified: If-None-Match names the current ETag."},
    **_RESPONSES,
}
_AT_FAULT: Final = "The parameters that make no sense. The first is the one at fault."
_LATER: Final[dict[int | str, dict[str, Any]]] = {
    202: {"description": "It is being made. Location names it, and Retry-After says when to look."}
}
_GONE: Final[dict[int | str, dict[str, Any]]] = {
    410: {"description": "It has expired or does not exist.", "content": _PROBLEM}
}
_ANY: Final = Query(default_factory=list, max_length=1000)
_NO_MATCH: Final = Header(description="The ETag of the copy that the client already has.", max_length=1000)
_RESPOND_ASYNC: Final = "respond-async"  # RFC 7240
_PREFER: Final = Header(description=f"{_RESPOND_ASYNC}: answer at once with 202; fetch it later.", max_length=200)


Zone = Annotated[str, Query(max_length=80, description="Time zone of the days, such as Europe/London.")]


class Problem(BaseModel):
    """What went wrong (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    parameters: list[str] = Field(default_factory=list, description=_AT_FAULT)


def _within_limit(request: Request, parts: SiteParts) -> None:
    """Count a request against the limit of its token, or of its network if the token is not valid."""
    holder = holder_of(request)
    key = f"network {network_of(address_of(request))}" if holder is None else f"token {holder.token_id}"
    standing = parts.api_limit.tried(key)
    request.state.rate_limit = standing.headers()
    if not standing.allowed:
        refused = TooManyTries("too many requests with this token. Retry-After says how many seconds to wait")
        refused.retry_after_seconds = standing.next_in_seconds
        raise refused


def _filter(default: str) -> Callable[..., Filter]:
    """Return the dependency that makes a filter of the parameters; ``default`` is its period without any."""
    about = f"The last whole days, today included, such as 30d, or all. Without last, from and to it is {default}."

    def asked_filter(
        *,
        parts: SiteParts,
        last: Annotated[str | None, Query(max_length=20, description=about)] = None,
        first: Annotated[str | None, Query(alias="from", max_length=40, description="First day or instant.")] = None,
        to: Annotated[str | None, Query(max_length=40, description="Last day (included) or instant.")] = None,
        timezone: Zone = "UTC",
        matter: Annotated[list[str], _ANY],
        user: Annotated[list[str], _ANY],
        company: Annotated[list[str], _ANY],
        user_type: Annotated[list[UserType], _ANY],
        matter_type: Annotated[list[MatterType], _ANY],
    ) -> Filter:
        return Filter.of(
            now=parts.database.now(),
            last=last,
            first_day=first,
            last_day=to,
            zone=zone_of(timezone),
            default=default,
            matters=tuple(matter),
            users=tuple(user),
            companies=tuple(company),
            user_types=tuple(user_type),
            matter_types=tuple(matter_type),
        )

    return asked_filter


router = APIRouter(prefix=PREFIX, dependencies=[Depends(_within_limit), Depends(only_known)])
NoMatch = Annotated[str | None, _NO_MATCH]
Extracts = Annotated[TokenHolder, Depends(bearer(Scope.EXTRACTS))]
Engagements = Annotated[TokenHolder, Depends(bearer(Scope.ENGAGEMENT))]
States = Annotated[TokenHolder, Depends(bearer(Scope.STATUS))]


@router.get("/extracts/activity", responses=_FILE | _LATER, response_class=Response)
async def extract(
    *,
    request: Request,
    parts: SiteParts,
    holder: Extracts,
    rows: Annotated[Filter, Depends(_filter(ALL_TIME))],
    format: FormatName = CSV.name,  # noqa: A002 - the parameter's name
    columns: ColumnSet = ColumnSet.REPORT,
    excel: bool = False,
    raw_csv: bool = False,
    if_none_match: NoMatch = None,
    prefer: Annotated[str, _PREFER] = "",
) -> Response:
    """Download the Activity report: one row per view, oldest first, complete."""
    wanted = ExtractRequest(format=format, filter=rows, columns=columns, excel=excel, raw_csv=raw_csv)
    if if_none_match is not None:
        etag = await run_in_threadpool(etag_of, parts, wanted)
        if is_named(if_none_match, etag):
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers={"ETag": etag})
    if _RESPOND_ASYNC in prefer.lower():
        return _later(await run_in_threadpool(parts.extracts.start, holder.account, wanted, Channel.API))
    return await _made(request, parts, holder, wanted, if_none_match)


def _later(kept: SiteExtract) -> Response:
    where = {"Location": f"{PREFIX}/extracts/kept/{kept.key}", "Retry-After": "5"}
    return Response(status_code=HTTPStatus.ACCEPTED, headers=where)


@router.get("/extracts/kept/{key}", responses=_FILE | _LATER | _GONE, response_class=Response)
async def kept_extract(
    request: Request, parts: SiteParts, holder: Extracts, key: Annotated[str, Path(max_length=100)]
) -> Response:
    """Download an extract that was asked for with ``Prefer: respond-async``; it is kept for an hour."""
    kept = await run_in_threadpool(parts.extracts.of, holder.account, key)
    if kept.how is not Channel.API:
        raise ExtractGone
    # One that is made again is waited for: while matters are deleted all the time, it would be so for ever.
    if not kept.is_finished and not (kept.was_renewed and await until_made(request, kept)):
        return _later(kept)
    return await run_in_threadpool(_answer, parts, kept, _by(request, holder), None)


async def _made(
    request: Request,
    parts: Parts,
    holder: TokenHolder,
    wanted: ExtractRequest | EngagementFileRequest,
    if_none_match: str | None,
) -> Response:
    """Make an extract and answer with it; stop it as soon as its client is gone."""
    kept, by = await run_in_threadpool(parts.extracts.start, holder.account, wanted, Channel.API), _by(request, holder)
    try:
        if not await until_made(request, kept):
            await run_in_threadpool(abandon, parts, kept, by)
            raise ExtractGone
        return await run_in_threadpool(_answer, parts, kept, by, if_none_match)
    finally:
        kept.drop()


def _answer(parts: Parts, kept: SiteExtract, by: Actor, if_none_match: str | None) -> Response:
    made, wanted = kept.made, kept.request
    if made is None:
        return hand_over(parts, kept, by)
    if isinstance(wanted, EngagementFileRequest):
        etag = f'"{made.extract.sha256[:32]}"'
    else:
        etag = etag_of(parts, wanted, made.extract.snapshot)
    if if_none_match is not None and is_named(if_none_match, etag):
        parts.register.withdraw(made.entry.extract_id)
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers={"ETag": etag})
    answer = hand_over(parts, kept, by)
    answer.headers["ETag"] = etag
    answer.headers["Link"] = f'<{PREFIX}/extracts/{made.entry.extract_id}/manifest>; rel="describedby"'
    return answer


def _by(request: Request, holder: TokenHolder) -> Actor:
    return Actor(account=holder.account.name, address=address_of(request))


@router.get(
    "/extracts/{extract_id}/manifest",
    responses={**_RESPONSES, 404: {"description": "This account downloaded no such extract.", "content": _PROBLEM}},
)
def manifest(parts: SiteParts, holder: Extracts, extract_id: UUID) -> Response:
    """Read the manifest of an extract that this account downloaded."""
    content = parts.manifests.find(holder.account, extract_id)
    if content is None:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    return Response(content, media_type="application/json")


@router.get("/engagement/{analysis}", responses=_FILE, response_class=Response)
async def engagement(
    *,
    request: Request,
    parts: SiteParts,
    holder: Engagements,
    analysis: Analysis,
    rows: Annotated[Filter, Depends(_filter(ENGAGEMENT_PERIOD))],
    timezone: Zone = "UTC",
    by: Bucket = Bucket.DAY,
    names: Names = Names.LATEST,
    format: FormatName = JSON.name,  # noqa: A002 - the parameter's name
    excel: bool = False,
    raw_csv: bool = False,
    raw_views: bool = False,
    include_demo: bool = False,
    if_none_match: NoMatch = None,
) -> Response:
    """Read who engages with which matters, and when. docs/engagement.md has the rules behind each figure."""
    asked = EngagementRequest(
        analysis=analysis,
        now=parts.database.now(),
        filter=rows,
        timezone=timezone,
        by=by,
        raw_views=raw_views,
        names=names,
        include_demo=include_demo,
    )
    wanted = EngagementFileRequest(engagement=asked, format=format, excel=excel, raw_csv=raw_csv)
    return await _made(request, parts, holder, wanted, if_none_match)


@router.get("/status", responses=_RESPONSES)
def status(parts: SiteParts, holder: States) -> dict[str, Any]:  # noqa: ARG001 - who may see it
    """Read what the log holds and what the pipeline is doing."""
    with parts.log.reader() as connection:
        held = read_status(connection)
    state = parts.pipeline.state()
    return {
        "rows": held.rows,
        "matters": held.matters,
        "deleted_matters": held.deleted_matters,
        "dead_letters": held.dead_letters,
        "gaps": held.gaps,
        "newest_view_at": held.newest_view_at,
        "pipeline": {"phase": state.phase, "in_words": state.in_words},
        "positions": [
            {"topic": each.topic, "partition": each.partition, "next_offset": each.next_offset, "lag": each.lag}
            for each in state.with_ends(held.positions)
        ],
    }


@router.get("/openapi.json", include_in_schema=False)
def openapi() -> JSONResponse:
    """Return the API's own description, to anybody: it is not secret."""
    return JSONResponse(_description())


@cache
def _description() -> dict[str, Any]:
    described = get_openapi(title="matterlog", version="1", routes=list(router.routes))
    described["components"]["schemas"]["Problem"] = Problem.model_json_schema()
    described["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    described["security"] = [{"token": []}]
    return described
