"""The guard that stops a spreadsheet from running a CSV file's text as a formula, in Python and in SQL.

The rule is the same everywhere: text that begins with one of ``FORMULA_STARTS``, after any number of ``'``, gets one
more ``'`` in front. Skipping the quotes makes the guard reversible (``docs/decisions/0008-formula-guard.md``).
"""

from typing import Final

from matterlog.schemas.storage.statements import load_statements

SQL: Final = load_statements(__package__, "formula_guard.sql")

# A spreadsheet takes a cell that begins with one of these for a formula (OWASP, "CSV Injection"). East Asian versions
# read the full-width forms as ASCII.
FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "\0", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_STARTS: Final = f"[{', '.join(f'chr({ord(start)})' for start in FORMULA_STARTS)}]"


def with_formula_guard(text: str) -> str:
    """Return text with the guard in front if it needs one."""
    return f"'{text}" if _begins_like_a_formula(text) else text


def without_formula_guard(text: str) -> str:
    """Return text without its guard: the inverse of ``with_formula_guard``."""
    return text[1:] if text.startswith("'") and _begins_like_a_formula(text) else text


def guarded(field: str) -> str:
    """Return the SQL expression that adds the guard to a text column."""
    return SQL["guarded"].format(field=field, starts=_STARTS)


def unguarded(field: str) -> str:
    """Return the SQL expression that removes the guard from a text column."""
    return SQL["unguarded"].format(field=field, starts=_STARTS)


def _begins_like_a_formula(text: str) -> bool:
    return text.lstrip("'").startswith(FORMULA_STARTS)
