"""Two ways to the log with one face: through the owner's socket, or on the file itself when nobody owns it."""

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from multiprocessing.connection import Client, Connection
from typing import Any, Final, Protocol

import duckdb

from matterlog.app.errors import WrongUse
from matterlog.app.owner.owned_store import momentary_store
from matterlog.app.owner.protocol import (
    MAX_QUESTION_BYTES,
    BackupQuestion,
    CountQuestion,
    DeadLettersQuestion,
    EngagementQuestion,
    EraseQuestion,
    ExtractQuestion,
    FinishQuestion,
    ReceiptsQuestion,
    RehearsalQuestion,
    StatusQuestion,
    VerifyQuestion,
    socket_address,
    table_of_bytes,
)
from matterlog.consumers.database.batch import Decode
from matterlog.consumers.database.dead_letters import DeadLetterAddress, list_dead_letters
from matterlog.consumers.database.store import Store
from matterlog.consumers.erasure.erase import Eraser
from matterlog.consumers.erasure.verify_purge import Search, look_in_files
from matterlog.consumers.errors import BeingRecovered
from matterlog.consumers.recovery.backups import take_backup
from matterlog.report.engagement.engagement import Engagement, EngagementRequest, Facts, read_engagement
from matterlog.report.errors import ExtractFailed, LogUnavailable
from matterlog.report.extracts.extracts import Extract, ExtractRequest, Sink, count_rows, write_extract
from matterlog.report.handover.handing_out import finish_extract
from matterlog.report.handover.register import Register, RegisterEntry
from matterlog.report.log.reader import LogConnection, LogStatus, PartitionStatus, open_for_reading, read_status
from matterlog.report.log.snapshot import Snapshot
from matterlog.report.purges.receipts import Receipt, read_receipts
from matterlog.report.purges.rehearsal import Rehearsal, rehearse
from matterlog.schemas import MatterlogError
from matterlog.schemas.database_files import DatabaseFiles, DatabaseInUse

# An owner that is just starting, or just leaving, has the file and no socket: this long is waited for either.
_CHANGE_OF_OWNER_SECONDS: Final = 15.0
_PAUSE_SECONDS: Final = 0.1
# How long readers are waited for by a rewrite of the file that somebody asked for.
READERS_PATIENCE_SECONDS: Final = 60.0


class LogAccess(Protocol):
    """What the command line asks of the log."""

    def extract(self, request: ExtractRequest, sink: Sink) -> Extract:
        """Write an extract's bytes into a sink."""

    def count(self, request: ExtractRequest) -> int:
        """Say how many rows an extract would have now."""

    def finish(self, entry: RegisterEntry) -> tuple[str, ...]:
        """Record an extract before it appears, unless matters in it were purged since: then return those."""

    def engagement(self, request: EngagementRequest) -> Engagement:
        """Answer an engagement analysis."""

    def status(self) -> LogStatus:
        """Say what the log holds."""

    def receipts(self, matter: str | None) -> list[Receipt]:
        """Read the receipt of a matter's deletion, or all of them."""

    def rehearse(self, matter: str) -> Rehearsal:
        """Count what a deletion of a matter would remove."""

    def dead_letters(self) -> list[dict[str, Any]]:
        """List the dead letters, whole, as JSON has them."""


@dataclass(frozen=True, slots=True)
class ConnectionAccess:
    """The log on a connection: of a file that nobody owns, or one of the owner's own cursors."""

    connection: duckdb.DuckDBPyConnection
    register: Register

    def extract(self, request: ExtractRequest, sink: Sink) -> Extract:
        """Write an extract's bytes into a sink."""
        return write_extract(self.connection, request, sink)

    def count(self, request: ExtractRequest) -> int:
        """Say how many rows an extract would have now."""
        return count_rows(self.connection, request)

    def finish(self, entry: RegisterEntry) -> tuple[str, ...]:
        """Record an extract before it appears, unless matters in it were purged since: then return those."""
        return finish_extract(self.connection, self.register, entry)

    def engagement(self, request: EngagementRequest) -> Engagement:
        """Answer an engagement analysis."""
        return read_engagement(self.connection, request)

    def status(self) -> LogStatus:
        """Say what the log holds."""
        return read_status(self.connection)

    def receipts(self, matter: str | None) -> list[Receipt]:
        """Read the receipt of a matter's deletion, or all of them."""
        return read_receipts(self.connection, matter)

    def rehearse(self, matter: str) -> Rehearsal:
        """Count what a deletion of a matter would remove."""
        return rehearse(self.connection, self.register, matter)

    def dead_letters(self) -> list[dict[str, Any]]:
        """List the dead letters, whole, as JSON has them."""
        return [letter.as_json() for letter in list_dead_letters(self.connection)]


