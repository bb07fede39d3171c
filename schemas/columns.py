"""The columns of the Activity report, and the fields of MatterViewed that they show.

``REPORT_COLUMNS`` is the contract of the default extract: these eight, in this order and spelling, for good.
``FULL_COLUMNS`` adds what the second version of the event carries, after ``user_type``.
"""

from typing import Final

EVENT_ID_COLUMN: Final = "event_ID"

REPORT_COLUMNS: Final = (
    "user_ID",
    "user_name",
    "user_email",
    "user_type",
    "matter_viewed_at",
    "matter_ID",
    "matter_name",
    "matter_type",
)
COMPANY_AND_OFFICE_COLUMNS: Final = (
    "user_company_ID",
    "user_company_name",
    "user_member_office_ID",
    "user_member_office_name",
    "user_member_office_location_name",
    "user_member_office_location_iso2",
)
FULL_COLUMNS: Final = (*REPORT_COLUMNS[:4], *COMPANY_AND_OFFICE_COLUMNS, *REPORT_COLUMNS[4:])

DELETION_COLUMNS: Final = ("matter_ID", "deleted_at")


def field_of(column: str) -> str:
    """Return the event's field for a column: the same name, with ``id`` in small letters."""
    return column.removesuffix("_ID") + "_id" if column.endswith("_ID") else column


def column_of(field: str) -> str:
    """Return the column of an event's field: the opposite of ``field_of``."""
    return field.removesuffix("_id") + "_ID" if field.endswith("_id") else field
