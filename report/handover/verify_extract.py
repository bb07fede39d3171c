"""Verification of an extract against its manifest, from the two files alone."""

import hashlib
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path

from matterlog.report.errors import BadManifest
from matterlog.report.extracts.formats import FORMATS
from matterlog.report.handover.manifest import Manifest, read_manifest


def verify_extract(extract: Path, manifest: Path) -> tuple[str, ...]:
    """Return the differences between an extract and its manifest, in words; none if the extract is unchanged.

    Raises:
        BadManifest: one of the two files cannot be read.
    """
    said = read_manifest(manifest)
    try:
        with extract.open("rb") as file:
            return tuple(_differences(file, said))
    except OSError as error:
        raise BadManifest(f"{extract} cannot be read ({error.strerror})") from error


def _differences(file: BufferedReader, said: Manifest) -> Iterator[str]:
    digest = hashlib.file_digest(file, "sha256").hexdigest()
    size = file.tell()
    if size != said.bytes:
        yield f"the file has {size:,} bytes, the manifest says {said.bytes:,}"
    if digest != said.sha256:
        yield f"the file's SHA-256 is {digest}, the manifest says {said.sha256}"
    file.seek(0)
    try:
        rows = FORMATS[said.format].count_rows(file)
    except Exception as error:  # noqa: BLE001 - on broken bytes zipfile, zlib and pyarrow raise a dozen classes
        yield f"the file cannot be read as {said.format} ({type(error).__name__})"
    else:
        if rows != said.rows:
            yield f"the file has {rows:,} rows, the manifest says {said.rows:,}"