@dataclass(frozen=True, slots=True)
class OwnerAccess:
    """The log through its owner."""

    address: str

    def extract(self, request: ExtractRequest, sink: Sink) -> Extract:
        """Write an extract's bytes into a sink."""
        return Extract.model_validate(self._ask(ExtractQuestion(request=request).model_dump_json(), sink))

    def count(self, request: ExtractRequest) -> int:
        """Say how many rows an extract would have now."""
        return int(self._ask(CountQuestion(request=request).model_dump_json()))

    def finish(self, entry: RegisterEntry) -> tuple[str, ...]:
        """Record an extract before it appears, unless matters in it were purged since: then return those."""
        return tuple(self._ask(FinishQuestion(entry=entry).model_dump_json()))

    def engagement(self, request: EngagementRequest) -> Engagement:
        """Answer an engagement analysis."""
        chunks: list[bytes] = []
        said = self._ask(EngagementQuestion(request=request).model_dump_json(), chunks.append)
        return Engagement(
            request=request,
            table=table_of_bytes(b"".join(chunks)),
            facts=Facts.model_validate(said["facts"]),
            snapshot=Snapshot.model_validate(said["snapshot"]),
        )

    def status(self) -> LogStatus:
        """Say what the log holds."""
        answer = self._ask(StatusQuestion().model_dump_json())
        positions = tuple(PartitionStatus(**position) for position in answer.pop("positions"))
        return LogStatus(**answer, positions=positions)

    def receipts(self, matter: str | None) -> list[Receipt]:
        """Read the receipt of a matter's deletion, or all of them."""
        return [Receipt.model_validate(each) for each in self._ask(ReceiptsQuestion(matter=matter).model_dump_json())]

    def rehearse(self, matter: str) -> Rehearsal:
        """Count what a deletion of a matter would remove."""
        return Rehearsal.model_validate(self._ask(RehearsalQuestion(matter=matter).model_dump_json()))

    def dead_letters(self) -> list[dict[str, Any]]:
        """List the dead letters, whole, as JSON has them."""
        answer: list[dict[str, Any]] = self._ask(DeadLettersQuestion(ask="list").model_dump_json())
        return answer

    def change_dead_letters(self, question: DeadLettersQuestion) -> dict[str, Any]:
        """Retry or discard dead letters; return what that did."""
        answer: dict[str, Any] = self._ask(question.model_dump_json())
        return answer

    def erase(self) -> str:
        """Rewrite the database file; return what that did, in words."""
        answer: str = self._ask(EraseQuestion().model_dump_json())
        return answer

    def backup(self, kept: int) -> str:
        """Take a backup and keep so many; return its name."""
        answer: str = self._ask(BackupQuestion(kept=kept).model_dump_json())
        return answer

    def look_for_matter(self, question: VerifyQuestion) -> dict[str, Any]:
        """Look for a deleted matter in the database's files."""
        answer: dict[str, Any] = self._ask(question.model_dump_json())
        return answer

    def _ask(self, question: str, sink: Sink = lambda _: None) -> Any:
        asked = question.encode()
        if len(asked) > MAX_QUESTION_BYTES:
            raise WrongUse(f"what is asked takes more than {MAX_QUESTION_BYTES:,} bytes: name fewer at once")
        with _owner_may_go_away():
            channel = Client(self.address, family="AF_UNIX")
        with channel:
            with _owner_may_go_away():
                channel.send_bytes(asked)
            return _receive(channel, sink)


@contextmanager
def _owner_may_go_away() -> Iterator[None]:
    """Tell what the socket raises from what a sink raises: the owner's end is no full disk and no closed pipe."""
    try:
        yield
    except (EOFError, OSError) as error:
        raise ExtractFailed("the owner of the database went away before its answer was whole; try again") from error


