"""The store as a service owns it: with the register of extracts, and put together again where its file is damaged."""

from matterlog.consumers.recovery import open_or_recover
from matterlog.consumers.store import Store
from matterlog.schemas.database_files import DatabaseFiles

from .recall import registered_extracts
from .settings import Settings


def owned_store(settings: Settings, paths: DatabaseFiles) -> Store:
    """Open the store; raises as ``open_or_recover`` does."""

    def open_store() -> Store:
        return Store(paths, memory_limit=settings.memory_limit, extracts=registered_extracts(paths))

    return open_or_recover(open_store, paths, settings.memory_limit)
