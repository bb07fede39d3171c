"""NDJSON, Parquet, workbooks of Excel and CSV for Excel, read back by the libraries that people use."""

import csv
import hashlib
import io
import json
import stat
import threading
import zipfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from openpyxl.utils.escape import unescape
from openpyxl.worksheet.worksheet import Worksheet

from matterlog.report.errors import InvalidFilter, TooManyRows
from matterlog.report.extracts import workbook
from matterlog.report.extracts.extracts import write_extract
from matterlog.report.extracts.formats import FORMATS, format_of_file
from matterlog.report.extracts.requests import ExtractRequest
from matterlog.report.log.filters import Filter
from matterlog.report.log.reader import open_for_reading
from matterlog.schemas.columns import FULL_COLUMNS, REPORT_COLUMNS
from matterlog.schemas.formula_guard import without_formula_guard
from matterlog.schemas.storage.database_files import DatabaseFiles
from testbed.events import a_view
from tests.report.extracts.test_extracts import NAMES
from tests.report.logs import a_big_log, a_log, extract_of

LAST_INSTANT: Final = datetime(2026, 11, 22, 23, 59, 59, 999_999, tzinfo=UTC)
HARD_NAME: Final = ('=1+1, "O\'Hara"\r\nSöhne; ' + "x" * 300)[:300]
HARDER_NAMES: Final = (
    *(HARD_NAME, "<r>x</r>", "</t></is></c><c><f>1+1</f></c>", "_x0041_x0042_", "_x000D_", "a_\r", "&amp;", "]]>"),
    *("a\ufffeb", "\uffff", "https://example.com", "mailto:a@example.com", "TRUE", "1,5", "2026-11-22"),
)
EVERY_FORMAT: Final = tuple(FORMATS)


def sheet_of(data: bytes) -> Worksheet:
    """The worksheet of a workbook."""
    return openpyxl.load_workbook(io.BytesIO(data))["Activity"]


def rows_of(data: bytes, written: str) -> list[dict[str, Any]]:
    """An extract's rows, as a library of somebody else reads them."""
    match written:
        case "csv":
            return list(csv.DictReader(io.StringIO(data.decode(), newline=""), strict=True))
        case "json":
            found: list[dict[str, Any]] = json.loads(data)
            return found
        case "ndjson":
            return [json.loads(line) for line in data.decode().split("\n")[:-1]]
        case "parquet":
            return [dict(row) for row in pq.read_table(io.BytesIO(data)).to_pylist()]
    names, *rows = sheet_of(data).iter_rows(values_only=True)
    texts = [[unescape(value) if isinstance(value, str) else value for value in row] for row in rows]
    return [dict(zip(names, row, strict=True)) for row in texts if any(row)]


@pytest.mark.parametrize("written", EVERY_FORMAT)
def test_every_name_comes_back_from_every_format_as_it_was_stored(tmp_path: Path, written: str) -> None:
    """But for CSV's guard, which is undone without a trace; and an empty cell of Excel holds nothing."""
    names = [*NAMES, *HARDER_NAMES]
    views = [a_view(user_name=name, matter_viewed_at=LAST_INSTANT + timedelta(n)) for n, name in enumerate(names)]
    rows = rows_of(extract_of(a_log(tmp_path, *views), format=written), written)
    found = [row["user_name"] or "" for row in rows]
    assert [without_formula_guard(name) if written == "csv" else name for name in found] == names
    assert {tuple(row) for row in rows} == {REPORT_COLUMNS}


@pytest.mark.parametrize("written", EVERY_FORMAT)
@pytest.mark.parametrize("views", [0, 1])
def test_nothing_and_one_row_are_whole_extracts(tmp_path: Path, written: str, views: int) -> None:
    """With their columns, wherever the format can say them without a row."""
    paths = a_log(tmp_path, *[a_view(matter_viewed_at=LAST_INSTANT)] * views)
    days = Filter.of(now=LAST_INSTANT, first_day="2026-11-22", last_day="2026-11-22")
    rows = rows_of(extract_of(paths, format=written, filter=days, columns="full"), written)
    assert [tuple(row) for row in rows] == [FULL_COLUMNS] * views


def test_ndjson_is_one_object_a_line(tmp_path: Path) -> None:
    """The same objects as in JSON."""
    paths = a_log(tmp_path, a_view(matter_name="a\nb"), a_view(user_company_name=""))
    lines = extract_of(paths, format="ndjson", columns="full").splitlines()
    assert [json.loads(line) for line in lines] == json.loads(extract_of(paths, format="json", columns="full"))


