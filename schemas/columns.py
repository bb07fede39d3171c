"""The columns of a matter view, declared once.

1. ``COLUMNS`` has the order of the extract. The event, its Avro schemas and the decoded views use ``EVENT_ORDER``, in
   which later columns follow all earlier ones. The table's own order does not matter: its columns are used by name.
2. A column that was added later is optional, because older events lack it. Optional columns are text.
3. ``REPORT_COLUMNS`` is the contract of the default extract: these eight columns, in this order and spelling, for good.
"""

from dataclasses import KW_ONLY, dataclass
from enum import StrEnum, auto
from typing import Final


class ColumnKind(StrEnum):
    """The kind of values in a column. Types of the same names in ``events.py`` say which values are valid."""

    EVENT_ID = auto()
    IDENTIFIER = auto()
    NAME = auto()
    EMAIL = auto()
    COUNTRY_CODE = auto()
    INSTANT = auto()
    # One of a fixed set of words.
    WORD = auto()


class ColumnSet(StrEnum):
    """A set of columns: the report's eight, or those plus company and office after ``user_type``."""

    REPORT = "report"
    FULL = "full"


@dataclass(frozen=True, slots=True)
class ViewColumn:
    """A column of a matter view.

    Args:
        field: the column's name in the event and in the activity table.
        kind: the kind of its values.
        since: the first schema version that has the column.
        column_set: the smallest column set that includes it. None for a column that is chosen by itself.
    """

    field: str
    kind: ColumnKind
    _: KW_ONLY
    since: int = 1
    column_set: ColumnSet | None

    @property
    def name(self) -> str:
        """The column's name in an extract."""
        return column_of(self.field)

    @property
    def is_optional(self) -> bool:
        """Whether an event may lack the column."""
        return self.since > 1

    @property
    def is_free_text(self) -> bool:
        """Whether people choose the column's text."""
        return self.kind not in {ColumnKind.EVENT_ID, ColumnKind.INSTANT, ColumnKind.WORD}


def field_of(column: str) -> str:
    """Return the event's field for a column: the same name with ``id`` in lower case."""
    return column.removesuffix("_ID") + "_id" if column.endswith("_ID") else column


def column_of(field: str) -> str:
    """Return the column for an event's field: the inverse of ``field_of``."""
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

# A view's fields except its ID, in the order of ``emit()``.
REQUIRED_FIELDS: Final = tuple(column.field for column in EVENT_ORDER[1:] if not column.is_optional)
OPTIONAL_FIELDS: Final = tuple(column.field for column in EVENT_ORDER if column.is_optional)
VIEW_FIELDS: Final = (*REQUIRED_FIELDS, *OPTIONAL_FIELDS)
WORD_FIELDS: Final = tuple(column.field for column in COLUMNS if column.kind is ColumnKind.WORD)

REPORT_COLUMNS: Final = tuple(column.name for column in COLUMNS if column.column_set is ColumnSet.REPORT)
FULL_COLUMNS: Final = tuple(column.name for column in COLUMNS if column.column_set is not None)
DELETION_COLUMNS: Final = ("matter_ID", "deleted_at")
