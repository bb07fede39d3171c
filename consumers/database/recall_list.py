"""The recall list: the extracts in the register that hold rows of a matter that is being deleted.

A file that somebody has downloaded cannot be erased, but the register of extracts lists it. A *foreign* file was made
from another database (before this one was restored or rebuilt), so its position means nothing here. Foreign files are
only counted.

1. Nothing here may stop a deletion. If the register cannot be read, the deletion continues and its receipt says
   permanently that the recall list is incomplete.
2. The rows are counted on a separate connection, in the state before the deletion: an error there cannot break the
   deletion's transaction.
3. The register is read twice: inside the deletion's transaction, so that list and deletion are committed together, and
   after its commit. An extract is first recorded, then checks which matters were purged since its snapshot, and only
   then appears. So one of the two always sees the other: the second reading finds an extract that was recorded after
   the first reading and checked before the commit.
"""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol, cast
from uuid import UUID

import duckdb
import pyarrow as pa

from matterlog.consumers.database.transaction import SQL as LOG
from matterlog.consumers.database.transaction import incoming
from matterlog.consumers.reading.records import table_of
from matterlog.schemas.storage.damage import names_damage
from matterlog.schemas.storage.statements import load_statements

logger = logging.getLogger(__name__)

SQL: Final = load_statements(__package__, "recall_list.sql")

# Files that were handed out. The instant is in UTC.
FILES: Final = pa.schema(
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Holders:
    """The files that hold some matters.

    ``files`` has the columns of FILES, ``rows`` the columns matter_id, extract_id and rows. ``foreign`` is how many
    foreign files may hold each matter.
    """

    files: pa.Table
    rows: pa.Table
    foreign: Mapping[str, int]


class HandedOutExtracts(Protocol):
    """The register of extracts, implemented by the app."""

    def recorded(self) -> Mapping[str, Any]:
        """Return all register entries by extract ID, in the form that ``holders`` takes."""

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
            connection: sees the state before the matters were purged.
            entries: values of ``recorded``.
            matters: the matters that are being purged.
            log_id: the ID of the log that purges them.
            purged_by: the number of the transaction that purges them.
        """


class Recall:
    """The recall of the matters that one transaction purges.

    Args:
        extracts: the register.
        before: an unused connection. Its first query fixes the state before the deletion.
        matters: the purged matters.
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
        self._looked_up: set[str] = set()
        self._failed = False

    def record(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Record the files that hold the matters, in the writer's transaction, before their rows are removed."""
        found = self._new_holders()
        if found is None or not found.files.num_rows:
            return
        with incoming(connection, "files", found.files), incoming(connection, "held", found.rows):
            connection.execute(SQL["record_files"])
            connection.execute(SQL["record_rows"])

    def complete(self, connection: duckdb.DuckDBPyConnection, now: datetime) -> None:
        """Record files that were handed out meanwhile, in a separate transaction after the commit."""
        self.record(connection)
        if self._failed:
            return
        recalled = [(matter, self._foreign[matter]) for matter in self._matters]
        with incoming(connection, "recalled", table_of(recalled, _RECALLED)):
            connection.execute(SQL["complete"], {"now": now})

    def _new_holders(self) -> Holders | None:
        """Look up files that are new in the register. None: there are none, or the register cannot be read."""
        if self._failed:
            return None
        try:
            new = {key: entry for key, entry in self._extracts.recorded().items() if key not in self._looked_up}
            self._looked_up |= new.keys()
            if not new and self._log_id is not None:
                return None
            log_id = self._current_log_id()
            found = self._extracts.holders(self._before, list(new.values()), self._matters, log_id, self._purged_by)
        except Exception as error:  # no other error may stop a deletion
            if names_damage(error):
                raise  # the deletion is applied once the database is whole again
            self._failed = True
            logger.error(  # noqa: TRY400 - its text may quote the register
                "the register of extracts cannot be read (%s): the recall list of %d deleted matters is NOT complete "
                "and never will be. Search by hand for extracts that hold them",
                type(error).__name__,
                len(self._matters),
            )
            return None
        self._foreign.update(found.foreign)
        return found

    def _current_log_id(self) -> UUID:
        """Return the log's ID. The first call fixes the state that the connection sees."""
        if self._log_id is None:
            self._before.execute("BEGIN")
            ((self._log_id, _),) = self._before.execute(LOG["last_arrival"]).fetchall()
        return cast("UUID", self._log_id)
