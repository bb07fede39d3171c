"""The guard that keeps a spreadsheet from running text of a CSV file as a formula, in Python and in SQL.

One rule everywhere: a ``'`` stands in front of text that begins, behind any number of ``'``, with one of
``FORMULA_STARTS``. Looking behind the quotes is what makes it reversible (``docs/decisions/0008-formula-guard.md``).
"""

from typing import Final

from matterlog.schemas.storage.statements import load_statements

SQL: Final = load_statements(__package__, "formula_guard.sql")

# A cell that begins with one of these is a formula to a spreadsheet (OWASP, "CSV Injection"); the full-width twins are
# read as their ASCII forms by East Asian versions.
FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "\0", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_STARTS: Final = f"[{', '.join(f'chr({ord(start)})' for start in FORMULA_STARTS)}]"


def with_formula_guard(text: str) -> str:
    """Put the guard in front of text that needs it."""
    return f"'{text}" if _begins_like_a_formula(text) else text


def without_formula_guard(text: str) -> str:
    """Take the guard away: the opposite of ``with_formula_guard``."""
    return text[1:] if text.startswith("'") and _begins_like_a_formula(text) else text


def guarded(field: str) -> str:
    """Return the SQL expression for a column of text with the guard."""
    return SQL["guarded"].format(field=field, starts=_STARTS)


def unguarded(field: str) -> str:
    """Return the SQL expression for a column of guarded text without the guard."""
    return SQL["unguarded"].format(field=field, starts=_STARTS)


def _begins_like_a_formula(text: str) -> bool:
    return text.lstrip("'").startswith(FORMULA_STARTS)
