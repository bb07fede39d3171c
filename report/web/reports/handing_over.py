"""An extract that was made goes to who asked for it: the record first, then the bytes."""

import base64
from http import HTTPStatus
from typing import Any, Final

from starlette.responses import RedirectResponse, Response, StreamingResponse

from matterlog.report.engagement.analyses import report_title
from matterlog.report.engagement.engagement_files import EngagementFileRequest
from matterlog.report.errors import ExtractGone
from matterlog.report.extracts.extracts import ExtractFormat, ExtractRequest
from matterlog.report.handover.register import HandedOut
from matterlog.report.web.extracts.kept_extracts import Made, Making
from matterlog.report.web.http.visitors import Visitor
from matterlog.report.web.identity.audit_log import Act, By
from matterlog.report.web.parts import Parts
from matterlog.report.web.reports.activity_choices import FileChoice

MEDIA_TYPES: Final = {
    ExtractFormat.CSV: "text/csv; charset=utf-8",
    ExtractFormat.JSON: "application/json",
    ExtractFormat.NDJSON: "application/x-ndjson",
    ExtractFormat.PARQUET: "application/vnd.apache.parquet",
    ExtractFormat.XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
# Each kind of file: what it is called, and what it is for.
FILES: Final = {
    FileChoice.CSV: ("CSV", "For Power BI and other programs"),
    FileChoice.CSV_FOR_EXCEL: ("CSV for Excel", "Opens with accents intact"),
    FileChoice.XLSX: ("Excel workbook", "With true dates and a filter"),
    FileChoice.JSON: ("JSON", "One array"),
    FileChoice.NDJSON: ("NDJSON", "One object a line"),
    FileChoice.PARQUET: ("Parquet", "Columns with types"),
}
EXTRACTS: Final = "/reports/activity/extracts"
# What takes longer goes on beside the page, which then shows how far it is.
ANSWERED_AT_ONCE_SECONDS: Final = 4.0


def hand_over_soon(parts: Parts, visitor: Visitor, wanted: ExtractRequest | EngagementFileRequest) -> Response:
    """Make a download; answer with it where that is quick, else with the page that shows how far it is.

    Raises:
        MatterlogError: what it failed with.
    """
    making = parts.extracts.start(visitor.account, wanted, HandedOut.DOWNLOAD)
    if not making.finished.wait(ANSWERED_AT_ONCE_SECONDS):
        return RedirectResponse(f"{EXTRACTS}/{making.making_id}", HTTPStatus.SEE_OTHER)
    try:
        return hand_over(parts, making, visitor.by)
    finally:
        parts.extracts.drop(making)


def hand_over(parts: Parts, making: Making, by: By) -> StreamingResponse:
    """Record that an extract was taken, and answer with its bytes.

    Raises:
        ExtractGone: it was dropped meanwhile.
        MatterlogError: what it failed with.
    """
    content, made = parts.extracts.take(making), making.made
    if made is None:
        raise ExtractGone
    parts.audit_log.add(_act_of(making.request), by, _details(made, making.request))
    digest = base64.b64encode(bytes.fromhex(made.extract.sha256)).decode()
    headers = {
        "Content-Disposition": f'attachment; filename="{making.file_name}"',
        "Content-Length": str(made.extract.bytes),
        "Repr-Digest": f"sha-256=:{digest}:",  # RFC 9530
        "Matterlog-Extract-Id": str(made.entry.extract_id),
    }
    return StreamingResponse(content, headers=headers, media_type=MEDIA_TYPES[making.request.format])


def _act_of(request: ExtractRequest | EngagementFileRequest) -> Act:
    report = "ACTIVITY" if request.analysis is None else report_title(request.analysis).upper().replace(" ", "_")
    name = f"REPORTS_{report}_DOWNLOADED_{request.format.upper()}"
    return Act[name] if name in Act.__members__ else Act.REPORTS_ENGAGEMENT_DOWNLOADED


def _details(made: Made, request: ExtractRequest | EngagementFileRequest) -> dict[str, Any]:
    """Say what was taken, without any ID that was filtered by: of those, how many."""
    chosen = request.filter.model_dump(mode="json")
    if isinstance(request, EngagementFileRequest):
        of_report = {"analysis": request.analysis, "format": request.format}
    else:
        of_report = {"columns": request.columns}
    return of_report | {
        "extract": str(made.entry.extract_id),
        "how": made.entry.how,
        "rows": made.extract.rows,
        "bytes": made.extract.bytes,
        "sha256": made.extract.sha256,
        "excel": request.excel,
        "filter": {name: len(value) if isinstance(value, list) else value for name, value in chosen.items() if value},
        "log": str(made.entry.log_id),
        "last_arrival": made.entry.last_arrival,
        "positions": {f"{each.topic}:{each.partition}": each.next_offset for each in made.extract.snapshot.positions},
    }
