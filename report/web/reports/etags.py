"""ETags of extracts, made from the state of the log and the rows that were asked for.

They change when something arrives or is purged. One of the last days also changes with the day.
"""

import hashlib
from typing import Final

from matterlog.report.extracts.requests import ExtractRequest
from matterlog.report.log.snapshot import SQL, Snapshot
from matterlog.report.web.parts import Parts

_ANY: Final = "*"


def etag_of(parts: Parts, wanted: ExtractRequest, made: Snapshot | None = None) -> str:
    """Return an extract's ETag; weak, because a workbook holds the instant at which it was made.

    Args:
        parts: the parts of the site.
        wanted: the extract that is asked for.
        made: the state that the extract shows; None for the current one.

    Raises:
        LogUnavailable: the database is unavailable.
    """
    if made is None:
        with parts.log.reader() as connection:
            ((log_id, last_arrival),) = connection.execute(SQL["log"]).fetchall()
    else:
        log_id, last_arrival = made.log_id, made.last_arrival
    named = f"{log_id} {last_arrival} {wanted.model_dump_json()}"
    return f'W/"{hashlib.sha256(named.encode("utf-8", "surrogatepass")).hexdigest()[:32]}"'


def is_named(if_none_match: str, etag: str) -> bool:
    """Return whether an ``If-None-Match`` names an ETag, by weak comparison (RFC 9110, 13.1.2)."""
    given = [each.strip().removeprefix("W/") for each in if_none_match.split(",")]
    return _ANY in given or etag.removeprefix("W/") in given
