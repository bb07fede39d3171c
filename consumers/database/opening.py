"""Opens the database file for its owner: checks it, creates it if missing, and sets a torn write-ahead log aside.

1. The caller holds the lock file (``schemas.storage.database_files``). Only DuckDB opens the database file.
2. The storage version is set when the file is created and checked whenever it is opened: with an older version, a stale
   write-ahead log is replayed twice. It is not set when an existing file is opened, because DuckDB would then report
   the version it was given, not the file's.
3. A write-ahead log that DuckDB refuses is moved aside once. Its content is read from Kafka again, because the
   positions are in the same file as the rows.
4. A new file is created under another name, with its tables, and then renamed: half a file would always be refused.
   After that, no statement changes a table's shape: a file of an older schema version is refused here and upgraded as
   a copy (``recovery.upgrade``).
5. DuckDB looks at a block when it reads it. Once a damaged one was met, all of the file is read before its use.
"""

import logging
import shutil
import time
from pathlib import Path
from typing import Final

import duckdb

from matterlog.consumers.errors import DatabaseDamaged, DatabaseOlder, DatabaseUnusable
from matterlog.schemas.storage.damage import names_damage
from matterlog.schemas.storage.database_files import DatabaseFiles
from matterlog.schemas.storage.durable import sync
from matterlog.schemas.storage.statements import load_statements, quoted
from matterlog.schemas.storage.table_versions import LOG_TABLES, UPGRADED_BY

logger = logging.getLogger(__name__)

SQL: Final = load_statements(__package__, "erase.sql")
STORAGE_VERSION: Final = "v1.5.0"
# DuckDB's default of 16 MB costs half the speed of small batches. Rows that wait for a checkpoint are in memory, not
# compressed. The commit that reaches the threshold waits for the checkpoint: a fifth of a second at this value.
CHECKPOINT_THRESHOLD: Final = "64MB"
# A batch of more rows than a row group is compressed once and written directly into the file. A smaller one is written
# to the write-ahead log first. DuckDB's default of 122,880 would need batches of that size, and memory for them.
ROW_GROUP_ROWS: Final = 30_720
# The writer's work is hard to share: a second thread takes half as much processor time again and gains nothing.
WRITER_THREADS: Final = 1
# How DuckDB 1.5 and 2.0 refuse a write-ahead log: torn or of another file, or of another state of this file. The
# exception classes differ.
_WAL_REFUSED: Final = ("Failure while replaying WAL file", "This WAL was created for this database file, but")

# DuckDB's exceptions when it opens a file whose bytes are not the ones that it wrote.
_DAMAGED: Final = (duckdb.InternalException, duckdb.SerializationException, duckdb.FatalException)


def open_database(paths: DatabaseFiles, *, doubted: bool = False) -> duckdb.DuckDBPyConnection:
    """Open the database for writing, as catalogue ``log``, with settings that apply to readers too.

    Args:
        paths: the database's files, which the caller owns.
        doubted: read all of it; done too if a process that is gone met a damaged block.

    Raises:
        DatabaseUnusable: the file cannot be opened, has another storage or schema version, or is not a matterlog file.
        DatabaseOlder: the file has an older schema version. All committed data is in the file itself.
        DatabaseDamaged: its bytes are not the ones that were written.
    """
    shutil.rmtree(paths.spill, ignore_errors=True)  # files spilled by a killed process hold personal data
    connection = connect(paths.spill, paths.memory_limit)
    try:
        if not paths.database.exists():
            make_database(connection, paths.database)
        _attach(connection, paths)
        use_log(connection)
        connection.execute(f"SET checkpoint_threshold = '{CHECKPOINT_THRESHOLD}'")
        connection.execute("SET write_buffer_row_group_count = 1")  # a full row group need not wait in memory
        _check_storage_version(connection, paths)
        _check_tables(connection, paths)
        if doubted or paths.damaged.exists():
            read_whole(connection, "log")
            paths.damaged.unlink(missing_ok=True)
    except (duckdb.Error, OSError) as error:
        connection.close()
        raise unusable(paths, error) from error
    except BaseException:
        connection.close()
        raise
    return connection


def read_whole(connection: duckdb.DuckDBPyConnection, database: str) -> None:
    """Read every row of every table; raises DuckDB's error about a block that is damaged."""
    for (table,) in connection.execute(SQL["tables"], {"database": database}).fetchall():
        connection.execute(SQL["fingerprint"].format(database=database, table=table)).fetchall()


