"""What the site's own pages ask the log: counts, receipts, dead letters; each question one statement."""

from typing import Any, Final

from matterlog.report.log.reader import SQL as STATUS_SQL
from matterlog.report.log.reader import LogConnection, PartitionStatus
from matterlog.schemas.storage.statements import load_statements, named_rows

SQL: Final = load_statements(__package__, "log.sql")
MAX_ROWS: Final = 100


def rows_of(connection: LogConnection, name: str, **parameters: Any) -> list[dict[str, Any]]:
    """Ask one of the statements in ``sql/log.sql``; return its rows by column."""
    return named_rows(connection.execute(SQL[name], parameters or None))


def counts(connection: LogConnection) -> dict[str, int]:
    """Return how many rows, purges, dead letters and gaps there are."""
    return rows_of(connection, "counts")[0]


def positions(connection: LogConnection) -> tuple[PartitionStatus, ...]:
    """Return where reading of each partition goes on."""
    found = connection.execute(STATUS_SQL["positions"]).fetchall()
    return tuple(PartitionStatus(topic=t, partition=p, next_offset=offset) for t, p, offset in found)
