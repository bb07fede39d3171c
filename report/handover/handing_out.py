"""Handing out an extract: write it, register it, and check for purges before anybody gets it.

A matter may be deleted while an extract is being written; its rows stand in the extract's snapshot still. An extract is
written once, or twice, and then ends:

1. The first pass is recorded when its bytes are there, and then the log is asked what it has purged since the
   snapshot. If the file holds none of it, it is handed out; a purge that comes later meets the entry.
2. Else a second pass begins from a newer snapshot, which no longer has what was purged. Its entry is recorded *before*
   the rows are read, so that each purge from then on meets it and lists the file in its receipt, if the file holds its
   rows. It is handed out when it is whole, whatever was purged meanwhile. Where a newer snapshot must be taken after
   all, the entry gets another ID: purges that met the former one have listed it, and it never appears.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import BinaryIO, Final, Protocol, TypeVar
from uuid import UUID, uuid4, uuid5

import duckdb

from matterlog.report.engagement.engagement_files import EngagementFileRequest
from matterlog.report.errors import ExtractFailed
from matterlog.report.extracts.copying import Sink
from matterlog.report.extracts.extracts import Extract, OnSnapshot, matters_held, take_any, write_extract
from matterlog.report.extracts.requests import ExtractRequest
from matterlog.report.handover.register import Channel, Register, RegisterEntry
from matterlog.report.log.snapshot import SQL, Snapshot, one_snapshot, purges_since, purges_until_now, recalls_of
from matterlog.schemas.storage.damage import in_words

logger = logging.getLogger(__name__)

# Of an entry whose log is not known yet.
_NO_LOG: Final = UUID(int=0)
# A purge completes its recall list right after its commit.
_RECALL_SECONDS: Final = 5.0
_PAUSE_SECONDS: Final = 0.01

# A request for a file: an extract of the Activity report, or an engagement table.
FileRequest = ExtractRequest | EngagementFileRequest
Wanted = TypeVar("Wanted", bound=FileRequest)
Wanted_contra = TypeVar("Wanted_contra", bound=FileRequest, contravariant=True)


class ExtractSource(Protocol[Wanted_contra]):
    """The log, or a client of its owner."""

    def extract(self, request: Wanted_contra, sink: Sink, begun: RegisterEntry | None = None) -> Extract:
        """Write an extract's bytes into a sink; record it before its rows are read where it is ``begun``."""

    def finish(self, entry: RegisterEntry, checked_arrival: int | None) -> tuple[str, ...]:
        """Record an extract before it appears, unless matters in it were purged since: then return those."""

    def complete(self, entry: RegisterEntry) -> None:
        """Record that an extract which was begun is whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipient:
    """Who gets an extract, through which channel, under which name."""

    made_by: str
    how: Channel
    name: str


def hand_out(
    source: ExtractSource[Wanted], request: Wanted, recipient: Recipient, file: BinaryIO
) -> tuple[Extract, RegisterEntry]:
    """Write an extract into a private file, and register it.

    The file is empty, and private until this returns. It is written from the beginning, maybe several times.

    Raises:
        ExtractFailed: it failed.
        RegisterFailed: it cannot be registered.
    """
    begun = _begun(request, recipient)
    extract = source.extract(request, file.write)
    entry = _written(begun, extract, extract.extract_id or begun.extract_id)
    if not extract.holds_purged and not source.finish(entry, extract.checked_arrival):
        return extract, entry
    logger.warning("matters were deleted while the extract was written. It is written a second time, without them")
    file.seek(0)
    file.truncate()
    extract = source.extract(request, file.write, begun)
    entry = _written(begun, extract, extract.extract_id or _id_at(begun, extract.snapshot))
    source.complete(entry)
    return extract, entry


def stream_recorded(
    connection: duckdb.DuckDBPyConnection, register: Register, request: ExtractRequest, recipient: Recipient, sink: Sink
) -> Extract:
    """Write an extract to somebody who may keep each byte: it is recorded as begun before the first, then as whole.

    Where the recipient goes away, the entry stays as begun. Raises the errors of ``write_extract`` and ``record``.
    """
    begun = _begun(request, recipient)
    extract = write_extract(connection, request, sink, recording(connection, register, begun))
    extract_id = _id_at(begun, extract.snapshot)
    register.record(_written(begun, extract, extract_id))
    return extract.model_copy(update={"extract_id": extract_id})


def recording(connection: duckdb.DuckDBPyConnection, register: Register, begun: RegisterEntry | None) -> OnSnapshot:
    """Return what records an extract before its rows are read, for ``write_extract`` on the same connection.

    Where a matter of it was purged between the snapshot and the entry, the purge may not know the entry: then a newer
    snapshot is wanted, which no longer has that matter.
    """
    if begun is None:
        return take_any

    former: list[UUID] = []

    def record(snapshot: Snapshot, arrived_after: int | None) -> bool:
        extract_id = _id_at(begun, snapshot)
        entry = _at(begun, snapshot, extract_id=extract_id, arrived_after=arrived_after)
        register.record(entry)
        for left in set(former) - {extract_id}:
            register.withdraw(left)
        former.append(extract_id)
        return _is_known_to_purges(connection, entry)

    return record


def _id_at(begun: RegisterEntry, snapshot: Snapshot) -> UUID:
    return uuid5(begun.extract_id, str(snapshot.last_arrival))


def _is_known_to_purges(connection: duckdb.DuckDBPyConnection, entry: RegisterEntry) -> bool:
    """Return whether each matter of an extract that was purged since its snapshot has it in its recall list."""
    deadline = time.monotonic() + _RECALL_SECONDS
    _, purges = purges_until_now(connection, entry.last_arrival)
    held = matters_held(connection, entry.filter, entry.arrived_after, [purge.matter_id for purge in purges])
    while True:
        missing = [
            is_complete for is_complete, is_listed in recalls_of(connection, entry.extract_id, held) if not is_listed
        ]
        if not missing or any(missing) or time.monotonic() > deadline:
            return not missing
        time.sleep(_PAUSE_SECONDS)


def finish_extract(
    connection: duckdb.DuckDBPyConnection, register: Register, entry: RegisterEntry, checked_arrival: int | None
) -> tuple[str, ...]:
    """Record an extract before it appears, unless matters that it may hold were purged since its snapshot.

    Args:
        connection: a reader's.
        register: where it is recorded.
        entry: the extract.
        checked_arrival: the transaction up to which it is known that nothing in it was purged; None: its snapshot's.

    Returns:
        Those matters; empty if the extract is registered.

    Raises:
        ExtractFailed: the database was replaced or failed.
        RegisterFailed: the register cannot be written.
    """
    register.record(entry)
    try:
        purged = purged_since(connection, entry, checked_arrival)
    except BaseException:
        register.withdraw(entry.extract_id)
        raise
    if purged:
        register.withdraw(entry.extract_id)
    return purged


def was_recalled(connection: duckdb.DuckDBPyConnection, entry: RegisterEntry) -> bool:
    """Return whether a recorded extract held rows of matters that were purged since, or may have.

    Raises:
        ExtractFailed: the database was replaced or failed.
    """
    matters = list(entry.filter.matters)
    values = {"extract_id": str(entry.extract_id), "matters": matters, "arrival": entry.last_arrival}
    with _own_log(connection, entry):
        ((found,),) = connection.execute(SQL["is_recalled"], values).fetchall()
    return bool(found)


def purged_since(
    connection: duckdb.DuckDBPyConnection, entry: RegisterEntry, checked_arrival: int | None
) -> tuple[str, ...]:
    """Return the matters that an extract may hold and that were purged since; see ``finish_extract``."""
    with _own_log(connection, entry):
        purges = purges_since(connection, entry.last_arrival if checked_arrival is None else checked_arrival)
    return tuple(purge.matter_id for purge in purges if entry.filter.may_hold(purge.matter_id))


@contextmanager
def _own_log(connection: duckdb.DuckDBPyConnection, entry: RegisterEntry) -> Iterator[None]:
    """Read one committed state of the extract's own log."""
    try:
        with one_snapshot(connection):
            ((log_id, _),) = connection.execute(SQL["log"]).fetchall()
            if log_id != entry.log_id:
                raise ExtractFailed("the database was replaced while the extract was written; nothing was left")
            yield
    except duckdb.Error as error:
        raise ExtractFailed(f"the extract broke off ({in_words(error)}); nothing was left") from error


def _begun(request: FileRequest, recipient: Recipient) -> RegisterEntry:
    """Return the entry of an extract whose state is not known yet."""
    return RegisterEntry(
        extract_id=uuid4(),
        made_at=datetime.now(UTC),
        made_by=recipient.made_by,
        how=recipient.how,
        name=recipient.name,
        format=request.format,
        columns=request.column_names,
        filter=request.filter,
        rows=0,
        bytes=0,
        sha256="",
        log_id=_NO_LOG,
        last_arrival=0,
        analysis=request.analysis,
    )


def _at(begun: RegisterEntry, snapshot: Snapshot, **facts: object) -> RegisterEntry:
    """Return the entry of an extract that was begun, with its snapshot and more facts."""
    state = {"made_at": snapshot.taken_at, "log_id": snapshot.log_id, "last_arrival": snapshot.last_arrival}
    return begun.model_copy(update=state | facts)


def _written(begun: RegisterEntry, extract: Extract, extract_id: UUID) -> RegisterEntry:
    facts = extract.model_dump(include={"rows", "bytes", "sha256", "arrived_after"})
    return _at(begun, extract.snapshot, extract_id=extract_id, **facts)
