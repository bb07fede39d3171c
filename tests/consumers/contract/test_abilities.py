"""The file store has one owner, and is backed up by it; a lake is open to many, and its operator backs it up."""

from matterlog.app.errors import WrongUse
from matterlog.app.owner.question import Owner
from matterlog.app.owner.questions import BackupQuestion
from matterlog.consumers.database.log_store import LogStore
from matterlog.consumers.database.store import Store
from matterlog.consumers.recovery.backups import DEFAULT_KEPT
from matterlog.schemas.storage.database_files import DatabaseInUse
from testbed.events import a_deletion, a_view
from testbed.feed import Feed, stored_ids
from tests.consumers.contract.stores import OpenStore


def test_a_log_is_opened_a_second_time_unless_it_has_an_owner(store: LogStore, open_store: OpenStore) -> None:
    """Whoever opens it then sees what the first one did, and changes it too: neither forgets what the other deleted."""
    Feed(store).apply(a_view(), a_view(matter_id="m-43"))
    try:
        second = open_store()
    except DatabaseInUse:
        has_owner = True
    else:
        has_owner = False
        assert Feed(second, begins=2).apply(a_view(matter_id="m-43"), a_deletion()).views_purged == 1
        second.close()
        assert Feed(store, begins=3).apply(a_view(), a_view(matter_id="m-43")).refused == 1
        assert len(stored_ids(store)) == 3
    assert has_owner is isinstance(store, Store)


def test_a_log_is_backed_up_if_it_is_a_file(store: LogStore) -> None:
    """And is refused in plain words otherwise."""
    try:
        is_backed_up = bool(BackupQuestion(kept=DEFAULT_KEPT).carry_out(Owner(store)))
    except WrongUse:
        is_backed_up = False
    assert is_backed_up is isinstance(store, Store)
