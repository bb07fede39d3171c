"""SQL statements in ``.sql`` files, and their rows by column name.

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
    """Return the statements of ``sql/<file>`` in a package, by name.

    Args:
        package: the package that contains the file.
        file: the file's name.
        lists: our own column names, each list by the placeholder that it replaces.

    Raises:
        ValueError: there is text before the first name, a name occurs twice, or a placeholder is missing.
    """
    text = files(package).joinpath("sql", file).read_text(encoding="utf-8")
    for name, columns in lists.items():
        if (placeholder := f"{{{name}}}") not in text:
            raise ValueError(f"{package}/sql/{file}: there is no {placeholder}")
        text = text.replace(placeholder, columns)
    preamble, *parts = _HEADING.split(text)
    names = parts[::2]
    if preamble.strip() or len(set(names)) != len(names):
        raise ValueError(f"{package}/sql/{file}: each statement needs its own name")
    return MappingProxyType(dict(zip(names, (body.strip() for body in parts[1::2]), strict=True)))


def quoted(text: object) -> str:
    """Return a path or another text as a string of SQL."""
    return "'" + str(text).replace("'", "''") + "'"


class ResultSet(Protocol):
    """The result of a statement in a database's driver: its columns, each with its name first, and its rows."""

    @property
    def description(self) -> Any: ...

    def fetchall(self) -> list[Any]: ...


def named_rows(found: ResultSet) -> list[dict[str, Any]]:
    """Return the rows as dictionaries by column name."""
    names = [column[0] for column in found.description or ()]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]
