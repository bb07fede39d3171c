"""Records of a file -> events: the extract's columns by name, as CSV, NDJSON or a JSON array.

1. A bad record affects only itself. It is reported by its line and the rule that it breaks, never by its content.
2. A record without ``event_ID`` gets an ID made from its content (a version-8 UUID, RFC 9562). Sending the same file
   again, or another extract of an overlapping period, therefore counts no view twice.
3. Views of one instant keep the file's order, because their number within the instant comes before the digest in the
   ID. An ID therefore depends on which views of its instant are in the file: extracts of different matters or users,
   or from before and after a purge, agree on the IDs only if they have the column ``event_ID``.
4. The guard against formulas in a CSV file is removed, unless the file was written without it.
"""

import csv
import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import IO, Any, Final, TypeVar
from uuid import UUID

from matterlog.app.errors import BadRecord
from matterlog.app.files.json_array import DOUBLED, array_values, object_of
from matterlog.consumers.reading.records import micros_of
from matterlog.schemas import InvalidEvent, MatterDeleted, MatterlogError, MatterViewed
from matterlog.schemas.columns import (
    COLUMNS,
    DELETION_COLUMNS,
    EVENT_ID,
    OPTIONAL_FIELDS,
    REPORT_COLUMNS,
    column_of,
    field_of,
)
from matterlog.schemas.formula_guard import without_formula_guard

_E = TypeVar("_E", MatterViewed, MatterDeleted)
_INSTANT: Final = re.compile(r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:?\d\d)$")
_MAX_LINE_CHARACTERS: Final = 1024 * 1024
_TIE_BITS: Final = 14
_DIGEST_BITS: Final = 48


class BadFile(MatterlogError):
    """A file that cannot be imported; nothing was sent."""


class RecordFormat(StrEnum):
    """The format of a file of records."""

    CSV = "csv"
    NDJSON = "ndjson"
    JSON = "json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One record as read: the line where it starts, and its values by column."""

    number: int
    values: Mapping[str, Any]


def read_lines(text: IO[str], written: RecordFormat, records: "Records") -> Iterator[Line | BadRecord]:
    """Read records one by one.

    Args:
        text: opened with ``newline=""`` and without a byte-order mark.
        written: the format.
        records: the kind of event; the header of a CSV file is checked against its columns.

    Raises:
        BadFile: a CSV file has no header, or lacks a column, or has an unknown one.
    """
    if written is RecordFormat.CSV:
        return _read_csv(text, records)
    return _read_ndjson(text) if written is RecordFormat.NDJSON else _read_array(text)


def _read_csv(text: IO[str], records: "Records") -> Iterator[Line | BadRecord]:
    rows = csv.reader(_lines(text), strict=True)
    try:
        header = next(rows, [])
    except csv.Error as error:
        raise BadFile(f"line 1: invalid CSV: {error}") from None
    _check_header(header, records)
    while True:
        number = rows.line_num + 1
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            skipped = "" if rows.line_num == number else f", skipped up to line {rows.line_num}"
            yield BadRecord(number, f"invalid CSV: {error}{skipped}")
            continue
        if len(row) == len(header):
            yield Line(number=number, values=dict(zip(header, row, strict=True)))
        elif row:
            yield BadRecord(number, f"{len(row)} values for {len(header)} columns")


def _lines(text: IO[str]) -> Iterator[str]:
    """Yield the lines; of one that is longer than any record, only the beginning."""
    while line := text.readline(_MAX_LINE_CHARACTERS):
        yield line
        while _goes_on(line):
            line = text.readline(_MAX_LINE_CHARACTERS)


def _goes_on(line: str) -> bool:
    return len(line) == _MAX_LINE_CHARACTERS and not line.endswith(("\n", "\r"))


def _read_ndjson(text: IO[str]) -> Iterator[Line | BadRecord]:
    is_laid_out = False
    for number, line in enumerate(_lines(text), 1):
        if _goes_on(line):
            yield BadRecord(number, f"longer than {_MAX_LINE_CHARACTERS:,} characters")
        elif line.strip() == "{":
            is_laid_out = True
            yield BadRecord(number, "an object must be on one line, or in an array")
        elif is_laid_out and not line.lstrip().startswith("{"):
            # One error is enough for all of its lines.
            is_laid_out = line.rstrip() != "}"
        elif line.strip():
            try:
                values = json.loads(line, object_pairs_hook=object_of)
            except (ValueError, RecursionError):
                values = None
            yield _line_of(number, values, "not a JSON object on one line")


def _line_of(number: int, values: Any, otherwise: str) -> Line | BadRecord:
    if isinstance(values, dict):
        return Line(number=number, values=values)
    return BadRecord(number, "a name appears twice" if values is DOUBLED else otherwise)


