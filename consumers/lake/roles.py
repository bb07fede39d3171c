"""The roles of a lake in PostgreSQL, which the operator makes. Each right is given once, and may be given again.

- The *consumer* owns the database and made the lake: it changes the log and erases (``rights.py``).
- The *site* reads the log, records extracts, and changes rows, such as dead letters. It erases nothing.
- The *reader* reads the log and records extracts: nothing is handed out that is not in the register.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Final

import psycopg
from psycopg import sql

from matterlog.consumers.errors import RoleUnusable
from matterlog.schemas.storage.lake import Lake
from matterlog.schemas.storage.statements import load_statements

SQL: Final = load_statements(__package__, "roles.sql")


class LakeRole(StrEnum):
    """What a role may do beside the consumer's."""

    SITE = "site"
    READER = "reader"


_RIGHTS: Final[dict[LakeRole, Sequence[str]]] = {
    LakeRole.SITE: ("read", "record_extracts", "change"),
    LakeRole.READER: ("read", "record_extracts"),
}


def grant(lake: Lake, role: LakeRole, name: str) -> None:
    """Give a role of PostgreSQL its rights to a lake, as the owner of the lake's tables.

    Raises:
        RoleUnusable: there is no such role, or these rights cannot be given.
    """
    try:
        with psycopg.connect(lake.sessions) as session:
            names = {"role": sql.Identifier(name), "database": sql.Identifier(session.info.dbname)}
            for right in _RIGHTS[role]:
                session.execute(sql.SQL(SQL[right]).format(**names))
    except psycopg.errors.UndefinedObject as error:
        raise RoleUnusable(f"PostgreSQL has no role {name}: run CREATE ROLE {name} LOGIN, and this again") from error
    except psycopg.Error as error:
        raise RoleUnusable(
            f"role {name} was not given its rights ({type(error).__name__}): are you the owner?"
        ) from error
