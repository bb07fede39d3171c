"""A progress bar for extracts that take longer than two seconds: rows written, rows in all, time left."""

import threading
from dataclasses import dataclass, field
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from matterlog.app.files.exporting import LogExtracts
from matterlog.app.owner.questions import CountQuestion
from matterlog.report.extracts.copying import Sink
from matterlog.report.extracts.extracts import Extract
from matterlog.report.extracts.formats import FORMATS
from matterlog.report.extracts.requests import ExtractRequest
from matterlog.report.handover.register import RegisterEntry

SHOWN_AFTER_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class ShownExtracts(LogExtracts):
    """A log that shows a progress bar for each extract that takes longer than ``after_seconds``."""

    console: Console = field(default_factory=lambda: Console(stderr=True))
    after_seconds: float = SHOWN_AFTER_SECONDS

    def extract(self, request: ExtractRequest, sink: Sink, begun: RegisterEntry | None = None) -> Extract:
        """Write an extract's bytes into a sink, and show how far it is."""
        columns = (TextColumn("rows"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        bar = Progress(*columns, console=self.console, transient=True)
        task = bar.add_task("rows", total=self.log.ask(CountQuestion(request=request)))
        later = threading.Timer(self.after_seconds, bar.start)
        later.daemon = True
        later.start()
        try:
            has_lines = FORMATS[request.format].rows_are_lines
            return LogExtracts.extract(self, request, _counting(sink, bar, task) if has_lines else sink, begun)
        finally:
            later.cancel()
            later.join()  # a bar that is just starting must have started before it is stopped
            bar.stop()


def _counting(sink: Sink, bar: Progress, task: TaskID) -> Sink:
    """Return a sink that advances the bar by lines. A name with a line break counts twice, close enough for a bar."""

    def write(data: bytes) -> None:
        sink(data)
        bar.advance(task, data.count(b"\n"))

    return write
