"""A database has one name: links are resolved once, or refused where they would lead elsewhere."""

import os
import re
from pathlib import Path

import pytest

from matterlog.consumers.database.copies import sweep
from matterlog.consumers.database.store import Store
from matterlog.consumers.erasure.erase import Eraser
from matterlog.report.errors import RegisterFailed, SiteDatabaseUnusable
from matterlog.report.handover.register import FileRegister
from matterlog.report.log.reader import open_for_reading
from matterlog.report.web.identity.site_database import SiteDatabase
from matterlog.schemas.storage.database_files import DatabaseFiles, DatabaseInUse, UnsafeFile
from testbed.command import done, run
from testbed.events import a_deletion, a_view
from tests.consumers.erasure.test_erase import NEEDLE, files_that_hold
from tests.report.logs import a_log, apply


@pytest.fixture
def real(tmp_path: Path) -> DatabaseFiles:
    """A log from which a matter was removed, in a folder of its own."""
    (tmp_path / "disk").mkdir()
    return a_log(tmp_path / "disk", a_view(), a_deletion(), a_view(matter_id="m-2", matter_name=""))


@pytest.fixture
def link(tmp_path: Path, real: DatabaseFiles) -> Path:
    """A symbolic link to it, under another name in another folder."""
    (tmp_path / "here").mkdir()
    path = tmp_path / "here" / "linked.duckdb"
    path.symlink_to(real.database)
    return path


def test_a_rewrite_through_a_link_takes_the_bytes_from_the_file(link: Path, real: DatabaseFiles) -> None:
    """And the link stays one."""
    done("erase", "--now", "--database", link)
    assert link.is_symlink()
    assert files_that_hold(real.database.parent.parent, NEEDLE) == []


def test_a_link_and_its_file_have_one_lock(link: Path, real: DatabaseFiles) -> None:
    with Store(real), pytest.raises(DatabaseInUse, match=f"process {os.getpid()}"):
        Store(DatabaseFiles(link))


def test_a_restore_through_a_link_takes_the_files_place(link: Path, real: DatabaseFiles) -> None:
    """From the backups beside the file, and nothing stands beside the link."""
    done("backup", "--database", link)
    before = real.database.stat().st_ino
    done("restore", "--database", link)
    assert real.database.stat().st_ino != before
    assert list(link.parent.iterdir()) == [link]


def test_a_link_to_a_file_that_is_not_made_yet_leads_there(tmp_path: Path) -> None:
    """A chain of them too."""
    (tmp_path / "second.duckdb").symlink_to("third.duckdb")
    (tmp_path / "first.duckdb").symlink_to(tmp_path / "second.duckdb")
    with Store(DatabaseFiles(tmp_path / "first.duckdb")):
        assert (tmp_path / "third.duckdb").is_file()


@pytest.mark.parametrize("ending", [".wal", ".accounts", ".extracts.sqlite", ".wal.quarantined-1", ".backups/1.duckdb"])
def test_what_stands_beside_a_link_is_not_forgotten(link: Path, real: DatabaseFiles, ending: str) -> None:
    """Accounts, a log and backups that were made under the link's name."""
    left = Path(f"{link}{ending}")
    left.parent.mkdir(exist_ok=True)
    left.write_text("made by an older matterlog")
    ended = run("status", "--database", link)
    assert ended.code == 1
    first = ending.partition("/")[0]
    assert f"move it to {real.database}{first}\n" in ended.err


def test_a_database_that_is_a_link_in_a_folder_of_all_is_refused(link: Path) -> None:
    """Whoever can write there may have put it there."""
    link.parent.chmod(0o1777)
    with pytest.raises(UnsafeFile, match="give the file itself"):
        DatabaseFiles(link)


def test_a_file_with_a_second_name_is_refused(real: DatabaseFiles) -> None:
    """By its owner, by who reads it, and by name."""
    os.link(real.database, real.database.with_name("second"))
    refused = f"{re.escape(str(real.database))} has another name .*-inum {real.database.stat().st_ino} finds"
    with pytest.raises(UnsafeFile, match=refused):
        Store(real)
    with pytest.raises(UnsafeFile, match=refused), open_for_reading(real):
        pytest.fail("it was read")


