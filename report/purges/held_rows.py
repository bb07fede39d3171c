"""The number of rows that registered extracts held of matters that are being deleted.

An extract held a row if the row passes its filter and arrived in a transaction of its snapshot. The register holds no
rows, so they are counted in the state before the deletion. Extracts that have the same filter except for its times are
counted by one query, so that thousands of extracts need few queries.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final
from uuid import UUID

import duckdb
import pyarrow as pa

from matterlog.report.handover.register import RegisterEntry
from matterlog.report.log.filters import Filter
from matterlog.schemas.storage.statements import load_statements

SQL: Final = load_statements(__package__, "held_rows.sql")
CONDITION: Final = load_statements("matterlog.report.extracts", "extracts.sql")["condition"]

_EXTRACTS: Final = pa.schema(
    {
        "extract_id": pa.string(),
        "since": pa.timestamp("us"),
        "until": pa.timestamp("us"),
        "last_arrival": pa.int64(),
        "arrived_after": pa.int64(),
    }
)

# How many rows of a matter an extract held.
HELD: Final = pa.schema({"matter_id": pa.string(), "extract_id": pa.string(), "rows": pa.int64()})


def rows_held(
    connection: duckdb.DuckDBPyConnection,
    entries: Sequence[RegisterEntry],
    matters: Sequence[str],
    log_id: UUID,
    purged_by: int,
) -> pa.Table:
    """Return a table like ``HELD``: how many rows of the matters each extract of this database held.

    Args:
        connection: to the log before the matters are purged.
        entries: the register.
        matters: the IDs of the matters.
        log_id: the log.
        purged_by: the number of the transaction that purges the matters.
    """
    by_filter: dict[Filter, list[RegisterEntry]] = defaultdict(list)
    for entry in _that_may_hold(entries, matters):
        if entry.log_id == log_id and entry.last_arrival < purged_by:
            by_filter[entry.filter.model_copy(update={"since": None, "until": None})].append(entry)
    held = [_rows_held(connection, kind, group, matters) for kind, group in by_filter.items()]
    return pa.concat_tables([HELD.empty_table(), *held])


def count_foreign(entries: Sequence[RegisterEntry], matters: Sequence[str], log_id: UUID) -> dict[str, int]:
    """Return for each matter how many extracts of databases other than ``log_id`` may have held it."""
    foreign = [entry for entry in _that_may_hold(entries, matters) if entry.log_id != log_id]
    any_matter = sum(1 for entry in foreign if not entry.filter.matters)
    named = Counter(matter for entry in foreign for matter in set(entry.filter.matters))
    return {matter: any_matter + named[matter] for matter in matters}


def _that_may_hold(entries: Sequence[RegisterEntry], matters: Sequence[str]) -> list[RegisterEntry]:
    wanted = set(matters)
    return [e for e in entries if e.may_hold_any and (not e.filter.matters or not wanted.isdisjoint(e.filter.matters))]


def _rows_held(
    connection: duckdb.DuckDBPyConnection, kind: Filter, entries: Sequence[RegisterEntry], matters: Sequence[str]
) -> pa.Table:
    statement = SQL["held"].format(condition=CONDITION)
    values: dict[str, Any] = kind.parameters() | {"arrived_after": None, "purged": list(matters)}
    connection.register("incoming_extracts", _table(entries))
    try:
        return connection.sql(statement, params=values).to_arrow_table().cast(HELD)
    finally:
        with suppress(duckdb.Error):  # an interrupted connection refuses this too; its first error matters
            connection.unregister("incoming_extracts")


def _table(entries: Sequence[RegisterEntry]) -> pa.Table:
    facts = {"last_arrival", "arrived_after"}
    rows = [e.filter.parameters() | e.model_dump(include=facts) | {"extract_id": str(e.extract_id)} for e in entries]
    return pa.Table.from_pylist(rows, schema=_EXTRACTS)
