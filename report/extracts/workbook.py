"""Rows as an Excel workbook: one table with a fixed header and a filter, and with real days and instants.

XlsxWriter makes the workbook with its table, styles and widths, but without rows: it would keep each cell of a table
in memory and take a minute for a million rows. DuckDB writes the rows as XML, which is inserted into the worksheet.
"""

import io
import zipfile
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Final

import duckdb

from matterlog.report.errors import TooManyRows
from matterlog.report.extracts.copying import Sink, nameless_file, pour
from matterlog.report.extracts.rows import Column, Kind, Rows
from matterlog.schemas.storage.statements import load_statements

SQL: Final = load_statements(__package__, "workbook.sql")
# A worksheet has at most 2 to the power of 20 rows, including the header.
MAX_ROWS: Final = 1_048_575
# A larger part needs an extension of the container (ZIP64), for which Excel offers to repair the file.
MAX_SHEET_BYTES: Final = 2**31 - 1

_SHEET: Final = "xl/worksheets/sheet1.xml"
_TABLE: Final = "xl/tables/table1.xml"
_END_OF_ROWS: Final = b"</sheetData>"
_FETCHED_ROWS: Final = 5_000
# The format in which Excel shows a date.
_DATE_FORMATS: Final = {Kind.INSTANT: "yyyy-mm-dd hh:mm:ss.000", Kind.DAY: "yyyy-mm-dd"}
# Deflate's fastest level: a third larger than with the default, in a third of the time.
_COMPRESSION_LEVEL: Final = 1


def write_workbook(connection: duckdb.DuckDBPyConnection, rows: Rows, sink: Sink, *, instead: str) -> int:
    """Write a workbook into a sink; return how many rows it has. ``instead``: the formats that hold more.

    Raises:
        TooManyRows: there are more rows or bytes than a worksheet holds; the sink got nothing.
        duckdb.Error: the database failed; the sink got nothing.
    """
    ((total,),) = connection.execute(rows.count, rows.parameters).fetchall()
    otherwise = f"nothing was written. Narrow the filter, or write {instead}"
    if total > MAX_ROWS:
        raise TooManyRows(f"{total:,} rows are more than the {MAX_ROWS:,} of an Excel worksheet: {otherwise}", "format")
    with nameless_file(connection) as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=_COMPRESSION_LEVEL) as book:
            _write_parts(book, rows, total, _xml_of_rows(connection, rows), otherwise)
        pour(file, sink)
    return int(total)


def _write_parts(book: zipfile.ZipFile, rows: Rows, total: int, xml: Iterator[bytes], otherwise: str) -> None:
    """Write the workbook's parts, with the rows in the worksheet and their range in the table."""
    empty = _without_rows(rows)
    last_letter = _letter(len(rows.columns) - 1)
    for name in empty.namelist():
        part = empty.read(name)
        if name == _TABLE:
            # A table must have a row below its header, at least an empty one.
            part = part.replace(f'"A1:{last_letter}2"'.encode(), f'"A1:{last_letter}{max(total, 1) + 1}"'.encode())
        if name != _SHEET:
            book.writestr(zipfile.ZipInfo(name), part, zipfile.ZIP_DEFLATED)
            continue
        before, end, behind = part.partition(_END_OF_ROWS)
        with book.open(name, "w") as sheet:
            size = 0
            for some in chain((before,), xml, (end + behind,)):
                size += len(some)
                if size > MAX_SHEET_BYTES:
                    raise TooManyRows(f"the rows are more than 2 GiB as an Excel worksheet: {otherwise}", "format")
                sheet.write(some)


def _without_rows(rows: Rows) -> zipfile.ZipFile:
    """Return a workbook whose table has a header and one empty row."""
    import xlsxwriter  # noqa: PLC0415 - a large library that only this format needs

    target = io.BytesIO()
    with xlsxwriter.Workbook(target, {"in_memory": True}) as book:
        sheet = book.add_worksheet(rows.title)
        styles = {kind: book.add_format({"num_format": shown}) for kind, shown in _DATE_FORMATS.items()}
        for index, column in enumerate(rows.columns):
            sheet.set_column(index, index, column.width, styles.get(column.kind))
        header = [{"header": column.name} for column in rows.columns]
        sheet.add_table(0, 0, 1, len(rows.columns) - 1, {"name": rows.title, "columns": header})
        sheet.freeze_panes(1, 0)
    return zipfile.ZipFile(target)


def _xml_of_rows(connection: duckdb.DuckDBPyConnection, rows: Rows) -> Iterator[bytes]:
    found = connection.execute(_statement(rows), rows.parameters)
    while some := found.fetchmany(_FETCHED_ROWS):
        yield "".join(xml for (xml,) in some).encode()


def _statement(rows: Rows) -> str:
    # XlsxWriter numbers the styles in the order in which columns use them, after the default one.
    used = dict.fromkeys(column.kind for column in rows.columns if column.kind in _DATE_FORMATS)
    styles = {kind: number for number, kind in enumerate(used, start=1)}
    cells = (_cell(_letter(index), column, styles) for index, column in enumerate(rows.columns))
    inner = rows.select(f'{column.field} AS "{column.name}"' for column in rows.columns)
    return SQL["rows"].format(cells=" || ".join(cells), rows=inner)


def _cell(letter: str, column: Column, styles: Mapping[Kind, int]) -> str:
    field = f'"{column.name}"'
    match column.kind:
        case Kind.TEXT | Kind.CODE:
            return SQL["text_cell"].format(letter=letter, text=SQL["escaped"].format(field=field))
        case Kind.NUMBER:
            return SQL["number_cell"].format(letter=letter, field=field)
    name = "instant_cell" if column.kind is Kind.INSTANT else "day_cell"
    return SQL[name].format(letter=letter, field=field, style=styles[column.kind])


def _letter(index: int) -> str:
    """Return a column's letter; there are fewer than 26 columns."""
    return chr(ord("A") + index)
