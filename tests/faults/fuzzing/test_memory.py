"""A file of any form is read in little memory: one line without end, one value without end, depth without end."""

import io
import json
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from io import BufferedReader
from pathlib import Path
from typing import Any, Final

import pytest

from matterlog.app.commands.emit import _read
from matterlog.app.errors import BadRecord
from matterlog.app.files.import_records import RecordFormat
from matterlog.report.handover.manifest import manifest_path
from matterlog.report.handover.verify_extract import verify_extract
from matterlog.schemas.columns import REPORT_COLUMNS
from testbed.events import a_view
from tests.faults.fuzzing.imports import _records_of
from tests.report.handover.test_manifest import exported
from tests.report.logs import a_log

FILE_BYTES: Final = 32_000_000
MAX_BYTES: Final = 24_000_000
HEADER: Final = ",".join(REPORT_COLUMNS).encode() + b"\r\n"


class Repeated(io.RawIOBase):
    """A file that begins with some bytes and goes on with others, again and again."""

    def __init__(self, begin: bytes, piece: bytes) -> None:
        self._next = begin
        self._piece = piece * (65_536 // len(piece))
        self._left = FILE_BYTES // len(self._piece)

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, target: Any) -> int:
        """Fill a part of the target."""
        if not self._next and self._left:
            self._next, self._left = self._piece, self._left - 1
        count = min(len(target), len(self._next))
        target[:count], self._next = self._next[:count], self._next[count:]
        return count


@contextmanager
def little_memory() -> Iterator[None]:
    """Fail if more is taken at once than a part of the file."""
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < MAX_BYTES


@pytest.mark.parametrize(
    ("kind", "begin", "piece"),
    [
        (RecordFormat.CSV, HEADER, b"x"),
        (RecordFormat.CSV, HEADER + b'"', b"x"),
        (RecordFormat.CSV, HEADER, b","),
        (RecordFormat.NDJSON, b'{"a":"', b"x"),
        (RecordFormat.NDJSON, b"", b'{"a":'),
        (RecordFormat.JSON, b'["', b"x"),
        (RecordFormat.JSON, b"", b"["),
        (RecordFormat.JSON, b"[", b"9"),
    ],
    ids=str,
)
def test_what_has_no_end_is_one_bad_record(kind: RecordFormat, begin: bytes, piece: bytes) -> None:
    make = partial(_records_of, True)  # noqa: FBT003 - as the command line's
    with little_memory():
        found = list(_read("x", kind, BufferedReader(Repeated(begin, piece)), make)[1])
    assert [type(each) for each in found] == [BadRecord]


@pytest.mark.parametrize("written", ["csv", "json", "ndjson"])
def test_an_extract_of_one_line_is_verified_in_little_memory(tmp_path: Path, written: str) -> None:
    path = tmp_path / f"x.{written}"
    exported(a_log(tmp_path, a_view()), path, format=written)
    path.write_bytes(b"{" * FILE_BYTES)
    with little_memory():
        found = verify_extract(path, manifest_path(path))
    assert json.loads(manifest_path(path).read_bytes())["rows"] == 1
    assert len(found) == 3