def test_parquet_has_true_types(tmp_path: Path) -> None:
    """Text, and instants in UTC to the microsecond; NULL is not the empty text."""
    paths = a_log(tmp_path, a_view(matter_viewed_at=LAST_INSTANT, user_company_name=""))
    table = pq.read_table(io.BytesIO(extract_of(paths, format="parquet", columns="full", with_event_id=True)))
    instants = {"matter_viewed_at": pa.timestamp("us", tz="UTC")}
    types = {name: instants.get(name, pa.string()) for name in (*FULL_COLUMNS, "event_ID")}
    assert {field.name: field.type for field in table.schema} == types
    assert table["matter_viewed_at"].to_pylist() == [LAST_INSTANT]
    assert (table["user_company_ID"].to_pylist(), table["user_company_name"].to_pylist()) == ([None], [""])


def test_a_workbook_holds_a_table_with_a_filter_and_a_header_that_stays(tmp_path: Path) -> None:
    """And columns that are wide enough to be read."""
    sheet = sheet_of(extract_of(a_log(tmp_path, a_view(), a_view()), format="xlsx"))
    table = sheet.tables["Activity"]
    assert (sheet.dimensions, table.ref, table.autoFilter.ref) == ("A1:H3", "A1:H3", "A1:H3")
    assert tuple(table.column_names) == REPORT_COLUMNS
    assert sheet.freeze_panes == "A2"
    assert sheet.column_dimensions["A"].width > 20


def test_a_workbook_of_nothing_holds_a_table_with_an_empty_row(tmp_path: Path) -> None:
    """Excel repairs a file whose table has no row."""
    assert sheet_of(extract_of(a_log(tmp_path), format="xlsx")).tables["Activity"].ref == "A1:H2"


def test_no_cell_of_a_workbook_is_a_formula_and_instants_are_instants(tmp_path: Path) -> None:
    """Whatever text begins with, it is text."""
    views = [a_view(user_name=name, matter_viewed_at=LAST_INSTANT) for name in (*NAMES, *HARDER_NAMES)]
    data = extract_of(a_log(tmp_path, *views), format="xlsx")
    rows = list(sheet_of(data).iter_rows(min_row=2))
    assert {cell.data_type for row in rows for cell in row if cell.value is not None} == {"s", "d"}
    assert {(row[4].data_type, row[4].number_format) for row in rows} == {("d", "yyyy-mm-dd hh:mm:ss.000")}
    xml = zipfile.ZipFile(io.BytesIO(data)).read("xl/worksheets/sheet1.xml")
    assert b"<f" not in xml
    assert b"hyperlink" not in xml


@pytest.mark.parametrize(
    ("instant", "shown"),
    [
        (datetime(1970, 1, 1, tzinfo=UTC), datetime(1970, 1, 1)),  # noqa: DTZ001 - Excel knows no zones
        (datetime(2026, 2, 28, 6, tzinfo=UTC), datetime(2026, 2, 28, 6)),  # noqa: DTZ001 - as above
        (datetime(2026, 2, 28, 6, 0, 0, 999, tzinfo=UTC), datetime(2026, 2, 28, 6)),  # noqa: DTZ001 - as above
        (datetime(2026, 2, 28, 23, 59, 59, 999_999, tzinfo=UTC), datetime(2026, 2, 28, 23, 59, 59, 999_000)),  # noqa: DTZ001
        (datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999_000)),  # noqa: DTZ001
    ],
)
def test_the_first_and_the_last_instant_are_dates_in_excel(tmp_path: Path, instant: datetime, shown: datetime) -> None:
    """All that a view may have: from 1970 to the calendar's end. None is rounded into the next day."""
    (row,) = rows_of(extract_of(a_log(tmp_path, a_view(matter_viewed_at=instant)), format="xlsx"), "xlsx")
    assert row["matter_viewed_at"] == shown


def test_a_workbooks_rows_stand_in_the_order_of_time(tmp_path: Path) -> None:
    """Many of them, each in the row that it names."""
    data = extract_of(a_big_log(tmp_path, 12_000), format="xlsx")
    instants = [row["matter_viewed_at"] for row in rows_of(data, "xlsx")]
    assert instants == sorted(instants)
    assert len(set(instants)) == 12_000


