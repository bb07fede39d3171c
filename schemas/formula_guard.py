"""The guard that stops a spreadsheet from running a CSV file's text as a formula, in Python and in SQL.

Where a spreadsheet splits lines at semicolons or tabs, quotes do not hold a value together: a cell may begin behind any
separator in a text. So one ``'`` is put in front of whatever would begin a formula there:

1. The text, if it begins with one of ``FORMULA_STARTS``.
2. Each part of it behind a comma, a semicolon, a tab or a line break, if the part begins with one of ``_SIGNS``.

Any number of ``'`` and ``"`` may stand before that: skipping them makes the guard reversible (decision 8).
"""

import re
from typing import Final

from matterlog.schemas.storage.statements import load_statements, quoted

SQL: Final = load_statements(__package__, "formula_guard.sql")

# A spreadsheet takes a cell that begins with one of these for a formula (OWASP, "CSV Injection"). East Asian versions
# read the full-width forms as ASCII.
FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "\0", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_STARTS: Final = f"[{', '.join(f'chr({ord(start)})' for start in FORMULA_STARTS)}]"
# Those that do not separate. Both expressions mean the same to Python as to DuckDB's RE2.
_SIGNS: Final = "=+@\\-\\x00\uff1d\uff0b\uff0d\uff20"
_UNGUARDED: Final = rf"""([,;\t\r\n])(['"]*[{_SIGNS}])"""
_GUARDED: Final = rf"""([,;\t\r\n])'(['"]*[{_SIGNS}])"""


def with_formula_guard(text: str) -> str:
    """Return text with the guard wherever it needs one."""
    inside = re.sub(_UNGUARDED, r"\1'\2", text)
    return f"'{inside}" if _begins_like_a_formula(text) else inside


def without_formula_guard(text: str) -> str:
    """Return text without its guard: the inverse of ``with_formula_guard``."""
    whole = re.sub(_GUARDED, r"\1\2", text)
    return whole[1:] if text.startswith("'") and _begins_like_a_formula(text) else whole


def guarded(field: str) -> str:
    """Return the SQL expression that adds the guard to a text column."""
    return SQL["guarded"].format(field=field, starts=_STARTS, unguarded=quoted(_UNGUARDED))


def unguarded(field: str) -> str:
    """Return the SQL expression that removes the guard from a text column."""
    return SQL["unguarded"].format(field=field, starts=_STARTS, guarded=quoted(_GUARDED))


def _begins_like_a_formula(text: str) -> bool:
    return text.lstrip("'\"").startswith(FORMULA_STARTS)
