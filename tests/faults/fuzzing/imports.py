"""The doors for files of events: CSV, NDJSON and a JSON array, read as ``matterlog emit`` reads them.

Each record is an event or a bad record, and each event is one that can be encoded. A file without a header is refused.
"""

import csv
import io
import json
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from io import BufferedReader
from random import Random
from typing import Any, Final

from matterlog.app.commands.emit import _read
from matterlog.app.errors import BadRecord
from matterlog.app.files.import_records import BadFile, DeletionRecords, RecordFormat, Records, ViewRecords
from matterlog.schemas import decode, encode
from tests.faults.fuzzing.damage import changed, changed_json, damaged, odd_text, pick

NOW: Final = datetime(2026, 11, 22, 14, 5, 9, tzinfo=UTC)
VIEW: Final = {
    "user_ID": "u-1",
    "user_name": "'=Zo\u00eb",
    "user_email": "zoe@example.com",
    "user_type": "Guest",
    "matter_viewed_at": "2026-11-22T14:05:09.123456Z",
    "matter_ID": "m-1",
    "matter_name": 'Heron, "two"\nlines;=1',
    "matter_type": "live",
}
OFFICE: Final = {
    "user_company_ID": "c-1",
    "user_company_name": "Fennimore",
    "user_member_office_ID": "",
    "user_member_office_name": "Quay",
    "user_member_office_location_name": "Z\u00fcrich",
    "user_member_office_location_iso2": "CH",
    "event_ID": "018f0000-0000-7000-8000-000000000001",
}
DELETION: Final = {"matter_ID": "m-1", "deleted_at": "2026-11-22T14:05:09Z", "event_ID": OFFICE["event_ID"]}
RECORDS: Final[tuple[dict[str, Any], ...]] = (VIEW, VIEW | OFFICE, DELETION, {"matter_ID": "m-2"})


def _a_csv(rows: list[dict[str, Any]], dice: Random) -> bytes:
    """Return rows as CSV, with the header of the first, a line end of any kind, and damage."""
    header = list(rows[0])
    if dice.random() < 0.1:
        header = [*header[1:], pick((header[0], header[-1], odd_text(dice)), dice)]
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=pick((csv.QUOTE_MINIMAL, csv.QUOTE_ALL), dice), lineterminator=_line_end(dice))
    if dice.random() < 0.95:
        writer.writerow(header)
    writer.writerows(map(str, row.values()) for row in rows)
    data = text.getvalue().encode("utf-8", "surrogatepass")
    return damaged(data, dice) if dice.random() < 0.7 else data


def _line_end(dice: Random) -> str:
    return pick(("\r\n", "\r\n", "\n", "\r", "\n\n"), dice)


def _an_ndjson(rows: list[dict[str, Any]], dice: Random) -> bytes:
    end = _line_end(dice).encode()
    return end.join(changed_json(row, dice) if dice.random() < 0.7 else json.dumps(row).encode() for row in rows)


def _an_array(rows: list[dict[str, Any]], dice: Random) -> bytes:
    way = dice.random()
    if way < 0.5:
        return changed_json(rows, dice)
    return b"[" + b",\n".join(changed_json(row, dice) for row in rows) + pick((b"]", b"]\n", b",]", b"", b"]]"), dice)


WRITERS: Final[dict[RecordFormat, Callable[[list[dict[str, Any]], Random], bytes]]] = {
    RecordFormat.CSV: _a_csv,
    RecordFormat.NDJSON: _an_ndjson,
    RecordFormat.JSON: _an_array,
}


def _records_of(is_view: bool, guarded: bool) -> Records:  # noqa: FBT001 - as the command line's
    return ViewRecords(guarded=guarded) if is_view else DeletionRecords(guarded=guarded, now=NOW)


def read(written: RecordFormat, dice: Random) -> int:
    """Read a damaged file of a few records."""
    seed = pick(RECORDS, dice)
    rows = [_odd(seed, dice) for _ in range(1 + int(dice.random() * 4))]
    if dice.random() < 0.02:
        rows *= 30
    data = pick((b"", b"", b"\xef\xbb\xbf", b" \n"), dice) + WRITERS[written](rows, dice)
    is_view = (seed in RECORDS[:2]) == (dice.random() < 0.95)
    chosen = pick((written, None), dice)
    name = pick((f"x.{written}", "x"), dice)
    try:
        _, events = _read(name, chosen, BufferedReader(io.BytesIO(data)), partial(_records_of, is_view))
        for event in events:
            if isinstance(event, BadRecord):
                assert "=Zo" not in str(event)  # no error quotes a value
            else:
                assert decode(encode(event)) == event
    except BadFile:
        pass
    return 1


def _odd(row: dict[str, Any], dice: Random) -> dict[str, Any]:
    """Return a row of which a value may be odd."""
    if dice.random() < 0.5:
        return row
    found = changed(row, dice)
    return found if isinstance(found, dict) and found else row
