"""The tables of the log in a lake: those of the file, with what DuckLake does not have written otherwise."""

import re
from typing import Final

import duckdb

from matterlog.schemas.storage.table_versions import LOG_TABLES

# DuckLake knows neither types of our own nor hints of how to compress.
_ENUM_TYPES: Final = re.compile(r"^CREATE TYPE (\w+) AS ENUM .*;$", re.MULTILINE)
_COMPRESSION: Final = re.compile(r" USING COMPRESSION \w+")
# These hold personal data, or many rows: they go into Parquet files. Few rows of the other tables stay in the catalogue
# until there are enough for a file.
_NEVER_INLINED: Final = ("activity", "dead_letters", "tombstones")
# A value of each type that a column of the other tables has.
_VALUES: Final = {"VARCHAR": "''", "INTEGER": "0", "BIGINT": "0", "TIMESTAMP": "'epoch'", "UUID": "uuid()"}
_EMPTY_TABLES: Final = """
SELECT table_name, list(CASE WHEN is_nullable THEN NULL ELSE data_type END ORDER BY column_index) FROM duckdb_columns()
WHERE database_name = 'log' AND table_name NOT IN ('activity', 'dead_letters', 'tombstones', 'log', 'schema_version')
GROUP BY ALL
"""


def make_tables(connection: duckdb.DuckDBPyConnection) -> bool:
    """Make the log's tables in an empty lake, completely or not at all. Return whether there were none before."""
    if connection.execute("SELECT * FROM duckdb_tables() WHERE database_name = 'log'").fetchall():
        return False
    connection.execute(f"BEGIN; {_script()} COMMIT")
    for table in _NEVER_INLINED:
        connection.execute(f"CALL log.set_option('data_inlining_row_limit', 0, table_name => '{table}')")
    _begin_statistics(connection)
    return True


def _begin_statistics(connection: duckdb.DuckDBPyConnection) -> None:
    """Give each table its statistics, with a row that is removed again.

    DuckLake looks for those of a table that never had a row again and again, in each statement that reads it: 40 times
    a batch, for tables that are nearly always empty.
    """
    tables = connection.execute(_EMPTY_TABLES).fetchall()
    connection.execute("BEGIN")
    for table, kinds in tables:
        values = ", ".join("NULL" if kind is None else _VALUES[kind] for kind in kinds)
        connection.execute(f"INSERT INTO {table} VALUES ({values})")  # noqa: S608 - our names
    connection.execute("COMMIT; BEGIN")
    for table, _ in tables:
        connection.execute(f"DELETE FROM {table}")  # noqa: S608 - our names
    connection.execute("COMMIT")


def _script() -> str:
    script = LOG_TABLES.script()
    for enum in _ENUM_TYPES.findall(script):
        script = script.replace(f" {enum} {enum} ", f" {enum} VARCHAR ")
    return _COMPRESSION.sub("", _ENUM_TYPES.sub("", script))
