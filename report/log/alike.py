"""Comparison of a text that a person typed with a text of the log."""

from typing import Final

from matterlog.schemas.storage.statements import load_statements

SQL: Final = load_statements(__package__, "alike.sql")


def alike(text: str) -> str:
    """Return an SQL expression that is equal for texts that look alike to a person; ``text`` is one too."""
    return SQL["alike"].format(text=text)
