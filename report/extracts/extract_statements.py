"""The statements of an extract, put together from its request."""

from typing import Any, Final

from matterlog.report.extracts.requests import ExtractFormat, ExtractRequest
from matterlog.schemas.columns import FORMULA_STARTS, field_of
from matterlog.schemas.statements import load_statements

SQL: Final = load_statements(__package__, "extracts.sql")

# What cannot begin like a formula: an instant, an ID made of hexadecimal digits, and the two enumerations.
_NEVER_FORMULAS: Final = frozenset({"event_id", "user_type", "matter_type"})


def copy_statement(request: ExtractRequest, target: str) -> str:
    """Return the COPY that writes an extract into a file that DuckDB opens by its name."""
    instant = "true_instant" if request.format is ExtractFormat.PARQUET else "plain"
    columns = ",\n".join(_expression(request, column, instant) for column in request.column_names)
    return SQL["copy"].format(rows=rows_statement(columns), target=target, options=SQL[request.format])


def rows_statement(columns: str) -> str:
    """Return the SELECT of an extract's rows, in their order, with these expressions for columns."""
    return SQL["rows"].format(columns=columns, condition=SQL["condition"])


def first_rows_statement(request: ExtractRequest) -> str:
    """Return the statement for an extract's first rows, as they are, without a spreadsheet's guard."""
    plain = request.model_copy(update={"format": ExtractFormat.JSON, "excel": False})
    columns = ",\n".join(_expression(plain, column, "instant") for column in request.column_names)
    return SQL["first"].format(rows=rows_statement(columns))


def count_statement() -> str:
    """Return the statement that counts an extract's rows."""
    return SQL["count"].format(condition=SQL["condition"])


def first_instant_statement() -> str:
    """Return the statement for the instant of an extract's first row."""
    return SQL["first_instant"].format(condition=SQL["condition"])


def parameters_of(request: ExtractRequest) -> dict[str, Any]:
    """Return the values of the condition's parameters."""
    return request.filter.parameters() | {"arrived_after": request.arrived_after}


def copy_parameters(request: ExtractRequest) -> dict[str, Any]:
    """Return the values of the parameters of the COPY."""
    guard = {"formula_starts": list(FORMULA_STARTS)} if request.is_formula_safe else {}
    return parameters_of(request) | guard


def _expression(request: ExtractRequest, column: str, instant: str) -> str:
    field = field_of(column)
    if field == "matter_viewed_at":
        kind = instant
    elif field in _NEVER_FORMULAS:
        kind = "text" if request.format is ExtractFormat.PARQUET else "plain"
    else:
        kind = "formula_safe" if request.is_formula_safe else "plain"
    return SQL[kind].format(field=f"activity.{field}", column=column)
