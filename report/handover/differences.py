"""Comparison of two extracts of one log; each difference is explained, or reported as unexplained.

1. Rows are compared as values, not as text. The two files may have different formats, and the guard against formulas
   is removed from text.
2. Equal rows are counted. If both files have ``event_ID``, a row with the same event but other values is *changed*.
   Without it, a change looks like one row that disappeared and another that appeared.
3. A row that only the old extract has is *purged* with its matter, *left out* by the new extract's filter, *changed*,
   or *unexplained*. A row that only the new extract has is *new*. A row in the new extract whose matter was purged
   before is unexplained, whether it is new or not.
4. If the files have different columns, only the common ones are compared.
"""

import csv
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import duckdb
from pydantic import BaseModel

from matterlog.report.errors import ExtractUnreadable
from matterlog.report.extracts.extract_statements import SQL as EXTRACT_SQL
from matterlog.report.extracts.formats import FORMATS
from matterlog.report.extracts.reading_back import ReadBack
from matterlog.report.log.filters import Filter
from matterlog.schemas.columns import COLUMNS, EVENT_ID, OPTIONAL_FIELDS, REPORT_COLUMNS, column_of, field_of
from matterlog.schemas.formula_guard import unguarded
from matterlog.schemas.instants import as_stored
from matterlog.schemas.storage.scratch_folders import scratch_folder
from matterlog.schemas.storage.statements import load_statements

SQL: Final = load_statements(__package__, "differences.sql")

