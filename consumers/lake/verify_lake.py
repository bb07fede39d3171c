"""Search for traces of a deleted matter in a lake: in its storage, in its catalogue, and in PostgreSQL's own files.

1. Objects are listed from the storage, so that files which the catalogue does not name are searched too. Parquet files
   are read row by row, those with removed rows as well, and so are the smallest and greatest values in their footers.
   An encrypted file is read with the key that the catalogue has of it.
2. The tables ``purges``, ``removals``, ``recalls`` and ``tombstones`` name the matter's ID rightly. There, and in bytes
   of PostgreSQL's files, only the operator's texts are searched for. In columns of text an ID is the whole value.
3. What cannot be read is listed as *unseen*.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, Final

import duckdb
import psycopg
from psycopg import sql

from matterlog.consumers.erasure.verify_purge import Search
from matterlog.consumers.erasure.verify_steps import FileSearch, SearchResult, holds
from matterlog.schemas.storage.lake import Lake
from matterlog.schemas.storage.statements import load_statements, quoted

SQL: Final = load_statements(__package__, "verify_lake.sql")
CATALOGUE: Final = load_statements(__package__, "verify_catalogue.sql")
_RECEIPTS: Final = ["purges", "removals", "recalls", "tombstones"]
# DuckLake's columns of values of any table, with the table's number. Bytes stand there as hexadecimal digits.
_STATISTICS: Final = ("ducklake_file_column_stats", "ducklake_table_column_stats")
# The columns of a dead letter that hold a message's bytes.
_MESSAGE: Final = ("key", "payload", "headers")


def look_in_lake(lake: Lake, search: Search, also: Sequence[str]) -> dict[str, Any]:
    """Search a lake, and the files of this machine that are named in ``also``.

    Returns:
        ``found`` and ``unseen`` places in words, and how many ``files`` were searched.

    Raises:
        LakeUnusable: it cannot be opened.
    """
    files = FileSearch(lake.spill, search.matter, search.texts)
    looked = files.looked
    with closing(lake.connect(read_only=True)) as connection:
        try:
            with psycopg.connect(lake.sessions, autocommit=True) as catalogue:
                keys = {path.rpartition("/")[2]: key for path, key in catalogue.execute(CATALOGUE["keys"]).fetchall()}
                _CatalogueSearch(catalogue, search, looked).look()
        except psycopg.Error as error:
            keys = {}
            looked.unseen.append(f"the lake's catalogue: it cannot be read ({type(error).__name__})")
        _ObjectSearch(connection, search, files, keys).look(lake.data)
    files.others(map(Path, also))
    return {"found": looked.found, "unseen": looked.unseen, "files": looked.files}


class _ObjectSearch:
    """The search of a lake's storage."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, search: Search, files: FileSearch, keys: Mapping[str, str]
    ) -> None:
        self._connection = connection
        self._search = search
        self._files = files
        self._found, self._unseen = files.looked.found, files.looked.unseen
        self._keys = keys
        columns = connection.execute(SQL["log_columns"], {"tables": _RECEIPTS}).fetchall()
        self._receipts = [{column for table, column in columns if table == each} for each in _RECEIPTS]

    def look(self, data: str) -> None:
        """Search every object below the place of a lake's files."""
        remote = "://" in data
        try:
            places = self._objects(data) if remote else sorted(map(str, _files_below(Path(data))))
        except (duckdb.Error, OSError) as error:
            self._unseen.append(f"the lake's files: they cannot be listed ({type(error).__name__})")
            return
        for place in places:
            try:
                with BytesIO(self._bytes(place)) if remote else Path(place).open("rb") as handle:
                    self._object(place, handle, place.removeprefix(data).lstrip("/"))
            except FileNotFoundError:
                continue  # removed meanwhile
            except (duckdb.Error, OSError) as error:
                self._unseen.append(f"{place}: it cannot be read ({type(error).__name__})")

    def _objects(self, data: str) -> list[str]:
        statement = SQL["objects"].format(place=quoted(f"{data.rstrip('/')}/**"))
        return [place for (place,) in self._connection.execute(statement).fetchall()]

    def _bytes(self, place: str) -> bytes:
        ((content,),) = self._connection.execute(SQL["bytes"].format(place=quoted(place))).fetchall()
        return bytes(content)

    def _object(self, place: str, handle: BinaryIO, name: str) -> None:
        self._files.looked.files += 1
        kind = handle.read(4)
        handle.seek(0)
        parquet = kind in {b"PAR1", b"PARE"}
        # In a Parquet file the ID is a value, and may stand in a receipt.
        texts = self._search.texts
        self._files.content(handle, texts if parquet else (self._search.matter, *texts), name)
        if kind == b"PAR1":
            self._rows(f"read_parquet({quoted(place)})", name)
            self._footer(place, name)
        elif kind == b"PARE":
            key = self._keys.get(place.rpartition("/")[2])
            if key is None:
                self._unseen.append(f"{name}: it is encrypted, and the catalogue has no key of it")
                return
            config = f"encryption_config = {{footer_key_value: from_base64({quoted(key)})}}"
            self._rows(f"read_parquet({quoted(place)}, {config})", name)

    def _rows(self, source: str, name: str) -> None:
        columns = self._connection.execute(SQL["columns"].format(source=source)).fetchall()
        texts = [column for column, kind, *_ in columns if kind == "VARCHAR"]
        names = {column for column, *_ in columns if not column.startswith("_ducklake_internal")}
        sought = {f"text_{number}": text for number, text in enumerate(self._search.texts)}
        conditions = [f'contains("{column}", ${each})' for column in texts for each in sought]
        if not self._is_receipt(names):
            conditions += [f'"{column}" = $matter' for column in texts]
            sought["matter"] = self._search.matter
        if conditions:
            statement = SQL["rows"].format(source=source, condition=" OR ".join(conditions))
            ((count,),) = self._connection.execute(statement, sought).fetchall()
            if count:
                self._found.append(f"{name}: {count} rows")
        if names.issuperset(_MESSAGE):
            messages = self._connection.execute(SQL["messages"].format(source=source)).fetchall()
            if any(holds(part, self._search.matter, self._search.texts) for (parts,) in messages for part in parts):
                self._found.append(f"{name}: a dead letter")

    def _footer(self, place: str, name: str) -> None:
        values = self._connection.execute(SQL["footer"].format(place=quoted(place))).fetchall()
        columns = self._connection.execute(SQL["columns"].format(source=f"read_parquet({quoted(place)})")).fetchall()
        matters = set() if self._is_receipt({column for column, *_ in columns}) else {self._search.matter}
        if any(value in matters or any(text in value for text in self._search.texts) for (value,) in values if value):
            self._found.append(f"{name}: the statistics in its footer")

    def _is_receipt(self, columns: set[str]) -> bool:
        """Whether these are columns of a table that names the matter rightly."""
        own = {column for column in columns if not column.startswith("_ducklake_internal")}
        return any(own <= table for table in self._receipts)


