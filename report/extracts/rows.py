"""What a format writes: the rows of any SELECT, and their columns."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, Final

DEFAULT_WIDTH: Final = 26


class Kind(Enum):
    """What the values of a column are; ``CODE`` is text that can never begin like a formula, whatever its SQL type."""

    TEXT = auto()
    CODE = auto()
    NUMBER = auto()
    DAY = auto()
    INSTANT = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column: its name in the file, the SQL expression of its values, how many characters wide it is shown.

    An instant's expression is a TIMESTAMP in UTC, without a zone.
    """

    name: str
    field: str
    kind: Kind
    width: int = DEFAULT_WIDTH


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Rows to write.

    ``title`` is one word for them. ``statement`` is their SELECT with ``{columns}`` in the place of its expressions,
    ``count`` the one that counts them; both have ``parameters``. ``is_guarded``: text gets the guard against formulas.
    """

    title: str
    columns: tuple[Column, ...]
    statement: str
    count: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    is_guarded: bool = False

    def select(self, expressions: Iterable[str]) -> str:
        """Return the SELECT with these expressions."""
        return self.statement.format(columns=",\n".join(expressions))
