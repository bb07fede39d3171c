"""Sending a finished extract: first its entry in the audit log, then the bytes."""

import asyncio
import base64
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from matterlog.report.engagement.engagement_files import EngagementFileRequest
from matterlog.report.extracts.formats import FORMATS
from matterlog.report.extracts.requests import ExtractRequest
from matterlog.report.handover.register import Channel
from matterlog.report.web.extracts.report_names import act_of_abandoning, act_of_download
from matterlog.report.web.extracts.site_extract import ExtractBytes, FinishedExtract, SiteExtract
from matterlog.report.web.http.visitors import Visitor
from matterlog.report.web.identity.audit_log import Actor
from matterlog.report.web.parts import Parts

EXTRACTS: Final = "/reports/activity/extracts"
# An extract that takes longer goes on in the background, and a page shows its progress.
ANSWERED_AT_ONCE_SECONDS: Final = 4.0
# How often a request that waits looks whether its extract is made: often at first.
_FIRST_LOOK_SECONDS: Final = 0.01
_LOOK_SECONDS: Final = 0.5


def hand_over_soon(parts: Parts, visitor: Visitor, wanted: ExtractRequest | EngagementFileRequest) -> Response:
    """Make an extract and answer with it, or with a redirect to its progress page if it takes longer.

    Raises:
        MatterlogError: the error that the extract failed with.
    """
    kept = parts.extracts.start(visitor.account, wanted, Channel.DOWNLOAD)
    if not kept.wait(ANSWERED_AT_ONCE_SECONDS):
        return RedirectResponse(f"{EXTRACTS}/{kept.key}", HTTPStatus.SEE_OTHER)
    try:
        return hand_over(parts, kept, visitor.by)
    finally:
        kept.drop()


class ExtractResponse(StreamingResponse):
    """An answer with an extract's bytes, which are closed as soon as it ends, however it ends.

    Without this, the bytes of a download that its client broke off stay on the disk until the garbage collector runs.
    """

    def __init__(self, content: ExtractBytes, headers: Mapping[str, str], media_type: str) -> None:
        super().__init__(content, headers=headers, media_type=media_type)
        self.content = content

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self.content.close()


async def until_made(request: Request, kept: SiteExtract) -> bool:
    """Wait for an extract without holding a thread; return False as soon as its client is gone."""
    pause = _FIRST_LOOK_SECONDS
    while not (is_gone := await request.is_disconnected()) and not kept.is_finished:
        await asyncio.sleep(pause)
        pause = min(2 * pause, _LOOK_SECONDS)
    return not is_gone


def abandon(parts: Parts, kept: SiteExtract, by: Actor) -> None:
    """Stop an extract whose client is gone, and record that nobody got it."""
    wanted = kept.request
    if (made := kept.drop()) is not None:
        parts.register.withdraw(made.entry.extract_id)
    parts.audit_log.add(act_of_abandoning(wanted.analysis, wanted.format), by)


def hand_over(parts: Parts, kept: SiteExtract, by: Actor) -> ExtractResponse:
    """Add an entry to the audit log and answer with an extract's bytes.

    Raises:
        ExtractGone: the extract was dropped meanwhile.
        MatterlogError: the error that it failed with.
    """
    wanted = kept.request
    made, content = kept.take()
    try:
        parts.audit_log.add(act_of_download(wanted.analysis, wanted.format), by, _details(made, wanted))
    except BaseException:
        content.close()
        raise
    digest = base64.b64encode(bytes.fromhex(made.extract.sha256)).decode()
    headers = {
        "Content-Disposition": f'attachment; filename="{kept.file_name}"',
        "Content-Length": str(made.extract.bytes),
        "Repr-Digest": f"sha-256=:{digest}:",  # RFC 9530
        "Matterlog-Extract-Id": str(made.entry.extract_id),
    }
    return ExtractResponse(content, headers, FORMATS[wanted.format].media_type)


def _details(made: FinishedExtract, request: ExtractRequest | EngagementFileRequest) -> dict[str, Any]:
    """Describe a download for the audit log, with only the number of the IDs in its filter."""
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
