"""An engagement table as a file: the formats of an extract, by its writers, its guard and its rules.

Such a file names users and matters, so it is handed out as an extract is: recorded, with a manifest, and recalled by a
deletion of a matter whose views it rests on.
"""

import io
import tempfile
from datetime import date, datetime
from typing import Any, Final, Self

import duckdb
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, model_validator

from matterlog.report.engagement.analyses import Analysis
from matterlog.report.engagement.engagement import Engagement, EngagementRequest
from matterlog.report.errors import ExtractFailed, InvalidFilter
from matterlog.report.extracts.copying import CountedSink, Sink, pour
from matterlog.report.extracts.extracts import BYTE_ORDER_MARK, SQL, Extract, ExtractFormat
from matterlog.report.extracts.workbook import INSTANT_FORMAT, MAX_ROWS
from matterlog.report.log.filters import Filter
from matterlog.schemas.columns import FORMULA_STARTS

_ROWS: Final = "SELECT {columns} FROM answer"
_DAY_FORMAT: Final = "yyyy-mm-dd"
_TEXT_WIDTH: Final = 26
_WIDTH: Final = 14
_INSTANT_WIDTH: Final = 24


class EngagementFileRequest(BaseModel):
    """An engagement question whose answer is to be a file; ``raw_csv`` and ``excel`` as for an extract.

    Raises:
        InvalidFilter: ``excel`` with another format than CSV.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    engagement: EngagementRequest
    format: ExtractFormat
    raw_csv: bool = False
    excel: bool = False

    @model_validator(mode="after")
    def _excel_is_csv(self) -> Self:
        if self.excel and self.format is not ExtractFormat.CSV:
            raise InvalidFilter(f"a byte-order mark is for CSV, not for {self.format}")
        return self

    @property
    def analysis(self) -> Analysis:
        """Which question."""
        return self.engagement.analysis

    @property
    def filter(self) -> Filter:
        """Which views the file rests on."""
        return self.engagement.rests_on

    @property
    def column_names(self) -> tuple[str, ...]:
        """The columns in their order."""
        return tuple(self.engagement.spec.columns.names)

    @property
    def is_formula_safe(self) -> bool:
        """Whether a quote is put in front of what a spreadsheet would take for a formula."""
        return self.format is ExtractFormat.CSV and not self.raw_csv


def write_engagement(answer: Engagement, request: EngagementFileRequest, sink: Sink) -> Extract:
    """Write an answer's bytes into a sink; raises as ``write_table`` does."""
    counted = CountedSink(sink)
    if request.excel:
        counted(BYTE_ORDER_MARK)
    write_table(answer.table, request.format, counted, raw_csv=request.raw_csv)
    return Extract(
        rows=answer.table.num_rows, bytes=counted.bytes, sha256=counted.digest.hexdigest(), snapshot=answer.snapshot
    )


def write_table(table: pa.Table, format_: ExtractFormat, sink: Sink, *, raw_csv: bool = False) -> None:
    """Write a table's bytes into a sink.

    Args:
        table: columns of text, whole numbers, fractions, days, and instants in UTC.
        format_: how it is written.
        sink: called with the next bytes.
        raw_csv: leave text as it is that a spreadsheet would take for a formula.

    Raises:
        ExtractFailed: a worksheet of Excel does not hold so many rows; nothing was written.
    """
    if format_ is ExtractFormat.XLSX:
        _write_workbook(table, sink)
        return
    is_formula_safe = format_ is ExtractFormat.CSV and not raw_csv
    columns = ",\n".join(_expression(field, format_, is_formula_safe=is_formula_safe) for field in table.schema)
    with tempfile.TemporaryFile() as file, duckdb.connect(":memory:") as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("answer", table)
        rows, options = _ROWS.format(columns=columns), SQL[format_]
        copy = SQL["copy"].format(rows=rows, target=f"/dev/fd/{file.fileno()}", options=options)
        # DuckDB refuses a value that no column asks for, and a table may be without text.
        connection.execute(copy, {"formula_starts": list(FORMULA_STARTS)} if "$formula_starts" in copy else None)
        pour(file, sink)


def _expression(field: pa.Field, format_: ExtractFormat, *, is_formula_safe: bool) -> str:
    if pa.types.is_timestamp(field.type) and format_ is not ExtractFormat.PARQUET:
        kind = "instant"
    elif pa.types.is_string(field.type) and is_formula_safe:
        kind = "formula_safe"
    else:
        kind = "plain"
    return SQL[kind].format(field=f'"{field.name}"', column=field.name)


def _write_workbook(table: pa.Table, sink: Sink) -> None:
    """Write one table with header, filter, a header that stays and true dates; instants are in UTC."""
    import xlsxwriter  # noqa: PLC0415 - for this one format a large library

    if table.num_rows > MAX_ROWS:
        raise ExtractFailed(
            f"{table.num_rows:,} rows are more than the {MAX_ROWS:,} that a worksheet of Excel holds: narrow the "
            "filter, or write csv, json, ndjson or parquet; nothing was written"
        )
    target = io.BytesIO()
    with xlsxwriter.Workbook(target, {"in_memory": True, "remove_timezone": True}) as book:
        sheet = book.add_worksheet("Engagement")
        header = [{"header": name} for name in table.column_names]
        # A table has a row below its header, be it an empty one.
        sheet.add_table(0, 0, max(table.num_rows, 1), table.num_columns - 1, {"name": "Engagement", "columns": header})
        sheet.freeze_panes(1, 0)
        formats = {
            datetime: book.add_format({"num_format": INSTANT_FORMAT}),
            date: book.add_format({"num_format": _DAY_FORMAT}),
        }
        for index, field in enumerate(table.schema):
            sheet.set_column(index, index, _width(field))
            for row, value in enumerate(table[index].to_pylist(), start=1):
                _write_cell(sheet, row, index, value, formats)
    sink(target.getvalue())


def _write_cell(sheet: Any, row: int, index: int, value: Any, formats: dict[type[date], Any]) -> None:
    """Write a cell by its type: text is text, be it like a formula, a number or a link; nothing is no cell."""
    match value:
        case None:
            return
        case str():
            sheet.write_string(row, index, value)
        case date():
            sheet.write_datetime(row, index, value, formats[type(value)])
        case _:
            sheet.write_number(row, index, value)


def _width(field: pa.Field) -> int:
    if pa.types.is_timestamp(field.type):
        return _INSTANT_WIDTH
    return _TEXT_WIDTH if pa.types.is_string(field.type) else _WIDTH
