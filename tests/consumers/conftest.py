"""A database on the test's own folder."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from matterlog.consumers.database import copies
from matterlog.consumers.database.store import Store
from matterlog.schemas.storage.database_files import DatabaseFiles
from testbed.embedded_postgresql import EmbeddedPostgreSQL
from testbed.feed import Feed, files_in
from tests.consumers.contract.stores import Lakes
from tests.consumers.processes import forked_steps


@pytest.fixture(autouse=True)
def _forked_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps on copies of a database need no Python that starts anew: those of commands and of tests/faults have one."""
    monkeypatch.setattr(copies, "subprocess", forked_steps())


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


@pytest.fixture(scope="session")
def lakes() -> Iterator[Lakes]:
    """Lakes on a PostgreSQL that all tests of a worker share."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)  # PostgreSQL may have to run as another user
        server = EmbeddedPostgreSQL(Path(folder) / "postgresql", fsync="off")
        server.start()
        try:
            yield Lakes(server, Path(folder))
        finally:
            server.stop("immediate")  # without a checkpoint of data that nobody needs
