"""Engagement tables as files, in the formats of an extract and with the same guard against formulas.

Such a file names users and matters, so the rules of an extract apply: it is in the register, it has a manifest, and it
is on the recall list of a deleted matter if it is based on views of that matter.
"""

from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa

from matterlog.report.engagement.analyses import Analysis
from matterlog.report.engagement.engagement import Engagement, EngagementRequest
from matterlog.report.errors import ExtractFailed
from matterlog.report.extracts.copying import CountedSink, Sink
from matterlog.report.extracts.extracts import BYTE_ORDER_MARK, Extract
from matterlog.report.extracts.formats import FORMATS, FormatSpec
from matterlog.report.extracts.requests import FileRequest
from matterlog.report.extracts.rows import DEFAULT_WIDTH, Column, Kind, Rows
from matterlog.report.log.filters import Filter
from matterlog.schemas.storage.damage import in_words
from matterlog.schemas.storage.scratch_folders import scratch_folder

_WIDTHS: Final = {Kind.TEXT: DEFAULT_WIDTH, Kind.INSTANT: 24}
_WIDTH: Final = 14


class EngagementFileRequest(FileRequest, frozen=True):
    """A request for an engagement table as a file."""

    engagement: EngagementRequest

    @property
    def analysis(self) -> Analysis:
        return self.engagement.analysis

    @property
    def filter(self) -> Filter:
        """Which views the file is based on."""
        return self.engagement.rests_on

    @property
    def column_names(self) -> tuple[str, ...]:
        return tuple(self.engagement.spec.columns.names)


def write_engagement(answer: Engagement, request: EngagementFileRequest, sink: Sink, folder: Path) -> Extract:
    """Write an answer's bytes into a sink; ``folder`` and errors are those of ``write_table``."""
    counted = CountedSink(sink)
    if request.excel:
        counted(BYTE_ORDER_MARK)
    try:
        write_table(answer.table, FORMATS[request.format], counted, folder, raw_csv=request.raw_csv)
    except duckdb.Error as error:
        raise ExtractFailed(f"the extract failed ({in_words(error)}): no file was left") from error
    return Extract(
        rows=answer.table.num_rows, bytes=counted.bytes, sha256=counted.digest.hexdigest(), snapshot=answer.snapshot
    )


def write_table(table: pa.Table, written: FormatSpec, sink: Sink, folder: Path, *, raw_csv: bool = False) -> None:
    """Write a table's bytes into a sink.

    Args:
        table: columns of text, whole numbers, fractions, days, and instants in UTC.
        written: the format.
        sink: called with the next bytes.
        folder: where a private folder is made for what does not fit into memory; among temporary files if this user may
            not write there.
        raw_csv: put no quote in front of text that a spreadsheet would read as a formula.

    Raises:
        TooManyRows: there are more rows than an Excel worksheet holds; nothing was written.
    """
    rows = Rows(
        title="Engagement",
        columns=tuple(_column(field) for field in table.schema),
        statement="SELECT {columns} FROM answer",
        count="SELECT count(*) FROM answer",
        is_guarded=written.guards_formulas and not raw_csv,
    )
    # One thread keeps the order of rows.
    with scratch_folder(folder) as scratch, duckdb.connect(":memory:", config=_settings(scratch)) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("answer", table)
        written.write(connection, rows, sink)


def _settings(scratch: Path) -> dict[str, str | bool | int | float | list[str]]:
    return {
        "threads": 1,
        "temp_directory": str(scratch),
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
    }


def _column(field: pa.Field) -> Column:
    kind, expression = _kind(field.type), f'"{field.name}"'
    if kind is Kind.INSTANT:
        expression = f"make_timestamp(epoch_us({expression}))"
    return Column(name=field.name, field=expression, kind=kind, width=_WIDTHS.get(kind, _WIDTH))


def _kind(type_: pa.DataType) -> Kind:
    if pa.types.is_string(type_):
        return Kind.TEXT
    if pa.types.is_timestamp(type_):
        return Kind.INSTANT
    return Kind.DAY if pa.types.is_date(type_) else Kind.NUMBER
