"""Queries of the site's pages: counts, receipts, dead letters; one statement each."""

from typing import Any, Final

from matterlog.report.log.reader import LogConnection
from matterlog.schemas.storage.statements import load_statements, named_rows

SQL: Final = load_statements(__package__, "log.sql")


def rows_of(connection: LogConnection, name: str, **parameters: Any) -> list[dict[str, Any]]:
    """Run a statement of ``sql/log.sql`` and return its rows as dicts."""
    return named_rows(connection.execute(SQL[name], parameters or None))
