"""Which recorded extracts held rows of matters that are being deleted, and how many.

An extract held a row when the row passes its filter and arrived within the transactions that its snapshot contains.
Nothing is remembered of the rows themselves: they are counted in the state before the deletion. Extracts with one
filter but for its times are counted in one question, so that thousands of them cost a few.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, NamedTuple
from uuid import UUID

import duckdb
import pyarrow as pa

from matterlog.schemas.statements import load_statements

from .filters import Filter
from .register import RegisterEntry

SQL: Final = load_statements("matterlog.report", "recall.sql")
CONDITION: Final = load_statements("matterlog.report", "extracts.sql")["condition"]

_EXTRACTS: Final = pa.schema(
    {
        "ordinal": pa.int64(),
        "since": pa.timestamp("us"),
        "until": pa.timestamp("us"),
        "last_arrival": pa.int64(),
        "arrived_after": pa.int64(),
    }
)


class Held(NamedTuple):
    """How many rows of a matter an extract held."""

    entry: RegisterEntry
    matter_id: str
    rows: int


@dataclass(frozen=True, slots=True)
class Recalled:
    """The extracts that held rows, and for each matter how many extracts of other databases may have held it."""

    held: Sequence[Held]
    foreign: Mapping[str, int]


def recall(
    connection: duckdb.DuckDBPyConnection,
    entries: Sequence[RegisterEntry],
    matters: Sequence[str],
    log_id: UUID,
    purged_by: int,
) -> Recalled:
    """Find the extracts that hold rows of some matters.

    Args:
        connection: to the log before the matters were purged.
        entries: what was handed out.
        matters: which.
        log_id: the log.
        purged_by: the number of the transaction that purges them.
    """
    wanted = set(matters)
    may_hold = [e for e in entries if e.rows and (not e.filter.matters or wanted.intersection(e.filter.matters))]
    own = [entry for entry in may_hold if entry.log_id == log_id and entry.last_arrival < purged_by]
    foreign = [entry for entry in may_hold if entry.log_id != log_id]
    by_filter: dict[Filter, list[RegisterEntry]] = defaultdict(list)
    for entry in own:
        by_filter[entry.filter.model_copy(update={"since": None, "until": None})].append(entry)
    held = [each for kind, group in by_filter.items() for each in _held(connection, kind, group, matters)]
    return Recalled(held, _count(foreign, matters))


def _held(
    connection: duckdb.DuckDBPyConnection, kind: Filter, entries: Sequence[RegisterEntry], matters: Sequence[str]
) -> Iterator[Held]:
    statement = SQL["held"].format(condition=CONDITION)
    values: dict[str, Any] = kind.parameters() | {"arrived_after": None, "purged": list(matters)}
    connection.register("incoming_extracts", _table(entries))
    try:
        found = connection.execute(statement, values).fetchall()
    finally:
        with suppress(duckdb.Error):  # an interrupted connection refuses this too; its own error counts
            connection.unregister("incoming_extracts")
    return (Held(entries[ordinal], matter, rows) for ordinal, matter, rows in found)


def _table(entries: Sequence[RegisterEntry]) -> pa.Table:
    rows = [
        (ordinal, times["since"], times["until"], entry.last_arrival, entry.arrived_after)
        for ordinal, entry in enumerate(entries)
        for times in [entry.filter.parameters()]
    ]
    columns = zip(*rows, strict=True)
    arrays = [pa.array(column, kind) for column, kind in zip(columns, _EXTRACTS.types, strict=True)]
    return pa.Table.from_arrays(arrays, schema=_EXTRACTS)


def _count(entries: Sequence[RegisterEntry], matters: Sequence[str]) -> dict[str, int]:
    """Return how many of these extracts may hold each matter."""
    any_matter = sum(1 for entry in entries if not entry.filter.matters)
    named = Counter(matter for entry in entries for matter in set(entry.filter.matters))
    return {matter: any_matter + named[matter] for matter in matters}
