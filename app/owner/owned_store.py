"""The store as a process of ours owns it: with the register of extracts, upgraded where its file is older."""

from matterlog.app.owner.registered_extracts import registered_extracts
from matterlog.consumers.database.store import Store
from matterlog.consumers.recovery.recovery import open_or_recover
from matterlog.consumers.recovery.upgrade import open_upgraded
from matterlog.schemas.database_files import DatabaseFiles


def owned_store(paths: DatabaseFiles) -> Store:
    """Open the store of a service, put together again where it is damaged; raises as ``open_or_recover`` does."""
    return open_or_recover(lambda: _open(paths), paths)


def momentary_store(paths: DatabaseFiles) -> Store:
    """Open the store of a command that owns it for a moment; raises as ``open_upgraded`` does."""
    return open_upgraded(lambda: _open(paths), paths)


def _open(paths: DatabaseFiles) -> Store:
    return Store(paths, extracts=registered_extracts(paths))
