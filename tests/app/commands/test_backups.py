"""``matterlog backup``, ``restore`` and ``rebuild`` at the command line."""

import json
from pathlib import Path

import duckdb
import pytest

from matterlog.consumers.database.store import Store
from matterlog.consumers.recovery.backups import list_backups
from matterlog.schemas.storage.database_files import DatabaseFiles
from testbed.command import done, owned, run
from testbed.events import a_view
from testbed.feed import Feed
from tests.app.commands.test_status import send, told
from tests.consumers.recovery.test_backups import damage


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A log of one view."""
    path = tmp_path / "log.duckdb"
    with Store(DatabaseFiles(path)) as store:
        Feed(store).apply(a_view())
    return path


def test_a_backup_is_taken_by_the_owner_or_without_one(database: Path) -> None:
    with owned(DatabaseFiles(database)):
        first = done("backup", "--database", database).text.strip()
    second = done("backup", "--database", database).text.strip()
    listed = json.loads(done("backup", "--list", "--json", "--database", database).out)
    assert [each["name"] for each in listed] == [second, first]
    assert first in done("backup", "--list", "--database", database).text


def test_the_command_and_its_flag_work_under_their_former_names(database: Path) -> None:
    """With a line on standard error for each, which tells the name of today."""
    ended = run("snapshot", "--keep-snapshots", "1", "--database", database)
    assert (ended.code, [ended.text.strip()]) == (0, [each.name for each in list_backups(DatabaseFiles(database))])
    command, flag, _taken = ended.err.splitlines()
    assert command == "`matterlog snapshot` is now called `matterlog backup`"
    assert flag.endswith("WARNING setting keep_snapshots (flag) is now called keep_backups")
    helped = done("--help").text + done("backup", "--help").text
    assert "backup" in helped
    assert "snapshot" not in helped


def test_a_flag_under_both_of_its_names_is_wrong_use(database: Path) -> None:
    ended = run("backup", "--keep-backups", "1", "--keep-snapshots", "1", "--database", database)
    assert (ended.code, ended.out, list_backups(DatabaseFiles(database))) == (2, b"", [])
    assert "keep_snapshots (flag) is the former name of keep_backups (flag)" in ended.err


def test_a_listing_finds_backups_under_the_folders_former_name_and_moves_nothing(database: Path) -> None:
    name = done("backup", "--database", database).text.strip()
    folder, former = DatabaseFiles(database).backup_folders
    folder.rename(former)
    assert name in done("backup", "--list", "--database", database).text
    assert (folder.exists(), former.exists()) == (False, True)


def test_a_restored_log_is_not_read_until_deletions_are(database: Path, tmp_path: Path) -> None:
    name = done("backup", "--database", database).text.strip()
    assert name in done("restore", "--database", database).text
    ended = run("export", "--database", database, "--output", tmp_path / "report.csv")
    assert (ended.code, (tmp_path / "report.csv").exists()) == (1, False)
    assert "not every deletion is applied" in ended.err


@pytest.mark.parametrize("name", ["20200101T000000.000000Z", "../other"])
def test_a_backup_that_is_not_there_is_an_error(database: Path, name: str) -> None:
    before = database.read_bytes()
    ended = run("restore", name, "--database", database)
    assert (ended.code, database.read_bytes()) == (1, before)
    assert "Existing backups: none" in ended.err


def test_an_owned_database_is_not_restored(database: Path) -> None:
    done("backup", "--database", database)
    with owned(DatabaseFiles(database)):
        ended = run("restore", "--database", database)
    assert ended.code == 1
    assert "is in use" in ended.err


def test_rebuild_without_a_broker_leaves_the_database(database: Path) -> None:
    before = database.read_bytes()
    ended = run("rebuild", "--database", database)
    assert (ended.code, database.read_bytes()) == (2, before)


def test_consume_recovers_a_damaged_database_and_says_so(tmp_path: Path, kafka_here: dict[str, str]) -> None:
    path = tmp_path / "log.duckdb"
    send(kafka_here, 3)
    done("consume", "--database", path, "--until-caught-up", settings=kafka_here)
    name = done("backup", "--database", path).text.strip()
    send(kafka_here, 2)
    done("consume", "--database", path, "--until-caught-up", settings=kafka_here)
    damage(path)
    ended = run("consume", "--database", path, "--until-caught-up", settings=kafka_here)
    assert ended.code == 0
    assert "is damaged" in ended.err
    assert f"recovered from backup {name}" in ended.err
    assert told(path, kafka_here)["rows"] == 5


def test_a_damaged_database_waits_for_a_broker_that_knows_what_the_topics_hold(database: Path) -> None:
    done("backup", "--database", database)
    damage(database)
    before = database.read_bytes()
    settings = {"MATTERLOG_BOOTSTRAP_SERVERS": "127.0.0.1:1", "MATTERLOG_BROKER_TIMEOUT_SECONDS": "1"}
    ended = run("consume", "--database", database, "--until-caught-up", settings=settings)
    assert (ended.code, database.read_bytes()) == (1, before)
    assert "is damaged" in ended.err
    assert "no answer from Kafka" in ended.err


def test_an_extract_of_a_damaged_database_says_so_and_has_the_next_owner_look(database: Path, tmp_path: Path) -> None:
    with duckdb.connect(str(database)) as connection:
        connection.execute("INSERT INTO activity SELECT * EXCLUDE (r) FROM activity, range(20000) t(r)")
        query = "SELECT min(block_id) FROM pragma_storage_info('activity') WHERE block_id >= 0"
        connection.execute("CHECKPOINT")
        ((block,),) = connection.execute(query).fetchall()
    data = bytearray(database.read_bytes())
    data[12_288 + 262_144 * block + 5_000] ^= 4
    database.write_bytes(data)
    ended = run("export", "--database", database, "--output", tmp_path / "report.csv")
    assert (ended.code, (tmp_path / "report.csv").exists()) == (1, False)
    assert "a block of the database is damaged" in ended.err
    for words in (
        ["status"],
        ["engagement", "matters"],
        ["plot", "activity", "--all", "--output", str(tmp_path / "a.svg")],
    ):
        ended = run(*words, "--database", database)
        assert ended.code == 1, words
        assert ended.err.endswith(f"matterlog: {database} cannot be read on (a block of the database is damaged)\n")
    ended = run("erase", "--now", "--database", database)
    assert (ended.code, "is damaged" in ended.err) == (1, True)


def test_status_says_when_the_whole_file_was_last_read(database: Path) -> None:
    """With the last backup."""
    assert told(database, {})["file_read_at"] is None
    name = done("backup", "--database", database).text.strip()
    assert told(database, {})["file_read_at"][:10].replace("-", "") == name[:8]
    with owned(DatabaseFiles(database)):
        assert told(database, {})["file_read_at"] is not None
