"""`matterlog erase`: through the owner or without one."""

import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from matterlog.consumers.database.store import Store
from matterlog.schemas.instants import stored_now
from matterlog.schemas.storage.database_files import DatabaseFiles
from testbed.command import done, owned, run
from testbed.events import a_deletion, a_view
from tests.consumers.erasure.test_erase import NEEDLE, files_that_hold
from tests.report.logs import a_log, apply


@pytest.fixture
def paths(tmp_path: Path) -> DatabaseFiles:
    """A log from which a matter was removed, and nobody owns it."""
    return a_log(tmp_path, a_view(), a_deletion(), a_view(matter_id="m-2", matter_name=""))


@pytest.mark.parametrize("by", ["the owner", "the command itself"])
def test_what_was_removed_is_erased_from_the_file_at_once(paths: DatabaseFiles, by: str) -> None:
    """And it says what that cost."""
    if by == "the owner":
        with owned(paths) as store:
            apply(store, a_view(matter_id="m-3"), a_deletion(matter_id="m-3"))
            ended = done("erase", "--now", "--database", paths.database)
    else:
        ended = done("erase", "--now", "--database", paths.database)
    assert ended.text.startswith("the database file was rewritten in ")
    assert "Writing paused for " in ended.text
    assert files_that_hold(paths.database.parent, NEEDLE) == []
    checked = done("erase", "--check", "--database", paths.database)
    assert checked.text == "Nothing to erase: the database file holds no removed data\n"


def test_what_waits_is_told_until_when(paths: DatabaseFiles) -> None:
    """In the status as well."""
    status = json.loads(done("status", "--json", "--database", paths.database).out)
    erase_by = datetime.fromisoformat(status["erase_by"])
    assert erase_by - datetime.fromisoformat(status["oldest_removal_at"]) == timedelta(hours=24)
    assert (status["removals"], status["erasure_trouble"]) == (1, None)
    text = done("erase", "--check", "--database", paths.database).text
    assert text == f"1 removals are still in the database file, to be erased by {status['erase_by']}\n"
    assert status["erase_by"] in done("status", "--database", paths.database).text


def test_a_missed_deadline_fails_the_check(tmp_path: Path) -> None:
    """A monitor sees it by the exit code."""
    paths = DatabaseFiles(tmp_path / "log.duckdb")
    with Store(paths, clock=lambda: datetime(2026, 1, 1)) as store:  # noqa: DTZ001 - stored without a zone
        apply(store, a_deletion())
    ended = run("erase", "--check", "--database", paths.database)
    assert ended.code == 1
    assert "should have been erased from the database file by 2026-01-02T00:00:00.000000Z" in ended.err


def test_a_removal_that_lies_ahead_fails_the_check(tmp_path: Path) -> None:
    """The clock was wrong when it was written; the file still has the bytes."""
    paths = DatabaseFiles(tmp_path / "log.duckdb")
    with Store(paths, clock=lambda: stored_now() + timedelta(days=365)) as store:
        apply(store, a_deletion())
    assert run("erase", "--check", "--database", paths.database).code == 1
    assert run("purges", "list", "--overdue", "--database", paths.database).code == 1


def test_a_rewrite_that_fails_is_told_by_the_owner(paths: DatabaseFiles) -> None:
    """Exit code 1, and the file stays."""
    with owned(paths) as store:
        with store.copying:
            ended = run("erase", "--now", "--database", paths.database)
        assert (ended.code, ended.out) == (1, b"")
        assert ended.err == "matterlog: the database file is already being rewritten\n"


@pytest.mark.parametrize("flags", [[], ["--now", "--check"]])
def test_one_of_the_two_is_asked_for(tmp_path: Path, flags: list[str]) -> None:
    """Nothing is rewritten by accident."""
    ended = run("erase", *flags, "--database", tmp_path / "log.duckdb")
    assert (ended.code, ended.out) == (2, b"")
    assert list(tmp_path.iterdir()) == []
