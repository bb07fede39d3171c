"""The formats of extracts. Each is declared once, in ``FORMATS``.

To add a format, add a ``FormatSpec`` to ``FORMATS``; ``docs/changing.md`` lists the steps.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Final

import duckdb
from pydantic import AfterValidator, Field

from matterlog.report.errors import InvalidFilter
from matterlog.report.extracts import reading_back
from matterlog.report.extracts.copying import Sink, copy_text, copy_typed
from matterlog.report.extracts.reading_back import ReadBack
from matterlog.report.extracts.rows import Rows
from matterlog.report.extracts.workbook import write_workbook
from matterlog.schemas.storage.statements import load_statements

SQL: Final = load_statements(__package__, "formats.sql")
# The name of a format is part of the names of files and of audit log entries.
_NAME: Final = re.compile("[a-z][a-z0-9]*")

# Writes rows into a sink and returns how many.
Writer = Callable[[duckdb.DuckDBPyConnection, Rows, Sink], int]


@dataclass(frozen=True, slots=True)
class Label:
    """The title of a format on the site, and what it is good for."""

    title: str
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FormatSpec:
    """A format, with everything that depends on the format.

    ``endings`` are the endings of file names; our own files get the first. ``for_excel`` is the label of the format
    with a byte-order mark; None if it cannot have one. ``guards_formulas``: text gets the guard against formulas unless
    the request says otherwise. ``rows_are_lines``: each row is written at once as about one line, so lines show the
    progress; otherwise nothing is written before the last row. ``count_rows`` counts the rows of a file; it raises an
    error if it cannot read the file. ``read_back`` reads files to compare them; None if that is not possible.

    Raises:
        ValueError: there is no ending, or the name or an ending has other characters than small letters and digits.
    """

    name: str
    media_type: str
    endings: tuple[str, ...]
    label: Label
    for_excel: Label | None = None
    guards_formulas: bool = False
    rows_are_lines: bool
    write: Writer
    count_rows: Callable[[BinaryIO], int]
    read_back: ReadBack | None = None

    def __post_init__(self) -> None:
        if not self.endings or not all(_NAME.fullmatch(text) for text in (self.name, *self.endings)):
            raise ValueError(f"format {self.name!r}: its name and its endings must be small letters and digits")

    @property
    def ending(self) -> str:
        return self.endings[0]


def _write_xlsx(connection: duckdb.DuckDBPyConnection, rows: Rows, sink: Sink) -> int:
    others = [name for name in names() if name != XLSX.name]
    return write_workbook(connection, rows, sink, instead=f"{', '.join(others[:-1])} or {others[-1]}")


CSV: Final = FormatSpec(
    name="csv",
    media_type="text/csv; charset=utf-8",
    endings=("csv",),
    label=Label("CSV", "For Power BI and other programs"),
    for_excel=Label("CSV for Excel", "Opens with accents intact"),
    guards_formulas=True,
    rows_are_lines=True,
    write=partial(copy_text, options=SQL["csv"]),
    count_rows=reading_back.count_csv_rows,
    read_back=reading_back.CSV,
)
XLSX: Final = FormatSpec(
    name="xlsx",
    media_type="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    endings=("xlsx",),
    label=Label("Excel workbook", "With real dates and a filter"),
    rows_are_lines=False,
    write=_write_xlsx,
    count_rows=reading_back.count_xlsx_rows,
)
JSON: Final = FormatSpec(
    name="json",
    media_type="application/json",
    endings=("json",),
    label=Label("JSON", "One array"),
    rows_are_lines=True,
    write=partial(copy_text, options=SQL["json"]),
    # DuckDB writes each object of an array on a line of its own, and text in JSON contains no line breaks.
    count_rows=partial(reading_back.count_objects, begin=b"\t{"),
    read_back=reading_back.JSON,
)
NDJSON: Final = FormatSpec(
    name="ndjson",
    media_type="application/x-ndjson",
    endings=("ndjson", "jsonl"),
    label=Label("NDJSON", "One object per line"),
    rows_are_lines=True,
    write=partial(copy_text, options=SQL["ndjson"]),
    count_rows=partial(reading_back.count_objects, begin=b"{"),
    read_back=reading_back.NDJSON,
)
PARQUET: Final = FormatSpec(
    name="parquet",
    media_type="application/vnd.apache.parquet",
    endings=("parquet",),
    label=Label("Parquet", "Columns with types"),
    rows_are_lines=False,
    write=partial(copy_typed, options=SQL["parquet"]),
    count_rows=reading_back.count_parquet_rows,
    read_back=reading_back.PARQUET,
)

# By name, in the order in which pages show them.
FORMATS: Final[dict[str, FormatSpec]] = {spec.name: spec for spec in (CSV, XLSX, JSON, NDJSON, PARQUET)}


def names() -> list[str]:
    """Return the names of all formats, sorted."""
    return sorted(FORMATS)


def known_format(name: str) -> str:
    """Return the name of a format unchanged.

    Raises:
        ValueError: there is no format with that name.
    """
    if name not in FORMATS:
        raise ValueError(f"{name!r} is not one of {', '.join(map(repr, names()))}")
    return name


def format_of_file(name: str, remedy: str = "give --format") -> str:
    """Return the name of a file's format by the ending of its name; CSV if it has none.

    Raises:
        InvalidFilter: no format has this ending; the text says so, with the remedy.
    """
    known = {each: spec.name for spec in FORMATS.values() for each in spec.endings}
    ending = Path(name).suffix.lower().removeprefix(".")
    if ending and ending not in known:
        raise InvalidFilter(f"{name} ends in none of .{', .'.join(known)}: {remedy}", "format")
    return known.get(ending, CSV.name)


def _describe(schema: dict[str, Any]) -> None:
    schema.update(description="The format of an extract.", enum=names())


# The name of a format, in requests and in facts about files.
FormatName = Annotated[str, AfterValidator(known_format), Field(json_schema_extra=_describe)]
