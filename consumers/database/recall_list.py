"""The recall list: which files that were handed out hold rows of a matter that is being deleted.

A file that somebody has downloaded cannot be erased, but the register of extracts knows it. A *foreign* one was made
from another database (before this one was restored or rebuilt), so that its position says nothing here: those are only
counted.

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
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple, Protocol, cast
from uuid import UUID

import duckdb
import pyarrow as pa

from matterlog.consumers.database.transaction import incoming
from matterlog.consumers.reading.records import table_of
from matterlog.schemas.storage.statements import load_statements

logger = logging.getLogger(__name__)

SQL: Final = load_statements(__package__, "recall_list.sql")

_FILES: Final = pa.schema(
    {
        "extract_id": pa.string(),
        "made_at": pa.timestamp("us"),
        "made_by": pa.string(),
        "how": pa.string(),
        "name": pa.string(),
        "sha256": pa.string(),
    }
)
_RECALLED: Final = pa.schema({"matter_id": pa.string(), "foreign_extracts": pa.int64()})


class HandedOutFile(NamedTuple):
    """A file that was handed out; ``made_at`` is UTC without a zone."""

    extract_id: str
    made_at: datetime
    made_by: str
    how: str
    name: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Holders:
    """Which files hold some matters.

    ``rows`` has the columns matter_id, extract_id and rows; ``foreign`` says how many foreign files may hold each
    matter.
    """

    files: Sequence[HandedOutFile]
    rows: pa.Table
    foreign: Mapping[str, int]


class HandedOutExtracts(Protocol):
    """The register of extracts: the app gives it."""

    def recorded(self) -> Mapping[str, Any]:
        """Return what was handed out by its ID, as ``holders`` takes it."""

    def holders(
        self,
        connection: duckdb.DuckDBPyConnection,
        entries: Sequence[Any],
        matters: Sequence[str],
        log_id: UUID,
        purged_by: int,
    ) -> Holders:
        """Return which of these files hold these matters.

        Args:
            connection: to the state before the matters were purged.
            entries: of what is recorded.
            matters: which.
            log_id: the log that purges them.
            purged_by: the number of the transaction that does.
        """


class Recall:
    """The recall of the matters that one transaction purges.

    Args:
        extracts: the register.
        before: a connection that has not asked anything yet; it is to see the state before the deletion.
        matters: which.
        purged_by: the number of the transaction.
    """

    def __init__(
        self, extracts: HandedOutExtracts, before: duckdb.DuckDBPyConnection, matters: Sequence[str], purged_by: int
    ) -> None:
        self._extracts = extracts
        self._before = before
        self._matters = matters
        self._purged_by = purged_by
        self._log_id: UUID | None = None
        self._foreign: Counter[str] = Counter()
        self._asked_for: set[str] = set()
        self._failed = False

    def record(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Record the files that hold them, before their rows go; on the writer's connection, in its transaction."""
        found = self._ask()
        if found is None or not found.files:
            return
        with incoming(connection, "files", table_of(found.files, _FILES)), incoming(connection, "held", found.rows):
            connection.execute(SQL["record_files"])
            connection.execute(SQL["record_rows"])

    def complete(self, connection: duckdb.DuckDBPyConnection, now: datetime) -> None:
        """Record what has been handed out meanwhile, after the commit and in a transaction of its own."""
        self.record(connection)
        if self._failed:
            return
        recalled = [(matter, self._foreign[matter]) for matter in self._matters]
        with incoming(connection, "recalled", table_of(recalled, _RECALLED)):
            connection.execute(SQL["complete"], {"now": now})

    def _ask(self) -> Holders | None:
        """Ask for the files that were not asked for before; None when there are none, or the register is no good."""
        if self._failed:
            return None
        try:
            new = {key: entry for key, entry in self._extracts.recorded().items() if key not in self._asked_for}
            self._asked_for |= new.keys()
            if not new and self._log_id is not None:
                return None
            log_id = self._fix_state()
            found = self._extracts.holders(self._before, list(new.values()), self._matters, log_id, self._purged_by)
        except Exception as error:  # noqa: BLE001 - whatever it is: a deletion must happen
            self._failed = True
            logger.error(  # noqa: TRY400 - its text may hold what the register says
                "the register of extracts cannot be asked (%s): the recall list of %d deleted matters is NOT complete "
                "and never will be; files that hold them must be looked for by hand",
                type(error).__name__,
                len(self._matters),
            )
            return None
        self._foreign.update(found.foreign)
        return found

    def _fix_state(self) -> UUID:
        """Return which log this is: the first question fixes the state that this connection sees."""
        if self._log_id is None:
            self._before.execute("BEGIN")
            ((self._log_id,),) = self._before.execute(SQL["log"]).fetchall()
        return cast("UUID", self._log_id)
