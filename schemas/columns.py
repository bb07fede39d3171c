"""The columns of a matter view, declared once.

1. ``COLUMNS`` has the order of the extract. The event, its Avro schemas and the decoded views have ``EVENT_ORDER``, in
   which a column that came later stands behind all others. The table's order means nothing: its columns go by name.
2. A column that came later is optional: events that were written before lack it. Optional columns are text.
3. ``REPORT_COLUMNS`` is the contract of the default extract: these eight, in this order and spelling, for good.
"""

from dataclasses import KW_ONLY, dataclass
from enum import StrEnum, auto
from typing import Final


class ColumnKind(StrEnum):
    """What a column holds; the types of the same names in ``events.py`` say which values are legal."""

    EVENT_ID = auto()
    IDENTIFIER = auto()
    NAME = auto()
    EMAIL = auto()
    COUNTRY_CODE = auto()
    INSTANT = auto()
    # One of a few words that we choose.
    WORD = auto()


class ColumnSet(StrEnum):
    """Which columns: the report's eight, or those with company and office behind ``user_type``."""

    REPORT = "report"
    FULL = "full"


@dataclass(frozen=True, slots=True)
class ViewColumn:
    """A column of a matter view.

    Args:
        field: its name in the event and in the activity table.
        kind: what it holds.
        since: the first version of the event's schema that has it.
        column_set: the smallest set of an extract's columns that has it; None where it is asked for by itself.
    """

    field: str
    kind: ColumnKind
    _: KW_ONLY
    since: int = 1
    column_set: ColumnSet | None

    @property
    def name(self) -> str:
        """Its name in an extract."""
        return column_of(self.field)

    @property
    def is_optional(self) -> bool:
        """Whether an event may lack it."""
        return self.since > 1

    @property
    def is_free_text(self) -> bool:
        """Whether people choose what stands in it."""
        return self.kind not in {ColumnKind.EVENT_ID, ColumnKind.INSTANT, ColumnKind.WORD}


def field_of(column: str) -> str:
    """Return the event's field for a column: the same name, with ``id`` in small letters."""
    return column.removesuffix("_ID") + "_id" if column.endswith("_ID") else column


def column_of(field: str) -> str:
    """Return the column of an event's field: the opposite of ``field_of``."""
    return field.removesuffix("_id") + "_ID" if field.endswith("_id") else field


EVENT_ID: Final = ViewColumn("event_id", ColumnKind.EVENT_ID, column_set=None)
COLUMNS: Final = (
    ViewColumn("user_id", ColumnKind.IDENTIFIER, column_set=ColumnSet.REPORT),
    ViewColumn("user_name", ColumnKind.NAME, column_set=ColumnSet.REPORT),
    ViewColumn("user_email", ColumnKind.EMAIL, column_set=ColumnSet.REPORT),
    ViewColumn("user_type", ColumnKind.WORD, column_set=ColumnSet.REPORT),
    ViewColumn("user_company_id", ColumnKind.IDENTIFIER, since=2, column_set=ColumnSet.FULL),
    ViewColumn("user_company_name", ColumnKind.NAME, since=2, column_set=ColumnSet.FULL),
    ViewColumn("user_member_office_id", ColumnKind.IDENTIFIER, since=2, column_set=ColumnSet.FULL),
    ViewColumn("user_member_office_name", ColumnKind.NAME, since=2, column_set=ColumnSet.FULL),
    ViewColumn("user_member_office_location_name", ColumnKind.NAME, since=2, column_set=ColumnSet.FULL),
    ViewColumn("user_member_office_location_iso2", ColumnKind.COUNTRY_CODE, since=2, column_set=ColumnSet.FULL),
    ViewColumn("matter_viewed_at", ColumnKind.INSTANT, column_set=ColumnSet.REPORT),
    ViewColumn("matter_id", ColumnKind.IDENTIFIER, column_set=ColumnSet.REPORT),
    ViewColumn("matter_name", ColumnKind.NAME, column_set=ColumnSet.REPORT),
    ViewColumn("matter_type", ColumnKind.WORD, column_set=ColumnSet.REPORT),
    EVENT_ID,
)
EVENT_ORDER: Final = tuple(sorted(COLUMNS, key=lambda column: (column.since, column is not EVENT_ID)))
NEWEST_VERSION: Final = max(column.since for column in COLUMNS)

# A view's fields but its ID, in the order in which ``emit()`` hands them on.
REQUIRED_FIELDS: Final = tuple(column.field for column in EVENT_ORDER[1:] if not column.is_optional)
OPTIONAL_FIELDS: Final = tuple(column.field for column in EVENT_ORDER if column.is_optional)
VIEW_FIELDS: Final = (*REQUIRED_FIELDS, *OPTIONAL_FIELDS)
WORD_FIELDS: Final = tuple(column.field for column in COLUMNS if column.kind is ColumnKind.WORD)

REPORT_COLUMNS: Final = tuple(column.name for column in COLUMNS if column.column_set is ColumnSet.REPORT)
FULL_COLUMNS: Final = tuple(column.name for column in COLUMNS if column.column_set is not None)
DELETION_COLUMNS: Final = ("matter_ID", "deleted_at")
