"""Every question to the log. To add one, add a class here: there is no other list."""

from dataclasses import replace
from datetime import timedelta
from typing import Annotated, Any, ClassVar, Final, Literal
from uuid import UUID

import pyarrow as pa
from pydantic import Field

from matterlog.app.owner.question import LogReader, Owner, OwnerQuestion, ReaderQuestion
from matterlog.app.owner.users import user_of_this_process
from matterlog.consumers.database.batch import BatchResult
from matterlog.consumers.database.dead_letters import DeadLetterAddress, kept_letters, list_dead_letters
from matterlog.consumers.erasure.verify_purge import Search, look_in_files
from matterlog.consumers.recovery.backups import take_backup
from matterlog.report.engagement.engagement import Engagement, EngagementRequest, Facts, read_engagement
from matterlog.report.extracts.extracts import Extract, OnSnapshot, count_rows, write_extract
from matterlog.report.extracts.requests import ExtractRequest, Transaction
from matterlog.report.handover.handing_out import Recipient, finish_extract, purged_since, recording, stream_recorded
from matterlog.report.handover.register import Channel, RegisterEntry
from matterlog.report.log.giving_way import give_way
from matterlog.report.log.reader import LogStatus, read_status
from matterlog.report.log.snapshot import Snapshot
from matterlog.report.purges.receipts import Receipt, ReceiptsPage, read_page, read_receipts
from matterlog.report.purges.rehearsal import Rehearsal, rehearse
from matterlog.report.web.identity.audit_log import Act
from matterlog.schemas.instants import as_text

# How long a rewrite on request waits for readers to finish.
READERS_PATIENCE_SECONDS: Final = 60.0
MAX_RECEIPTS: Final = 1_000_000
# The name of an extract until its recipient says what became of it.
ON_SOCKET: Final = "owner's socket"

SoughtText = Annotated[str, Field(min_length=1)]


class ExtractQuestion(ReaderQuestion[Extract]):
    """Write an extract's bytes into the sink.

    The owner lets the consumer go first, counts the extract, and records it itself: of ``begun`` it believes the name.
    """

    ask: Literal["extract"] = "extract"
    request: ExtractRequest
    begun: RegisterEntry | None = None
    # An older command line does not know what was found of purges, or its ID in the register.
    wants_purges: bool = False
    wants_extract_id: bool = False

    def to_wire(self, answer: Extract) -> tuple[bytes, Any]:
        unknown = {"checked_arrival": not self.wants_purges, "holds_purged": not self.wants_purges}
        unknown["extract_id"] = not self.wants_extract_id
        return b"", answer.model_dump(mode="json", exclude={name for name, is_unknown in unknown.items() if is_unknown})

    def read(self, log: LogReader) -> Extract:
        if log.owner is None:
            return write_extract(log.connection, self.request, log.sink, _recording(log, self.begun))
        give_way()
        name, how = (self.begun.name, self.begun.how) if self.begun else (ON_SOCKET, Channel.EXPORT)
        recipient = Recipient(made_by=log.user() or ON_SOCKET, how=how, name=name)
        with log.owner.export(self.request.format):
            extract = stream_recorded(log.connection, log.register, self.request, recipient, log.sink)
        if extract.holds_purged and self.wants_purges and self.begun is None:
            _discard(log, extract.extract_id)
        return extract


class CountQuestion(ReaderQuestion[int]):
    """Count the rows that an extract would have now."""

    ask: Literal["count"] = "count"
    request: ExtractRequest

    def read(self, log: LogReader) -> int:
        return count_rows(log.connection, self.request)


