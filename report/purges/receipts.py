"""Receipts: when each stage of a purge was done, without personal data.

A *stage* is one place that a deletion reaches: the table, the dead letters, the extracts that the service keeps, the
topic (tombstones acknowledged, then their files closed), the database file, the backups. On a lake the last two are
its files and catalogue, and its earlier snapshots. Each stage has the instant at which it was done, or none yet. A
receipt is *overdue* if a stage is not done by the deadline.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import duckdb
from pydantic import AwareDatetime, BaseModel

from matterlog.report.log.snapshot import one_snapshot
from matterlog.schemas.instants import CLOCKS_DIFFER, as_stored, is_ahead, utc_now
from matterlog.schemas.storage.statements import load_statements, named_rows

SQL: Final = load_statements(__package__, "receipts.sql")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """What an erasure reaches where the log is kept.

    Args:
        stages: what each stage of a receipt means.
        not_covered: copies of a deleted matter's data that a receipt cannot account for.
    """

    stages: Mapping[str, str]
    not_covered: tuple[str, ...]


_STAGES: Final = {
    "table": "rows removed for every reader",
    "dead_letters": "dead letters removed",
    "kept_extracts": "extracts kept by the service removed",
    "tombstones": "tombstones acknowledged by Kafka",
    "topic": "files of the topic closed, so that compaction removes the records",
}
_NOT_COVERED: Final = (
    "files that were handed out: the recall list names the known ones",
    "pictures, and engagement tables printed to a terminal: they are in no register",
    "backups, and snapshots of a file system or a virtual machine, that others made",
    "disk blocks that the file system has freed but not overwritten",
    "records in the topic until the broker's log cleaner has run, within minutes after the last stage",
    "copies of the topic: mirrors, connectors, other consumers",
    "dead letters that cannot be read: their matter is not known",
)
REACH_OF_A_FILE: Final = Reach(
    stages=_STAGES | {"file": "database file rewritten", "snapshots": "backups rewritten or removed"},
    not_covered=_NOT_COVERED,
)
REACH_OF_A_LAKE: Final = Reach(
    stages=_STAGES
    | {
        "file": "the lake's files and catalogue rewritten, the write-ahead log overwritten",
        "snapshots": "earlier snapshots of the lake removed",
    },
    not_covered=(
        *_NOT_COVERED,
        "the catalogue's PostgreSQL elsewhere: standbys, archives of its write-ahead log, its text log",
        "earlier versions of objects that a bucket keeps",
    ),
)


class Stages(BaseModel, frozen=True, extra="forbid"):
    """The instant at which each stage was done; None: not yet."""

    table: AwareDatetime
    dead_letters: AwareDatetime
    kept_extracts: AwareDatetime | None
    tombstones: AwareDatetime | None
    topic: AwareDatetime | None
    file: AwareDatetime | None
    snapshots: AwareDatetime | None


class RecalledExtract(BaseModel, frozen=True, extra="forbid"):
    """A file that was handed out, and how many rows of the deleted matter it held."""

    extract_id: UUID
    made_at: AwareDatetime
    made_by: str
    how: str
    name: str
    sha256: str
    rows: int


class Receipt(BaseModel, frozen=True, extra="forbid"):
    """The receipt of one deletion. Partition and offset are those of its message in the topic of deletions.

    The recall list names the files that were handed out and held the matter. ``foreign_extracts`` were made from
    another database, before this one was restored or rebuilt; it is not known whether they held the matter.
    """

    matter_id: str
    event_id: UUID
    deleted_at: AwareDatetime
    partition: int
    offset: int
    arrival: int
    views_purged: int
    views_refused: int
    dead_letters_purged: int
    records_out_of_reach: int
    tombstones_waiting: int
    oldest_tombstone_at: AwareDatetime | None
    stages: Stages
    recall_complete: bool
    recall: tuple[RecalledExtract, ...]
    foreign_extracts: int | None
    not_covered: tuple[str, ...] = REACH_OF_A_FILE.not_covered

    @property
    def done(self) -> bool:
        return None not in self.stages.model_dump().values()

    def due_at(self, within: timedelta) -> datetime:
        """Return the deadline, counted from the purge, or from a later view of the matter with a waiting tombstone."""
        return max(self.stages.table, self.oldest_tombstone_at or self.stages.table) + within

    def overdue(self, within: timedelta, now: datetime) -> bool:
        """Say whether a stage is not done although the deadline has passed.

        A deadline counted from an instant that lies ahead counts as passed: the clock was wrong when it was written.
        """
        return not self.done and (now > self.due_at(within) or is_ahead(self.due_at(timedelta()), now))


class ReceiptsPage(BaseModel, frozen=True, extra="forbid"):
    """Some receipts, newest first, and how many there are on all pages."""

    receipts: tuple[Receipt, ...]
    total: int


def read_receipts(connection: duckdb.DuckDBPyConnection, matter: str | None = None) -> list[Receipt]:
    """Read the receipt of one matter, or all receipts, newest first, from one committed state of the log."""
    return list(read_page(connection, matter=matter).receipts)


def read_page(
    connection: duckdb.DuckDBPyConnection,
    *,
    matter: str | None = None,
    overdue_within: timedelta | None = None,
    before: str | None = None,
    limit: int | None = None,
) -> ReceiptsPage:
    """Read one page of receipts from one committed state of the log.

    Args:
        connection: to the log.
        matter: only the receipt of this matter.
        overdue_within: only overdue receipts, for this deadline.
        before: the last matter of the page before.
        limit: the largest number of receipts on the page.
    """
    now = utc_now()
    asked = {
        "matter": matter,
        "due": None if overdue_within is None else as_stored(now - overdue_within),
        "ahead": as_stored(now + CLOCKS_DIFFER),
        "behind": before,
        "rows": limit,
    }
    with one_snapshot(connection):
        purges = _ask(connection, "receipts", asked)
        total = purges[0]["total"]
        purges = [row for row in purges if row["matter_id"] is not None]
        recalls = defaultdict(list)
        for row in _ask(connection, "recalls", {"matters": [row["matter_id"] for row in purges]}):
            recalls[row.pop("matter_id")].append(RecalledExtract(**row))
        on_lake = connection.execute(SQL["kept_in"]).fetchall() == [("ducklake",)]
    reach = REACH_OF_A_LAKE if on_lake else REACH_OF_A_FILE
    return ReceiptsPage(receipts=tuple(_receipt(row, recalls[row["matter_id"]], reach) for row in purges), total=total)


def _ask(connection: duckdb.DuckDBPyConnection, question: str, values: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = named_rows(connection.execute(SQL[question], values))
    return [
        {name: value.replace(tzinfo=UTC) if isinstance(value, datetime) else value for name, value in row.items()}
        for row in found
    ]


def _receipt(row: dict[str, Any], recall: Sequence[RecalledExtract], reach: Reach) -> Receipt:
    stages = Stages(**{name: row[name] for name in Stages.model_fields})
    facts = {name: row[name] for name in Receipt.model_fields if name in row}
    return Receipt(**facts, stages=stages, recall=tuple(recall), not_covered=reach.not_covered)