@dataclass(slots=True)
class _CatalogueSearch:
    """The search of a lake's catalogue, and of PostgreSQL's files."""

    catalogue: psycopg.Connection
    search: Search
    looked: SearchResult

    def look(self) -> None:
        """Search all of it."""
        ((receipts,),) = self.catalogue.execute(CATALOGUE["receipts"], {"tables": _RECEIPTS}).fetchall()
        for schema, table, column, is_bytes, holds_rows_of in self.catalogue.execute(CATALOGUE["columns"]).fetchall():
            place = f"{schema}.{table}.{column}"
            if is_bytes and column in _MESSAGE:
                self._try(place, partial(self._messages, schema, table, column))
                continue
            matter = None if holds_rows_of in _RECEIPTS else self.search.matter
            values = {"matter": matter, "texts": self._texts(), "receipts": receipts}
            self._try(place, partial(self._count, _counting(schema, table, column, is_bytes=is_bytes), values))
        self._try("PostgreSQL's statistics", self._statistics)
        self._files()

    def _try(self, place: str, look: Callable[[], str | None]) -> None:
        try:
            if found := look():
                self.looked.found.append(f"{place}: {found}")
        except psycopg.Error as error:
            self.looked.unseen.append(f"{place}: it cannot be read ({type(error).__name__})")

    def _texts(self) -> list[str]:
        """The texts, and how they stand where bytes are written as digits."""
        digits = [text.encode().hex() for text in self.search.texts]
        return [*self.search.texts, *digits, *(each.upper() for each in digits)]

    def _count(self, statement: sql.Composed, values: Mapping[str, Any]) -> str | None:
        ((count,),) = self.catalogue.execute(statement, values).fetchall()
        return f"{count} rows" if count else None

    def _messages(self, schema: str, table: str, column: str) -> str | None:
        statement = sql.SQL("SELECT {} FROM {}").format(sql.Identifier(column), sql.Identifier(schema, table))
        messages = [bytes(message) for (message,) in self.catalogue.execute(statement).fetchall() if message]
        held = any(holds(message, self.search.matter, self.search.texts) for message in messages)
        return "a message" if held else None

    def _statistics(self) -> str | None:
        found = self.catalogue.execute(CATALOGUE["statistics"], {"texts": self._texts()}).fetchall()
        return ", ".join(column for (column,) in found) or None

    def _files(self) -> None:
        """Search the bytes of PostgreSQL's files, where rows stay that were removed or changed."""
        place = "PostgreSQL's files and write-ahead log"
        if not self.search.texts:
            self.looked.unseen.append(f"{place}: receipts name the ID there too, so give --text with the matter's name")
            return
        ((may, compression),) = self.catalogue.execute(CATALOGUE["may_read_files"]).fetchall()
        if not may:
            self.looked.unseen.append(
                f"{place}: the role {self.catalogue.info.user} may not read them (pg_ls_waldir, pg_read_binary_file)"
            )
            return
        if compression != "off":
            self.looked.unseen.append(f"the write-ahead log: it is compressed (wal_compression = {compression})")
        with suppress(psycopg.errors.InsufficientPrivilege):
            self.catalogue.execute("CHECKPOINT")
        try:
            found = self.catalogue.execute(CATALOGUE["files"], {"texts": list(self.search.texts)}).fetchall()
        except psycopg.Error as error:
            self.looked.unseen.append(f"{place}: they cannot be read ({type(error).__name__})")
        else:
            self.looked.found += [f"{file}: a text" for (file,) in found]


