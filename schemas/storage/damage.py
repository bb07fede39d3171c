"""Which errors say that a file's bytes are not the ones that DuckDB wrote.

DuckDB compares a block with its checksum when it reads the block, not when it opens the file. A block that the disk
cannot read, or that the file no longer reaches, is as lost as one with another bit. A write that fails is no damage: it
is tried again. Nor is a lack of memory.
"""

from collections.abc import Iterator
from typing import Final

# DuckDB 1.5 and 2.0 say so; after an error that ended its instance, as part of another text.
_DAMAGED: Final = ("Corrupt database file", "Failed to load metadata", "Could not read enough bytes from file")
# Of an encrypted Parquet file; and what a lake's files are called.
_OTHER_BYTES: Final = "Computed AES tag differs"
_PARQUET: Final = ".parquet"
_UNREADABLE: Final = ("Could not read from file", "Input/output error")


def names_damage(error: BaseException) -> bool:
    """Whether an error, or one that it came from, says that other bytes were read than were written."""
    return any(_says_so(str(each)) for each in _origins(error))


def _says_so(text: str) -> bool:
    return any(words in text for words in _DAMAGED) or all(words in text for words in _UNREADABLE)


def _origins(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def in_words(error: BaseException) -> str:
    """Name an error of DuckDB for people; its own text may quote what a row holds."""
    text, damaged = str(error), names_damage(error)
    if _OTHER_BYTES in text or (damaged and _PARQUET in text):
        return "a file of the lake is damaged"
    return "a block of the database is damaged" if damaged else type(error).__name__
