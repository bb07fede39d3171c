"""The store of the process that owns the database: with the register of extracts, upgraded from older versions."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import duckdb

from matterlog.app.owner.registered_extracts import registered_extracts
from matterlog.consumers.database.log_store import LogStore
from matterlog.consumers.database.store import Store
from matterlog.consumers.erasure.erase import Eraser
from matterlog.consumers.errors import BeingRecovered
from matterlog.consumers.reading.kafka import KafkaSource
from matterlog.consumers.recovery.recovery import open_or_recover
from matterlog.consumers.recovery.upgrade import open_upgraded
from matterlog.report.errors import LogUnavailable
from matterlog.report.log.reader import LogConnection
from matterlog.schemas.storage.database_files import DatabaseFiles
from matterlog.schemas.storage.lake import Lake

# Imported where a lake is used: they need the extra `lake`.
if TYPE_CHECKING:
    from matterlog.consumers.lake.lake_erasure import LakeEraser
    from matterlog.consumers.lake.lake_store import LakeStore


def owned_store(paths: DatabaseFiles, make_source: Callable[[], KafkaSource] | None) -> Store:
    """Open the store of a service, recovered if it is damaged; raises as ``open_or_recover``.

    ``make_source`` makes what asks the topics then; it is None if no broker is set.
    """
    return open_or_recover(lambda: _open(paths), paths, partial(asking, make_source))


@contextmanager
def asking(make_source: Callable[[], KafkaSource] | None) -> Iterator[KafkaSource | None]:
    """Give a source until the context ends; None where none can be made."""
    if make_source is None:
        yield None
        return
    with closing(make_source()) as source:
        yield source


def momentary_store(paths: DatabaseFiles) -> Store:
    """Open the store of a command that owns it briefly; raises as ``open_upgraded``."""
    return open_upgraded(lambda: _open(paths), paths)


def lake_store(lake: Lake) -> "LakeStore":
    """Open a lake for changing it, unless a pooler would give its commit lock away; raises as ``LakeStore``.

    Raises:
        LakeUnusable: there is such a pooler, or the role may only read.
    """
    from matterlog.consumers.lake.lake_store import LakeStore  # noqa: PLC0415 - see above
    from matterlog.consumers.lake.pooler import refuse_pooler  # noqa: PLC0415 - as above
    from matterlog.consumers.lake.rights import refuse_reader  # noqa: PLC0415 - as above

    refuse_pooler(lake)
    refuse_reader(lake)
    return LakeStore(lake, extracts=registered_extracts(lake))


def eraser_of(store: LogStore) -> "Eraser | LakeEraser":
    """Return what erases the bytes of rows that were removed from this store."""
    if isinstance(store, Store):
        return Eraser(store)
    from matterlog.consumers.lake.lake_erasure import LakeEraser  # noqa: PLC0415 - as above
    from matterlog.consumers.lake.lake_store import LakeStore  # noqa: PLC0415 - as above

    if isinstance(store, LakeStore):
        return LakeEraser(store)
    raise TypeError(type(store))


def _open(paths: DatabaseFiles) -> Store:
    return Store(paths, extracts=registered_extracts(paths))


@dataclass(frozen=True, slots=True)
class StoreLog:
    """The log that the site reads, on cursors of the store that its process owns."""

    store: Store

    @contextmanager
    def reader(self) -> Iterator[LogConnection]:
        """Yield a connection for reading; see ``report.web.figures.ports.Log``."""
        try:
            with self.store.served() as connection:
                yield connection
        except (duckdb.Error, BeingRecovered) as error:
            raise LogUnavailable from error
