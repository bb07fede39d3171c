"""The admin site's own database: accounts, sessions, tokens and the audit log, in a SQLite file.

1. It stands beside the log's database, but is no part of it: a log that is rebuilt from the topics keeps its accounts.
2. One transaction a question, on a connection of its own: the site's threads and the command line share nothing but
   the file. SQLite makes writers take turns.
3. The file is readable for its user alone.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Final

from matterlog.report.errors import SiteDatabaseUnusable
from matterlog.report.sqlite_tables import bring_to_version
from matterlog.schemas.instants import utc_now
from matterlog.schemas.storage.private_files import make_private_file
from matterlog.schemas.storage.table_versions import Tables

SITE_TABLES: Final = Tables(version=1, folder=files(__package__).joinpath("sql"))
_WAIT_FOR_OTHERS_SECONDS: Final = 10.0


def as_text(instant: datetime) -> str:
    """Write an instant as the tables have it: UTC, always with microseconds, so that text sorts as time."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class SiteDatabase:
    """The file, made where it is missing.

    Args:
        path: the file.
        clock: gives the instant that is written beside what is done, with a zone.

    Raises:
        SiteDatabaseUnusable: the file cannot be opened, or is of a version that this program does not read.
    """

    def __init__(self, path: Path, clock: Callable[[], datetime] = utc_now) -> None:
        self._path = path
        self._clock = clock
        try:
            make_private_file(path)
            self._prepare()
        except (OSError, sqlite3.Error) as error:
            raise SiteDatabaseUnusable(f"{path} cannot be used as the site's database: {error}") from error

    def now(self) -> datetime:
        """Return the instant that the clock gives."""
        return self._clock()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Give a connection inside a transaction, which is committed unless the block raises."""
        with closing(self._connect()) as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Give a connection that sees one committed state, and keeps no writer waiting."""
        with closing(self._connect()) as connection:
            connection.execute("PRAGMA query_only = ON")
            connection.execute("BEGIN")
            yield connection

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=_WAIT_FOR_OTHERS_SECONDS, isolation_level=None)
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA secure_delete = ON")
        return connection

    def _prepare(self) -> None:
        with closing(self._connect()) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            bring_to_version(connection, SITE_TABLES, "accounts")
