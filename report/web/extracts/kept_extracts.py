"""Extracts that the site makes: each in a thread of its own, into a file without a name.

1. A file is written whole, recorded, and checked against purges (``handing_out``) before anybody gets a byte of it: an
   answer is a whole extract with its length, or an error with its status. Streaming while the rows are read would begin
   sooner; but a failure would stand inside an answer that began as 200, and a purge meanwhile could not be taken back.
2. A file without a name can be opened by nobody else, and no end of this process leaves it.
3. What is kept until somebody takes it is dropped when it expires, or when a matter that it may hold was purged.
4. One is made at a time, by a thread that gives way to the writer; more wait for their turn; too many are refused.
"""

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import BinaryIO, Final
from uuid import UUID

from matterlog.report.engagement.analyses import report_title
from matterlog.report.engagement.engagement import read_engagement
from matterlog.report.engagement.engagement_files import EngagementFileRequest, write_engagement
from matterlog.report.errors import ExtractFailed, ExtractGone, SiteBusy
from matterlog.report.extracts.copying import CHUNK_BYTES, Sink, nameless_file
from matterlog.report.extracts.extracts import Extract, ExtractFormat, ExtractRequest, count_rows, write_extract
from matterlog.report.handover.handing_out import Recipient, finish_extract, hand_out, purged_since
from matterlog.report.handover.manifest import KnownEnds, bytes_of, manifest_of
from matterlog.report.handover.register import HandedOut, Register, RegisterEntry
from matterlog.report.log.giving_way import give_way
from matterlog.report.web.figures.metrics import SiteMetrics
from matterlog.report.web.figures.ports import Log, Pipeline
from matterlog.report.web.identity.accounts import Account
from matterlog.report.web.identity.secret_tokens import new_token
from matterlog.report.web.identity.site_database import SiteDatabase
from matterlog.schemas import MatterlogError
from matterlog.schemas.statements import load_statements

logger = logging.getLogger(__name__)

SQL: Final = load_statements(__package__, "manifests.sql")
KEPT_FOR: Final = timedelta(hours=1)
# A second one at once slows the writer down by half, and both extracts; docs/decisions/0023 has the figures.
MAX_AT_ONCE: Final = 1
MAX_KEPT: Final = 64
MAX_KEPT_BY_ONE: Final = 24
# Programs that wait for theirs: each holds one of the 40 threads that answer requests.
MAX_WAITING: Final = 24
LOOK_FOR_PURGES_SECONDS: Final = 10.0
_LOOK_FOR_STOP_SECONDS: Final = 0.5
# Formats whose rows leave one by one, a line each.
_LINES: Final = frozenset({ExtractFormat.CSV, ExtractFormat.JSON, ExtractFormat.NDJSON})
_STALE: Final = "Matters that this extract may hold were deleted since it was made, so it was dropped; make it again."


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """An extract that is whole: its figures, its entry in the register, and the file."""

    extract: Extract
    entry: RegisterEntry
    file: BinaryIO


@dataclass(slots=True, kw_only=True)
class Making:
    """An extract on its way: asked for by an account, under way, then made or failed.

    ``rows`` are those to come, ``lines`` those written so far, as nearly as a look at the bytes can tell; both are None
    where that is not known.
    """

    making_id: str
    account: Account
    request: ExtractRequest | EngagementFileRequest
    how: HandedOut
    asked_at: datetime
    rows: int | None = None
    lines: int | None = None
    made: Made | None = None
    failure: MatterlogError | None = None
    finished: threading.Event = field(default_factory=threading.Event)
    dropped: threading.Event = field(default_factory=threading.Event)

    @property
    def file_name(self) -> str:
        """What a browser calls the file; nothing in it was chosen by anybody."""
        title = report_title(self.request.analysis).lower().replace(" ", "-")
        return f"{title}-{self.asked_at:%Y%m%dT%H%M%SZ}.{self.request.format}"

    @property
    def expires_at(self) -> datetime:
        """When it is dropped."""
        return self.asked_at + KEPT_FOR


