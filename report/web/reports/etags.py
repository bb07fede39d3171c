"""ETags of extracts: a state of the log, and which of its rows were asked for.

An extract of the last days has another beginning each moment. Within one state of the log its rows are the same from
any beginning up to the first of them, so that row's instant stands in the ETag in place of the beginning: it changes
when something arrives or is purged, and when a row falls out of the period.
"""

import hashlib
from typing import Final

from matterlog.report.extracts.extracts import first_instant
from matterlog.report.extracts.requests import ExtractRequest
from matterlog.report.log.snapshot import Snapshot, one_snapshot, read_snapshot
from matterlog.report.web.parts import Parts

_ANY: Final = "*"


def etag_of(parts: Parts, wanted: ExtractRequest, made: Snapshot | None = None) -> str:
    """Name what an extract holds; weak, since a workbook holds the instant at which it was made.

    Args:
        parts: the site's.
        wanted: what is asked for.
        made: the state that the extract shows; None for the present one. Where the log has moved on since, the ETag is
            one that no later state has.

    Raises:
        LogUnavailable: the database is down.
    """
    with parts.log.reader() as connection, one_snapshot(connection):
        state = made or read_snapshot(connection)
        first = None if wanted.filter.since is None else first_instant(connection, wanted)
    rows = wanted.filter.model_copy(update={"since": None})
    asked = wanted.model_copy(update={"filter": rows}).model_dump_json()
    named = f"{state.log_id} {state.last_arrival} {wanted.filter.since is None} {first} {asked}"
    return f'W/"{hashlib.sha256(named.encode("utf-8", "surrogatepass")).hexdigest()[:32]}"'


def is_named(if_none_match: str, etag: str) -> bool:
    """Whether an ``If-None-Match`` names an ETag; weak or not makes no difference (RFC 9110, 13.1.2)."""
    given = [each.strip().removeprefix("W/") for each in if_none_match.split(",")]
    return _ANY in given or etag.removeprefix("W/") in given
