"""What each version of the tables was: checked-in copies of the statements, and files as that version wrote them."""

import hashlib
import re
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import duckdb

from matterlog.consumers.database.opening import STORAGE_VERSION
from matterlog.report.handover.register import REGISTER_TABLES
from matterlog.report.web.identity.site_database import SITE_TABLES
from matterlog.schemas.storage.table_versions import LOG_TABLES, Tables

COPIES: Final = Path(__file__).parent
TABLES: Final = {"log": LOG_TABLES, "site": SITE_TABLES, "register": REGISTER_TABLES}
# A version that exists in tests alone: it changes a table's shape, fills it from another, and makes one.
NEXT: Final = {
    "log": """
        ALTER TABLE gaps ADD COLUMN reason VARCHAR;
        UPDATE gaps SET reason = 'views so far: ' || (SELECT count(*) FROM activity);
        CREATE TABLE notes (matter_id VARCHAR NOT NULL, note VARCHAR);
        INSERT INTO notes (matter_id) SELECT DISTINCT matter_id FROM activity;
    """,
    "site": """
        ALTER TABLE accounts ADD COLUMN language TEXT NOT NULL DEFAULT 'en';
        CREATE TABLE notes (account_id INTEGER NOT NULL REFERENCES accounts) STRICT;
        INSERT INTO notes (account_id) SELECT account_id FROM accounts;
    """,
    "register": """
        ALTER TABLE extracts ADD COLUMN expires_at TEXT;
        CREATE TABLE notes (extract_id TEXT NOT NULL) STRICT;
        INSERT INTO notes (extract_id) SELECT extract_id FROM extracts;
    """,
}


def versions_of(name: str) -> list[int]:
    """The versions of which there is a copy."""
    return sorted(int(path.stem) for path in (COPIES / name).glob("*.sql") if path.stem.isdecimal())


def copy_of(name: str, version: int) -> str:
    """The statements of a version."""
    return (COPIES / name / f"{version}.sql").read_text(encoding="utf-8")


def rows_for(name: str, version: int) -> str:
    """Statements that fill its tables."""
    return (COPIES / name / f"{version}.rows.sql").read_text(encoding="utf-8")


def statements_hash(script: str) -> str:
    """The same for the same statements, however they are laid out and commented."""
    return hashlib.sha256("".join(re.sub(r"--.*", "", script).split()).encode()).hexdigest()


def next_tables(name: str, folder: Path, *more: str) -> Tables:
    """The tables one version on, with a migration that leads there; ``more`` are further statements of it."""
    tables = TABLES[name]
    made = folder / f"{name}-tables"
    (made / "migrations").mkdir(parents=True)
    shutil.copy(str(tables.folder.joinpath("tables.sql")), made)
    (made / "migrations" / f"{tables.version + 1}.sql").write_text(NEXT[name] + ";\n".join(more), encoding="utf-8")
    return Tables(tables.version + 1, made)


def write_log(file: Path, version: int) -> None:
    """Make a log as a version wrote it, with rows."""
    with duckdb.connect(":memory:") as connection:
        connection.execute(f"ATTACH '{file}' AS old (STORAGE_VERSION '{STORAGE_VERSION}'); USE old")
        connection.execute(copy_of("log", version))
        connection.execute(rows_for("log", version))


def write_sqlite(file: Path, name: str, version: int, user_version: int) -> None:
    """Make an SQLite file as a version wrote it, with rows."""
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(copy_of(name, version) + rows_for(name, version))
        connection.execute(f"PRAGMA user_version = {user_version}")
        connection.commit()
    file.chmod(0o600)


# Table -> its columns, each with what is declared of it; table -> columns' names -> its rows.
Shape = dict[str, list[tuple[Any, ...]]]
Held = dict[str, tuple[str, list[tuple[Any, ...]]]]


def log_shape(file: Path) -> Shape:
    """What a log's tables are, in the order of their columns."""
    query = """
        SELECT table_name, column_name, data_type, is_nullable, column_default FROM duckdb_columns()
        WHERE database_name = 'shown' ORDER BY table_name, column_index
    """
    return _by_table(_asked(file, query))


def log_rows(file: Path, like: Held | None = None) -> Held:
    """Every row of a log that nobody has open; with ``like``, of its tables and columns alone."""
    columns = {table: ", ".join(row[0] for row in rows) for table, rows in log_shape(file).items()}
    asked = {table: names for table, (names, _) in like.items()} if like else columns
    return {
        table: (names, _asked(file, f"SELECT {names} FROM {table} ORDER BY ALL"))  # noqa: S608 - our names
        for table, names in asked.items()
        if table != "schema_version"
    }


def _asked(file: Path, query: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(":memory:") as connection:
        connection.execute(f"ATTACH '{file}' AS shown (READ_ONLY); USE shown")
        return connection.execute(query).fetchall()


def sqlite_shape(file: Path) -> Shape:
    """What an SQLite file's tables are, in the order of their columns, and its indexes and triggers."""
    with closing(sqlite3.connect(file)) as connection:
        query = """
            SELECT m.name, c.name, c.type, c."notnull", c.dflt_value, c.pk
            FROM sqlite_master m, pragma_table_info(m.name) c
            WHERE m.type = 'table' ORDER BY m.name, c.cid
        """
        others = "SELECT type, name, tbl_name FROM sqlite_master WHERE type != 'table' ORDER BY type, name"
        return _by_table(connection.execute(query).fetchall() + connection.execute(others).fetchall())


def sqlite_rows(file: Path, like: Held | None = None) -> Held:
    """Every row of an SQLite file; with ``like``, of its tables and columns alone."""
    shape = {table: rows for table, rows in sqlite_shape(file).items() if table not in {"index", "trigger"}}
    columns = {table: ", ".join(row[0] for row in rows) for table, rows in shape.items()}
    asked = {table: names for table, (names, _) in like.items()} if like else columns
    with closing(sqlite3.connect(file)) as connection:
        return {
            table: (names, sorted(connection.execute(f"SELECT {names} FROM {table}"), key=repr))  # noqa: S608 - our names
            for table, names in asked.items()
        }


def _by_table(rows: list[tuple[Any, ...]]) -> Shape:
    found: Shape = {}
    for table, *rest in rows:
        found.setdefault(table, []).append(tuple(rest))
    return found
