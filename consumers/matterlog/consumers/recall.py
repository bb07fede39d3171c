"""The recall list: which files that were handed out hold rows of a matter that is being deleted.

A file that somebody has downloaded cannot be erased, but the register of extracts knows it. A *holder* is one of those
files with how many rows of a deleted matter it held. A *foreign* extract was made from another database (before this
one was restored or rebuilt), so that its position says nothing here: those are only counted.

1. Nothing here may stop a deletion. Where the register cannot be read the deletion goes on, and its receipt says for
   ever that the recall list is not complete.
2. The rows are counted on a connection of their own, in the state before the deletion: what fails there cannot spoil
   the deletion's transaction.
3. The register is read twice: inside the deletion's transaction, so that list and deletion become true together, and
   after its commit. An extract is recorded first, then asks what was purged since its snapshot, and only then
   appears. So whichever comes first, one of the two sees the other: an extract that recorded itself too late for the
   first reading and asked too early for the commit is met by the second one.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple, Protocol
from uuid import UUID

import duckdb
import pyarrow as pa

from matterlog.schemas.statements import load_statements

from .batch import incoming
from .records import table_of

logger = logging.getLogger(__name__)

SQL: Final = load_statements("matterlog.consumers", "recall.sql")

_HOLDERS: Final = pa.schema(
    {
        "matter_id": pa.string(),
        "extract_id": pa.string(),
        "made_at": pa.timestamp("us"),
        "made_by": pa.string(),
        "how": pa.string(),
        "name": pa.string(),
        "sha256": pa.string(),
        "rows": pa.int64(),
    }
)
_RECALLED: Final = pa.schema({"matter_id": pa.string(), "foreign_extracts": pa.int64()})


class Holder(NamedTuple):
    """A file that was handed out, and how many rows of a matter it held; ``made_at`` is UTC without a zone."""

    matter_id: str
    extract_id: str
    made_at: datetime
    made_by: str
    how: str
    name: str
    sha256: str
    rows: int


@dataclass(frozen=True, slots=True)
class Holders:
    """What the register knows of some matters: the files that hold them, and how many foreign ones may."""

    holders: Sequence[Holder]
    foreign: Mapping[str, int]


class HandedOutExtracts(Protocol):
    """The register of extracts: the app gives it."""

    def holders(
        self, connection: duckdb.DuckDBPyConnection, matters: Sequence[str], log_id: UUID, purged_by: int
    ) -> Holders:
        """Return what the register knows of these matters.

        Args:
            connection: to the state before the matters were purged.
            matters: which.
            log_id: the log that purges them.
            purged_by: the number of the transaction that does.
        """


class Recall:
    """The recall of the matters that one transaction purges.

    Args:
        extracts: the register.
        before: a connection that has not asked anything yet; it is to see the state before the deletion.
        purged_by: the number of the transaction.
    """

    def __init__(self, extracts: HandedOutExtracts, before: duckdb.DuckDBPyConnection, purged_by: int) -> None:
        self._extracts = extracts
        self._before = before
        self._purged_by = purged_by
        self._matters: list[str] = []
        self._log_id: UUID | None = None
        self._recorded: set[tuple[str, str]] = set()
        self._foreign: Mapping[str, int] = {}
        self._failed = False

    def record(self, connection: duckdb.DuckDBPyConnection, matters: Sequence[str]) -> None:
        """Record the holders of matters, before their rows go; on the writer's connection, in its transaction."""
        self._matters += matters
        self._record(connection, matters)

    def complete(self, connection: duckdb.DuckDBPyConnection, now: datetime) -> None:
        """Record what has been handed out meanwhile, after the commit and in a transaction of its own."""
        self._record(connection, self._matters)
        if self._failed:
            return
        recalled = [(matter, self._foreign.get(matter, 0)) for matter in self._matters]
        with incoming(connection, "recalled", table_of(recalled, _RECALLED)):
            connection.execute(SQL["complete"], {"now": now})

    def _record(self, connection: duckdb.DuckDBPyConnection, matters: Sequence[str]) -> None:
        new = [holder for holder in self._ask(matters) if holder[:2] not in self._recorded]
        self._recorded |= {holder[:2] for holder in new}
        if new:
            with incoming(connection, "holders", table_of(new, _HOLDERS)):
                connection.execute(SQL["record_extracts"])
                connection.execute(SQL["record_recalls"])

    def _ask(self, matters: Sequence[str]) -> Sequence[Holder]:
        if self._failed:
            return ()
        try:
            if self._log_id is None:
                # The first question fixes which state this connection sees.
                self._before.execute("BEGIN")
                ((self._log_id,),) = self._before.execute(SQL["log"]).fetchall()
            found = self._extracts.holders(self._before, matters, self._log_id, self._purged_by)
        except Exception as error:  # noqa: BLE001 - whatever it is: a deletion must happen
            self._failed = True
            logger.error(  # noqa: TRY400 - its text may hold what the register says
                "the register of extracts cannot be asked (%s): the recall list of %d deleted matters is NOT complete "
                "and never will be; files that hold them must be looked for by hand",
                type(error).__name__,
                len(self._matters),
            )
            return ()
        self._foreign = found.foreign
        return found.holders
