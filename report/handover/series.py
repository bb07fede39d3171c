"""Series of extracts: first everything, then only new rows, each part with the hash of the previous manifest.

A *series* is the files ``NAME.0001.csv``, ``NAME.0002.csv`` ... in one folder, with their manifests. There is no other
state. To combine the parts: a ``full`` part replaces all rows; a ``delta`` part first removes the rows of the matters
in its ``purges``, then adds its own. The result equals a full extract of the last part's snapshot.

1. A part holds what arrived since the previous part, not what was viewed since. So no late event is missed.
2. Filter, columns, format and options always stay those of the first part.
3. Runs take turns. A part exists when its manifest exists; the next run replaces files that a crash left without one.
4. After the database was restored or rebuilt, it is another log. The next part is then a full one and says why.
"""

import fcntl
import hashlib
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from matterlog.report.errors import BadSeries, InvalidFilter
from matterlog.report.extracts.extracts import Extract
from matterlog.report.extracts.formats import FORMATS
from matterlog.report.extracts.requests import ExtractRequest
from matterlog.report.extracts.whole_file import whole_files
from matterlog.report.handover.handing_out import ExtractSource, Recipient, hand_out
from matterlog.report.handover.manifest import (
    MANIFEST_ENDING,
    FilterStatement,
    KnownEnds,
    Manifest,
    Options,
    SeriesPart,
    bytes_of,
    manifest_of,
    manifest_path,
    read_manifest,
)
from matterlog.report.handover.register import Channel

# Short enough for the temporary name of a file that is being written.
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,30}")
_FIRST: Final = "it is the first part of the series"
_OTHER_LOG: Final = "the database is not the one of the previous part: it was restored or rebuilt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part of a series: its file, its manifest, and the hash of the manifest's bytes."""

    path: Path
    manifest: Manifest
    manifest_sha256: str

    @property
    def place(self) -> SeriesPart:
        if self.manifest.series is None:
            raise BadSeries(f"{manifest_path(self.path)} is not the manifest of a part of a series")
        return self.manifest.series


@dataclass(frozen=True, slots=True)
class Series:
    """A series of extracts, by its folder and its name.

    Raises:
        InvalidFilter: the name is not safe in a file name on every system.
    """

    folder: Path
    name: str

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise InvalidFilter(f"--series {self.name!r}: use 1 to 30 letters, digits, - and _")

    def parts(self) -> list[Part]:
        """Return the parts in order.

        Raises:
            BadSeries: a part is missing, or a manifest was changed after the next part was made.
            BadManifest: a manifest cannot be read.
        """
        parts = sorted(map(_part_of, self._manifests()), key=lambda part: part.place.part)
        before = None
        for number, part in enumerate(parts, 1):
            if part.place.part != number:
                raise BadSeries(f"part {number} of the series {self.name} is missing in {self.folder}: put it back")
            if part.place.previous_manifest_sha256 != before:
                raise BadSeries(
                    f"{part.path.name} does not follow from the manifest of part {number - 1}, which was changed or "
                    f"replaced: put the original manifest back, or begin a new series"
                )
            before = part.manifest_sha256
        return parts

    def write_part(
        self,
        source: ExtractSource[ExtractRequest],
        request: ExtractRequest,
        made_by: str,
        ends: Callable[[], KnownEnds],
    ) -> Part:
        """Write the next part: everything, or what arrived since the last part.

        Args:
            source: the log.
            request: the rows, columns and format; the same for each part.
            made_by: who asks for it.
            ends: returns the ends of the topics, once the rows are written.

        Raises:
            BadSeries: as for ``parts``; or another run is writing the series.
            InvalidFilter: the series was begun with another request.
            ExtractFailed, RegisterFailed: nothing was added.
        """
        with self._alone():
            parts = self.parts()
            last = parts[-1] if parts else None
            if last is not None:
                self._require_same(last.manifest, request)
                known = {"arrived_after": last.manifest.last_arrival, "of_log": last.manifest.log_id}
                request = request.model_copy(update=known)
            path = self.folder / f"{self.name}.{len(parts) + 1:04}.{FORMATS[request.format].ending}"
            recipient = Recipient(made_by=made_by, how=Channel.SERIES, name=str(path.absolute()))
            with whole_files(path, manifest_path(path)) as (file, beside):
                extract, entry = hand_out(source, request, recipient, file)
                place = self._place(len(parts) + 1, extract, last)
                beside.write(bytes_of(manifest_of(extract, entry, request, ends(), place)))
            return _part_of(manifest_path(path))

    def _place(self, number: int, extract: Extract, last: Part | None) -> SeriesPart:
        is_full = extract.arrived_after is None
        return SeriesPart(
            name=self.name,
            part=number,
            kind="full" if is_full else "delta",
            arrived_after=extract.arrived_after,
            previous_manifest_sha256=None if last is None else last.manifest_sha256,
            begins_because=(_FIRST if last is None else _OTHER_LOG) if is_full else None,
        )

    def _require_same(self, begun: Manifest, request: ExtractRequest) -> None:
        asked = {
            "format": (begun.format, request.format),
            "columns": (begun.columns, request.column_names),
            "filter": (begun.filter, FilterStatement(words=request.filter.words(), data=request.filter)),
            "options": (begun.options, Options(formula_safe=request.is_formula_safe, byte_order_mark=request.excel)),
        }
        changed = [name for name, (before, now) in asked.items() if before != now]
        if changed:
            raise InvalidFilter(
                f"the series {self.name} was begun with different {' and '.join(changed)}: "
                f"{begun.filter.words} as {begun.format}. Use the same options, or begin another series"
            )

    def _manifests(self) -> Iterator[Path]:
        numbered = re.compile(rf"{re.escape(self.name)}\.[0-9]{{4,}}\.[a-z0-9]+{re.escape(MANIFEST_ENDING)}")
        return (path for path in self.folder.glob(f"{self.name}.*") if numbered.fullmatch(path.name))

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Lock the series, in a new folder if need be, and remove the incomplete files of a run that was killed."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.folder / f".{self.name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise BadSeries(f"{self.folder} cannot be written to ({error.strerror}): name another folder") from error
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                text = f"another run is writing the series {self.name} in {self.folder}: wait until it has ended"
                raise BadSeries(text) from None
            for left in self.folder.glob(f".{self.name}.[0-9]*.partial"):
                left.unlink(missing_ok=True)
            yield
        finally:
            os.close(handle)


def _part_of(manifest: Path) -> Part:
    return Part(
        path=manifest.with_name(manifest.name.removesuffix(MANIFEST_ENDING)),
        manifest=read_manifest(manifest),
        manifest_sha256=hashlib.sha256(manifest.read_bytes()).hexdigest(),
    )
