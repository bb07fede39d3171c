"""Checks an extract against its manifest; both are files, no database is asked."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from matterlog.report.errors import BadManifest
from matterlog.report.extracts.formats import FORMATS
from matterlog.report.extracts.row_counts import UNREADABLE
from matterlog.report.handover.manifest import Manifest, read_manifest

_CHUNK_BYTES: Final = 1024 * 1024


def verify_extract(extract: Path, manifest: Path) -> tuple[str, ...]:
    """Return what differs between an extract and what its manifest says, in words; nothing: they agree.

    Raises:
        BadManifest: one of the two cannot be read.
    """
    told = read_manifest(manifest)
    try:
        with extract.open("rb") as file:
            return tuple(_differences(file, told))
    except OSError as error:
        raise BadManifest(f"{extract} cannot be read ({error.strerror})") from error


def _differences(file: BinaryIO, told: Manifest) -> Iterator[str]:
    digest = hashlib.sha256()
    size = 0
    while chunk := file.read(_CHUNK_BYTES):
        digest.update(chunk)
        size += len(chunk)
    if size != told.bytes:
        yield f"the file has {size:,} bytes, the manifest says {told.bytes:,}"
    if digest.hexdigest() != told.sha256:
        yield f"the file's SHA-256 is {digest.hexdigest()}, the manifest says {told.sha256}"
    file.seek(0)
    try:
        rows = FORMATS[told.format].count_rows(file)
    except UNREADABLE as error:
        yield f"the file cannot be read as {told.format} ({type(error).__name__})"
    else:
        if rows != told.rows:
            yield f"the file has {rows:,} rows, the manifest says {told.rows:,}"
