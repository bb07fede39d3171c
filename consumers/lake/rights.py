"""The rights of a lake's roles in PostgreSQL. The operator makes the roles. A right may be given again.

- The *consumer* owns the database and made the lake: it changes the log and erases. Only an owner may have a table
  written again, PostgreSQL's statistics too. It sees when other roles' transactions began and ends them, begins files
  of the write-ahead log, lists them, and makes checkpoints.
- The *site* reads the log, records extracts, and changes rows, such as dead letters. It erases nothing.
- The *reader* reads the log and records extracts: nothing is handed out that is not in the register.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import psycopg
from psycopg import sql

from matterlog.consumers.errors import RoleUnusable
from matterlog.schemas.storage.lake import Lake, LakeUnusable
from matterlog.schemas.storage.statements import load_statements

SQL: Final = load_statements(__package__, "rights.sql")


def refuse_reader(lake: Lake) -> None:
    """Check that the role may change rows of a lake.

    Raises:
        LakeUnusable: it may not, or PostgreSQL does not answer.
    """
    with _session(lake) as session:
        refused, role = session.execute(SQL["only_reads"]).fetchall(), session.info.user
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
    with _session(lake) as session:
        return missing_rights(session)


def grant(lake: Lake, name: str, *, may_change: bool) -> None:
    """Give a site's role, which may change rows, or a reader's its rights to a lake, as the owner of the lake's tables.

    Raises:
        RoleUnusable: there is no such role, or these rights cannot be given.
    """
    try:
        with psycopg.connect(lake.sessions) as session:
            names = {"role": sql.Identifier(name), "database": sql.Identifier(session.info.dbname)}
            for right in ("read", "record_extracts", *["change"] * may_change):
                session.execute(sql.SQL(SQL[right]).format(**names))
    except psycopg.errors.UndefinedObject as error:
        raise RoleUnusable(f"PostgreSQL has no role {name}: run CREATE ROLE {name} LOGIN, and this again") from error
    except psycopg.Error as error:
        raise RoleUnusable(
            f"role {name} was not given its rights ({type(error).__name__}): are you the owner?"
        ) from error


@contextmanager
def _session(lake: Lake) -> Iterator[psycopg.Connection]:
    try:
        with psycopg.connect(lake.sessions) as session:
            yield session
    except psycopg.Error as error:
        raise LakeUnusable(f"the rights of the role cannot be read ({type(error).__name__})") from error
