"""What an analysis of engagement is: its question, its table, and how command line and site show the answer.

``columns`` names the table for programs; measures are of the period, ``first_view_at`` and ``last_view_at`` are the
first and last view ever, up to its end. ``TableColumn`` says how people read a column, on a terminal or a page.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, Final, Literal

import pyarrow as pa

INSTANT: Final = pa.timestamp("us", tz="UTC")
MEASURES: Final = (("views", pa.int64()), ("visits", pa.int64()))
BY_USER_TYPE: Final = (("member_visits", pa.int64()), ("guest_visits", pa.int64()))
SEEN: Final = (("first_view_at", INSTANT), ("last_view_at", INSTANT))
# ``visits_before``: visits in the period before. ``trend``: how much ``visits`` is above (0.5: by half) or below them;
# null where there were none. Both are null for all time, which has no period before.
TREND: Final = (("visits_before", pa.int64()), ("trend", pa.float64()))

Option = Literal["by", "quiet_for", "expected"]


def text(value: object) -> str:
    """Write text as it is."""
    return str(value)


def number(value: float) -> str:
    """Write a number in groups of three digits."""
    return f"{value:,}"


def percent(value: float) -> str:
    """Write a share."""
    return f"{value:.0%}"


def change(value: float) -> str:
    """Write a growth, with its sign."""
    return f"{value:+.0%}"


def day(value: date) -> str:
    """Write the day of a date or an instant."""
    return f"{value:%Y-%m-%d}"


def hour(value: int) -> str:
    """Write an hour of the day."""
    return f"{value:02}h"


@dataclass(frozen=True, slots=True)
class TableColumn:
    """A column for people: its title, the analysis' column, and how a value reads that is known.

    A page shows the column ``below`` under the same cell. A narrow terminal leaves out what ``is_spare``.
    """

    title: str
    name: str
    write: Callable[[Any], str] = number
    below: str | None = None
    is_spare: bool = False

    @property
    def is_figure(self) -> bool:
        """Whether a page puts it to the right."""
        return self.write in {number, percent, change}


@dataclass(frozen=True, slots=True, kw_only=True)
class TextTable:
    """How the command line prints an answer; the first of ``columns`` is cut where the terminal is narrow.

    ``rule`` says below the table how its words came about. ``state`` is the column whose words are counted there.
    Without ``columns`` the terminal has a drawing of its own.
    """

    heading: str
    rule: str
    columns: tuple[TableColumn, ...] = ()
    state: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalysisPage:
    """The page of an analysis: what stands under its title, above its table, and the table's columns.

    ``views_by`` is the field of the Activity report that chooses the views behind a row, and the column with its value;
    None where no field does. ``has_steps``: one may choose the steps of what its picture shows over time.
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
        name: how command line, API, manifest and addresses call it.
        title: how its page, its files and the audit log call it.
        columns: the table's; ``views`` and ``visits`` are among them.
        statement: the SQL that makes the table, with places for pieces such as ``{views}`` (``engagement_views.sql``).
        pieces: SQL for the places in the statement that are its own.
        key: whose latest names the piece ``{shown}`` has.
        view_columns: SQL of columns that the piece ``{views}`` has besides its own.
        of_guests: it counts views of guests alone.
        looks_back: it reads at least so far back from the period's end.
        options: options of the command line that go with it and not with every analysis.
        is_part: it is drawn and printed as a part of another one, and has neither picture nor command of its own.
        text: how the command line prints it; None for a part that is never printed.
        page: its page on the site; None without one.

    Raises:
        ValueError: a column that is shown or summed up is none of the table's.
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
    is_part: bool = False
    text: TextTable | None = None
    page: AnalysisPage | None = None

    def __post_init__(self) -> None:
        shown = (*(self.text.columns if self.text else ()), *(self.page.columns if self.page else ()))
        used = {"views", "visits"} | {name for column in shown for name in (column.name, column.below) if name}
        if missing := used - set(self.columns.names):
            raise ValueError(f"the analysis {self.name} has no column {', '.join(sorted(missing))}")
