"""An extract that was made goes to who asked for it: the record first, then the bytes."""

import base64
from typing import Any, Final

from starlette.responses import StreamingResponse

from matterlog.report.errors import ExtractGone
from matterlog.report.extracts import ExtractFormat, ExtractRequest

from .kept_extracts import Made, Making
from .parts import Parts
from .record_of_acts import Act, By

MEDIA_TYPES: Final = {
    ExtractFormat.CSV: "text/csv; charset=utf-8",
    ExtractFormat.JSON: "application/json",
    ExtractFormat.NDJSON: "application/x-ndjson",
    ExtractFormat.PARQUET: "application/vnd.apache.parquet",
    ExtractFormat.XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


def hand_over(parts: Parts, making: Making, by: By) -> StreamingResponse:
    """Record that an extract was taken, and answer with its bytes.

    Raises:
        ExtractGone: it was dropped meanwhile.
        MatterlogError: what it failed with.
    """
    content, made = parts.extracts.take(making), making.made
    if made is None:
        raise ExtractGone
    act = Act[f"REPORTS_ACTIVITY_DOWNLOADED_{making.request.format.upper()}"]
    parts.record.add(act, by, _details(made, making.request))
    digest = base64.b64encode(bytes.fromhex(made.extract.sha256)).decode()
    headers = {
        "Content-Disposition": f'attachment; filename="{making.file_name}"',
        "Content-Length": str(made.extract.bytes),
        "Repr-Digest": f"sha-256=:{digest}:",  # RFC 9530
        "Matterlog-Extract-Id": str(made.entry.extract_id),
    }
    return StreamingResponse(content, headers=headers, media_type=MEDIA_TYPES[making.request.format])


def _details(made: Made, request: ExtractRequest) -> dict[str, Any]:
    """Say what was taken, without any ID that was filtered by: of those, how many."""
    chosen = request.filter.model_dump(mode="json")
    return {
        "extract": str(made.entry.extract_id),
        "how": made.entry.how,
        "rows": made.extract.rows,
        "bytes": made.extract.bytes,
        "sha256": made.extract.sha256,
        "columns": request.columns,
        "excel": request.excel,
        "filter": {name: len(value) if isinstance(value, list) else value for name, value in chosen.items() if value},
        "log": str(made.entry.log_id),
        "last_arrival": made.entry.last_arrival,
        "positions": {f"{each.topic}:{each.partition}": each.next_offset for each in made.extract.snapshot.positions},
    }
