"""Recognises a connection pooler that gives each transaction another session of PostgreSQL.

The commit lock belongs to a session. Behind such a pooler it would belong to whoever comes next.
"""

from contextlib import closing
from functools import partial
from typing import Final

import psycopg

from matterlog.schemas.storage.lake import Lake, LakeUnusable

_ROUNDS: Final = 3


def refuse_pooler(lake: Lake) -> None:
    """Check that each connection to a lake's catalogue has a session of its own.

    Raises:
        LakeUnusable: a pooler is in between, or PostgreSQL does not answer.
    """
    try:
        pooled = is_pooled(lake.sessions)
    except psycopg.Error as error:
        raise LakeUnusable(f"the lake's catalogue does not answer ({type(error).__name__})") from error
    if pooled:
        raise LakeUnusable(
            "a connection pooler in transaction mode is between this process and the lake's catalogue. The commit lock "
            "does not hold there: give the address of PostgreSQL itself, or pool by session"
        )


def is_pooled(sessions: str) -> bool:
    """Return whether two connections share a session, or one has several; raises psycopg's errors."""
    # A pooler in transaction mode may not know prepared statements.
    connect = partial(psycopg.connect, sessions, autocommit=True, prepare_threshold=None)
    with closing(connect()) as one, closing(connect()) as other:
        seen = [[_backend(each) for each in (one, other)] for _ in range(_ROUNDS)]
    ones, others = ({pair[place] for pair in seen} for place in (0, 1))
    return len(ones) > 1 or len(others) > 1 or bool(ones & others)


def _backend(session: psycopg.Connection) -> int:
    ((process,),) = session.execute("SELECT pg_backend_pid()").fetchall()
    return int(process)
