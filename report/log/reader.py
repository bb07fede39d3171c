"""Read-only access to the log: its status, and a connection to the database file while no process owns it."""

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import duckdb

from matterlog.report.errors import NoDatabase
from matterlog.report.log.snapshot import SQL, one_snapshot
from matterlog.schemas.storage.damage import in_words, names_damage
from matterlog.schemas.storage.database_files import DatabaseFiles
from matterlog.schemas.storage.lake import Lake, LakeUnreachable, check_tables, close_lake
from matterlog.schemas.storage.statements import named_rows, quoted
from matterlog.schemas.storage.table_versions import LOG_TABLES, UPGRADED_BY

# The type of a connection, for modules that only pass it on and need not import DuckDB.
LogConnection = duckdb.DuckDBPyConnection


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionStatus:
    """The Kafka position of one partition; ``end_offset`` is the partition's end, None where Kafka was not asked."""

    topic: str
    partition: int
    next_offset: int
    end_offset: int | None = None

    @property
    def lag(self) -> int | None:
        """How many offsets the consumer has not read yet; None where the end is not known."""
        return None if self.end_offset is None else max(0, self.end_offset - self.next_offset)


def with_ends(positions: Iterable[PartitionStatus], ends: Mapping[tuple[str, int], int]) -> tuple[PartitionStatus, ...]:
    """Add the ends of the partitions to the Kafka positions, and add the partitions that were never read.

    Args:
        positions: the Kafka positions.
        ends: each partition's end, by topic and partition; empty where Kafka was not asked.
    """
    next_offsets = {(each.topic, each.partition): each.next_offset for each in positions}
    return tuple(
        PartitionStatus(
            topic=topic,
            partition=partition,
            next_offset=next_offsets.get((topic, partition), 0),
            end_offset=ends.get((topic, partition)),
        )
        for topic, partition in sorted(next_offsets.keys() | ends.keys())
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LogStatus:
    """What the log holds, with instants as the report writes them.

    ``tombstones`` wait to be sent, the first since ``oldest_tombstone_at``; ``tombstones_trouble`` says what is in
    their way, where the owner of the log was asked. ``removals`` wait for the database file to be rewritten, the first
    since ``oldest_removal_at``; ``erasure_trouble`` is the same for them. ``cut_partitions`` have to be read again, or
    are being read, since their topic was cut; ``database_only`` records are held here and by no topic. Every block of
    the file was last read at ``file_read_at``, and found to be undamaged. ``reading_trouble`` says what is not read
    from the topics for now, and why, where the owner of the log was asked.
    """

    rows: int
    matters: int
    deleted_matters: int
    dead_letters: int
    gaps: int
    recoveries: int
    newest_view_at: str | None
    positions: tuple[PartitionStatus, ...]
    tombstones: int = 0
    oldest_tombstone_at: str | None = None
    tombstones_trouble: str | None = None
    removals: int = 0
    oldest_removal_at: str | None = None
    erasure_trouble: str | None = None
    cut_partitions: int = 0
    database_only: int = 0
    file_read_at: str | None = None
    reading_trouble: str | None = None


def read_status(connection: duckdb.DuckDBPyConnection) -> LogStatus:
    """Read what the log holds, from one committed state."""
    with one_snapshot(connection):
        (values,) = named_rows(connection.execute(SQL["status"]))
        return LogStatus(**values, positions=read_positions(connection))


def read_positions(connection: duckdb.DuckDBPyConnection) -> tuple[PartitionStatus, ...]:
    """Read the Kafka position of each partition."""
    return tuple(PartitionStatus(**row) for row in named_rows(connection.execute(SQL["positions"])))


@contextmanager
def open_for_reading(paths: DatabaseFiles) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the database file read-only, while the context lasts.

    Raises:
        NoDatabase: there is no file, it has another schema version, or it cannot be read, now or while it is used.
        DatabaseInUse: a process owns the file; ask that process.
    """
    if not paths.database.exists():
        raise NoDatabase(f"there is no database at {paths.database}: run matterlog consume, or give --database")
    with ExitStack() as stack:
        stack.enter_context(paths.shared())
        try:
            paths.spill.mkdir(mode=0o700, exist_ok=True)
            # Of its own: two DuckDB processes that share a folder overwrite each other's files.
            spill = stack.enter_context(tempfile.TemporaryDirectory(prefix="reader-", dir=paths.spill))
        except OSError as error:
            raise NoDatabase(
                f"{paths.database} cannot be read: the folder for temporary files {paths.spill} cannot be used "
                f"({error.strerror})"
            ) from error
        connection = stack.enter_context(_connect(spill, paths.memory_limit))
        try:
            connection.execute(f"ATTACH {quoted(paths.database)} AS log (READ_ONLY)")
            connection.execute("USE log")
            connection.execute("SET TimeZone = 'UTC'")
            ((version,),) = connection.execute("SELECT version FROM schema_version").fetchall()
        except duckdb.Error as error:
            raise NoDatabase(f"{paths.database} cannot be read as a matterlog database ({in_words(error)})") from error
        if version != LOG_TABLES.version:
            raise NoDatabase(f"{paths.database} {LOG_TABLES.refusal(version, UPGRADED_BY)}")
        if connection.execute(SQL["unfinished_recoveries"]).fetchall():
            raise NoDatabase(
                f"{paths.database} was restored or rebuilt, and not every deletion is applied to it yet: run matterlog "
                "consume, and try again when it has read the deletions"
            )
        try:
            yield connection
        except Exception as error:
            if names_damage(error):
                paths.damaged.touch(mode=0o600)  # the owner that comes next reads the whole file
            if isinstance(error, duckdb.Error):
                raise NoDatabase(f"{paths.database} cannot be read on ({in_words(error)})") from error
            raise


@contextmanager
def open_lake_for_reading(lake: Lake) -> Iterator[duckdb.DuckDBPyConnection]:
    """Connect to a lake read-only, while the context lasts.

    Raises:
        LakeUnusable: it cannot be opened, or holds no log of this version.
        LakeUnreachable: it failed while it was read.
    """
    connection = lake.connect(read_only=True)
    try:
        check_tables(connection)
        yield connection
    except duckdb.Error as error:
        raise LakeUnreachable(
            f"the lake failed while it was read ({in_words(error)}): its catalogue or its storage is away, or "
            "this session was ended. Try again"
        ) from error
    finally:
        close_lake(connection)


def _connect(spill: str, memory_limit: str) -> duckdb.DuckDBPyConnection:
    return duckdb.connect(
        ":memory:",
        config={
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "temp_directory": spill,
            "memory_limit": memory_limit,
        },
    )
