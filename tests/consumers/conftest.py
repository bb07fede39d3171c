"""A database on the test's own folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from matterlog.consumers.database.store import Store
from matterlog.schemas.storage.database_files import DatabaseFiles
from testbed.feed import Feed, files_in


@pytest.fixture
def paths(tmp_path: Path) -> DatabaseFiles:
    """The files of a database that does not exist yet."""
    return files_in(tmp_path)


@pytest.fixture
def store(paths: DatabaseFiles) -> Iterator[Store]:
    """A store on a new database."""
    with Store(paths) as opened:
        yield opened


@pytest.fixture
def feed(store: Store) -> Feed:
    """Gives events to the store."""
    return Feed(store)
