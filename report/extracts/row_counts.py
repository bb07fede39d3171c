"""How many rows a file has, by its format: counted in the file, without DuckDB."""

import csv
import io
import zipfile
from typing import BinaryIO, Final

_CHUNK_BYTES: Final = 1024 * 1024
# DuckDB gives each object of an array a line of its own, and text in JSON holds no plain line break.
_OBJECT_OF_ARRAY: Final = b"\t{"
_ROW_OF_SHEET: Final = b"<row "
# What a file that was cut or changed is told by.
UNREADABLE: Final = (ValueError, csv.Error, zipfile.BadZipFile, KeyError)


def count_csv_rows(file: BinaryIO) -> int:
    """Count records, which are not lines: a name may hold a line break."""
    with io.TextIOWrapper(file, encoding="utf-8", newline="") as text:
        return sum(1 for _ in csv.reader(text, strict=True)) - 1


def count_json_rows(file: BinaryIO) -> int:
    """Count the objects of an array."""
    return sum(1 for line in file if line.startswith(_OBJECT_OF_ARRAY))


def count_ndjson_rows(file: BinaryIO) -> int:
    """Count lines that hold an object."""
    return sum(1 for line in file if line.startswith(b"{"))


def count_parquet_rows(file: BinaryIO) -> int:
    """Return what the file says of itself."""
    import pyarrow.parquet  # noqa: PLC0415 - for this one format a large library

    return int(pyarrow.parquet.ParquetFile(file).metadata.num_rows)


def count_xlsx_rows(file: BinaryIO) -> int:
    """Count rows with cells; a table of nothing has none below its header."""
    found = 0
    with zipfile.ZipFile(file).open("xl/worksheets/sheet1.xml") as sheet:
        rest = b""
        while chunk := sheet.read(_CHUNK_BYTES):
            text = rest + chunk
            found += text.count(_ROW_OF_SHEET)
            rest = text[-len(_ROW_OF_SHEET) + 1 :]
    return found - 1