def test_a_file_that_gets_a_second_name_is_not_rewritten(tmp_path: Path) -> None:
    """A receipt must not say that the bytes are gone."""
    paths = DatabaseFiles(tmp_path / "log.duckdb")
    with Store(paths) as store:
        apply(store, a_view(), a_deletion())
        os.link(paths.database, tmp_path / "second")
        with pytest.raises(UnsafeFile):
            Eraser(store).run(patience_seconds=0)
        with store.reader() as connection:
            assert connection.execute("SELECT file_erased_at FROM purges").fetchall() == [(None,)]


def test_names_that_a_crash_left_keep_nobody_out(real: DatabaseFiles) -> None:
    """In the middle of a rewrite or a recovery the file has two of ours."""
    real.erasing.mkdir()
    os.link(real.database, real.erasing / "old.duckdb")
    os.link(real.database, real.database.with_name("log.duckdb.quarantined-1"))
    with open_for_reading(real) as connection:
        assert connection.execute("SELECT count(*) FROM activity").fetchall() == [(1,)]
    with Store(real) as store:
        Eraser(store).run(patience_seconds=0)
    assert files_that_hold(real.database.parent, NEEDLE) == []


@pytest.mark.parametrize("kind", ["symlink", "hard link", "pipe"])
def test_a_lock_that_leads_elsewhere_is_refused(real: DatabaseFiles, tmp_path: Path, kind: str) -> None:
    """The owner's process ID would be written over somebody's file."""
    precious = tmp_path / "precious"
    precious.write_text("kept")
    real.lock.unlink()
    if kind == "symlink":
        real.lock.symlink_to(precious)
    elif kind == "hard link":
        os.link(precious, real.lock)
    else:
        os.mkfifo(real.lock)
    with pytest.raises(UnsafeFile, match="remove it"):
        Store(real)
    assert precious.read_text() == "kept"


@pytest.mark.parametrize("ending", [".wal", ".tmp", ".erasing", ".backups", ".accounts"])
def test_a_link_beside_a_database_is_refused_where_all_can_write(real: DatabaseFiles, ending: str) -> None:
    """What is written, or swept, there would be elsewhere."""
    real.database.with_name(real.database.name + ending).symlink_to("elsewhere")
    real.database.parent.chmod(0o770)
    with pytest.raises(UnsafeFile, match=rf"{ending} is a symbolic link in a folder that others can write"):
        Store(real)


def test_a_folder_that_is_swept_may_be_a_link_of_the_operators(real: DatabaseFiles, tmp_path: Path) -> None:
    """What lies where it leads stays; backups and spilled data may go to another disk."""
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "precious").write_text("kept")
    real.erasing.symlink_to(tmp_path / "other")
    sweep(real.erasing)
    assert (tmp_path / "other" / "precious").read_text() == "kept"
    assert not real.erasing.exists()


def test_what_was_spilled_through_a_link_is_swept(real: DatabaseFiles, tmp_path: Path) -> None:
    """Rows of a killed process, on another disk."""
    (tmp_path / "scratch").mkdir()
    (tmp_path / "scratch" / "duckdb_temp_storage-0.tmp").write_bytes(NEEDLE)
    real.database.with_name("log.duckdb.tmp").symlink_to(tmp_path / "scratch")
    with Store(real) as store:
        apply(store, a_view(matter_id="m-3"))
    assert files_that_hold(tmp_path / "scratch", NEEDLE) == []


@pytest.mark.parametrize("mode", [0o666, 0o604, 0o602])
def test_accounts_and_register_that_every_user_may_use_are_refused(tmp_path: Path, mode: int) -> None:
    """Who can write there makes himself an administrator, or takes a file from a recall list."""
    for name, opened, refusal in (
        ("x.accounts", SiteDatabase, SiteDatabaseUnusable),
        ("x.extracts.sqlite", lambda path: FileRegister(path).extracts(), RegisterFailed),
    ):
        path = tmp_path / name
        path.touch()
        path.chmod(mode)
        with pytest.raises(refusal, match=rf"mode {mode:04o}\): chmod 600"):
            opened(path)


def test_accounts_are_not_looked_for_through_somebodys_link(tmp_path: Path) -> None:
    """Where others can write the folder; the operator's own link is followed, and the file made there."""
    path, elsewhere = tmp_path / "x.accounts", tmp_path / "elsewhere"
    path.symlink_to(elsewhere)
    tmp_path.chmod(0o777)
    with pytest.raises(SiteDatabaseUnusable, match="symbolic link in a folder that others can write"):
        SiteDatabase(path)
    assert not elsewhere.exists()
    tmp_path.chmod(0o700)
    SiteDatabase(path)
    assert elsewhere.is_file()
