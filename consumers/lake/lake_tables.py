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


def make_tables(connection: duckdb.DuckDBPyConnection) -> bool:
    """Make the log's tables in an empty lake, completely or not at all. Return whether there were none before."""
    if connection.execute("SELECT * FROM duckdb_tables() WHERE database_name = 'log'").fetchall():
        return False
    connection.execute(f"BEGIN; {_script()} COMMIT")
    for table in _NEVER_INLINED:
        connection.execute(f"CALL log.set_option('data_inlining_row_limit', 0, table_name => '{table}')")
    return True


def _script() -> str:
    script = LOG_TABLES.script()
    for enum in _ENUM_TYPES.findall(script):
        script = script.replace(f" {enum} {enum} ", f" {enum} VARCHAR ")
    return _COMPRESSION.sub("", _ENUM_TYPES.sub("", script))
