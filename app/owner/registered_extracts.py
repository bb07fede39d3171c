"""The implementation of the recall list's port: what a deletion asks the register of extracts."""

import os
import sys
import weakref
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from uuid import UUID

from matterlog.consumers.database.recall_list import FILES, Holders
from matterlog.consumers.reading.records import table_of
from matterlog.report.errors import RegisterFailed
from matterlog.report.handover.register import FileRegister, Register, RegisterEntry
from matterlog.report.log.reader import LogConnection
from matterlog.report.purges.held_rows import count_foreign, rows_held
from matterlog.schemas.instants import as_stored
from matterlog.schemas.storage.database_files import DatabaseFiles
from matterlog.schemas.storage.lake import Lake


def register_of(place: DatabaseFiles | Lake) -> Register:
    """Return the register of a log, in a file or on a lake."""
    if isinstance(place, DatabaseFiles):
        return FileRegister(place.extracts)
    from matterlog.report.handover.lake_register import LakeRegister  # noqa: PLC0415 - needs the extra `lake`

    return LakeRegister(place)


def registered_extracts(place: DatabaseFiles | Lake) -> "RegisteredExtracts":
    """Return the register of a log as a store asks it."""
    register = register_of(place)
    return FileExtracts(register) if isinstance(register, FileRegister) else RegisteredExtracts(register)


@dataclass(slots=True, weakref_slot=True)
class RegisteredExtracts:
    """The register as a store asks it."""

    register: Register

    def recorded(self) -> dict[str, RegisterEntry]:
        """Return what was handed out by its ID.

        Raises:
            RegisterFailed: it cannot be read.
        """
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
        files = [
            (str(each.extract_id), as_stored(each.made_at), each.made_by, str(each.how), each.name, each.sha256)
            for each in entries
            if str(each.extract_id) in named
        ]
        return Holders(files=table_of(files, FILES), rows=rows, foreign=count_foreign(entries, matters, log_id))


@dataclass(slots=True, weakref_slot=True)
class FileExtracts(RegisteredExtracts):
    """The register in a file, which must stay the file that it was."""

    register: FileRegister
    # Holds the file that was found first, so that no other gets its number; None where there was none yet.
    _held: int | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._hold_file()

    def _hold_file(self) -> None:
        if self._held is None and sys.platform == "linux":
            with suppress(FileNotFoundError):
                # Only the name is held: closing it drops none of the locks that SQLite has on the file.
                self._held = os.open(self.register.path, os.O_PATH | os.O_CLOEXEC)
                weakref.finalize(self, os.close, self._held)

    def recorded(self) -> dict[str, RegisterEntry]:
        """Return what was handed out by its ID.

        Raises:
            RegisterFailed: it cannot be read, or its file was removed or replaced: one that is made anew knows nothing.
        """
        self._hold_file()
        path = self.register.path
        if self._held is not None and not (path.exists() and os.path.samestat(path.stat(), os.fstat(self._held))):
            raise RegisterFailed(f"{path} was removed, or another file put in its place")
        return super(FileExtracts, self).recorded()
