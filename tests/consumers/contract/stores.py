"""Both stores of the log, opened by the tests of what they have in common."""

from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Final, Protocol
from uuid import uuid4

import duckdb
import psycopg

from matterlog.consumers.database.log_store import LogStore
from matterlog.consumers.database.store import Store
from matterlog.consumers.lake.lake_store import LakeStore
from matterlog.consumers.lake.lake_tables import make_tables
from matterlog.schemas.instants import stored_now
from matterlog.schemas.storage.lake import Lake
from testbed.embedded_postgresql import EmbeddedPostgreSQL
from testbed.feed import files_in
from testbed.lake_extensions import trust_extensions

_TEMPLATE: Final = "lake_template"


class _Instance:
    """An instance of DuckDB that has loaded the extensions, which takes longer than a test."""

    _free: ClassVar[list["_Instance"]] = []

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        """Be the connection."""
        return getattr(self._connection, name)

    @classmethod
    def taken(cls, make: Callable[[], duckdb.DuckDBPyConnection], threads: int | None) -> "_Instance":
        """Return one that nobody uses, or a new one."""
        instance = cls._free.pop() if cls._free else cls(make())
        instance.execute("RESET threads" if threads is None else f"SET threads = {threads}")
        return instance

    def close(self) -> None:
        """Leave the lake, and let others use the instance; one that fails at this is closed for good."""
        try:
            self._connection.execute("USE memory; DETACH log")
        except duckdb.Error:
            self._connection.close()
        else:
            self._free.append(self)


class QuickLake(Lake):
    """A lake whose connections use instances of DuckDB one after the other, each one alone."""

    def _instance(self, threads: int | None) -> Any:
        return _Instance.taken(lambda: Lake._instance(self, threads), threads)


class OpenStore(Protocol):
    """Opens one log again and again."""

    def __call__(self, *, clock: Callable[[], datetime] = stored_now) -> LogStore:
        """Open the log. The caller closes it."""


class Lakes:
    """Lakes on one PostgreSQL, each a copy of an empty one.

    Args:
        server: the running server.
        folder: where the lakes' files are.
    """

    def __init__(self, server: EmbeddedPostgreSQL, folder: Path) -> None:
        self.server = server
        self.folder = folder
        trust_extensions()
        template = QuickLake(catalogue=server.make_database(_TEMPLATE), data=f"{folder}/template/", spill=folder)
        with closing(template.connect(create=True)) as connection:
            make_tables(connection)

    def new(self, *, encrypted: bool = True) -> Lake:
        """Make an empty lake. Bytes can be looked for in one that is not encrypted."""
        name = f"lake_{uuid4().hex}"
        data = f"{self.folder}/{name}/"
        with psycopg.connect(self.server.address(), autocommit=True) as session:
            session.execute(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE}")
        catalogue = self.server.address(name)
        with psycopg.connect(catalogue, autocommit=True) as session:
            session.execute("UPDATE ducklake_metadata SET value = %s WHERE key = 'data_path'", (data,))
            session.execute("UPDATE ducklake_metadata SET value = %s WHERE key = 'encrypted'", [str(encrypted).lower()])
        return QuickLake(catalogue=catalogue, data=data, spill=self.folder)


def opener_of_a_file(folder: Path) -> OpenStore:
    """Return what opens a log in a file in this folder."""
    return lambda *, clock=stored_now: Store(files_in(folder), clock=clock)


def opener_of_a_lake(lake: Lake) -> OpenStore:
    """Return what opens the log in a lake."""
    return lambda *, clock=stored_now: LakeStore(lake, clock=clock)