def test_more_rows_than_a_worksheet_holds_are_an_error_that_names_the_other_formats(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before a byte is written; exactly as many as it holds are written."""
    assert workbook.MAX_ROWS == 1_048_576 - 1
    monkeypatch.setattr(workbook, "MAX_ROWS", 3)
    chunks: list[bytes] = []
    assert len(rows_of(extract_of(_log_in(tmp_path / "three", 3), format="xlsx"), "xlsx")) == 3
    request = ExtractRequest.model_validate({"format": "xlsx"})
    with (
        open_for_reading(_log_in(tmp_path / "four", 4)) as connection,
        pytest.raises(TooManyRows, match=r"^4 rows are more than the 3 .* write csv, json, ndjson or parquet"),
    ):
        write_extract(connection, request, chunks.append)
    assert chunks == []


def test_more_bytes_than_a_worksheet_holds_are_an_error_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Long names get there before the rows do."""
    monkeypatch.setattr(workbook, "MAX_SHEET_BYTES", 100_000)
    request, chunks = ExtractRequest.model_validate({"format": "xlsx"}), list[bytes]()
    with (
        open_for_reading(a_big_log(tmp_path, 3_000)) as connection,
        pytest.raises(TooManyRows, match="more than 2 GiB as an Excel worksheet"),
    ):
        write_extract(connection, request, chunks.append)
    assert chunks == []


def _log_in(folder: Path, rows: int) -> DatabaseFiles:
    folder.mkdir()
    return a_big_log(folder, rows)


def test_csv_for_excel_begins_with_one_byte_order_mark(tmp_path: Path) -> None:
    """And is the same file behind it; the statement about it counts the mark."""
    paths = a_log(tmp_path, a_view())
    data = extract_of(paths, format="csv", excel=True)
    assert data == b"\xef\xbb\xbf" + extract_of(paths, format="csv")
    request = ExtractRequest.model_validate({"format": "csv", "excel": True})
    with open_for_reading(paths) as connection:
        told = write_extract(connection, request, lambda _: None)
    assert (told.bytes, told.sha256) == (len(data), hashlib.sha256(data).hexdigest())


@pytest.mark.parametrize("written", ["json", "ndjson", "parquet", "xlsx"])
def test_a_byte_order_mark_is_for_csv_alone(written: str) -> None:
    """The others know their encoding."""
    with pytest.raises(InvalidFilter, match=f"--excel is for CSV only and cannot be combined with --format {written}"):
        ExtractRequest.model_validate({"format": written, "excel": True})


@pytest.mark.parametrize("written", ["parquet", "xlsx"])
def test_what_is_written_before_it_leaves_stands_where_nobody_finds_it(tmp_path: Path, written: str) -> None:
    """No file has a name or a mode that others could use, and none is left."""
    paths = a_big_log(tmp_path, 20_000)
    seen: list[Path] = []
    with open_for_reading(paths) as connection:
        request = ExtractRequest.model_validate({"format": written})
        write_extract(connection, request, lambda _: seen.extend(paths.spill.glob("reader-*/*")))
    assert seen == []
    assert stat.S_IMODE(paths.spill.stat().st_mode) == 0o700
    assert list(paths.spill.iterdir()) == []


@pytest.mark.parametrize("written", EVERY_FORMAT)
def test_a_sink_that_raises_leaves_the_connection_fit_for_the_next_extract(tmp_path: Path, written: str) -> None:
    """In every format, and without a thread that waits."""

    def fails(_: bytes) -> None:
        raise RuntimeError("the sink's own")

    request = ExtractRequest.model_validate({"format": written})
    with open_for_reading(a_big_log(tmp_path, 20_000)) as connection:
        with pytest.raises(RuntimeError, match="the sink's own"):
            write_extract(connection, request, fails)
        assert write_extract(connection, request, lambda _: None).rows == 20_000
    assert not [thread for thread in threading.enumerate() if thread.name == "matterlog-extract"]


@pytest.mark.parametrize("wrong", [{"name": "Toy"}, {"name": "../x"}, {"endings": ()}, {"endings": (".csv",)}])
def test_a_format_whose_name_could_not_stand_in_a_files_name_cannot_be_made(wrong: dict[str, Any]) -> None:
    """It stands in the names of acts too."""
    with pytest.raises(ValueError, match="small letters and digits"):
        replace(FORMATS["csv"], **wrong)


@pytest.mark.parametrize(
    ("name", "written"),
    [
        *(
            ("x.csv", "csv"),
            ("x.JSON", "json"),
            ("x.ndjson", "ndjson"),
            ("x.jsonl", "ndjson"),
            ("x.parquet", "parquet"),
        ),
        *(("x.xlsx", "xlsx"), ("x", "csv"), ("-", "csv"), ("json", "csv"), ("/dev/fd/63", "csv"), ("a.b/x", "csv")),
    ],
)
def test_a_files_name_says_its_format(name: str, written: str) -> None:
    """What it does not say is CSV."""
    assert format_of_file(name) == written


@pytest.mark.parametrize("name", ["x.txt", "x.csv.gz", "x.PDF"])
def test_an_ending_that_no_format_has_is_an_error(name: str) -> None:
    """A file of CSV that is called otherwise would surprise whoever opens it."""
    with pytest.raises(InvalidFilter, match=r"ends in none of \.csv, .+: give --format"):
        format_of_file(name)
