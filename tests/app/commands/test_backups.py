"""``matterlog snapshot``, ``restore`` and ``rebuild`` at the command line."""

import json
from pathlib import Path

import pytest

from matterlog.consumers.database.store import Store
from matterlog.schemas.database_files import DatabaseFiles
from testbed.command import done, owned, run
from testbed.events import a_view
from testbed.feed import Feed
from tests.consumers.recovery.test_backups import damage


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A log of one view."""
    path = tmp_path / "log.duckdb"
    with Store(DatabaseFiles(path)) as store:
        Feed(store).apply(a_view())
    return path


def test_a_snapshot_is_taken_by_the_owner_or_without_one(database: Path) -> None:
    with owned(DatabaseFiles(database)):
        first = done("snapshot", "--database", database).text.strip()
    second = done("snapshot", "--database", database).text.strip()
    listed = json.loads(done("snapshot", "--list", "--json", "--database", database).out)
    assert [each["name"] for each in listed] == [second, first]
    assert first in done("snapshot", "--list", "--database", database).text


def test_a_restored_log_is_not_read_until_deletions_are(database: Path, tmp_path: Path) -> None:
    name = done("snapshot", "--database", database).text.strip()
    assert name in done("restore", "--database", database).text
    ended = run("export", "--database", database, "--output", tmp_path / "report.csv")
    assert (ended.code, (tmp_path / "report.csv").exists()) == (1, False)
    assert "not every deletion is applied" in ended.err


@pytest.mark.parametrize("name", ["20200101T000000.000000Z", "../other"])
def test_a_snapshot_that_is_not_there_is_an_error(database: Path, name: str) -> None:
    before = database.read_bytes()
    ended = run("restore", name, "--database", database)
    assert (ended.code, database.read_bytes()) == (1, before)
    assert "there are: none" in ended.err


def test_an_owned_database_is_not_restored(database: Path) -> None:
    done("snapshot", "--database", database)
    with owned(DatabaseFiles(database)):
        ended = run("restore", "--database", database)
    assert ended.code == 1
    assert "is in use" in ended.err


def test_rebuild_without_a_broker_leaves_the_database(database: Path) -> None:
    before = database.read_bytes()
    ended = run("rebuild", "--database", database)
    assert (ended.code, database.read_bytes()) == (2, before)


def test_consume_puts_a_damaged_database_together_and_says_so(database: Path) -> None:
    """Without a broker it stops after that; the log waits for its deletions."""
    done("snapshot", "--database", database)
    damage(database)
    ended = run("consume", "--database", database, "--bootstrap-servers", "127.0.0.1:1", "--until-caught-up")
    assert ended.code == 1
    assert "is damaged" in ended.err
    assert "put together from" in ended.err
