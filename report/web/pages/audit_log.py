"""The record of acts, for administrators: shown, checked, and downloaded as CSV."""

from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from matterlog.report.errors import RecordBroken
from matterlog.report.web.http.frame import page
from matterlog.report.web.http.visitors import Administrator, SiteParts
from matterlog.report.web.identity.audit_log import Act

router = APIRouter()
_ENTRIES_A_PAGE: Final = 50


@router.get("/record")
def record(
    request: Request,
    visitor: Administrator,  # noqa: ARG001 - who may see it
    parts: SiteParts,
    before: int | None = None,
) -> Response:
    """Show its newest entries, or those before one."""
    entries = parts.record.newest(_ENTRIES_A_PAGE, before)
    older = entries[-1].number if len(entries) == _ENTRIES_A_PAGE and entries[-1].number > 1 else None
    try:
        end, broken = parts.record.verify_again(), None
    except RecordBroken as error:
        end, broken = None, str(error)
    return page(request, "record.html", entries=entries, older=older, before=before, end=end, broken=broken)


@router.post("/record/download")
def download(visitor: Administrator, parts: SiteParts) -> Response:
    """Give the record as CSV; the download is its last entry."""
    parts.record.add(Act.ACCOUNTS_RECORD_DOWNLOADED_CSV, visitor.by)
    headers = {"Content-Disposition": 'attachment; filename="record-of-acts.csv"'}
    return StreamingResponse(parts.record.as_csv(), media_type="text/csv; charset=utf-8", headers=headers)