def _read_array(text: IO[str]) -> Iterator[Line | BadRecord]:
    try:
        for number, value in array_values(text):
            yield _line_of(number, value, "not a JSON object in the array")
    except BadRecord as error:
        yield BadRecord(error.line, f"{error.reason}; nothing from here on was read")


@dataclass(slots=True)
class ViewRecords:
    """The conversion of lines to views, ``guarded`` against formulas or not. It counts the views of each instant."""

    guarded: bool
    _seen: Counter[int] = field(default_factory=Counter)

    columns = tuple(column.name for column in COLUMNS)
    required = REPORT_COLUMNS

    def event(self, line: Line) -> MatterViewed:
        """Return the view that a line describes.

        Raises:
            BadRecord: a value breaks its rule.
        """
        fields = _fields(line, self.columns, "matter_viewed_at", guarded=self.guarded)
        fields = {name: None if value == "" and name in OPTIONAL_FIELDS else value for name, value in fields.items()}
        view = _checked(MatterViewed, line, fields)
        if fields.get("event_id") is not None:
            return view
        return view.model_copy(update={"event_id": self._derived_id(view)})

    def _derived_id(self, view: MatterViewed) -> UUID:
        """Return an ID made from the view's instant, its number within the instant, and its content."""
        micros = micros_of(view.matter_viewed_at)
        tie = self._seen[micros]
        self._seen[micros] += 1
        content = json.dumps([str(getattr(view, field_of(name))) for name in REPORT_COLUMNS])
        return _version_8(micros, tie, content)


@dataclass(slots=True)
class DeletionRecords:
    """The conversion of lines to deletions; ``now`` is the instant of one whose line has none."""

    guarded: bool
    now: datetime

    columns = (*DELETION_COLUMNS, EVENT_ID.name)
    required = DELETION_COLUMNS[:1]

    def event(self, line: Line) -> MatterDeleted:
        """Return the deletion that a line describes.

        Raises:
            BadRecord: a value breaks its rule.
        """
        fields = _fields(line, self.columns, "deleted_at", guarded=self.guarded)
        return _checked(MatterDeleted, line, {"deleted_at": self.now} | fields)


Records = ViewRecords | DeletionRecords


def _check_header(header: Sequence[str], records: Records) -> None:
    missing = [name for name in records.required if name not in header]
    unknown = [str(number) for number, name in enumerate(header, 1) if name not in records.columns]
    if missing:
        raise BadFile(f"line 1: column {', '.join(missing)} is missing")
    if unknown:
        raise BadFile(
            f"line 1: unknown column number {', '.join(unknown)}. Known columns: {', '.join(records.columns)}"
        )
    if len(set(header)) != len(header):
        raise BadFile("line 1: a column appears twice")


def _fields(line: Line, columns: tuple[str, ...], instant: str, *, guarded: bool) -> dict[str, Any]:
    """Return a line's values by field, with the instant parsed and the guard removed."""
    for number, name in enumerate(line.values, 1):
        if name not in columns:
            raise BadRecord(line.number, f"value number {number} has an unknown name")
    fields = {field_of(name): value for name, value in line.values.items()}
    if guarded:
        fields = {name: without_formula_guard(value) for name, value in fields.items()}
    given = {
        name: value for name, value in fields.items() if name not in {"event_id", instant} or value not in (None, "")
    }
    if instant in given:
        given[instant] = _instant(line.number, instant, given[instant])
    return given


def _instant(line: int, name: str, value: object) -> datetime:
    if isinstance(value, str) and _INSTANT.match(value):
        try:
            return datetime.fromisoformat(value).astimezone(UTC)
        except (ValueError, OverflowError):
            pass
    raise BadRecord(line, f"{name} must be an instant with its time zone, such as 2026-11-22T14:05:09.123456Z")


def _checked(event: type[_E], line: Line, fields: dict[str, Any]) -> _E:
    try:
        return event.checked(fields)
    except InvalidEvent as error:
        raise BadRecord(line.number, "; ".join(f"{column_of(name)} {rule}" for name, rule in error.problems)) from None


def _version_8(micros: int, tie: int, content: str) -> UUID:
    """Return a version-8 UUID that sorts by instant, then tie: 48 bits of milliseconds, 10 of microseconds in it.

    RFC 9562, section 5.8: only the positions of version and variant are fixed, the other bits are free.
    """
    milliseconds, rest = divmod(micros, 1000)
    digest = int.from_bytes(hashlib.sha256(f"{tie}\n{content}".encode()).digest()) & ((1 << _DIGEST_BITS) - 1)
    ordered_tie = min(tie, (1 << _TIE_BITS) - 1)
    return UUID(int=milliseconds << 80 | 0x8 << 76 | rest << 64 | 0b10 << 62 | ordered_tie << 48 | digest)
