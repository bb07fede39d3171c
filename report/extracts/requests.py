"""The request for an extract: its rows, its columns and its format."""

from typing import Annotated, ClassVar, Self
from uuid import UUID

from pydantic import BaseModel, Field, model_validator

from matterlog.report.errors import InvalidFilter
from matterlog.report.extracts.formats import FORMATS, FormatName
from matterlog.report.log.filters import Filter
from matterlog.schemas.columns import COLUMNS, EVENT_ID, ColumnSet

# The number of a transaction of the log.
Transaction = Annotated[int, Field(strict=True, ge=0, lt=1 << 63)]


class FileRequest(BaseModel, frozen=True, extra="forbid"):
    """How a file is written.

    ``raw_csv`` puts no quote in front of text that a spreadsheet would read as a formula. ``excel`` begins a CSV file
    with a byte-order mark, by which Excel recognises UTF-8.

    Raises:
        InvalidFilter: ``excel`` with a format other than CSV.
    """

    format: FormatName
    raw_csv: bool = False
    excel: bool = False

    @model_validator(mode="after")
    def _excel_is_csv(self) -> Self:
        if self.excel and FORMATS[self.format].for_excel is None:
            text = f"--excel is for CSV only and cannot be combined with --format {self.format}"
            raise InvalidFilter(text, "excel", "format")
        return self

    @property
    def is_formula_safe(self) -> bool:
        """Whether text that a spreadsheet would read as a formula gets a quote in front."""
        return FORMATS[self.format].guards_formulas and not self.raw_csv


class ExtractRequest(FileRequest, frozen=True):
    """A request for an extract.

    ``with_event_id`` adds ``event_ID`` as the last column. With ``arrived_after`` only rows are written that later
    transactions of the log ``of_log`` stored; if the log is another one, all rows are written.
    """

    # This is the Activity report, not an engagement table.
    analysis: ClassVar[None] = None

    filter: Filter = Filter()
    columns: ColumnSet = ColumnSet.REPORT
    with_event_id: bool = False
    arrived_after: Transaction | None = None
    of_log: UUID | None = None

    def in_log(self, log_id: UUID, last_arrival: int) -> Self:
        """Return the request for the present log; a log that ends before ``arrived_after`` is not ``of_log``."""
        if self.arrived_after is None or (self.of_log == log_id and self.arrived_after <= last_arrival):
            return self
        return self.model_copy(update={"arrived_after": None})

    @property
    def column_names(self) -> tuple[str, ...]:
        sets = {ColumnSet.REPORT, self.columns}
        return tuple(
            column.name
            for column in COLUMNS
            if column.column_set in sets or (column is EVENT_ID and self.with_event_id)
        )
