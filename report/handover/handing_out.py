"""Handing out an extract: write it, register it, and check for purges before anybody gets it.

A matter may be deleted while an extract is being written; the extract's snapshot still holds its rows. So, when the
bytes are written and the register has the entry, the log is asked which matters were purged since the snapshot. If the
extract may hold one of them, the entry is withdrawn and the extract starts again. A later purge finds the entry.
"""

import logging
from dataclasses import dataclass
from typing import BinaryIO, Final, Protocol, TypeVar
from uuid import uuid4

import duckdb

from matterlog.report.engagement.analyses import Analysis
from matterlog.report.errors import ExtractFailed
from matterlog.report.extracts.copying import Sink
from matterlog.report.extracts.extracts import Extract
from matterlog.report.handover.register import Channel, Register, RegisterEntry
from matterlog.report.log.filters import Filter
from matterlog.report.log.snapshot import SQL, one_snapshot, purges_since

logger = logging.getLogger(__name__)

MAX_TRIES: Final = 5


class FileRequest(Protocol):
    """A request for a file: an extract of the Activity report, or an engagement table."""

    @property
    def format(self) -> str:
        """The name of its format."""

    @property
    def column_names(self) -> tuple[str, ...]:
        """Its columns in order."""

    @property
    def filter(self) -> Filter:
        """Which views it holds, or is based on."""

    @property
    def analysis(self) -> Analysis | None:
        """Which engagement table; None for the Activity report."""


Wanted = TypeVar("Wanted", bound=FileRequest)
Wanted_contra = TypeVar("Wanted_contra", bound=FileRequest, contravariant=True)


class ExtractSource(Protocol[Wanted_contra]):
    """The log, or a client of its owner."""

    def extract(self, request: Wanted_contra, sink: Sink) -> Extract:
        """Write an extract's bytes into a sink."""

    def finish(self, entry: RegisterEntry) -> tuple[str, ...]:
        """Register an extract before it appears, or return the matters in it that were purged since its snapshot."""


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
        ExtractFailed: the extract failed, or matters in it were purged at every try.
        RegisterFailed: the extract cannot be registered.
    """
    for _ in range(MAX_TRIES):
        file.seek(0)
        file.truncate()
        extract = source.extract(request, file.write)
        entry = _entry_of(extract, request, recipient)
        purged = source.finish(entry)
        if not purged:
            return extract, entry
        logger.warning("%d matters were deleted while the extract was written: the extract starts again", len(purged))
    raise ExtractFailed(
        f"matters were deleted while the extract was written, {MAX_TRIES} times in a row: no file was left. Try again "
        "when fewer matters are being deleted"
    )


def finish_extract(connection: duckdb.DuckDBPyConnection, register: Register, entry: RegisterEntry) -> tuple[str, ...]:
    """Register an extract before it appears, unless matters that it may hold were purged since its snapshot.

    Returns:
        Those matters; empty if the extract is registered.

    Raises:
        ExtractFailed: the database was replaced or failed.
        RegisterFailed: the register cannot be written.
    """
    register.record(entry)
    try:
        purged = purged_since(connection, entry)
    except BaseException:
        register.withdraw(entry.extract_id)
        raise
    if purged:
        register.withdraw(entry.extract_id)
    return purged


def purged_since(connection: duckdb.DuckDBPyConnection, entry: RegisterEntry) -> tuple[str, ...]:
    """Return the matters that an extract may hold and that were purged since its snapshot.

    Raises:
        ExtractFailed: the database was replaced or failed.
    """
    try:
        with one_snapshot(connection):
            ((log_id, _),) = connection.execute(SQL["log"]).fetchall()
            if log_id != entry.log_id:
                raise ExtractFailed("the database was replaced while the extract was written: no file was left")
            purges = purges_since(connection, entry.last_arrival)
    except duckdb.Error as error:
        raise ExtractFailed(f"the extract failed ({type(error).__name__}): no file was left") from error
    return tuple(purge.matter_id for purge in purges if entry.filter.may_hold(purge.matter_id))


def _entry_of(extract: Extract, request: FileRequest, recipient: Recipient) -> RegisterEntry:
    return RegisterEntry(
        extract_id=uuid4(),
        made_at=extract.snapshot.taken_at,
        made_by=recipient.made_by,
        how=recipient.how,
        name=recipient.name,
        format=request.format,
        columns=request.column_names,
        filter=request.filter,
        rows=extract.rows,
        bytes=extract.bytes,
        sha256=extract.sha256,
        log_id=extract.snapshot.log_id,
        last_arrival=extract.snapshot.last_arrival,
        arrived_after=extract.arrived_after,
        analysis=request.analysis,
    )
