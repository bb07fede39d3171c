"""What an analyst asks for: which rows, which columns, how written."""

from typing import Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, model_validator

from matterlog.report.errors import InvalidFilter
from matterlog.report.extracts.formats import FORMATS, FormatName
from matterlog.report.log.filters import Filter
from matterlog.schemas.columns import COLUMNS, EVENT_ID, ColumnSet


class ExtractRequest(BaseModel):
    """What an analyst asks for.

    ``raw_csv`` leaves text as it is that a spreadsheet would take for a formula; ``excel`` begins a CSV file with a
    byte-order mark, by which Excel knows UTF-8; ``with_event_id`` adds the column ``event_ID`` behind the others.
    ``arrived_after`` leaves only rows that a later transaction stored than this one of the log ``of_log``; of another
    log everything is written.

    Raises:
        InvalidFilter: ``excel`` with another format than CSV.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: FormatName
    filter: Filter = Filter()
    columns: ColumnSet = ColumnSet.REPORT
    raw_csv: bool = False
    excel: bool = False
    with_event_id: bool = False
    arrived_after: int | None = None
    of_log: UUID | None = None

    @model_validator(mode="after")
    def _excel_is_csv(self) -> Self:
        if self.excel and FORMATS[self.format].for_excel is None:
            text = f"--excel marks a CSV file for Excel; it goes without --format {self.format}"
            raise InvalidFilter(text, "excel", "format")
        return self

    def in_log(self, log_id: UUID, last_arrival: int) -> Self:
        """Return what is asked of the log that is there; one that stands before ``arrived_after`` is another one."""
        if self.arrived_after is None or (self.of_log == log_id and self.arrived_after <= last_arrival):
            return self
        return self.model_copy(update={"arrived_after": None})

    @property
    def analysis(self) -> None:
        """None: it is no engagement table, but the Activity report."""
        return

    @property
    def column_names(self) -> tuple[str, ...]:
        """The columns in their order."""
        sets = {ColumnSet.REPORT, self.columns}
        return tuple(
            column.name
            for column in COLUMNS
            if column.column_set in sets or (column is EVENT_ID and self.with_event_id)
        )

    @property
    def is_formula_safe(self) -> bool:
        """Whether a quote is put in front of what a spreadsheet would take for a formula."""
        return FORMATS[self.format].guards_formulas and not self.raw_csv