@dataclass(frozen=True, slots=True)
class _Source:
    """The log as ``hand_out`` asks it, with a reader of its own for each question."""

    log: Log
    register: Register
    making: Making

    def extract(self, request: ExtractRequest | EngagementFileRequest, sink: Sink) -> Extract:
        with self.log.reader() as connection:
            if isinstance(request, EngagementFileRequest):
                return write_engagement(read_engagement(connection, request.engagement), request, sink)
            if request.format in _LINES:
                self.making.rows, self.making.lines = count_rows(connection, request), 0
            return write_extract(connection, request, self._counting(sink))

    def finish(self, entry: RegisterEntry) -> tuple[str, ...]:
        with self.log.reader() as connection:
            return finish_extract(connection, self.register, entry)

    def _counting(self, sink: Sink) -> Sink:
        def write(data: bytes) -> None:
            sink(data)
            if self.making.lines is not None:
                self.making.lines += data.count(b"\n")

        return write


class KeptExtracts:
    """The extracts that are being made, or kept until somebody takes them."""

    def __init__(
        self, log: Log, pipeline: Pipeline, database: SiteDatabase, register: Register, metrics: SiteMetrics
    ) -> None:
        self._log = log
        self._pipeline = pipeline
        self._database = database
        self._register = register
        self._metrics = metrics
        self._lock = threading.Lock()
        self._turn = threading.BoundedSemaphore(MAX_AT_ONCE)
        self._stopping = threading.Event()
        self._waiting = threading.BoundedSemaphore(MAX_WAITING)
        self._makings: dict[str, Making] = {}

    def start(self, account: Account, request: ExtractRequest | EngagementFileRequest, how: HandedOut) -> Making:
        """Begin an extract.

        Raises:
            SiteBusy: too many are under way or kept.
        """
        making = Making(making_id=new_token(), account=account, request=request, how=how, asked_at=self._database.now())
        with self._lock:
            own = [each for each in self._makings.values() if each.account.account_id == account.account_id]
            if len(own) >= MAX_KEPT_BY_ONE or len(self._makings) >= MAX_KEPT:
                raise SiteBusy("Too many extracts are under way; take or wait for one of them first.")
            self._makings[making.making_id] = making
        threading.Thread(target=self._run, args=(making,), name="matterlog-site-extract", daemon=True).start()
        return making

    def make(self, account: Account, request: ExtractRequest | EngagementFileRequest, how: HandedOut) -> Making:
        """Begin an extract and wait until it is made or has failed, however long that takes.

        Raises:
            SiteBusy: too many wait already, are under way or kept.
        """
        if not self._waiting.acquire(blocking=False):
            raise SiteBusy("Too many extracts are waited for; try again in a moment.")
        try:
            making = self.start(account, request, how)
            making.finished.wait()
        finally:
            self._waiting.release()
        return making

    def of(self, account: Account, making_id: str) -> Making:
        """Return one of an account's own.

        Raises:
            ExtractGone: there is none; it expired, or was dropped.
        """
        with self._lock:
            making = self._makings.get(making_id)
        if making is None or making.account.account_id != account.account_id:
            raise ExtractGone
        self._drop_if_stale(making)
        if making.dropped.is_set():
            raise ExtractGone
        return making

    def take(self, making: Making) -> Iterator[bytes]:
        """Return the bytes of an extract that was made; they stay whole, whatever is dropped meanwhile.

        Raises:
            ExtractGone: it was dropped.
            MatterlogError: what it failed with.
        """
        with self._lock:
            if making.failure is not None:
                raise making.failure
            if making.made is None:
                raise ExtractGone
            file = os.fdopen(os.dup(making.made.file.fileno()), "rb")
        return _bytes_of(file)

    def drop(self, making: Making, failure: MatterlogError | None = None) -> None:
        """Drop a file; with a failure, keep that as the reason to tell until it expires."""
        with self._lock:
            made, making.made, making.failure = making.made, None, failure
            if failure is None:
                self._makings.pop(making.making_id, None)
                making.dropped.set()
            if made is not None:
                made.file.close()

    def withdraw(self, making: Making) -> None:
        """Drop an extract that nobody was given after all, and forget it; raises as the register does."""
        if making.made is not None:
            self._register.withdraw(making.made.entry.extract_id)
        self.drop(making)

    def manifest(self, account: Account, extract_id: UUID) -> bytes | None:
        """Return the manifest of an extract that an account was given; None where there is none."""
        values = {"extract_id": str(extract_id), "account_id": account.account_id}
        with self._database.reading() as connection:
            row = connection.execute(SQL["find"], values).fetchone()
        return None if row is None else str(row["manifest"]).encode()

    def earlier(self, account: Account, limit: int) -> list[RegisterEntry]:
        """Return what an account downloaded, the newest first.

        Raises:
            RegisterFailed: the register cannot be read.
        """
        return self._register.downloaded_by(account.name, limit)

    def _run(self, making: Making) -> None:
        give_way()
        try:
            with self._own_turn(), self._metrics.export(making.request.format):
                made = self._make(making)
            making.made = made
        except MatterlogError as error:
            making.failure = error
        except Exception as error:  # noqa: BLE001 - the thread ends; who waits is told, without what the error says
            logger.error("an extract failed: %s", type(error).__name__)  # noqa: TRY400 - without its text
            making.failure = ExtractFailed("The extract broke off; nothing was left.")
        finally:
            making.finished.set()
        self._guard(making)

    @contextmanager
    def _own_turn(self) -> Iterator[None]:
        while not self._turn.acquire(timeout=_LOOK_FOR_STOP_SECONDS):
            if self._stopping.is_set():
                raise SiteBusy("The site is being stopped; ask again when it is back.")
        try:
            yield
        finally:
            self._turn.release()

    def stop(self) -> None:
        """Let nobody wait for a turn any longer; the extract under way goes on."""
        self._stopping.set()

    def _make(self, making: Making) -> Made:
        recipient = Recipient(made_by=making.account.name, how=making.how, name=making.file_name)
        with ExitStack() as until_made:
            with self._log.reader() as connection:
                file = until_made.enter_context(nameless_file(connection))
            source = _Source(self._log, self._register, making)
            extract, entry = hand_out(source, making.request, recipient, file)
            file.flush()
            self._keep_manifest(making, extract, entry)
            until_made.pop_all()
        return Made(extract=extract, entry=entry, file=file)

    def _keep_manifest(self, making: Making, extract: Extract, entry: RegisterEntry) -> None:
        manifest = manifest_of(extract, entry, making.request, self._ends())
        values = {
            "extract_id": str(entry.extract_id),
            "account_id": making.account.account_id,
            "manifest": bytes_of(manifest).decode(),
        }
        with self._database.transaction() as connection:
            connection.execute(SQL["keep"], values)

    def _ends(self) -> KnownEnds:
        state = self._pipeline.state()
        if state.ends is None:
            return KnownEnds(not_known_because=state.broker_problem or "nobody asked Kafka")
        return KnownEnds(asked_at=state.ends_asked_at, ends=state.ends)

    def _guard(self, making: Making) -> None:
        """Stay with a file until it is dropped."""
        while not making.dropped.wait(LOOK_FOR_PURGES_SECONDS):
            try:
                self._drop_if_stale(making)
            except MatterlogError:  # the log is down; who asks for the file meanwhile is told so
                continue

    def _drop_if_stale(self, making: Making) -> None:
        made = making.made
        if making.finished.is_set() and self._database.now() >= making.expires_at:
            self.drop(making)
            return
        if made is None:
            return
        with self._log.reader() as connection:
            purged = purged_since(connection, made.entry)
        if purged:
            self.drop(making, ExtractGone(_STALE))


def _bytes_of(file: BinaryIO) -> Iterator[bytes]:
    """Read by offset, not from where another reader of the same file stands."""
    with file:
        offset = 0
        while chunk := os.pread(file.fileno(), CHUNK_BYTES, offset):
            offset += len(chunk)
            yield chunk
