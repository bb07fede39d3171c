"""The SQL statements of an extract, built from its request."""

from typing import Any, Final

from matterlog.report.extracts.requests import ExtractRequest
from matterlog.report.extracts.rows import DEFAULT_WIDTH, Column, Kind, Rows
from matterlog.schemas.columns import COLUMNS, field_of
from matterlog.schemas.storage.statements import load_statements

SQL: Final = load_statements(__package__, "extracts.sql")

# Columns that are not free text can never begin like a formula: hexadecimal IDs and our own words.
_KINDS: Final = {column.field: Kind.CODE for column in COLUMNS if not column.is_free_text} | {
    "matter_viewed_at": Kind.INSTANT
}
_WIDTHS: Final = {"user_type": 10, "matter_type": 12, "user_member_office_location_iso2": 12}


def rows_of(request: ExtractRequest) -> Rows:
    """Return the rows of an extract, for a format to write."""
    return Rows(
        title="Activity",
        columns=tuple(_column(name) for name in request.column_names),
        statement=statement("rows", columns="{columns}"),
        count=statement("count"),
        parameters=parameters_of(request),
        is_guarded=request.is_formula_safe,
    )


def statement(name: str, **pieces: str) -> str:
    """Return a statement of ``sql/extracts.sql`` about the rows of an extract."""
    return SQL[name].format(condition=SQL["condition"], **pieces)


def first_rows_statement(request: ExtractRequest) -> str:
    """Return the statement for an extract's first rows, without the guard against formulas."""
    columns = [_column(name) for name in request.column_names]
    shown = (SQL["instant"].format(field=each.field) if each.kind is Kind.INSTANT else each.field for each in columns)
    return SQL["first"].format(rows=statement("rows", columns=",\n".join(shown)))


def parameters_of(request: ExtractRequest) -> dict[str, Any]:
    """Return the values of the condition's parameters."""
    return request.filter.parameters() | {"arrived_after": request.arrived_after}


def _column(name: str) -> Column:
    field = field_of(name)
    kind, width = _KINDS.get(field, Kind.TEXT), _WIDTHS.get(field, DEFAULT_WIDTH)
    return Column(name=name, field=f"activity.{field}", kind=kind, width=width)
