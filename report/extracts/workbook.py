"""An extract as a workbook of Excel: one table with header, filter, a header that stays, true instants.

XlsxWriter makes the workbook with its table, styles and widths, but without rows: it would keep each cell of a table
in memory and take a minute for a million rows. DuckDB writes the rows as XML, and they are put in where they belong.
"""

import io
import zipfile
from collections.abc import Iterator
from itertools import chain
from typing import Final

import duckdb

from matterlog.report.errors import ExtractFailed
from matterlog.report.extracts.copying import Sink, nameless_file, pour
from matterlog.report.extracts.extract_statements import count_statement, parameters_of, rows_statement
from matterlog.report.extracts.requests import ExtractRequest
from matterlog.schemas.columns import field_of
from matterlog.schemas.statements import load_statements

SQL: Final = load_statements(__package__, "workbook.sql")
# A worksheet has 2 to the power of 20 rows, one of them the header.
MAX_ROWS: Final = 1_048_575
# Where a part is larger, the container needs an extension (ZIP64) for which Excel wants to repair the file.
MAX_SHEET_BYTES: Final = 2**31 - 1

_SHEET: Final = "xl/worksheets/sheet1.xml"
_TABLE: Final = "xl/tables/table1.xml"
_END_OF_ROWS: Final = b"</sheetData>"
_FETCHED_ROWS: Final = 5_000
# The cells' only format, behind the default one.
_INSTANT_STYLE: Final = 1
INSTANT_FORMAT: Final = "yyyy-mm-dd hh:mm:ss.000"
_WIDTHS: Final = {"user_type": 10, "matter_type": 12, "user_member_office_location_iso2": 12}
_WIDTH: Final = 26
# Deflate's quickest level: a third larger than its default one, in a third of the time.
_COMPRESSION_LEVEL: Final = 1


def write_workbook(connection: duckdb.DuckDBPyConnection, request: ExtractRequest, sink: Sink) -> int:
    """Write a workbook into a sink; return how many rows it has.

    Raises:
        ExtractFailed: there are more rows, or more bytes, than a worksheet holds; the sink has nothing.
        duckdb.Error: the database failed; the sink has nothing.
    """
    ((rows,),) = connection.execute(count_statement(), parameters_of(request)).fetchall()
    if rows > MAX_ROWS:
        raise ExtractFailed(
            f"{rows:,} rows are more than the {MAX_ROWS:,} that a worksheet of Excel holds: narrow the filter, or "
            "write csv, json, ndjson or parquet; nothing was written"
        )
    with nameless_file(connection) as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=_COMPRESSION_LEVEL) as book:
            _write_parts(book, request, rows, _xml_of_rows(connection, request))
        pour(file, sink)
    return int(rows)


def _write_parts(book: zipfile.ZipFile, request: ExtractRequest, rows: int, xml: Iterator[bytes]) -> None:
    """Write the workbook's parts, with the rows in their place and the table's range around them."""
    empty = _without_rows(request.column_names)
    # A table has a row below its header, be it an empty one.
    last_cell = f"{_letter(len(request.column_names) - 1)}{max(rows, 1) + 1}"
    for name in empty.namelist():
        part = empty.read(name)
        if name == _TABLE:
            part = part.replace(_range_of_none(request), f'"A1:{last_cell}"'.encode())
        if name != _SHEET:
            book.writestr(zipfile.ZipInfo(name), part, zipfile.ZIP_DEFLATED)
            continue
        before, end, behind = part.partition(_END_OF_ROWS)
        with book.open(name, "w") as sheet:
            size = 0
            for some in chain((before,), xml, (end + behind,)):
                if size + len(some) > MAX_SHEET_BYTES:
                    raise ExtractFailed(
                        "the rows are more than 2 GiB as a worksheet of Excel: narrow the filter, or write csv, json, "
                        "ndjson or parquet; nothing was written"
                    )
                size += sheet.write(some)


def _without_rows(columns: tuple[str, ...]) -> zipfile.ZipFile:
    """Return a workbook whose table has a header and one empty row."""
    import xlsxwriter  # noqa: PLC0415 - for this one format a large library

    target = io.BytesIO()
    with xlsxwriter.Workbook(target, {"in_memory": True}) as book:
        sheet = book.add_worksheet("Activity")
        instants = book.add_format({"num_format": INSTANT_FORMAT})
        for index, column in enumerate(columns):
            style = instants if column == "matter_viewed_at" else None
            sheet.set_column(index, index, _WIDTHS.get(column, _WIDTH), style)
        header = [{"header": column} for column in columns]
        sheet.add_table(0, 0, 1, len(columns) - 1, {"name": "Activity", "columns": header})
        sheet.freeze_panes(1, 0)
    return zipfile.ZipFile(target)


def _range_of_none(request: ExtractRequest) -> bytes:
    return f'"A1:{_letter(len(request.column_names) - 1)}2"'.encode()


def _xml_of_rows(connection: duckdb.DuckDBPyConnection, request: ExtractRequest) -> Iterator[bytes]:
    found = connection.execute(_statement(request), parameters_of(request))
    while some := found.fetchmany(_FETCHED_ROWS):
        yield "".join(xml for (xml,) in some).encode()


def _statement(request: ExtractRequest) -> str:
    fields = [field_of(column) for column in request.column_names]
    cells = " || ".join(_cell(index, field) for index, field in enumerate(fields))
    return SQL["rows"].format(cells=cells, rows=rows_statement(", ".join(f"activity.{field}" for field in fields)))


def _cell(index: int, field: str) -> str:
    letter = _letter(index)
    if field == "matter_viewed_at":
        return SQL["instant_cell"].format(letter=letter, field=field, style=_INSTANT_STYLE)
    return SQL["text_cell"].format(letter=letter, text=SQL["escaped"].format(field=field))


def _letter(index: int) -> str:
    """Return a column's letter; there are fewer than 26."""
    return chr(ord("A") + index)