def use_log(connection: duckdb.DuckDBPyConnection) -> None:
    """Set the catalogue ``log`` and UTC for one of the owner's connections. Every cursor needs both."""
    connection.execute("USE log")
    connection.execute("SET TimeZone = 'UTC'")


def use_threads(connection: duckdb.DuckDBPyConnection, threads: int) -> int:
    """Set the number of threads of the whole instance and return the previous number."""
    ((before,),) = connection.execute("SELECT current_setting('threads')").fetchall()
    connection.execute(f"SET threads = {threads}")
    return int(before)


def connect(spill: Path, memory_limit: str) -> duckdb.DuckDBPyConnection:
    """Start DuckDB without a database file. It downloads nothing and spills into this folder.

    Raises:
        DatabaseUnusable: the memory limit is not valid.
    """
    settings: dict[str, str | bool | int | float | list[str]] = {
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "temp_directory": str(spill),
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
        if not any(refused in str(error) for refused in _WAL_REFUSED):
            raise
        _quarantine(paths.wal)
        _attach_once(connection, paths.database)


def _attach_once(connection: duckdb.DuckDBPyConnection, database: Path) -> None:
    connection.execute(f"ATTACH {quoted(database)} AS log (ROW_GROUP_SIZE {ROW_GROUP_ROWS})")


def _quarantine(wal: Path) -> None:
    aside = wal.with_name(f"{wal.name}.quarantined-{time.time_ns()}")
    wal.rename(aside)
    logger.error("DuckDB refused the write-ahead log (moved to %s). Its rows are read from Kafka again", aside.name)


def unusable(paths: DatabaseFiles, error: Exception) -> DatabaseUnusable:
    """Return why a database, which is closed again, cannot be used."""
    if _is_damaged(paths, error):
        return DatabaseDamaged(
            f"{paths.database} is damaged ({type(error).__name__}): its bytes are not the ones that were written. "
            "matterlog consume and serve recover it from a backup and the topics where these hold all of it"
        )
    return DatabaseUnusable(
        f"{paths.database} cannot be opened ({type(error).__name__}): is it a DuckDB file, is the disk full, may this "
        "user write there? To rebuild the log from Kafka in a new file, move this one aside"
    )


def _is_damaged(paths: DatabaseFiles, error: Exception) -> bool:
    """Whether the file is DuckDB's, by its first block, and something behind that is broken."""
    if not isinstance(error, _DAMAGED) and not names_damage(error):
        return False
    try:
        with paths.database.open("rb") as file:
            return file.read(12)[8:] == b"DUCK"
    except OSError:
        return False


def _check_storage_version(connection: duckdb.DuckDBPyConnection, paths: DatabaseFiles) -> None:
    found = connection.execute("SELECT tags['storage_version'] FROM duckdb_databases() WHERE database_name = 'log'")
    (version,) = found.fetchall()[0]
    if not str(version).startswith(STORAGE_VERSION):
        raise DatabaseUnusable(
            f"{paths.database} has storage version {version}, not {STORAGE_VERSION}: copy it into a new file with "
            f"ATTACH ... (STORAGE_VERSION '{STORAGE_VERSION}') and COPY FROM DATABASE"
        )


def _check_tables(connection: duckdb.DuckDBPyConnection, paths: DatabaseFiles) -> None:
    try:
        (version,) = connection.execute("SELECT version FROM schema_version").fetchall()[0]
    except duckdb.CatalogException as error:
        raise DatabaseUnusable(f"{paths.database} is not a matterlog database: choose another file") from error
    refusal = f"{paths.database} {LOG_TABLES.refusal(version, UPGRADED_BY)}"
    if version < LOG_TABLES.version:
        connection.execute("CHECKPOINT log")  # closing does so too, but hides a failure
        raise DatabaseOlder(refusal, version)
    if version > LOG_TABLES.version:
        raise DatabaseUnusable(refusal)


def make_database(connection: duckdb.DuckDBPyConnection, database: Path) -> None:
    """Create an empty database file: complete, or not at all. The commit writes the file and no write-ahead log."""
    making = database.with_name(f"{database.name}.new")
    making.unlink(missing_ok=True)
    options = f"STORAGE_VERSION '{STORAGE_VERSION}', ROW_GROUP_SIZE {ROW_GROUP_ROWS}"
    connection.execute(f"SET checkpoint_threshold = '1B'; ATTACH {quoted(making)} AS new ({options})")
    connection.execute(f"USE new; BEGIN; {LOG_TABLES.script()} COMMIT; USE memory; DETACH new")
    making.rename(database)
    sync(database.parent)
