"""Makes the site's extracts: each into a file without a name, recorded, with its manifest kept.

1. A file is written whole, recorded, and checked against purges (``handing_out``) before anybody gets a byte of it: an
   answer is a whole extract with its length, or an error with its status. Streaming while the rows are read would begin
   sooner; but a failure would stand inside an answer that began as 200, and a purge meanwhile could not be taken back.
2. A file without a name can be opened by nobody else, and no end of this process leaves it.
3. One is made at a time, by a thread that gives way to the writer; more wait for their turn.
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Final

from matterlog.report.engagement.engagement import read_engagement
from matterlog.report.engagement.engagement_files import EngagementFileRequest, write_engagement
from matterlog.report.errors import ExtractFailed, SiteBusy
from matterlog.report.extracts.copying import Sink, nameless_file
from matterlog.report.extracts.extracts import Extract, count_rows, write_extract
from matterlog.report.extracts.formats import FORMATS
from matterlog.report.extracts.requests import ExtractRequest
from matterlog.report.handover.handing_out import Recipient, finish_extract, hand_out, recording
from matterlog.report.handover.manifest import KnownEnds, manifest_of
from matterlog.report.handover.register import Register, RegisterEntry
from matterlog.report.web.extracts.kept_manifests import KeptManifests
from matterlog.report.web.extracts.site_extract import FinishedExtract, SiteExtract
from matterlog.report.web.figures.metrics import SiteMetrics
from matterlog.report.web.figures.ports import Log, Pipeline
from matterlog.schemas import MatterlogError

logger = logging.getLogger(__name__)

# A second one at once slows the writer down by half, and both extracts; docs/decisions/0023 has the figures.
MAX_AT_ONCE: Final = 1
_LOOK_FOR_STOP_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class _Source:
    """The log as ``hand_out`` asks it, with a reader of its own for each question."""

    log: Log
    register: Register
    wanted: SiteExtract

    def extract(
        self, request: ExtractRequest | EngagementFileRequest, sink: Sink, begun: RegisterEntry | None = None
    ) -> Extract:
        with self.log.reader() as connection:
            on_snapshot = recording(connection, self.register, begun)
            if isinstance(request, EngagementFileRequest):
                return write_engagement(read_engagement(connection, request.engagement, on_snapshot), request, sink)
            if FORMATS[request.format].rows_are_lines:
                self.wanted.progress.expect(count_rows(connection, request))
            return write_extract(connection, request, self._counting(sink), on_snapshot)

    def finish(self, entry: RegisterEntry, checked_arrival: int) -> tuple[str, ...]:
        with self.log.reader() as connection:
            return finish_extract(connection, self.register, entry, checked_arrival)

    def complete(self, entry: RegisterEntry) -> None:
        self.register.record(entry)

    def _counting(self, sink: Sink) -> Sink:
        def write(data: bytes) -> None:
            sink(data)
            self.wanted.progress.count(data)

        return write


class ExtractMaker:
    """Makes extracts, one after another."""

    def __init__(
        self, log: Log, pipeline: Pipeline, register: Register, manifests: KeptManifests, metrics: SiteMetrics
    ) -> None:
        self._log = log
        self._pipeline = pipeline
        self._register = register
        self._manifests = manifests
        self._metrics = metrics
        self._turn = threading.BoundedSemaphore(MAX_AT_ONCE)
        self._stopping = threading.Event()

    def make(self, wanted: SiteExtract) -> None:
        """Make an extract when its turn has come; a failure is told to who waits for it."""
        outcome: FinishedExtract | MatterlogError = ExtractFailed("The extract broke off; nothing was left.")
        try:
            with self._own_turn(), self._metrics.export(wanted.request.format):
                outcome = self._made(wanted)
        except MatterlogError as error:
            outcome = error
        except Exception as error:  # noqa: BLE001 - the thread ends; who waits is told, without what the error says
            logger.error("an extract failed: %s", type(error).__name__)  # noqa: TRY400 - without its text
        finally:
            wanted.finish(outcome)

    def stop(self) -> None:
        """Let nobody wait for a turn any longer; the extract under way goes on."""
        self._stopping.set()

    @contextmanager
    def _own_turn(self) -> Iterator[None]:
        while not self._turn.acquire(timeout=_LOOK_FOR_STOP_SECONDS):
            if self._stopping.is_set():
                raise SiteBusy("The site is being stopped; ask again when it is back.")
        try:
            yield
        finally:
            self._turn.release()

    def _made(self, wanted: SiteExtract) -> FinishedExtract:
        recipient = Recipient(made_by=wanted.account.name, how=wanted.how, name=wanted.file_name)
        with ExitStack() as until_made:
            with self._log.reader() as connection:
                file = until_made.enter_context(nameless_file(connection))
            source = _Source(self._log, self._register, wanted)
            extract, entry = hand_out(source, wanted.request, recipient, file)
            file.flush()
            self._manifests.keep(wanted.account, manifest_of(extract, entry, wanted.request, self._ends()))
            until_made.pop_all()
        return FinishedExtract(extract=extract, entry=entry, file=file)

    def _ends(self) -> KnownEnds:
        state = self._pipeline.state()
        if state.ends is None:
            return KnownEnds(not_known_because=state.broker_problem or "nobody asked Kafka")
        return KnownEnds(asked_at=state.ends_asked_at, ends=state.ends)
