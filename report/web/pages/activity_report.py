"""The Activity report: choose days, people, matters and a file, see the first rows, and download."""

from http import HTTPStatus
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Depends
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import ImmutableMultiDict
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from matterlog.report.engagement.analyses import report_title
from matterlog.report.errors import ExtractGone, InvalidFilter
from matterlog.report.extracts.extracts import count_rows, first_rows
from matterlog.report.handover.manifest import MANIFEST_ENDING
from matterlog.report.web.figures.name_search import WORDS, NameMatches, find_by_name
from matterlog.report.web.http.frame import page
from matterlog.report.web.http.parameters import Fields
from matterlog.report.web.http.visitors import SignedIn, SiteParts, Visitor
from matterlog.report.web.identity.audit_log import Act
from matterlog.report.web.parts import Parts
from matterlog.report.web.reports.activity_choices import REPEATED, ActivityChoices
from matterlog.report.web.reports.file_choices import file_choices
from matterlog.report.web.reports.handing_over import hand_over, hand_over_soon, until_made
from matterlog.report.web.reports.period_choices import DATE_TITLES
from matterlog.schemas import MatterType, UserType
from matterlog.schemas.columns import ColumnSet

router = APIRouter()
_HERE: Final = "/reports/activity"
_ROWS_SHOWN: Final = 8
_EARLIER_SHOWN: Final = 20
_COLUMNS: Final = {ColumnSet.REPORT: "Standard (eight columns)", ColumnSet.FULL: "With company and office"}


_FIELDS: Final = Fields((*ActivityChoices.fields(), "find"), REPEATED)


def sent_choices(sent: Annotated[ImmutableMultiDict[str, Any], Depends(_FIELDS)]) -> ActivityChoices:
    """Read the choices from the form or the address."""
    return ActivityChoices.of(sent)


Sent = Annotated[ActivityChoices, Depends(sent_choices)]


@router.get(_HERE)
def activity_report(request: Request, visitor: SignedIn, parts: SiteParts, choices: Sent) -> Response:
    """Show the page with the choices and the rows that they select."""
    return _report(request, visitor, parts, choices)


def _report(
    request: Request,
    visitor: Visitor,
    parts: Parts,
    choices: ActivityChoices,
    found: NameMatches | None = None,
    problem: str | None = None,
) -> Response:
    seen = _seen(parts, visitor, choices, problem)
    return page(
        request,
        "activity_report.html",
        status=HTTPStatus.UNPROCESSABLE_ENTITY if seen["problem"] else HTTPStatus.OK,
        choices=choices,
        date_choices=DATE_TITLES,
        files=file_choices(),
        column_choices=_COLUMNS,
        user_types=list(UserType),
        matter_types=list(MatterType),
        title_of=report_title,
        found=found,
        kinds=WORDS,
        chosen=choices.chosen_ids,
        earlier=parts.register.downloaded_by(visitor.account.name, _EARLIER_SHOWN),
        **seen,
    )


def _seen(parts: Parts, visitor: Visitor, choices: ActivityChoices, problem: str | None = None) -> dict[str, Any]:
    """Return the row count and the first rows for the choices, with a problem, or what is wrong with the choices."""
    try:
        wanted = choices.request(parts.database.now())
    except InvalidFilter as error:
        return {"problem": str(error), "rows": None}
    with parts.log.reader() as connection:
        rows, first = count_rows(connection, wanted), first_rows(connection, wanted, _ROWS_SHOWN)
    visitor.record(parts, Act.NAMES_SHOWN, _HERE, len(first))
    return {"problem": problem, "rows": rows, "first": first, "wanted": wanted}


@router.get(f"{_HERE}/seen")
def seen(request: Request, visitor: SignedIn, parts: SiteParts, choices: Sent) -> Response:
    """Return the fragment of the page with the selected rows, for its script."""
    return page(request, "activity_seen.html", **_seen(parts, visitor, choices))