class FinishQuestion(ReaderQuestion[tuple[str, ...]]):
    """Register an extract before it appears, unless matters in it were purged meanwhile: then answer with those.

    The user known to the operating system replaces the entry's own ``made_by``.
    """

    ask: Literal["finish"] = "finish"
    entry: RegisterEntry
    checked_arrival: Transaction | None = None

    def read(self, log: LogReader) -> tuple[str, ...]:
        entry = _made_by_asker(log, self.entry)
        if log.owner is None:
            return finish_extract(log.connection, log.register, entry, self.checked_arrival)
        # Of an extract the owner has recorded all but the name; of an engagement table the asker alone knows the file.
        if entry.analysis is not None:
            log.register.record(entry)
        purged = purged_since(log.connection, entry, self.checked_arrival)
        if purged:
            _discard(log, entry.extract_id)
        else:
            log.register.name_extract(entry)
        return purged


class CompleteQuestion(ReaderQuestion[None]):
    """Record that an extract which was begun is whole."""

    ask: Literal["complete"] = "complete"
    entry: RegisterEntry

    def read(self, log: LogReader) -> None:
        entry = _made_by_asker(log, self.entry)
        if log.owner is None or entry.analysis is not None:
            log.register.record(entry)
        else:
            log.register.name_extract(entry)


def _discard(log: LogReader, extract_id: UUID | None) -> None:
    """Forget a file that is written a second time. A user who may only read has its bytes, so that entry stays."""
    if extract_id is not None and log.user() in {user_of_this_process(), "root"}:
        log.register.withdraw(extract_id)


def _made_by_asker(log: LogReader, entry: RegisterEntry) -> RegisterEntry:
    return entry.model_copy(update={"made_by": log.user() or entry.made_by})


def _recording(log: LogReader, begun: RegisterEntry | None) -> OnSnapshot:
    return recording(log.connection, log.register, begun and _made_by_asker(log, begun))


class EngagementQuestion(ReaderQuestion[Engagement]):
    """Answer an engagement analysis. On the socket its table is an Arrow IPC stream before the JSON."""

    ask: Literal["engagement"] = "engagement"
    request: EngagementRequest
    begun: RegisterEntry | None = None

    def read(self, log: LogReader) -> Engagement:
        answer = read_engagement(log.connection, self.request, _recording(log, self.begun))
        log.record(Act.REPORTS_ENGAGEMENT_SHOWN, analysis=self.request.analysis, rows=answer.table.num_rows)
        return answer

    def to_wire(self, answer: Engagement) -> tuple[bytes, Any]:
        stream = pa.BufferOutputStream()
        with pa.ipc.new_stream(stream, answer.table.schema) as writer:
            writer.write_table(answer.table)
        rest = {each: getattr(answer, each).model_dump(mode="json") for each in ("facts", "snapshot")}
        return stream.getvalue().to_pybytes(), rest

    def of_wire(self, data: bytes, result: Any) -> Engagement:
        return Engagement(
            request=self.request,
            table=pa.ipc.open_stream(data).read_all(),
            facts=Facts.model_validate(result["facts"]),
            snapshot=Snapshot.model_validate(result["snapshot"]),
        )


class StatusQuestion(ReaderQuestion[LogStatus]):
    """Describe what the log holds. The owner adds its troubles."""

    ask: Literal["status"] = "status"

    def read(self, log: LogReader) -> LogStatus:
        found = read_status(log.connection)
        if (owner := log.owner) is None:
            return found
        return replace(
            found,
            tombstones_trouble=owner.trouble(),
            erasure_trouble=owner.erasure.trouble if owner.erasure else None,
            file_read_at=as_text(owner.read_at()),
            reading_trouble=owner.reading(),
        )


class ReceiptsQuestion(ReaderQuestion[list[Receipt]]):
    """Read the receipt of a matter's deletion, or all receipts."""

    ask: Literal["receipts"] = "receipts"
    matter: str | None = None

    def read(self, log: LogReader) -> list[Receipt]:
        return read_receipts(log.connection, self.matter)


class ReceiptsPageQuestion(ReaderQuestion[ReceiptsPage]):
    """Read a page of receipts; see ``read_page``."""

    ask: Literal["receipts_page"] = "receipts_page"
    overdue_within: Annotated[timedelta, Field(ge=timedelta(), le=timedelta(days=100_000))] | None = None
    before: str | None = None
    limit: Annotated[int, Field(strict=True, ge=1, le=MAX_RECEIPTS + 1)]

    def read(self, log: LogReader) -> ReceiptsPage:
        return read_page(log.connection, overdue_within=self.overdue_within, before=self.before, limit=self.limit)


