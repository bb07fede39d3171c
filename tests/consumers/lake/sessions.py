"""What befalls a lake's sessions in PostgreSQL."""

from typing import Final

import psycopg

from matterlog.schemas.storage.lake import Lake

_LOCKS: Final = "application_name = 'matterlog'"
_END: Final = """
SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND ({condition})
"""


def end_sessions(lake: Lake, condition: str = "true") -> int:
    """End the lake's sessions; return how many, when they have ended."""
    with psycopg.connect(lake.catalogue, autocommit=True) as session:
        ((ended,),) = session.execute(_END.format(condition=condition).encode()).fetchall()
    return int(ended)


def end_locks(lake: Lake) -> int:
    """End the sessions that commit locks belong to, and leave the others."""
    return end_sessions(lake, _LOCKS)