@router.post(_HERE)
def show(visitor: SignedIn, choices: Sent) -> Response:  # noqa: ARG001 - who may see it
    """Redirect to the page's address for the choices, which can be bookmarked."""
    return RedirectResponse(f"{_HERE}?{choices.query()}".rstrip("?"), HTTPStatus.SEE_OTHER)


async def sent_name(request: Request) -> str:
    """Read the name to search for from the form."""
    return str((await request.form()).get("find", ""))


Name = Annotated[str, Depends(sent_name)]


@router.post(f"{_HERE}/find")
def find(request: Request, visitor: SignedIn, parts: SiteParts, choices: Sent, name: Name) -> Response:
    """Show the page with what matches a name, and the choices unchanged; without a name, the page alone."""
    if not name.strip():
        return show(visitor, choices)
    return _report(request, visitor, parts, choices, _found(parts, visitor, name))


@router.post(f"{_HERE}/found")
def found(request: Request, visitor: SignedIn, parts: SiteParts, choices: Sent, name: Name) -> Response:
    """Return the fragment of the page with what matches a name, for its script."""
    chosen = choices.chosen_ids
    return page(request, "activity_found.html", found=_found(parts, visitor, name), kinds=WORDS, chosen=chosen)


def _found(parts: Parts, visitor: Visitor, name: str) -> NameMatches:
    def look() -> NameMatches:
        with parts.log.reader() as connection:
            return find_by_name(connection, name)

    # Limited and cached like pictures: a search reads every name of the log.
    found = parts.pictures.get(("called", name), look)
    visitor.record(parts, Act.NAMES_SEARCHED, _HERE, len(found.rows))
    return found


@router.post(f"{_HERE}/download")
def download(request: Request, visitor: SignedIn, parts: SiteParts, choices: Sent) -> Response:
    """Make the extract and answer with it, or with its progress page if it takes longer."""
    try:
        return hand_over_soon(parts, visitor, choices.request(parts.database.now()))
    except InvalidFilter as error:
        return _report(request, visitor, parts, choices, problem=str(error))


@router.get(f"{_HERE}/extracts/{{key}}")
def extract(request: Request, visitor: SignedIn, parts: SiteParts, key: str) -> Response:
    """Show an extract's progress, or that it can be downloaded."""
    return page(request, "extract.html", kept=parts.extracts.of(visitor.account, key))


@router.get(f"{_HERE}/extracts/{{key}}/progress")
def progress(visitor: SignedIn, parts: SiteParts, key: str) -> Response:
    """Return an extract's progress to the page's script."""
    kept = parts.extracts.of(visitor.account, key)
    return JSONResponse({"finished": kept.is_finished, "percent": kept.progress.percent})


@router.post(f"{_HERE}/extracts/{{key}}")
def take(visitor: SignedIn, parts: SiteParts, key: str) -> Response:
    """Give an extract that was made; it is kept until it expires. One that is made again has its page meanwhile."""
    kept = parts.extracts.of(visitor.account, key)
    if not kept.is_finished:
        return RedirectResponse(f"{_HERE}/extracts/{key}", HTTPStatus.SEE_OTHER)
    return hand_over(parts, kept, visitor.by)


@router.post(f"{_HERE}/extracts/{{key}}/awaited")
async def take_when_made(request: Request, visitor: SignedIn, parts: SiteParts, key: str) -> Response:
    """Give an extract in the moment in which it is made: a matter of it that is deleted then lists the file.

    While matters are deleted all the time, a file that is kept would be made again for ever.
    """
    kept = await run_in_threadpool(parts.extracts.of, visitor.account, key)
    if not await until_made(request, kept):
        raise ExtractGone
    return await run_in_threadpool(hand_over, parts, kept, visitor.by)


@router.get(f"{_HERE}/manifests/{{extract_id}}")
def manifest(visitor: SignedIn, parts: SiteParts, extract_id: UUID) -> Response:
    """Download the manifest of an earlier download."""
    content = parts.manifests.find(visitor.account, extract_id)
    if content is None:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    headers = {"Content-Disposition": f'attachment; filename="{extract_id}{MANIFEST_ENDING}"'}
    return Response(content, headers=headers, media_type="application/json")
