"""The steps of a rewrite that read the database file or a copy of it, each in a fresh process.

1. The owner must not open its own file: that would drop DuckDB's lock on it. Another process may read it.
2. A process that has held rows in its memory may write pieces of it into a new file. A fresh process has none.
3. A step ends when its standard input closes, and so with the process that started it.

Run as ``python -m matterlog.consumers.database.erase_steps STEP ...``. The result is one line of JSON on standard
output. An error is one line on standard error, without any content of the log.
"""

import hashlib
import json
import os
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import duckdb

from matterlog.consumers.database.copies import DAMAGED
from matterlog.consumers.database.opening import SQL, STORAGE_VERSION, connect, read_whole
from matterlog.consumers.errors import ErasureFailed
from matterlog.schemas import MatterlogError
from matterlog.schemas.storage.damage import names_damage
from matterlog.schemas.storage.durable import sync
from matterlog.schemas.storage.statements import quoted

# As in a purge: one DELETE of five million rows can abort the process (duckdb#21749).
_MAX_DELETED_ROWS_A_STATEMENT: Final = 500_000
_COPIED_AT_ONCE: Final = 1 << 30
_FAILED: Final = 1
# The lowest priority, as for readers: nobody waits for a backup.
_NICENESS: Final = 19

# In the folder of a rewrite: the copy of the database file, the file that replaces it, and the old file.
CLONE: Final = "clone.duckdb"
NEW: Final = "new.duckdb"
OLD: Final = "old.duckdb"
# Describes the clone, as JSON.
DESCRIPTION: Final = "clone.json"


def clone(folder: str, database: str) -> int:
    """Copy the file of a database at a standstill, sharing blocks where the file system can. Return its size."""
    if Path(f"{database}.wal").exists():
        raise ErasureFailed("the database is not at a standstill: it has a write-ahead log")
    with Path(database).open("rb") as source, Path(folder, CLONE).open("xb") as target:
        while os.copy_file_range(source.fileno(), target.fileno(), _COPIED_AT_ONCE):
            pass
        return os.fstat(target.fileno()).st_size


def copy(folder: str, memory_limit: str) -> int:
    """Copy the rows of the clone into a new file. Return the number of its last transaction."""
    with _connected(folder, memory_limit) as connection:
        connection.execute("COPY FROM DATABASE held TO erased")
        connection.execute("CHECKPOINT erased")
        return _last_arrival(connection, "erased")


def catch_up(folder: str, database: str, memory_limit: str) -> int:
    """Clone again, copy later changes, and check that the new file equals the log. Return its last transaction.

    Raises:
        ErasureFailed: a table differs, or the file holds a deleted matter.
    """
    clone(folder, database)
    with _connected(folder, memory_limit) as connection:
        connection.execute("BEGIN")
        tables = [name for (name,) in connection.execute(SQL["tables"], {"database": "held"}).fetchall()]
        _copy_new_views(connection, _last_arrival(connection, "erased"))
        for table in tables:
            if table != "activity" and _differs(connection, table):
                connection.execute(SQL["copy_table_again"].format(table=table))
        connection.execute("COMMIT")
        connection.execute("CHECKPOINT erased")
        _check(connection, tables)
        last = _last_arrival(connection, "erased")
    sync(Path(folder, NEW))
    return last


def describe(folder: str, memory_limit: str) -> int:
    """Read the whole clone at the lowest priority and write its description. Return its last transaction.

    Raises:
        ErasureFailed: the clone holds a deleted matter.
    """
    os.nice(_NICENESS)
    clone_file = Path(folder, CLONE)
    with connect(Path(folder, "spill"), memory_limit) as connection:
        connection.execute(f"ATTACH {quoted(clone_file)} AS held (READ_ONLY)")
        read_whole(connection, "held")
        _check_deleted(connection, "held")
        ((log_id, last_arrival),) = connection.execute(SQL["log"].format(database="held")).fetchall()
        positions = connection.execute(SQL["positions"].format(database="held")).fetchall()
    sync(clone_file)
    with clone_file.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    description = {
        "log_id": log_id,
        "last_arrival": last_arrival,
        "positions": positions,
        "bytes": clone_file.stat().st_size,
        "sha256": sha256,
    }
    Path(folder, DESCRIPTION).write_text(json.dumps(description, indent=2) + "\n", encoding="ascii")
    sync(Path(folder, DESCRIPTION))
    return int(last_arrival)


def _connected(folder: str, memory_limit: str) -> duckdb.DuckDBPyConnection:
    """Attach the clone as ``held`` and the new file as ``erased``."""
    connection = connect(Path(folder, "spill"), memory_limit)
    connection.execute(f"ATTACH {quoted(Path(folder, CLONE))} AS held (READ_ONLY)")
    new = Path(folder, NEW)
    version = "" if new.exists() else f"(STORAGE_VERSION '{STORAGE_VERSION}')"
    connection.execute(f"ATTACH {quoted(new)} AS erased {version}")
    return connection


def _last_arrival(connection: duckdb.DuckDBPyConnection, database: str) -> int:
    ((_, arrival),) = connection.execute(SQL["log"].format(database=database)).fetchall()
    return int(arrival)


def _copy_new_views(connection: duckdb.DuckDBPyConnection, copied: int) -> None:
    slices = {"arrival": copied, "rows": _MAX_DELETED_ROWS_A_STATEMENT}
    while connection.execute(SQL["drop_slice_of_views"], slices).fetchall() != [(0,)]:
        pass
    connection.execute(SQL["copy_new_views"], {"arrival": copied})


def _differs(connection: duckdb.DuckDBPyConnection, table: str) -> bool:
    held, erased = (
        connection.execute(SQL["fingerprint"].format(database=database, table=table)).fetchall()
        for database in ("held", "erased")
    )
    return held != erased


def _check(connection: duckdb.DuckDBPyConnection, tables: list[str]) -> None:
    if tables != [name for (name,) in connection.execute(SQL["tables"], {"database": "erased"}).fetchall()]:
        raise ErasureFailed("the tables of the new file differ from those of the old one")
    for table in tables:
        if _differs(connection, table):
            raise ErasureFailed(f"table {table} of the new file differs from that of the old one")
    _check_deleted(connection, "erased")


def _check_deleted(connection: duckdb.DuckDBPyConnection, database: str) -> None:
    if connection.execute(SQL["rows_of_deleted_matters"].format(database=database)).fetchall() != [(0,)]:
        raise ErasureFailed("the new file holds a deleted matter")


STEPS: Final[Mapping[str, Callable[..., int]]] = {step.__name__: step for step in (clone, copy, catch_up, describe)}


def _end_with_the_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(_FAILED)


def run_as_step(steps: Mapping[str, Callable[..., object]], name: str, *arguments: str) -> None:
    """Run one step, with more arguments from the first line of standard input, and end: 0 on success, 1 on failure."""
    private = json.loads(sys.stdin.buffer.readline() or "[]")
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    try:
        result = steps[name](*arguments, *private)
    except (MatterlogError, OSError, duckdb.Error) as error:
        # DuckDB's own texts may quote what a row holds.
        text = str(error) if isinstance(error, MatterlogError | OSError) else type(error).__name__
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()
        os._exit(DAMAGED if names_damage(error) else _FAILED)
    sys.stdout.write(json.dumps(result))
    sys.stdout.flush()
    # Exit immediately: the thread on standard input would delay the interpreter's end.
    os._exit(0)


if __name__ == "__main__":
    run_as_step(STEPS, *sys.argv[1:])
