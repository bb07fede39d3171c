"""An extract on its way out of this process: into a file with its manifest, or to standard output."""

import os
import pwd
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from matterlog.report.copying import Sink, pour
from matterlog.report.extracts import Extract, ExtractRequest
from matterlog.report.handing_out import Recipient, hand_out
from matterlog.report.manifest import bytes_of, manifest_of, manifest_path
from matterlog.report.register import HandedOut
from matterlog.report.whole_file import whole_file, whole_files

from .access import LogAccess
from .asked_ends import AskedEnds

STANDARD_OUTPUT: Final = "-"


def export_to_file(
    path: Path, log: LogAccess, request: ExtractRequest, ends: AskedEnds, manifest: Path | None
) -> Extract:
    """Write an extract and its manifest; the manifest gets its name last, so what it speaks of is there.

    Raises:
        ExtractFailed, RegisterFailed: nothing was left.
    """
    with whole_files(path, manifest or manifest_path(path)) as (file, beside):
        extract, entry = hand_out(log, request, recipient_of(HandedOut.EXPORT, str(path.absolute())), file)
        beside.write(bytes_of(manifest_of(extract, entry, request, ends.answer())))
    return extract


def export_to(sink: Sink, log: LogAccess, request: ExtractRequest, ends: AskedEnds, manifest: Path | None) -> Extract:
    """Write an extract into a sink, and a manifest where one is asked for.

    Everything goes into a file without a name first: what has left cannot be taken back when a matter in it turns out
    to be purged meanwhile.

    Raises:
        ExtractFailed, RegisterFailed: the sink has nothing.
    """
    with ExitStack() as stack:
        file = stack.enter_context(tempfile.TemporaryFile())
        extract, entry = hand_out(log, request, recipient_of(HandedOut.EXPORT, STANDARD_OUTPUT), file)
        if manifest is not None:
            beside = stack.enter_context(whole_file(manifest))
            beside.write(bytes_of(manifest_of(extract, entry, request, ends.answer())))
        pour(file, sink)
    return extract


def recipient_of(how: HandedOut, name: str) -> Recipient:
    """Say who runs this process, and what the file is called."""
    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container may run under a number that nobody has named
        user = str(os.getuid())
    return Recipient(made_by=user, how=how, name=name)
