"""The description of an analysis: its table, its SQL, and how command line and site show it.

Programs see the names in ``columns``. Measures are those of the period; ``first_view_at`` and ``last_view_at`` are the
first and the last view of all time up to its end. ``TableColumn`` says how people see a column.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, Literal

import pyarrow as pa

INSTANT: Final = pa.timestamp("us", tz="UTC")
MEASURES: Final = (("views", pa.int64()), ("visits", pa.int64()))
BY_USER_TYPE: Final = (("member_visits", pa.int64()), ("guest_visits", pa.int64()))
SEEN: Final = (("first_view_at", INSTANT), ("last_view_at", INSTANT))
# ``visits_before``: visits in the period before. ``trend``: by how much ``visits`` is above (0.5: by half) or below
# that; null where there were none. Both are null for all time, which has no period before.
TREND: Final = (("visits_before", pa.int64()), ("trend", pa.float64()))

Option = Literal["by", "quiet_for", "expected"]

# How people see a mark; programs, files and the API keep the column's own value.
MARKS: Final[Mapping[str, str]] = {
    "new": "too new to compare",
    "quiet": "below usual",
    "normal": "as usual",
    "busy": "above usual",
    "bursting": "far above usual",
}

# How a value is written for people: each takes the value and returns its text.
text: Final[Callable[[Any], str]] = str
mark: Final[Callable[[Any], str]] = MARKS.__getitem__
number: Final[Callable[[Any], str]] = "{:,}".format
percent: Final[Callable[[Any], str]] = "{:.0%}".format
change: Final[Callable[[Any], str]] = "{:+.0%}".format
day: Final[Callable[[Any], str]] = "{:%Y-%m-%d}".format
hour: Final[Callable[[Any], str]] = "{:02}h".format


@dataclass(frozen=True, slots=True)
class TableColumn:
    """A column of a table for people: its title, the analysis' column, and how a value is formatted.

    A page shows the value of ``below`` in the same cell. A narrow terminal omits columns with ``is_spare``.
    """

    title: str
    name: str
    write: Callable[[Any], str] = number
    below: str | None = None
    is_spare: bool = False

    @property
    def is_figure(self) -> bool:
        return self.write in {number, percent, change}

    @property
    def is_words(self) -> bool:
        return self.write in {text, mark}


@dataclass(frozen=True, slots=True, kw_only=True)
class TextTable:
    """How the command line prints an answer.

    The first of ``columns`` is shortened on a narrow terminal; one of less than ``spare_from`` characters omits spare
    columns too. Below the table, ``rule`` explains its words, and the words in the column ``state`` are counted.
    Without ``columns`` the terminal shows a drawing.
    """

    heading: str
    rule: str
    columns: tuple[TableColumn, ...] = ()
    spare_from: int = 78
    state: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalysisPage:
    """The page of an analysis: the text under its title, the heading of its table, and the table's columns.

    ``views_by`` is the field of the Activity report that selects the views behind a row, and the column with the value;
    None where there is no such field. ``has_steps``: people can choose the buckets of the picture.
    """

    lead: str
    heading: str
    columns: tuple[TableColumn, ...]
    views_by: tuple[str, str] | None = None
    has_steps: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalysisSpec:
    """An analysis, declared once.

    Args:
        name: its name in command line, API, manifest and addresses.
        title: its name on its page, in its files and in the audit log.
        columns: the columns of its table; ``views`` and ``visits`` are among them.
        statement: the SQL of the table, with placeholders for pieces such as ``{views}`` (``engagement_views.sql``).
        pieces: SQL for the placeholders that only this analysis has.
        key: the users or matters whose latest names the piece ``{shown}`` returns.
        view_columns: SQL of additional columns of the piece ``{views}``.
        of_guests: only views of guests are counted.
        looks_back: how far before the period's end it reads at least.
        options: the options of its command that not every analysis has.
        is_by_matter_and_bucket: its table has a row for every matter in every bucket.
        is_part: it is a part of another analysis, without a picture or a command.
        text: how the command line prints it; None if it is never printed.
        page: its page on the site; None without one.

    Raises:
        ValueError: a column that is shown or summed up is not in the table.
    """

    name: str
    title: str
    columns: pa.Schema
    statement: str
    pieces: Mapping[str, str] = field(default_factory=dict)
    key: Literal["user_id", "matter_id"] = "matter_id"
    view_columns: str | None = None
    of_guests: bool = False
    looks_back: timedelta = timedelta()
    options: tuple[Option, ...] = ()
    is_by_matter_and_bucket: bool = False
    is_part: bool = False
    text: TextTable | None = None
    page: AnalysisPage | None = None

    def __post_init__(self) -> None:
        shown = (*(self.text.columns if self.text else ()), *(self.page.columns if self.page else ()))
        used = {"views", "visits"} | {name for column in shown for name in (column.name, column.below) if name}
        if missing := used - set(self.columns.names):
            raise ValueError(f"the analysis {self.name} has no column {', '.join(sorted(missing))}")