def _counting(schema: str, table: str, column: str, *, is_bytes: bool) -> sql.Composed:
    """Return the statement that counts the values of a column that are the ID or hold a text."""
    value, sought = sql.Identifier(column), sql.SQL("%(matter)s::text")
    holds_text = sql.SQL("strpos({}::text, sought) > 0").format(value)
    if is_bytes:
        sought = sql.SQL("convert_to(%(matter)s::text, 'UTF8')")
        holds_text = sql.SQL("position(convert_to(sought, 'UTF8') IN {}) > 0").format(value)
    else:
        value = sql.SQL("{}::text").format(value)  # type: ignore[assignment]
    of_others = sql.SQL("AND NOT table_id = ANY (%(receipts)s)" if table in _STATISTICS else "")
    return sql.SQL(
        "SELECT count(*) FROM {table} WHERE {value} = {sought} {of_others}"
        " OR EXISTS (SELECT FROM unnest(%(texts)s::text[]) sought WHERE {holds_text})"
    ).format(
        table=sql.Identifier(schema, table), value=value, sought=sought, of_others=of_others, holds_text=holds_text
    )


def _files_below(folder: Path) -> Iterator[Path]:
    """Return every file below a folder, hidden ones too; raises OSError where one cannot be listed."""

    def fail(error: OSError) -> None:
        raise error

    for parent, _, names in os.walk(folder, onerror=fail):
        yield from (Path(parent, name) for name in names)
