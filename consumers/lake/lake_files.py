"""The files that a lake's catalogue names, compared with what the storage has of them.

A file that is missing or has another size is found. Other bytes of the same number are found only in a file that is
encrypted, and when it is read: DuckDB writes no checksums into Parquet files.
"""

from typing import Final

import duckdb

from matterlog.schemas.storage.statements import load_statements, quoted

SQL: Final = load_statements(__package__, "lake_files.sql")


def changed_files(connection: duckdb.DuckDBPyConnection, data: str) -> list[str]:
    """Return the files that the storage does not have as the catalogue names them, each in words.

    Args:
        connection: a connection to the lake, outside of a transaction.
        data: where the lake's files are.
    """
    named, sizes = _named(connection), dict[str, int]()
    # DuckDB's error about a pattern that nothing fits is that of a storage that is away.
    if any_object(connection, data) is not None:
        sizes |= connection.execute(SQL["sizes"].format(place=_below(data))).fetchall()
    suspects = {path: size for path, size in named.items() if sizes.get(path) != size}
    # An erasure may have removed files meanwhile, which the catalogue no longer names.
    still_named = _named(connection) if suspects else {}
    return [_in_words(path, sizes.get(path), suspects[path]) for path in sorted(suspects.keys() & still_named.keys())]


def any_object(connection: duckdb.DuckDBPyConnection, data: str) -> str | None:
    """Return an object of the storage; None where there is none yet."""
    found = connection.execute(SQL["object"].format(place=_below(data))).fetchall()
    return str(found[0][0]) if found else None


def _below(data: str) -> str:
    return quoted(f"{data.rstrip('/')}/**")


def _named(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """Return every file of the last snapshot with its size, those that say which rows were removed too."""
    tables = connection.execute(SQL["tables"]).fetchall()
    return {
        path: size
        for (table,) in tables
        for path, size in connection.execute(SQL["named"].format(table=quoted(table))).fetchall()
    }


def _in_words(path: str, found: int | None, written: int) -> str:
    if found is None:
        return f"{path} is missing"
    return f"{path} has {found:,} bytes, {written:,} were written"
