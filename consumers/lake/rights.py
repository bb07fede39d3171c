"""The rights in PostgreSQL that erasing a lake needs, beyond those of a role that changes it.

The role owns the database and its tables: only an owner may have a table written again, PostgreSQL's statistics too. It
sees when other roles' transactions began and ends them, begins files of the write-ahead log, lists them, and makes
checkpoints.
"""

from typing import Final

import psycopg

from matterlog.schemas.storage.lake import Lake, LakeUnusable
from matterlog.schemas.storage.statements import load_statements

SQL: Final = load_statements(__package__, "rights.sql")


def refuse_reader(lake: Lake) -> None:
    """Check that the role may change rows of a lake.

    Raises:
        LakeUnusable: it may not, or PostgreSQL does not answer.
    """
    try:
        with psycopg.connect(lake.sessions) as session:
            refused, role = session.execute(SQL["only_reads"]).fetchall(), session.info.user
    except psycopg.Error as error:
        raise LakeUnusable(f"the rights of the role cannot be read ({type(error).__name__})") from error
    if refused:
        raise LakeUnusable(f"role {role} may only read this lake: run this as the consumer's role, or the site's")


def missing_rights(session: psycopg.Connection) -> list[str]:
    """Return the statements that give this session's role what it lacks to erase."""
    return [statement for (statement,) in session.execute(SQL["missing"]).fetchall()]


def rights_to_grant(lake: Lake) -> list[str]:
    """Return the same for the role that the address of a lake's catalogue names.

    Raises:
        LakeUnusable: PostgreSQL does not answer.
    """
    try:
        with psycopg.connect(lake.sessions) as session:
            return missing_rights(session)
    except psycopg.Error as error:
        raise LakeUnusable(f"the rights of the role cannot be read ({type(error).__name__})") from error