class RehearsalQuestion(ReaderQuestion[Rehearsal]):
    """Count what a deletion of a matter would remove."""

    ask: Literal["rehearsal"] = "rehearsal"
    matter: str

    def read(self, log: LogReader) -> Rehearsal:
        return rehearse(log.connection, log.register, self.matter)


class DeadLettersQuestion(ReaderQuestion[list[dict[str, Any]]]):
    """List dead letters as JSON data: ``places`` are their addresses, None for all; complete ones if ``whole``."""

    ask: Literal["list"] = "list"
    places: tuple[str, ...] | None = None
    whole: bool = True

    def read(self, log: LogReader) -> list[dict[str, Any]]:
        addresses = _addresses(self.places)
        if self.whole:
            letters = [letter.as_json() for letter in list_dead_letters(log.connection, addresses)]
            log.record(Act.DEAD_LETTERS_SHOWN, shown=len(letters))
            return letters
        return [letter.as_json() for letter in kept_letters(log.connection, addresses)]


class RetryQuestion(OwnerQuestion[BatchResult]):
    """Read dead letters again; ``places`` are their addresses, None for all."""

    ask: Literal["retry"] = "retry"
    act: ClassVar[Act] = Act.DEAD_LETTERS_RETRIED
    places: tuple[str, ...] | None = None

    def carry_out(self, owner: Owner) -> BatchResult:
        return owner.store.retry(_addresses(self.places), owner.decode)


class DiscardQuestion(OwnerQuestion[dict[str, int]]):
    """Remove dead letters for good; answer with the number ``discarded``. ``places`` as for a retry."""

    ask: Literal["discard"] = "discard"
    act: ClassVar[Act] = Act.DEAD_LETTERS_DISCARDED
    places: tuple[str, ...] | None = None

    def carry_out(self, owner: Owner) -> dict[str, int]:
        return {"discarded": owner.store.discard(_addresses(self.places))}


def _addresses(places: tuple[str, ...] | None) -> list[DeadLetterAddress] | None:
    return None if places is None else [DeadLetterAddress.parse(text) for text in places]


class EraseQuestion(OwnerQuestion[str]):
    """Rewrite the database file now; answer with a sentence about the result."""

    ask: Literal["erase"] = "erase"
    act: ClassVar[Act] = Act.DATABASE_REWRITTEN

    def carry_out(self, owner: Owner) -> str:
        return str(owner.eraser.run(patience_seconds=READERS_PATIENCE_SECONDS))


class BackupQuestion(OwnerQuestion[str]):
    """Take a backup now and keep the newest ``kept``; answer with its name."""

    ask: Literal["backup"] = "backup"
    act: ClassVar[Act] = Act.BACKUP_TAKEN
    kept: Annotated[int, Field(strict=True, ge=1, le=1000)]

    def carry_out(self, owner: Owner) -> str:
        return take_backup(owner.file_store, self.kept).name


class VerifyQuestion(OwnerQuestion[dict[str, Any]]):
    """Search the database and the files beside it, which the owner chooses, for a deleted matter and texts of it.

    The answer is that of ``verify_purge.look_in_files``. An older command line names further files in ``also``: the
    owner opens none, because the user who asks might not be allowed to read them.
    """

    ask: Literal["verify"] = "verify"
    act: ClassVar[Act] = Act.DATABASE_SEARCHED
    matter: SoughtText
    texts: tuple[SoughtText, ...] = ()
    also: tuple[str, ...] = ()

    def carry_out(self, owner: Owner) -> dict[str, Any]:
        found = look_in_files(owner.file_store, Search(matter=self.matter, texts=self.texts))
        unseen = [f"{name}: the owner opens no file for others. Use a newer matterlog" for name in self.also]
        return found | {"unseen": [*found["unseen"], *unseen]}
