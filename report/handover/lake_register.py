"""The register of extracts of a lake: a table in the catalogue's PostgreSQL, which every machine reaches.

The statements are those of the register in a file. An entry is on PostgreSQL's disk before its file appears.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from psycopg.rows import dict_row

from matterlog.report.errors import RegisterFailed
from matterlog.report.handover.register import REGISTER_TABLES, Register, RegisterConnection
from matterlog.schemas.storage.lake import Lake

# SQLite's placeholders, and its hint that types are checked, which PostgreSQL always does.
_PLACEHOLDER: Final = re.compile(r":(\w+)")
_STRICT: Final = re.compile(r"\bSTRICT\b")
_USE_SCHEMA: Final = "SET search_path = matterlog"
_CONNECT_SECONDS: Final = 10


@dataclass(frozen=True, slots=True)
class LakeRegister(Register):
    """The register in the catalogue of a lake."""

    lake: Lake

    def _exists(self) -> bool:
        return True

    @contextmanager
    def _opened(self) -> Iterator[RegisterConnection]:
        try:
            with psycopg.connect(
                self.lake.catalogue, row_factory=dict_row, connect_timeout=_CONNECT_SECONDS
            ) as session:
                session.execute(_USE_SCHEMA)
                yield _Session(session)
        except psycopg.Error as error:
            raise RegisterFailed(
                f"the register of extracts in the lake's catalogue cannot be used ({type(error).__name__}): no file is "
                "handed out until it can"
            ) from error


@dataclass(frozen=True, slots=True)
class _Session:
    """A session of PostgreSQL that takes the statements of the register in a file."""

    session: psycopg.Connection[dict[str, Any]]

    def execute(self, statement: str, values: Mapping[str, Any], /) -> Iterator[dict[str, Any]]:
        done = self.session.execute(_PLACEHOLDER.sub(r"%(\1)s", statement), values)
        return iter(done.fetchall() if done.description else ())


def make_register(lake: Lake) -> None:
    """Make the register's table in the catalogue of a lake, unless it is there."""
    script = _STRICT.sub("", REGISTER_TABLES.script()).replace("INTEGER", "BIGINT")
    script = script.replace("CREATE TABLE", "CREATE TABLE IF NOT EXISTS")
    with psycopg.connect(lake.catalogue, connect_timeout=_CONNECT_SECONDS) as session:
        session.execute("CREATE SCHEMA IF NOT EXISTS matterlog")
        session.execute(_USE_SCHEMA)
        session.execute(script)
