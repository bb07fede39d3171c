"""The register of extracts: which files were handed out, to whom, from which snapshot of the log.

The file store's register is an SQLite file beside the database. So every process can write to it, not only the owner
of the database, and it survives when the database is rebuilt. The lake store's is in the catalogue
(``lake_register.py``). An entry is made *before* its file appears, so every file has an entry. A crash in between
leaves an entry without a file, which does no harm.
"""

import json
import sqlite3
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, Protocol
from uuid import UUID

from pydantic import AwareDatetime, BaseModel

from matterlog.report.engagement.analyses import Analysis
from matterlog.report.errors import RegisterFailed
from matterlog.report.extracts.formats import FormatName
from matterlog.report.extracts.requests import Transaction
from matterlog.report.log.filters import Filter
from matterlog.report.sqlite_tables import bring_to_version
from matterlog.schemas.storage.private_files import make_private_file
from matterlog.schemas.storage.statements import load_statements
from matterlog.schemas.storage.table_versions import Tables

SQL: Final = load_statements(__package__, "register.sql")
REGISTER_TABLES: Final = Tables(version=1, folder=files(__package__).joinpath("sql"))

# How long a writer waits for another one.
_BUSY_SECONDS: Final = 10.0
_PAUSE_SECONDS: Final = 0.02


class Channel(StrEnum):
    """The way in which a file was handed out."""

    EXPORT = "export"
    SERIES = "series"
    DOWNLOAD = "download"
    API = "api"


class RegisterEntry(BaseModel, frozen=True, extra="forbid"):
    """One file that was handed out.

    ``last_arrival`` is the last transaction of the log that its snapshot contains; an increment holds only what arrived
    after ``arrived_after``. ``analysis`` is None for the Activity report; of an engagement table ``filter`` says on
    which views it rests, and ``rows`` are the table's own. Of a file that was *begun* and is not whole yet, ``rows``
    and ``bytes`` are 0 and ``sha256`` is empty.
    """

    extract_id: UUID
    made_at: AwareDatetime
    made_by: str
    how: Channel
    name: str
    format: FormatName
    columns: tuple[str, ...]
    filter: Filter
    rows: Transaction
    bytes: Transaction
    sha256: str
    log_id: UUID
    last_arrival: Transaction
    arrived_after: Transaction | None = None
    analysis: Analysis | None = None

    @property
    def may_hold_any(self) -> bool:
        """Whether the file may hold any row."""
        return self.rows > 0 or not self.sha256


class RegisterConnection(Protocol):
    """A connection to the register's table, in one transaction."""

    def execute(self, statement: str, values: Mapping[str, Any], /) -> Iterable[Any]:
        """Run a statement of ``register.sql``; return the rows that it found, by column name."""


class Register(ABC):
    """The register of a log."""

    __slots__ = ()

    @abstractmethod
    def _opened(self) -> AbstractContextManager[RegisterConnection]:
        """Give a connection to the table; commit at the end. Raises ``RegisterFailed``."""

    @abstractmethod
    def _exists(self) -> bool:
        """Whether anything was ever recorded."""

    def record(self, entry: RegisterEntry) -> None:
        """Record a file that is about to be handed out, begun or whole; on the disk when this returns.

        Raises:
            RegisterFailed: the register cannot be written.
        """
        with self._opened() as connection:
            connection.execute(SQL["record"], _as_row(entry))

    def name_extract(self, entry: RegisterEntry) -> None:
        """Set the name of a whole file that the same user was given before; raises the errors of ``record``."""
        with self._opened() as connection:
            connection.execute(SQL["name_extract"], _as_row(entry))

    def withdraw(self, extract_id: UUID) -> None:
        """Remove the entry of a file that was not handed out; raises the errors of ``record``."""
        with self._opened() as connection:
            connection.execute(SQL["withdraw"], {"extract_id": str(extract_id)})

    def extracts(self) -> list[RegisterEntry]:
        """Return all files that were handed out, oldest first; raises the errors of ``record``."""
        return self._read("extracts", {})

    def downloaded_by(self, made_by: str, limit: int) -> list[RegisterEntry]:
        """Return an account's downloads from the site and the API, newest first; raises the errors of ``record``."""
        return self._read("downloaded_by", {"made_by": made_by, "limit": limit})

    def _read(self, question: str, values: Mapping[str, Any]) -> list[RegisterEntry]:
        if not self._exists():
            return []
        with self._opened() as connection:
            return [_of_row(dict(row)) for row in connection.execute(SQL[question], values)]


@dataclass(frozen=True, slots=True)
class FileRegister(Register):
    """The register in an SQLite file, which is created with its first entry."""

    path: Path

    def _exists(self) -> bool:
        return self.path.exists()

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        try:
            # SQLite gives its other files the mode of this one.
            make_private_file(self.path)
            with closing(sqlite3.connect(self.path, timeout=_BUSY_SECONDS)) as connection, connection:
                connection.row_factory = sqlite3.Row
                _write_ahead(connection)
                bring_to_version(connection, REGISTER_TABLES, "extracts")
                yield connection
        except (sqlite3.Error, OSError) as error:
            raise RegisterFailed(
                f"the register of extracts {self.path} cannot be used ({error}): no file is handed out until it can"
            ) from error


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Switch to write-ahead logging, so that readers do not block the writer; SQLite does not wait for this itself."""
    deadline = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(_PAUSE_SECONDS)
        else:
            connection.execute("PRAGMA synchronous = FULL")
            return


def _as_row(entry: RegisterEntry) -> dict[str, Any]:
    values = entry.model_dump(mode="json")
    return values | {name: json.dumps(values[name]) for name in ("columns", "filter")}


def _of_row(row: dict[str, Any]) -> RegisterEntry:
    return RegisterEntry.model_validate(row | {name: json.loads(row[name]) for name in ("columns", "filter")})
