"""SQL statements kept in ``.sql`` files, and the rows that they find.

Each statement begins with ``-- name: NAME`` and a line that says its purpose.
"""

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any, Final, Protocol

_HEADING: Final = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


@cache
def load_statements(package: str, file: str, **lists: str) -> Mapping[str, str]:
    """Return the statements of ``sql/<file>`` in a package by name.

    Args:
        package: where the file is.
        file: its name.
        lists: column names of ours, each list by the placeholder in whose place it is put.

    Raises:
        ValueError: text stands before the first name, a name stands twice, or a placeholder stands nowhere.
    """
    text = files(package).joinpath("sql", file).read_text(encoding="utf-8")
    for name, columns in lists.items():
        if (placeholder := f"{{{name}}}") not in text:
            raise ValueError(f"{package}/sql/{file}: {placeholder} stands nowhere")
        text = text.replace(placeholder, columns)
    preamble, *parts = _HEADING.split(text)
    names = parts[::2]
    if preamble.strip() or len(set(names)) != len(names):
        raise ValueError(f"{package}/sql/{file}: each statement needs a name of its own")
    return MappingProxyType(dict(zip(names, (body.strip() for body in parts[1::2]), strict=True)))


class ResultSet(Protocol):
    """What a statement found, as a database's driver gives it: its columns, each with its name first, and its rows."""

    @property
    def description(self) -> Any: ...

    def fetchall(self) -> list[Any]: ...


def named_rows(found: ResultSet) -> list[dict[str, Any]]:
    """Return rows, each value under its column's name."""
    names = [column[0] for column in found.description or ()]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]
