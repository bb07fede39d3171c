"""The maker of the site's extracts: it writes each into a nameless file, registers it, and stores its manifest.

1. A file is complete, registered, and checked against purges (``handing_out``) before any byte of it is sent: an answer
   is a complete extract with its length, or an error with its status. Streaming the rows would begin sooner. But then a
   failure would be inside an answer with status 200, and rows that are purged meanwhile would already be sent.
2. A nameless file cannot be opened by anybody else, and disappears however this process ends.
3. Extracts are made in turns, by threads that give way to the writer (``turns.py``).
4. An extract that is dropped while it is made, because its client is gone, is stopped, and is not in the register.
"""

import logging
import threading
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Final

from matterlog.report.engagement.engagement import read_engagement
from matterlog.report.engagement.engagement_files import EngagementFileRequest, write_engagement
from matterlog.report.errors import ExtractFailed, SiteBusy
from matterlog.report.extracts.copying import Sink, nameless_file, temporary_folder
from matterlog.report.extracts.extracts import Extract, count_rows, write_extract
from matterlog.report.extracts.formats import CSV, FORMATS
from matterlog.report.extracts.requests import ExtractRequest
from matterlog.report.handover.handing_out import Recipient, finish_extract, hand_out, recording
from matterlog.report.handover.manifest import KnownEnds, manifest_of
from matterlog.report.handover.register import Register, RegisterEntry
from matterlog.report.web.extracts.kept_manifests import KeptManifests
from matterlog.report.web.extracts.site_extract import FinishedExtract, SiteExtract
from matterlog.report.web.extracts.turns import Turns
from matterlog.report.web.figures.metrics import SiteMetrics
from matterlog.report.web.figures.ports import Log, Pipeline
from matterlog.schemas import MatterlogError

logger = logging.getLogger(__name__)

# How many lines of text take as long as a row of a file that is not text.
_LINES_A_ROW: Final = 10


@dataclass(frozen=True, slots=True)
class _Source:
    """The log as ``hand_out`` needs it, with a new reader for each call."""

    log: Log
    register: Register
    wanted: SiteExtract

    def extract(
        self, request: ExtractRequest | EngagementFileRequest, sink: Sink, begun: RegisterEntry | None = None
    ) -> Extract:
        with self.log.reader() as connection, self.wanted.stopped_by(connection.interrupt):
            on_snapshot = recording(connection, self.register, begun)
            if isinstance(request, EngagementFileRequest):
                answer = read_engagement(connection, request.engagement, on_snapshot)
                return write_engagement(answer, request, self._counting(sink), temporary_folder(connection))
            if FORMATS[request.format].rows_are_lines:
                self.wanted.progress.expect(count_rows(connection, request))
            return write_extract(connection, request, self._counting(sink), on_snapshot)

    def finish(self, entry: RegisterEntry, checked_arrival: int | None) -> tuple[str, ...]:
        with self.log.reader() as connection:
            return finish_extract(connection, self.register, entry, checked_arrival)

    def complete(self, entry: RegisterEntry) -> None:
        self.register.record(entry)

    def _counting(self, sink: Sink) -> Sink:
        def write(data: bytes) -> None:
            self.wanted.check()
            sink(data)
            self.wanted.progress.count(data)

        return write


class ExtractMaker:
    """The maker of extracts."""

    def __init__(
        self, log: Log, pipeline: Pipeline, register: Register, manifests: KeptManifests, metrics: SiteMetrics
    ) -> None:
        self._log = log
        self._pipeline = pipeline
        self._register = register
        self._manifests = manifests
        self._metrics = metrics
        self.turns = Turns()
        self._stopping = threading.Event()

    def make(self, wanted: SiteExtract) -> None:
        """Make an extract when its turn comes, and finish it with the result or an error."""
        outcome: FinishedExtract | MatterlogError = ExtractFailed("The extract failed. No file was left. Try again.")
        try:
            check, account_id = partial(self._check, wanted), wanted.account.account_id
            with self.turns.turn(account_id, self._work(wanted), check), self._metrics.export(wanted.request.format):
                outcome = self._made(wanted)
        except MatterlogError as error:
            outcome = error
        except OSError as error:
            logger.error("an extract cannot be written beside the database (%s)", error.strerror)  # noqa: TRY400 - says it
            outcome = ExtractFailed(f"The server cannot write the extract ({error.strerror}). No file was left.")
        except Exception as error:  # noqa: BLE001 - the thread ends; the waiting request gets the outcome
            logger.error("an extract failed: %s", type(error).__name__)  # noqa: TRY400 - its text may hold personal data
        finally:
            if not wanted.finish(outcome) and isinstance(outcome, FinishedExtract):
                self._register.withdraw(outcome.entry.extract_id)

    def stop(self) -> None:
        """Refuse the extracts that wait for their turn. The one that is being made goes on."""
        self._stopping.set()

    def _check(self, wanted: SiteExtract) -> None:
        wanted.check()
        if self._stopping.is_set():
            raise SiteBusy("The site is shutting down. Try again when it is back.")

    def _work(self, wanted: SiteExtract) -> int:
        """Return how much work an extract is, in rows of CSV."""
        counted = ExtractRequest(format=CSV.name, filter=wanted.request.filter)
        with self._log.reader() as connection:
            rows = count_rows(connection, counted)
        return rows if FORMATS[wanted.request.format].rows_are_lines else _LINES_A_ROW * rows

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
            return KnownEnds(not_known_because=state.broker_problem or "Kafka was not asked")
        return KnownEnds(asked_at=state.ends_asked_at, ends=state.ends)
