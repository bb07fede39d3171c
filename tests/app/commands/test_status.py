"""`matterlog consume` and `matterlog status`: what an operator sees while the log grows."""

import json
import os
import signal
import stat
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from matterlog.app.commands import app
from matterlog.app.owner.access import open_log
from matterlog.app.owner.questions import StatusQuestion
from matterlog.consumers.database.store import Store
from matterlog.producers import KafkaProducer, MatterViewProducer
from matterlog.schemas import Topics
from matterlog.schemas.storage.database_files import DatabaseFiles
from testbed.command import consuming, done, end_of, run
from testbed.events import a_view
from tests.report.logs import a_log


def send(settings: Mapping[str, str], count: int) -> None:
    """Emit so many views as a web app does."""
    with KafkaProducer(settings["MATTERLOG_BOOTSTRAP_SERVERS"]) as transport:
        web_app = MatterViewProducer(transport, topic_prefix=settings["MATTERLOG_TOPIC_PREFIX"])
        for number in range(count):
            web_app.emit_event(a_view(user_id=f"u-{number}", matter_name="a\r\nb"))


def told(database: Path, settings: Mapping[str, str]) -> dict[str, Any]:
    """The status as a monitor reads it."""
    found: dict[str, Any] = json.loads(done("status", "--json", "--database", database, settings=settings).out)
    return found


def wait_for_rows(database: Path, rows: int) -> None:
    """Ask the owner until the log holds so many."""
    with open_log(DatabaseFiles(database)) as log:
        while log.ask(StatusQuestion()).rows < rows:
            time.sleep(0.02)


def test_an_export_while_consuming_is_the_export_afterwards(tmp_path: Path, kafka_here: dict[str, str]) -> None:
    """The owner answers; then nobody owns the file; then the next owner goes on where this one stood."""
    database = tmp_path / "log.duckdb"
    options = ["--database", str(database), "--output", "-"]
    send(kafka_here, 300)
    with consuming(database, settings=kafka_here):
        wait_for_rows(database, 300)
        answered = done("export", *options)
    assert answered.out.count(b"a\r\nb") == 300
    assert done("export", *options).out == answered.out
    send(kafka_here, 20)
    ended = done("consume", "--until-caught-up", "--database", database, settings=kafka_here)
    assert ended.text.startswith("20 records: 20 views stored, 0 duplicates")


def test_the_status_tells_positions_and_lag_of_each_partition(tmp_path: Path, kafka_here: dict[str, str]) -> None:
    """A partition that was never read stands at its beginning."""
    database = tmp_path / "log.duckdb"
    Store(DatabaseFiles(database)).close()
    send(kafka_here, 7)
    before = told(database, kafka_here)
    done("consume", "--until-caught-up", "--database", database, settings=kafka_here)
    send(kafka_here, 2)
    after = told(database, kafka_here)
    assert list(after) == [
        *("database", "lake", "rows", "matters", "deleted_matters", "dead_letters", "gaps", "recoveries"),
        *("newest_view_at", "positions"),
        *("tombstones", "oldest_tombstone_at", "tombstones_trouble"),
        *("removals", "oldest_removal_at", "erasure_trouble", "cut_partitions", "database_only"),
        *("file_read_at", "reading_trouble", "erase_by"),
    ]
    assert [sum(each["lag"] for each in found["positions"]) for found in (before, after)] == [7, 2]
    assert (after["rows"], after["matters"], after["newest_view_at"]) == (7, 1, "2026-03-01T12:00:00.678901Z")
    for each in after["positions"]:
        assert set(each) == {"topic", "partition", "next_offset", "end_offset", "lag"}
        assert each["end_offset"] - each["next_offset"] == each["lag"]
    assert {each["topic"] for each in after["positions"]} == {
        topic.name for topic in Topics(kafka_here["MATTERLOG_TOPIC_PREFIX"]).both
    }


def test_without_a_broker_the_lag_is_not_known_and_the_rest_is_told(tmp_path: Path) -> None:
    """The reason goes to standard error."""
    paths = a_log(tmp_path, a_view())
    ended = done("status", "--json", "--database", paths.database)
    found = json.loads(ended.out)
    assert ended.err == "The lag is unknown: no broker is set. Give --bootstrap-servers.\n"
    assert found["rows"] == 1
    assert {(each["end_offset"], each["lag"]) for each in found["positions"]} == {(None, None)}


