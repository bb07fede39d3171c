"""ETags of extracts, made from the state of the log and the rows that were asked for.

The period of an extract of the last days begins a little later with each request. Within one state of the log its rows
stay the same until the period begins after the first of them. So the ETag holds the instant of that first row instead
of the beginning. It changes when something arrives or is purged, and when a row falls out of the period.
"""

import hashlib
from typing import Final

from matterlog.report.extracts.extracts import first_instant
from matterlog.report.extracts.requests import ExtractRequest
from matterlog.report.log.snapshot import Snapshot, one_snapshot, read_snapshot
from matterlog.report.web.parts import Parts

_ANY: Final = "*"


def etag_of(parts: Parts, wanted: ExtractRequest, made: Snapshot | None = None) -> str:
    """Return an extract's ETag; weak, because a workbook holds the instant at which it was made.

    Args:
        parts: the parts of the site.
        wanted: the extract that is asked for.
        made: the state that the extract shows; None for the current one. If the log has changed since, no later state
            has the same ETag.

    Raises:
        LogUnavailable: the database is unavailable.
    """
    with parts.log.reader() as connection, one_snapshot(connection):
        state = made or read_snapshot(connection)
        first = None if wanted.filter.since is None else first_instant(connection, wanted)
    rows = wanted.filter.model_copy(update={"since": None})
    asked = wanted.model_copy(update={"filter": rows}).model_dump_json()
    named = f"{state.log_id} {state.last_arrival} {wanted.filter.since is None} {first} {asked}"
    return f'W/"{hashlib.sha256(named.encode("utf-8", "surrogatepass")).hexdigest()[:32]}"'


def is_named(if_none_match: str, etag: str) -> bool:
    """Return whether an ``If-None-Match`` names an ETag, by weak comparison (RFC 9110, 13.1.2)."""
    given = [each.strip().removeprefix("W/") for each in if_none_match.split(",")]
    return _ANY in given or etag.removeprefix("W/") in given