_KNOWN_COLUMNS: Final = tuple(column.name for column in COLUMNS)
# The condition of an extract's filter uses these columns too. If a file lacks one, its value is NULL.
_ABSENT_TYPES: Final = dict.fromkeys(OPTIONAL_FIELDS, "VARCHAR") | {"arrival": "BIGINT"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractFile:
    """The file of an extract, and the facts from its manifest.

    ``filter`` is None if it is not known. ``taken_at`` is the instant of the extract's snapshot.
    """

    path: Path
    format: str
    raw_csv: bool = False
    filter: Filter | None = None
    taken_at: datetime | None = None

    @property
    def is_guarded(self) -> bool:
        """Whether its text has the guard against formulas."""
        return FORMATS[self.format].guards_formulas and not self.raw_csv

    @property
    def read_back(self) -> ReadBack:
        """The way to read the file.

        Raises:
            ExtractUnreadable: files of this format cannot be compared.
        """
        found = FORMATS[self.format].read_back
        if found is None:
            raise ExtractUnreadable(f"{self.path} is {self.format}, which cannot be compared")
        return found


@dataclass(frozen=True, slots=True)
class Purge:
    """A matter that was purged, and when."""

    matter_id: str
    purged_at: datetime


class PurgedRows(BaseModel, frozen=True):
    """How many rows of the old extract were purged with a matter, and when."""

    matter_id: str
    purged_at: datetime
    rows: int


class Differences(BaseModel, frozen=True):
    """The number of rows of each kind; ``changed`` and ``unexplained`` must be 0."""

    old_rows: int
    new_rows: int
    columns: tuple[str, ...]
    new: int
    purged: int
    left_out: int
    changed: int
    unexplained: int
    purged_matters: tuple[PurgedRows, ...]

    @property
    def are_explained(self) -> bool:
        """Whether purges, the filter and later views explain every difference."""
        return not (self.changed or self.unexplained)


@dataclass(slots=True)
class Comparison:
    """Two extracts in a temporary database; ``compare`` makes one."""

    connection: duckdb.DuckDBPyConnection
    old: ExtractFile
    new: ExtractFile
    columns: tuple[str, ...] = field(default=(), init=False)

    def load(self) -> None:
        """Read both files.

        Raises:
            ExtractUnreadable: a file is not an extract.
        """
        columns = {side: self._load(side, file) for side, file in (("old", self.old), ("new", self.new))}
        self.columns = tuple(name for name in _KNOWN_COLUMNS if all(name in c for c in columns.values()))

    def explain(self, purges: Iterable[Purge]) -> Differences:
        """Compare the files and explain each difference."""
        fields = ", ".join(self._fields)
        self._keep_purges(purges)
        for side, other in (("old", "new"), ("new", "old")):
            self.connection.execute(SQL["only_in"].format(side=side, other=other, columns=fields))
        self._explain_old()
        taken_at = {"new_taken_at": as_stored(self.new.taken_at)}
        self.connection.execute(SQL["explain_new"].format(is_in_both=self._is_in("only_old", "n")), taken_at)
        columns = ", ".join(f"n.{name}" for name in self._fields)
        self.connection.execute(SQL["find_survivors"].format(columns=columns), taken_at)
        return self._differences()

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield the differing rows with the report's column names and values as in JSON, each with ``difference``."""
        columns = ", ".join(
            SQL["as_written" if name == "matter_viewed_at" else "text"].format(column=name, field=name)
            for name in self._fields
        )
        found = self.connection.execute(SQL["rows"].format(columns=columns))
        names = ["difference", *self.columns]
        while rows := found.fetchmany(10_000):
            yield from (dict(zip(names, row, strict=True)) for row in rows)

    @property
    def _fields(self) -> tuple[str, ...]:
        return tuple(field_of(column) for column in self.columns)

    def _is_in(self, table: str, alias: str) -> str:
        if EVENT_ID.name not in self.columns:
            return "false"
        return SQL["is_in"].format(alias=alias, table=table)

    def _load(self, side: str, file: ExtractFile) -> tuple[str, ...]:
        try:
            named = file.read_back.columns(self.connection, file.path)
            columns = _checked_columns(file, _KNOWN_COLUMNS if named is None else named)
            statement = SQL["load"].format(
                side=side,
                columns=",\n".join(_expression(file, column) for column in columns),
                source=file.read_back.source_of(columns),
            )
            self.connection.execute(statement, {"file": str(file.path)})
            ((unreadable,),) = self.connection.execute(SQL["unreadable"].format(side=side)).fetchall()
        except (duckdb.Error, UnicodeDecodeError, csv.Error) as error:
            raise ExtractUnreadable(
                f"{file.path} cannot be read as {file.format} ({type(error).__name__}): "
                "check that it is a complete, unchanged extract"
            ) from error
        if unreadable is not None:
            raise ExtractUnreadable(
                f"{file.path}: row {unreadable + 1} has no user_ID, no matter_ID, or a matter_viewed_at that is not "
                "like 2026-11-22T14:05:09.000000Z. Another program may have saved the file: take the original"
            )
        return columns

    def _keep_purges(self, purges: Iterable[Purge]) -> None:
        known = list(purges)
        matters, instants = [purge.matter_id for purge in known], [as_stored(purge.purged_at) for purge in known]
        self.connection.execute(SQL["keep_purges"], {"matters": matters, "instants": instants})

    def _explain_old(self) -> None:
        absent = {name: kind for name, kind in _ABSENT_TYPES.items() if name not in self._fields}
        statement = SQL["explain_old"].format(
            is_in_both=self._is_in("only_new", "o"),
            absent="".join(f", NULL::{kind} AS {name}" for name, kind in absent.items()),
            condition=f"({EXTRACT_SQL['condition']})",
            columns=", ".join(f"o.{name}" for name in self._fields),
        )
        rows = self.new.filter or Filter()
        self.connection.execute(statement, rows.parameters() | {"arrived_after": None})

    def _differences(self) -> Differences:
        counts = dict.fromkeys(("new", "purged", "left_out", "changed", "unexplained"), 0)
        counts |= {name.replace(" ", "_"): rows for name, rows in self.connection.execute(SQL["counts"]).fetchall()}
        found = self.connection.execute(SQL["purged_matters"]).fetchall()
        return Differences(
            **counts,
            columns=self.columns,
            purged_matters=tuple(
                PurgedRows(matter_id=matter, purged_at=at.replace(tzinfo=UTC), rows=rows) for matter, at, rows in found
            ),
        )


@contextmanager
def compare(old: ExtractFile, new: ExtractFile, memory_limit: str) -> Iterator[Comparison]:
    """Read two extracts to compare them, while the context lasts.

    Args:
        old: the earlier one.
        new: the later one.
        memory_limit: DuckDB's, such as ``2GB``; what exceeds it goes into a private folder beside the later one.

    Raises:
        ExtractUnreadable: a file is not an extract.
    """
    with (
        scratch_folder(new.path.parent) as spill,
        duckdb.connect(":memory:", config={"autoinstall_known_extensions": "false"}) as connection,
    ):
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SET memory_limit = $limit", {"limit": memory_limit})
        connection.execute("SET temp_directory = $folder", {"folder": str(spill)})
        comparison = Comparison(connection, old, new)
        comparison.load()
        yield comparison


def _checked_columns(file: ExtractFile, columns: Sequence[str]) -> tuple[str, ...]:
    missing = [column for column in REPORT_COLUMNS if column not in columns]
    strange = [column for column in columns if column not in _KNOWN_COLUMNS]
    problem = f"it lacks the columns {', '.join(missing)}" if missing else ""
    if len(set(columns)) < len(columns):
        problem = problem or "it has a column twice"
    if strange:
        problem = problem or f"it has {len(strange)} unknown columns"
    if problem:
        raise ExtractUnreadable(f"{file.path} is not an Activity report: {problem}")
    return tuple(columns)


def _expression(file: ExtractFile, column: str) -> str:
    if column == column_of("matter_viewed_at"):
        kind = "true_instant" if file.read_back.has_types else "written_instant"
    else:
        kind = "unguarded" if file.is_guarded else "text"
    return SQL[kind].format(column=column, field=field_of(column), unguarded=unguarded(f'"{column}"'))
