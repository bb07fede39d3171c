"""The page "Audit log", for administrators: show it, verify it, and download it as CSV."""

from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from matterlog.report.errors import AuditLogBroken
from matterlog.report.web.http.frame import page
from matterlog.report.web.http.visitors import Administrator, SiteParts
from matterlog.report.web.identity.audit_log import Act
from matterlog.report.web.pages.audit_sentences import sentence_of

router = APIRouter()
_ENTRIES_A_PAGE: Final = 50


@router.get("/record")
def audit_log(
    request: Request,
    visitor: Administrator,  # noqa: ARG001 - who may see it
    parts: SiteParts,
    before: int | None = None,
) -> Response:
    """Verify the audit log and show its newest entries, or those before a number."""
    entries = parts.audit_log.newest(_ENTRIES_A_PAGE, before)
    older = entries[-1].number if len(entries) == _ENTRIES_A_PAGE and entries[-1].number > 1 else None
    try:
        end, broken = parts.audit_log.verify_again(), None
    except AuditLogBroken as error:
        end, broken = None, str(error)
    shown = [(each, sentence_of(each)) for each in entries]
    return page(request, "audit_log.html", shown=shown, older=older, before=before, end=end, broken=broken)


@router.post("/record/download")
def download(visitor: Administrator, parts: SiteParts) -> Response:
    """Download the audit log as CSV. Its last entry is this download."""
    parts.audit_log.add(Act.ACCOUNTS_RECORD_DOWNLOADED_CSV, visitor.by)
    headers = {"Content-Disposition": 'attachment; filename="audit-log.csv"'}
    return StreamingResponse(parts.audit_log.as_csv(), media_type="text/csv; charset=utf-8", headers=headers)
