"""The tables of an SQLite file: created, migrated or refused whenever the file is opened.

1. ``PRAGMA user_version`` is the version of the tables. It is 0 in a new file, and in a file whose tables are older
   than that pragma; those tables are of version 1.
2. Creating or migrating the tables is one transaction. Processes that open the file at the same time take turns, and
   a crash leaves either the old tables or the new ones.
3. The first process that opens the file does this. Every process may write to it, not only the owner of the log.
"""

import logging
import sqlite3
from collections.abc import Iterator

from matterlog.schemas.storage.table_versions import Tables

logger = logging.getLogger(__name__)


def bring_to_version(connection: sqlite3.Connection, tables: Tables, known_by: str) -> None:
    """Create the tables in a new file, or migrate those of an older version.

    Args:
        connection: outside a transaction; unusable after an error.
        tables: the tables that the file gets.
        known_by: a table that every version has.

    Raises:
        sqlite3.DatabaseError: the file belongs to another program, or its version cannot be migrated.
    """
    if _version(connection) == tables.version:
        return
    connection.execute("BEGIN IMMEDIATE")
    found = _version(connection) or _unwritten_version(connection, known_by)
    scripts = tables.way_from(found) if found else [tables.script()]
    if scripts is None:
        no_way = "no migration exists. Use the matterlog version that made it"
        raise sqlite3.NotSupportedError(f"it {tables.refusal(found, no_way)}")
    for script in scripts:
        for statement in _statements(script):
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {tables.version}")
    connection.execute("COMMIT")
    if found and scripts:
        file = connection.execute("PRAGMA database_list").fetchone()[2]
        logger.warning("%s was upgraded from schema version %d to %d", file, found, tables.version)


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _unwritten_version(connection: sqlite3.Connection, known_by: str) -> int:
    """Return 0 for a file without tables, 1 for a file with ours."""
    names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if names and known_by not in names:
        raise sqlite3.NotSupportedError("it is another program's database")
    return int(bool(names))


def _statements(script: str) -> Iterator[str]:
    """Split a script into statements; sqlite3's own executescript would first end the transaction."""
    statement = ""
    for line in script.splitlines():
        statement += f"{line}\n"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    yield statement  # a last statement without its semicolon, or nothing
