"""The recall list's port, filled: what a deletion asks of the register of extracts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC
from uuid import UUID

from matterlog.consumers.recall import Holder, Holders
from matterlog.report.reader import LogConnection
from matterlog.report.recall import Held, recall
from matterlog.report.register import Register
from matterlog.schemas.database_files import DatabaseFiles


def registered_extracts(paths: DatabaseFiles) -> "RegisteredExtracts":
    """Return the register beside a database."""
    return RegisteredExtracts(Register(paths.extracts))


@dataclass(frozen=True, slots=True)
class RegisteredExtracts:
    """The register as the store asks it."""

    register: Register

    def holders(self, connection: LogConnection, matters: Sequence[str], log_id: UUID, purged_by: int) -> Holders:
        """Return what the register knows of these matters; see ``HandedOutExtracts``."""
        found = recall(connection, self.register.extracts(), matters, log_id, purged_by)
        return Holders([_holder(each) for each in found.held], found.foreign)


def _holder(held: Held) -> Holder:
    entry = held.entry
    return Holder(
        matter_id=held.matter_id,
        extract_id=str(entry.extract_id),
        made_at=entry.made_at.astimezone(UTC).replace(tzinfo=None),
        made_by=entry.made_by,
        how=str(entry.how),
        name=entry.name,
        sha256=entry.sha256,
        rows=held.rows,
    )
