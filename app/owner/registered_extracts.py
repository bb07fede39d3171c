"""The implementation of the recall list's port: what a deletion asks the register of extracts."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from matterlog.consumers.database.recall_list import HandedOutFile, Holders
from matterlog.report.handover.register import Register, RegisterEntry
from matterlog.report.log.reader import LogConnection
from matterlog.report.purges.held_rows import count_foreign, rows_held
from matterlog.schemas.instants import as_stored
from matterlog.schemas.storage.database_files import DatabaseFiles


def registered_extracts(paths: DatabaseFiles) -> "RegisteredExtracts":
    """Return the register beside a database."""
    return RegisteredExtracts(Register(paths.extracts))


@dataclass(frozen=True, slots=True)
class RegisteredExtracts:
    """The register of extracts, as the store uses it."""

    register: Register

    def recorded(self) -> dict[str, RegisterEntry]:
        """Return the registered extracts by ID."""
        return {str(entry.extract_id): entry for entry in self.register.extracts()}

    def holders(
        self,
        connection: LogConnection,
        entries: Sequence[RegisterEntry],
        matters: Sequence[str],
        log_id: UUID,
        purged_by: int,
    ) -> Holders:
        """Return the files among ``entries`` that hold these matters; see ``HandedOutExtracts``."""
        rows = rows_held(connection, entries, matters, log_id, purged_by)
        named = set(rows["extract_id"].unique().to_pylist())
        files = [_file(entry) for entry in entries if str(entry.extract_id) in named]
        return Holders(files=files, rows=rows, foreign=count_foreign(entries, matters, log_id))


def _file(entry: RegisterEntry) -> HandedOutFile:
    return HandedOutFile(
        extract_id=str(entry.extract_id),
        made_at=as_stored(entry.made_at),
        made_by=entry.made_by,
        how=str(entry.how),
        name=entry.name,
        sha256=entry.sha256,
    )
