"""Checks an extract against its manifest; both are files, no database is asked."""

import csv
import hashlib
import io
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, BinaryIO, Final

from matterlog.report.errors import BadManifest
from matterlog.report.extracts.requests import ExtractFormat
from matterlog.report.handover.manifest import Manifest, read_manifest

_CHUNK_BYTES: Final = 1024 * 1024
# DuckDB gives each object of an array a line of its own, and text in JSON holds no plain line break.
_OBJECT_OF_ARRAY: Final = b"\t{"
_ROW_OF_SHEET: Final = b"<row "


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
    for chunk in _chunks(file):
        digest.update(chunk)
        size += len(chunk)
    if size != told.bytes:
        yield f"the file has {size:,} bytes, the manifest says {told.bytes:,}"
    if digest.hexdigest() != told.sha256:
        yield f"the file's SHA-256 is {digest.hexdigest()}, the manifest says {told.sha256}"
    file.seek(0)
    try:
        rows = _ROWS[told.format](file)
    except (ValueError, csv.Error, zipfile.BadZipFile, KeyError) as error:
        yield f"the file cannot be read as {told.format} ({type(error).__name__})"
    else:
        if rows != told.rows:
            yield f"the file has {rows:,} rows, the manifest says {told.rows:,}"


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK_BYTES):
        yield chunk


def _csv_rows(file: BinaryIO) -> int:
    """Count records, which are not lines: a name may hold a line break."""
    with io.TextIOWrapper(file, encoding="utf-8", newline="") as text:
        return sum(1 for _ in csv.reader(text, strict=True)) - 1


def _json_rows(file: BinaryIO) -> int:
    return sum(1 for line in file if line.startswith(_OBJECT_OF_ARRAY))


def _ndjson_rows(file: BinaryIO) -> int:
    return sum(1 for line in file if line.startswith(b"{"))


def _parquet_rows(file: BinaryIO) -> int:
    import pyarrow.parquet  # noqa: PLC0415 - for this one format a large library

    return int(pyarrow.parquet.ParquetFile(file).metadata.num_rows)


def _xlsx_rows(file: BinaryIO) -> int:
    """Count rows with cells; a table of nothing has none below its header."""
    found = 0
    with zipfile.ZipFile(file).open("xl/worksheets/sheet1.xml") as sheet:
        rest = b""
        for chunk in _chunks(sheet):
            text = rest + chunk
            found += text.count(_ROW_OF_SHEET)
            rest = text[-len(_ROW_OF_SHEET) + 1 :]
    return found - 1


_ROWS: Final[dict[ExtractFormat, Callable[[BinaryIO], int]]] = {
    ExtractFormat.CSV: _csv_rows,
    ExtractFormat.JSON: _json_rows,
    ExtractFormat.NDJSON: _ndjson_rows,
    ExtractFormat.PARQUET: _parquet_rows,
    ExtractFormat.XLSX: _xlsx_rows,
}
