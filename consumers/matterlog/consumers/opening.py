"""Opening the database file for its owner: checked, made where missing, recovered where its log is torn.

1. The caller holds the lock file (``schemas.database_files``); nothing here opens the database file but DuckDB.
2. The storage version is given always: under an older one a stale write-ahead log is replayed twice.
3. A write-ahead log that DuckDB refuses is moved aside once; what it held is read from Kafka again, because the
   positions are in the same file as the rows.
4. Tables are made here and nowhere else; after that no statement changes a table's shape.
"""

import logging
import shutil
import time
from importlib.resources import files
from pathlib import Path
from typing import Final

import duckdb

from matterlog.schemas.database_files import DatabaseFiles

from .errors import DatabaseUnusable

logger = logging.getLogger(__name__)

STORAGE_VERSION: Final = "v1.5.0"
SCHEMA_VERSION: Final = 1
# DuckDB's default of 16 MB costs half the speed of insertion; a restart replays a quarter of a gigabyte in seconds.
CHECKPOINT_THRESHOLD: Final = "256MB"
# How DuckDB 1.5 and 2.0 begin the message about a log that they refuse; the exceptions' classes differ.
_WAL_REFUSED: Final = "Failure while replaying WAL file"


def open_database(paths: DatabaseFiles, memory_limit: str) -> duckdb.DuckDBPyConnection:
    """Open the database for writing, as catalogue ``log``, with session settings that hold for readers too.

    Args:
        paths: the database's files; the caller owns them.
        memory_limit: DuckDB's own, such as ``2GB``.

    Raises:
        DatabaseUnusable: the file cannot be opened, is of another storage or schema version, or is not ours.
    """
    shutil.rmtree(paths.spill, ignore_errors=True)  # what a killed process spilled is personal data
    connection = _connect(paths, memory_limit)
    try:
        _attach(connection, paths)
        use_log(connection)
        connection.execute(f"SET checkpoint_threshold = '{CHECKPOINT_THRESHOLD}'")
        _check_storage_version(connection, paths)
        _make_or_check_tables(connection, paths)
    except BaseException:
        connection.close()
        raise
    return connection


def use_log(connection: duckdb.DuckDBPyConnection) -> None:
    """Give a connection of the owner's its catalogue and UTC; every cursor needs both."""
    connection.execute("USE log")
    connection.execute("SET TimeZone = 'UTC'")


def _connect(paths: DatabaseFiles, memory_limit: str) -> duckdb.DuckDBPyConnection:
    settings: dict[str, str | bool | int | float | list[str]] = {
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "temp_directory": str(paths.spill),
        "memory_limit": memory_limit,
    }
    try:
        return duckdb.connect(":memory:", config=settings)
    except duckdb.Error as error:
        raise DatabaseUnusable(f"DuckDB refuses the memory limit {memory_limit!r}: give it as 2GB or 500MB") from error


def _attach(connection: duckdb.DuckDBPyConnection, paths: DatabaseFiles) -> None:
    try:
        _attach_once(connection, paths.database)
    except duckdb.Error as error:
        if _WAL_REFUSED not in str(error):
            raise _unusable(paths, error) from error
        _quarantine(paths.wal)
        try:
            _attach_once(connection, paths.database)
        except duckdb.Error as second:
            raise _unusable(paths, second) from second


def _attach_once(connection: duckdb.DuckDBPyConnection, database: Path) -> None:
    quoted = str(database).replace("'", "''")
    connection.execute(f"ATTACH '{quoted}' AS log (STORAGE_VERSION '{STORAGE_VERSION}')")


def _quarantine(wal: Path) -> None:
    aside = wal.with_name(f"{wal.name}.quarantined-{time.time_ns()}")
    wal.rename(aside)
    logger.error("the write-ahead log is torn: moved to %s; what it held is read from Kafka again", aside.name)


def _unusable(paths: DatabaseFiles, error: duckdb.Error) -> DatabaseUnusable:
    return DatabaseUnusable(
        f"{paths.database} cannot be opened ({type(error).__name__}): is it a DuckDB file, is the disk full, may this "
        "user write there? Move it aside to start a new one; Kafka fills it again"
    )


def _check_storage_version(connection: duckdb.DuckDBPyConnection, paths: DatabaseFiles) -> None:
    found = connection.execute("SELECT tags['storage_version'] FROM duckdb_databases() WHERE database_name = 'log'")
    (version,) = found.fetchall()[0]
    if not str(version).startswith(STORAGE_VERSION):
        raise DatabaseUnusable(
            f"{paths.database} has storage version {version}, not {STORAGE_VERSION}: copy it into a new file with "
            f"ATTACH ... (STORAGE_VERSION '{STORAGE_VERSION}') and COPY FROM DATABASE"
        )


def _make_or_check_tables(connection: duckdb.DuckDBPyConnection, paths: DatabaseFiles) -> None:
    query = "SELECT table_name FROM duckdb_tables() WHERE database_name = 'log'"
    tables = {name for (name,) in connection.execute(query).fetchall()}
    if not tables:
        _make_tables(connection)
        return
    if "schema_version" not in tables:
        raise DatabaseUnusable(f"{paths.database} is a database of something else: choose another file")
    (version,) = connection.execute("SELECT version FROM schema_version").fetchall()[0]
    if version != SCHEMA_VERSION:
        raise DatabaseUnusable(
            f"{paths.database} has schema version {version}, this matterlog reads {SCHEMA_VERSION}: use the matterlog "
            "that made it, or a newer one"
        )


def _make_tables(connection: duckdb.DuckDBPyConnection) -> None:
    script = files("matterlog.schemas").joinpath("tables.sql").read_text(encoding="utf-8")
    connection.execute(f"BEGIN; {script} COMMIT;")
    connection.execute("CHECKPOINT")
