"""The admin site's own database: accounts, sessions, tokens and the audit log, in a SQLite file.

1. It is separate from the log's database beside it, so the accounts stay when the log is rebuilt from the topics.
2. Each transaction has its own connection. The site's threads and the command line share only the file. SQLite makes
   writers take turns.
3. Only the file's owner can read it.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from matterlog.report.errors import SiteDatabaseUnusable
from matterlog.report.sqlite_tables import bring_to_version
from matterlog.schemas.instants import utc_now
from matterlog.schemas.storage.private_files import make_private_file
from matterlog.schemas.storage.table_versions import Tables

SITE_TABLES: Final = Tables(version=2, folder=files(__package__).joinpath("sql"))
_WAIT_FOR_OTHERS_SECONDS: Final = 10.0


class SiteDatabase:
    """The site's database, whose file is made if it is missing.

    Args:
        path: the file.
        clock: returns the current instant, with a time zone.

    Raises:
        SiteDatabaseUnusable: the file cannot be opened, or has a version that this program does not read.
    """

    def __init__(self, path: Path, clock: Callable[[], datetime] = utc_now) -> None:
        self._path = path
        self._clock = clock
        self.after_commit: list[Callable[[sqlite3.Connection], None]] = []
        try:
            make_private_file(path)
            self._prepare()
        except (OSError, sqlite3.Error) as error:
            raise SiteDatabaseUnusable(f"{path} cannot be used as the site's database: {error}") from error

    def now(self) -> datetime:
        """Return the current instant."""
        return self._clock()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Open a transaction, which is committed unless the block raises."""
        with closing(self._connect()) as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")
            for each in self.after_commit:
                each(connection)

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Open a connection that sees one committed state and does not block writers."""
        with closing(self._connect()) as connection:
            connection.execute("PRAGMA query_only = ON")
            connection.execute("BEGIN")
            yield connection

    def rows(self, statement: str, **values: Any) -> list[sqlite3.Row]:
        """Return the rows that a statement finds in one committed state."""
        with self.reading() as connection:
            return connection.execute(statement, values).fetchall()

    def run(self, statement: str, **values: Any) -> None:
        """Run a statement in a transaction of its own."""
        with self.transaction() as connection:
            connection.execute(statement, values)

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