def test_a_broker_that_is_away_hides_only_the_lag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the log holds is told all the same."""
    monkeypatch.setenv("MATTERLOG_BROKER_TIMEOUT_SECONDS", "0.2")
    arguments = ["status", "--database", str(a_log(tmp_path, a_view()).database), "--bootstrap-servers", "127.0.0.1:1"]
    ended = CliRunner().invoke(app, arguments)
    assert ended.exit_code == 0
    assert ended.stderr.startswith("The lag is unknown: no answer from Kafka at 127.0.0.1:1")
    assert "newest view at" in ended.stdout


def test_the_status_for_people_holds_the_same_figures(tmp_path: Path) -> None:
    """One line a fact, one a partition."""
    views = [a_view(matter_id=f"m-{number % 3}") for number in range(1_234)]
    ended = done("status", "--database", a_log(tmp_path, *views).database)
    words = [line.split() for line in ended.text.splitlines()]
    assert ["rows", "1,234"] in words
    assert ["matters", "3"] in words
    assert ["newest", "view", "at", "2026-03-01T12:00:00.678901Z"] in words
    assert ["│", "matter-views", "│", "0", "│", "1234", "│", "?", "│", "?", "│"] in words


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_consumer_that_is_stopped_sums_up_and_leaves_nothing_but_the_database(
    tmp_path: Path, kafka_here: dict[str, str], number: int
) -> None:
    """Exit code 0; nobody else may read what it leaves."""
    database = tmp_path / "log.duckdb"
    send(kafka_here, 5)
    with consuming(database, settings=kafka_here) as process:
        wait_for_rows(database, 5)
        assert stat.S_IMODE(DatabaseFiles(database).socket.stat().st_mode) & 0o077 == 0
        process.send_signal(number)
        ended = end_of(process)
    assert ended.code == 0
    assert ended.text.startswith("5 records: 5 views stored")
    assert {path.name for path in tmp_path.iterdir()} <= {"log.duckdb", "log.duckdb.lock", "log.duckdb.tmp"}
    assert {stat.S_IMODE(path.stat().st_mode) & 0o077 for path in tmp_path.iterdir()} == {0}


def test_a_second_owner_is_refused_with_the_process_id_of_the_first(tmp_path: Path, kafka_here: dict[str, str]) -> None:
    """Whoever finds it can look at that one."""
    paths = DatabaseFiles(tmp_path / "log.duckdb")
    with Store(paths):
        ended = run("consume", "--database", paths.database, settings=kafka_here)
    assert (ended.code, ended.out) == (1, b"")
    assert ended.err.splitlines()[-1] == (
        f"matterlog: {paths.database} is in use by process {os.getpid()}, which owns it: stop it, or wait until it ends"
    )


def test_topics_that_are_missing_are_told_with_the_command_that_makes_them(tmp_path: Path, embedded: str) -> None:
    """The consumer makes none."""
    settings = {"MATTERLOG_BOOTSTRAP_SERVERS": embedded, "MATTERLOG_TOPIC_PREFIX": "nobody-made-"}
    ended = run("consume", "--database", tmp_path / "log.duckdb", settings=settings)
    assert ended.code == 1
    assert ended.err.splitlines()[-1].startswith("matterlog: topic nobody-made-matter-deletions: ")
    assert ended.err.endswith(". Create it with: matterlog topics create\n")


def test_the_socket_of_a_killed_owner_is_in_nobodys_way(tmp_path: Path, kafka_here: dict[str, str]) -> None:
    """Commands read the file itself, and the next owner answers again."""
    database = tmp_path / "log.duckdb"
    send(kafka_here, 3)
    with consuming(database, settings=kafka_here) as process:
        wait_for_rows(database, 3)
        process.kill()
        end_of(process)
    assert DatabaseFiles(database).socket.is_socket()
    assert told(database, {})["rows"] == 3
    with consuming(database, settings=kafka_here):
        wait_for_rows(database, 3)
