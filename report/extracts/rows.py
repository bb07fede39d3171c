"""Rows to write in a format: any SELECT, and its columns."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, Final

DEFAULT_WIDTH: Final = 26


class Kind(Enum):
    """The kind of a column's values; ``CODE`` is text that can never begin like a formula, of any SQL type."""

    TEXT = auto()
    CODE = auto()
    NUMBER = auto()
    DAY = auto()
    INSTANT = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column: its name in the file, the SQL expression of its values, and its width in characters.

    The expression of an instant is a TIMESTAMP in UTC, without a zone.
    """

    name: str
    field: str
    kind: Kind
    width: int = DEFAULT_WIDTH


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Rows to write.

    ``title`` is one word for them. ``statement`` is their SELECT, with the placeholder ``{columns}``. ``count`` is the
    SELECT that counts them. Both use ``parameters``. ``is_guarded``: text gets the guard against formulas.
    """

    title: str
    columns: tuple[Column, ...]
    statement: str
    count: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    is_guarded: bool = False

    def select(self, expressions: Iterable[str]) -> str:
        return self.statement.format(columns=",\n".join(expressions))
