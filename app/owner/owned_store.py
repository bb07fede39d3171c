"""The store as a service owns it: with the register of extracts, and put together again where its file is damaged."""

from matterlog.app.owner.registered_extracts import registered_extracts
from matterlog.consumers.database.store import Store
from matterlog.consumers.recovery.recovery import open_or_recover
from matterlog.schemas.database_files import DatabaseFiles


def owned_store(paths: DatabaseFiles) -> Store:
    """Open the store; raises as ``open_or_recover`` does."""

    def open_store() -> Store:
        return Store(paths, extracts=registered_extracts(paths))

    return open_or_recover(open_store, paths)
