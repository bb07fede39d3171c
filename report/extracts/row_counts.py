"""Counting the rows of a file by its format, without DuckDB."""

import csv
import io
import zipfile
from typing import BinaryIO, Final

_CHUNK_BYTES: Final = 1024 * 1024  # longer than any line of ours
_ROW_OF_SHEET: Final = b"<row "


def count_csv_rows(file: BinaryIO) -> int:
    """Count records. A record may have several lines, because a name may contain a line break."""
    with io.TextIOWrapper(file, encoding="utf-8", newline="") as text:
        return sum(1 for _ in csv.reader(iter(lambda: text.readline(_CHUNK_BYTES), ""), strict=True)) - 1


def count_objects(file: BinaryIO, *, begin: bytes) -> int:
    """Count the lines that hold an object; each begins with ``begin``."""
    return sum(1 for line in iter(lambda: file.readline(_CHUNK_BYTES), b"") if line.startswith(begin))


def count_parquet_rows(file: BinaryIO) -> int:
    """Return the number of rows in the file's metadata."""
    import pyarrow.parquet  # noqa: PLC0415 - a large library that only this format needs

    return int(pyarrow.parquet.ParquetFile(file).metadata.num_rows)


def count_xlsx_rows(file: BinaryIO) -> int:
    """Count rows with cells; the header is not counted."""
    found = 0
    with zipfile.ZipFile(file).open("xl/worksheets/sheet1.xml") as sheet:
        rest = b""
        while chunk := sheet.read(_CHUNK_BYTES):
            text = rest + chunk
            found += text.count(_ROW_OF_SHEET)
            rest = text[-len(_ROW_OF_SHEET) + 1 :]
    return found - 1
