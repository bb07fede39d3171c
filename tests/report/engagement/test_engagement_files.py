"""Engagement tables as files: the values of the table in each format, text that no spreadsheet runs."""

import hashlib
import io
import json
import stat
import tempfile
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final

import openpyxl
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from matterlog.report.engagement.engagement_files import EngagementFileRequest, write_engagement, write_table
from matterlog.report.errors import TooManyRows
from matterlog.report.extracts import workbook
from matterlog.report.extracts.extracts import BYTE_ORDER_MARK
from matterlog.report.extracts.formats import CSV, FORMATS, JSON, NDJSON, PARQUET, XLSX, FormatSpec
from tests.report.engagement.answers import REQUEST, asking, everything

SEEN: Final = datetime(2026, 3, 29, 22, 59, 59, 123000, tzinfo=UTC)
NAME: Final = ('=1+1,"é"\n' * 40)[:300]
TABLE: Final = pa.table(
    {
        "user_name": pa.array([NAME, "https://example.com", None]),
        "visits": pa.array([7, 0, 0], pa.int64()),
        "trend": pa.array([0.5, None, None], pa.float64()),
        "busiest_day": pa.array([date(2026, 3, 29), None, None], pa.date32()),
        "last_view_at": pa.array([SEEN, None, None], pa.timestamp("us", tz="UTC")),
    }
)


def written(table: pa.Table, format_: FormatSpec, *, raw_csv: bool = False) -> bytes:
    """The bytes of a table."""
    chunks: list[bytes] = []
    write_table(table, format_, chunks.append, Path(tempfile.gettempdir()), raw_csv=raw_csv)
    return b"".join(chunks)


def test_csv_is_that_of_an_extract() -> None:
    """Lines that end with CR LF, instants with Z, a quote in front of a formula, nothing for what is not known."""
    text = written(TABLE, CSV).decode()
    quoted = NAME.replace('"', '""')
    guarded = quoted.replace("\n=", "\n'=")  # a line break may begin another cell
    assert text == (
        "user_name,visits,trend,busiest_day,last_view_at\r\n"
        f'"\'{guarded}",7,0.5,2026-03-29,2026-03-29T22:59:59.123000Z\r\n'
        "https://example.com,0,,,\r\n"
        ",0,,,\r\n"
    )
    assert written(TABLE, CSV, raw_csv=True).decode() == text.replace(f"'{guarded}", quoted)


@pytest.mark.parametrize(
    ("format_", "read"), [(JSON, json.loads), (NDJSON, lambda data: [json.loads(line) for line in data.splitlines()])]
)
def test_json_holds_everything_as_it_is(format_: FormatSpec, read: Callable[[bytes], object]) -> None:
    """And null for what is not known."""
    nothing = {"visits": 0, "trend": None, "busiest_day": None, "last_view_at": None}
    first = {"visits": 7, "trend": 0.5, "busiest_day": "2026-03-29", "last_view_at": "2026-03-29T22:59:59.123000Z"}
    assert read(written(TABLE, format_)) == [
        {"user_name": NAME} | first,
        {"user_name": "https://example.com"} | nothing,
        {"user_name": None} | nothing,
    ]


def test_parquet_holds_the_types() -> None:
    """Days and instants in UTC among them."""
    assert pa.parquet.read_table(io.BytesIO(written(TABLE, PARQUET))).equals(TABLE)


def test_a_workbook_holds_true_dates_and_no_formula_or_link() -> None:
    """In one table with its header, which stays in sight."""
    sheet = openpyxl.load_workbook(io.BytesIO(written(TABLE, XLSX))).active
    assert sheet is not None
    assert list(sheet.tables.items()) == [("Engagement", "A1:E4")]
    assert sheet.freeze_panes == "A2"
    rows = [[cell.value for cell in row] for row in sheet.iter_rows(min_row=2)]
    assert rows[0] == [NAME, 7, 0.5, datetime(2026, 3, 29), datetime(2026, 3, 29, 22, 59, 59, 123000)]  # noqa: DTZ001
    assert rows[1:] == [["https://example.com", 0, None, None, None], [None, 0, None, None, None]]
    assert {cell.data_type for cell in sheet["A"]} == {"s", "n"}  # n: the cell of nothing
    assert sheet["A3"].hyperlink is None
    assert [sheet[cell].number_format for cell in ("D2", "E2")] == ["yyyy-mm-dd", "yyyy-mm-dd hh:mm:ss.000"]


def test_more_rows_than_a_worksheet_holds_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which names the other formats; nothing was written."""
    monkeypatch.setattr(workbook, "MAX_ROWS", 2)
    chunks: list[bytes] = []
    with pytest.raises(TooManyRows, match="3 rows are more than the 2 of an Excel worksheet"):
        write_table(TABLE, XLSX, chunks.append, Path(tempfile.gettempdir()))
    assert chunks == []


def test_what_a_table_needs_for_a_moment_lies_in_a_private_folder_where_it_is_told(tmp_path: Path) -> None:
    """Not among everybody's temporary files, under names that two processes share."""
    seen: list[tuple[Path, int]] = []

    def sink(_: bytes) -> None:
        seen.extend((path, stat.S_IMODE(path.stat().st_mode)) for path in tmp_path.iterdir())

    write_table(TABLE, FORMATS["parquet"], sink, tmp_path)
    assert {mode for _, mode in seen} == {0o700}
    assert list(tmp_path.iterdir()) == []


def test_a_table_for_excel_is_told_with_its_byte_order_mark() -> None:
    """Bytes and SHA-256 are those of what left."""
    request = EngagementFileRequest(engagement=REQUEST, format="csv", excel=True)
    chunks: list[bytes] = []
    told = write_engagement(asking(everything("x"))(REQUEST), request, chunks.append, Path(tempfile.gettempdir()))
    data = b"".join(chunks)
    assert data.startswith(BYTE_ORDER_MARK + b"begins_on,")
    assert (told.bytes, told.sha256) == (len(data), hashlib.sha256(data).hexdigest())


@pytest.mark.parametrize("format_", FORMATS.values())
def test_an_empty_table_is_a_file(format_: FormatSpec) -> None:
    """Its columns are there where the format has a place for them."""
    data = written(TABLE.slice(0, 0), format_)
    assert data == b"" if format_ is NDJSON else data


def test_a_table_without_text_needs_no_guard() -> None:
    assert written(TABLE.select(["visits"]), CSV) == b"visits\r\n7\r\n0\r\n0\r\n"
