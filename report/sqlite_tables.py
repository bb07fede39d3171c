"""The tables of an SQLite file: made, migrated or refused whenever the file is opened.

1. ``PRAGMA user_version`` is their version. It is 0 in a new file, and in one with tables from before it was written:
   those are of version 1.
2. Making or migrating them is one transaction: processes that open the file at once take turns, and a crash leaves
   the old tables or the new ones.
3. Whoever opens the file first does so: every process may write to it, the owner of the log or not.
"""

import logging
import sqlite3
from collections.abc import Iterator

from matterlog.schemas.storage.table_versions import Tables

logger = logging.getLogger(__name__)


def bring_to_version(connection: sqlite3.Connection, tables: Tables, known_by: str) -> None:
    """Make the tables in a new file, or bring those of an older version to this one.

    Args:
        connection: outside of a transaction; after an error it is of no more use.
        tables: those that the file gets.
        known_by: a table that every version has.

    Raises:
        sqlite3.DatabaseError: the file is of something else, or no way leads from its version.
    """
    if _version(connection) == tables.version:
        return
    connection.execute("BEGIN IMMEDIATE")
    found = _version(connection) or _unwritten_version(connection, known_by)
    scripts = tables.way_from(found) if found else [tables.script()]
    if scripts is None:
        no_way = "no migration leads there; use the matterlog that made it"
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
    """Return 0 for a file without tables, 1 for one with ours."""
    names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if names and known_by not in names:
        raise sqlite3.NotSupportedError("it is a database of something else")
    return int(bool(names))


def _statements(script: str) -> Iterator[str]:
    """Cut a script into its statements; sqlite3's own executescript would end the transaction first."""
    statement = ""
    for line in script.splitlines():
        statement += f"{line}\n"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    yield statement  # a last one without its semicolon, or nothing