def _receive(channel: "Connection[Any, Any]", sink: Sink) -> Any:
    while data := _next_message(channel):
        sink(data)
    answer = json.loads(_next_message(channel))
    if "error" in answer:
        raise (WrongUse if answer["wrong_use"] else MatterlogError)(answer["error"])
    return answer["result"]


def _next_message(channel: "Connection[Any, Any]") -> bytes:
    with _owner_may_go_away():
        return channel.recv_bytes()


@contextmanager
def find_owner(paths: DatabaseFiles) -> Iterator[OwnerAccess | None]:
    """Give the way to the owner of the database; None when no process answers."""
    if not paths.socket.exists():
        yield None
        return
    with socket_address(paths.socket) as address:
        try:
            Client(address, family="AF_UNIX").close()
        except (ConnectionRefusedError, FileNotFoundError):
            yield None
        except PermissionError as error:
            raise MatterlogError(f"this user may not ask the owner of the database at {paths.socket}") from error
        else:
            yield OwnerAccess(address)


@contextmanager
def open_log(paths: DatabaseFiles) -> Iterator[LogAccess]:
    """Give the way to the log: its owner's, or the file when nobody owns it.

    Raises:
        NoDatabase: there is no database.
        DatabaseInUse: a process owns it and does not answer.
    """
    with ExitStack() as stack:
        yield _enter(stack, paths)


def _enter(stack: ExitStack, paths: DatabaseFiles) -> LogAccess:
    deadline = time.monotonic() + _CHANGE_OF_OWNER_SECONDS
    while True:
        owner = stack.enter_context(find_owner(paths))
        if owner is not None:
            return owner
        try:
            return ConnectionAccess(stack.enter_context(open_for_reading(paths)), Register(paths.extracts))
        except DatabaseInUse:
            if time.monotonic() > deadline:
                raise
        time.sleep(_PAUSE_SECONDS)


def look_for_matter(paths: DatabaseFiles, question: VerifyQuestion) -> dict[str, Any]:
    """Look for a deleted matter in the database's files, through the owner or as the owner for a moment.

    Returns:
        As ``verify_purge.look_in_files``.
    """
    with find_owner(paths) as owner:
        if owner is not None:
            return owner.look_for_matter(question)
    with momentary_store(paths) as store:
        return look_in_store(store, question)


def look_in_store(store: Store, question: VerifyQuestion) -> dict[str, Any]:
    """Look for a deleted matter in the files of a store that this process owns."""
    return look_in_files(store, Search(matter=question.matter, texts=question.texts), question.also)


def erase_now(paths: DatabaseFiles) -> str:
    """Rewrite the database file, through the owner or as the owner for a moment; return what that did, in words."""
    with find_owner(paths) as owner:
        if owner is not None:
            return owner.erase()
    with momentary_store(paths) as store:
        return str(Eraser(store).run(patience_seconds=READERS_PATIENCE_SECONDS))


def backup_now(paths: DatabaseFiles, kept: int) -> str:
    """Take a backup, through the owner or as the owner for a moment; return its name."""
    with find_owner(paths) as owner:
        if owner is not None:
            return owner.backup(kept)
    with momentary_store(paths) as store:
        return take_backup(store, kept).name


def change_dead_letters(paths: DatabaseFiles, question: DeadLettersQuestion, decode: Decode) -> dict[str, Any]:
    """Retry or discard dead letters, through the owner or as the owner for a moment; return what that did."""
    with find_owner(paths) as owner:
        if owner is not None:
            return owner.change_dead_letters(question)
    with momentary_store(paths) as store:
        return change_in_store(store, question, decode)


def change_in_store(store: Store, question: DeadLettersQuestion, decode: Decode) -> dict[str, Any]:
    """Retry or discard dead letters in a store that this process owns."""
    addresses = None if question.places is None else [DeadLetterAddress.parse(text) for text in question.places]
    if question.ask == "discard":
        return {"discarded": store.discard(addresses)}
    return asdict(store.retry(addresses, decode))


@dataclass(frozen=True, slots=True)
class StoreLog:
    """The log as the site reads it, on cursors of the store that its process owns."""

    store: Store

    @contextmanager
    def reader(self) -> Iterator[LogConnection]:
        """Give a connection for reading; see ``report.web.pipeline.Log``."""
        try:
            with self.store.served() as connection:
                yield connection
        except (duckdb.Error, BeingRecovered) as error:
            raise LogUnavailable from error
