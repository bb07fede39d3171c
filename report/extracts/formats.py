"""The formats of extracts, each declared once: whatever has to do with a format asks ``FORMATS``.

A new one is a ``FormatSpec`` in ``FORMATS``; ``docs/changing.md`` has the steps.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, BinaryIO, Final

import duckdb
from pydantic import AfterValidator, GetJsonSchemaHandler
from pydantic_core import CoreSchema

from matterlog.report.extracts import reading_back, row_counts
from matterlog.report.extracts.copying import Sink, copy_text, copy_typed
from matterlog.report.extracts.reading_back import ReadBack
from matterlog.report.extracts.rows import Rows
from matterlog.report.extracts.workbook import write_workbook
from matterlog.schemas.storage.statements import load_statements

SQL: Final = load_statements(__package__, "formats.sql")
# It stands in the names of files and of acts.
_NAME: Final = re.compile("[a-z][a-z0-9]*")

# Write rows into a sink, return how many.
Writer = Callable[[duckdb.DuckDBPyConnection, Rows, Sink], int]


@dataclass(frozen=True, slots=True)
class Label:
    """What the site's pages call a kind of file, and what it is for."""

    title: str
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FormatSpec:
    """A format: all that is to be known about it.

    ``endings`` are those of a file's name; the first is what our own files get. ``for_excel`` is the label of the same
    format behind a byte-order mark; None where it goes without one. ``guards_formulas``: text gets the guard against
    formulas unless somebody asks for none. ``rows_are_lines``: rows leave one by one, a line each or so, which says how
    far it is; otherwise they leave when all are there. ``count_rows`` counts those of a file; one of
    ``row_counts.UNREADABLE`` from it means that the file is not of the format. ``read_back`` is how files are compared;
    None where they cannot be.

    Raises:
        ValueError: a name or an ending that is not of small letters and figures, or no ending.
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
            raise ValueError(f"format {self.name!r}: its name and its endings are small letters and figures")

    @property
    def ending(self) -> str:
        """What the names of our own files end with."""
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
    count_rows=row_counts.count_csv_rows,
    read_back=reading_back.CSV,
)
XLSX: Final = FormatSpec(
    name="xlsx",
    media_type="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    endings=("xlsx",),
    label=Label("Excel workbook", "With true dates and a filter"),
    rows_are_lines=False,
    write=_write_xlsx,
    count_rows=row_counts.count_xlsx_rows,
)
JSON: Final = FormatSpec(
    name="json",
    media_type="application/json",
    endings=("json",),
    label=Label("JSON", "One array"),
    rows_are_lines=True,
    write=partial(copy_text, options=SQL["json"]),
    count_rows=row_counts.count_json_rows,
    read_back=reading_back.JSON,
)
NDJSON: Final = FormatSpec(
    name="ndjson",
    media_type="application/x-ndjson",
    endings=("ndjson", "jsonl"),
    label=Label("NDJSON", "One object a line"),
    rows_are_lines=True,
    write=partial(copy_text, options=SQL["ndjson"]),
    count_rows=row_counts.count_ndjson_rows,
    read_back=reading_back.NDJSON,
)
PARQUET: Final = FormatSpec(
    name="parquet",
    media_type="application/vnd.apache.parquet",
    endings=("parquet",),
    label=Label("Parquet", "Columns with types"),
    rows_are_lines=False,
    write=partial(copy_typed, options=SQL["parquet"]),
    count_rows=row_counts.count_parquet_rows,
    read_back=reading_back.PARQUET,
)

# By name, in the order of the pages.
FORMATS: Final[dict[str, FormatSpec]] = {spec.name: spec for spec in (CSV, XLSX, JSON, NDJSON, PARQUET)}


def names() -> list[str]:
    """Return the names of all formats, as they are listed."""
    return sorted(FORMATS)


def known_format(name: str) -> str:
    """Return the name of a format as it was given.

    Raises:
        ValueError: there is none of that name.
    """
    if name not in FORMATS:
        raise ValueError(f"{name!r} is not one of {', '.join(map(repr, names()))}")
    return name


def format_of_file(name: str) -> str:
    """Return the name of the format that a file's name ends with; CSV where it says nothing."""
    ending = name.lower().rpartition(".")[2]
    return next((spec.name for spec in FORMATS.values() if ending in spec.endings), CSV.name)


class _OneOfFormats:
    """Describes a format's name for JSON Schema: which ones there are."""

    def __get_pydantic_json_schema__(self, _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"description": "How an extract is written.", "enum": names(), "type": "string"}


# The name of a format, in what is asked for and in what is told about a file.
FormatName = Annotated[str, AfterValidator(known_format), _OneOfFormats()]
