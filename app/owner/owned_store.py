"""The store as a service owns it: put together again where its file is damaged, and read by the admin site."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import duckdb

from matterlog.app.owner.registered_extracts import registered_extracts
from matterlog.consumers.database.store import Store
from matterlog.consumers.errors import BeingRecovered
from matterlog.consumers.recovery.recovery import open_or_recover
from matterlog.report.errors import LogUnavailable
from matterlog.report.log.reader import LogConnection
from matterlog.schemas.database_files import DatabaseFiles


def owned_store(paths: DatabaseFiles) -> Store:
    """Open the store, with the register of extracts; raises as ``open_or_recover`` does."""

    def open_store() -> Store:
        return Store(paths, extracts=registered_extracts(paths))

    return open_or_recover(open_store, paths)


@dataclass(frozen=True, slots=True)
class StoreLog:
    """The log as the site reads it, on cursors of the store that its process owns."""

    store: Store

    @contextmanager
    def reader(self) -> Iterator[LogConnection]:
        """Give a connection for reading; see ``report.web.figures.ports.Log``."""
        try:
            with self.store.served() as connection:
                yield connection
        except (duckdb.Error, BeingRecovered) as error:
            raise LogUnavailable from error
