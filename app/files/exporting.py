"""Export of an extract or an engagement table, to a file with its manifest or to standard output."""

import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from matterlog.app.owner.access import LogAccess
from matterlog.app.owner.questions import CompleteQuestion, EngagementQuestion, ExtractQuestion, FinishQuestion
from matterlog.app.owner.users import user_of_this_process
from matterlog.report.engagement.engagement_files import EngagementFileRequest, write_engagement
from matterlog.report.errors import ExtractFailed
from matterlog.report.extracts.copying import Sink, pour
from matterlog.report.extracts.extracts import Extract
from matterlog.report.extracts.requests import ExtractRequest
from matterlog.report.extracts.whole_file import whole_file, whole_files
from matterlog.report.handover.handing_out import ExtractSource, Recipient, hand_out
from matterlog.report.handover.manifest import KnownEnds, bytes_of, manifest_of, manifest_path
from matterlog.report.handover.register import Channel, RegisterEntry
from matterlog.report.handover.series import Series
from matterlog.schemas.storage.scratch_folders import writable_folder

STANDARD_OUTPUT: Final = "-"

# Returns the topics' ends once the rows are written.
Ends = Callable[[], KnownEnds]
Wanted = TypeVar("Wanted", ExtractRequest, EngagementFileRequest)


@dataclass(frozen=True, slots=True)
class _RegisteringLog:
    """A log that registers the files it hands out."""

    log: LogAccess

    def finish(self, entry: RegisterEntry, checked_arrival: int | None) -> tuple[str, ...]:
        """Record a file before it appears, unless matters that it rests on were purged since: then return those."""
        return self.log.ask(FinishQuestion(entry=entry, checked_arrival=checked_arrival))

    def complete(self, entry: RegisterEntry) -> None:
        """Record that a file which was begun is whole."""
        self.log.ask(CompleteQuestion(entry=entry))


@dataclass(frozen=True, slots=True)
class LogExtracts(_RegisteringLog):
    """A log that hands out extracts."""

    def extract(self, request: ExtractRequest, sink: Sink, begun: RegisterEntry | None = None) -> Extract:
        """Write an extract's bytes into a sink."""
        return self.log.ask(
            ExtractQuestion(request=request, begun=begun, wants_purges=True, wants_extract_id=True), sink
        )


@dataclass(frozen=True, slots=True)
class EngagementTables(_RegisteringLog):
    """A log that hands out engagement tables; ``folder`` is ``write_table``'s."""

    folder: Path

    def extract(self, request: EngagementFileRequest, sink: Sink, begun: RegisterEntry | None = None) -> Extract:
        """Write a table's bytes into a sink."""
        question = EngagementQuestion(request=request.engagement, begun=begun)
        return write_engagement(self.log.ask(question), request, sink, self.folder)


def export_to_file(
    path: Path, log: ExtractSource[Wanted], request: Wanted, ends: Ends, manifest: Path | None
) -> Extract:
    """Write an extract and its manifest. The manifest appears last, so its extract always exists.

    Raises:
        ExtractFailed, RegisterFailed: no file was left behind.
    """
    with whole_files(path, manifest or manifest_path(path)) as (file, beside):
        extract, entry = hand_out(log, request, _recipient(str(path.absolute())), file)
        beside.write(bytes_of(manifest_of(extract, entry, request, ends())))
    return extract


def export_to(
    sink: Sink, log: ExtractSource[Wanted], request: Wanted, ends: Ends, manifest: Path | None, *, folder: Path
) -> Extract:
    """Write an extract into a sink, and a manifest where one is asked for.

    Everything goes into a file without a name first: what has left cannot be taken back when a matter in it turns out
    to be purged meanwhile. It lies in ``folder``, or among temporary files if this user may not write there.

    Raises:
        ExtractFailed, RegisterFailed: the sink got nothing.
    """
    with ExitStack() as stack:
        scratch = writable_folder(folder)
        try:
            file = stack.enter_context(tempfile.TemporaryFile(dir=scratch))
            extract, entry = hand_out(log, request, _recipient(STANDARD_OUTPUT), file)
        except OSError as error:
            raise ExtractFailed(
                f"the extract is gathered in {scratch} before it leaves, and that cannot be written to "
                f"({error.strerror}): nothing went to standard output"
            ) from error
        if manifest is not None:
            beside = stack.enter_context(whole_file(manifest))
            beside.write(bytes_of(manifest_of(extract, entry, request, ends())))
        pour(file, sink)
    return extract


def _recipient(name: str) -> Recipient:
    return Recipient(made_by=user_of_this_process(), how=Channel.EXPORT, name=name)


def export_part(series: Series, log: ExtractSource[ExtractRequest], request: ExtractRequest, ends: Ends) -> str:
    """Write the next part of a series; return a sentence about it.

    Raises:
        BadSeries, ExtractFailed, InvalidFilter, RegisterFailed: nothing was added.
    """
    part = series.write_part(log, request, user_of_this_process(), ends)
    manifest, place = part.manifest, part.place
    since = "" if place.kind == "full" else f" that arrived since part {place.part - 1}"
    purged = f", {len(manifest.purges):,} matters purged since" if manifest.purges else ""
    return f"part {place.part} of {series.name}, {place.kind}: {manifest.rows:,} rows{since}{purged}, to {part.path}"
