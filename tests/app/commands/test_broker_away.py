"""A broker that does not answer: its address is said at once, the end comes in time, and nothing is left behind."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest

from matterlog.schemas import Topics
from testbed.command import consuming, done, end_of, run, start, wait_until_it_answers
from testbed.events import a_deletion, a_view
from tests.consumers.pipeline import Pipeline
from tests.consumers.test_consumer_kafka import wait_until
from tests.report.logs import a_log

NOBODY: Final = "127.0.0.1:1"
AWAY: Final = {"MATTERLOG_BOOTSTRAP_SERVERS": NOBODY, "MATTERLOG_BROKER_TIMEOUT_SECONDS": "2"}
LATE: Final = "does not answer yet"
ENDING: Final = (
    "consume --until-caught-up",
    "reread",
    "rebuild",
    "topics create",
    "topics check",
    "emit deletions ../deletions.ndjson",
)


@pytest.fixture
def silent() -> Iterator[str]:
    """An address that takes connections and never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"127.0.0.1:{listening.getsockname()[1]}"


def test_what_ends_does_so_after_one_wait_and_says_at_once_whom_it_asks(tmp_path: Path) -> None:
    """Each part of the work would wait anew, and say so. All run at once here, each in a folder of its own."""
    folders = [tmp_path / str(number) for number in range(len(ENDING))]
    for folder in folders:
        folder.mkdir()
    (tmp_path / "deletions.ndjson").write_text('{"matter_ID": "m-9"}\n', encoding="utf-8")
    started = [start(*each.split(), cwd=folder, settings=AWAY) for each, folder in zip(ENDING, folders, strict=True)]
    for ended, folder in zip([end_of(process) for process in started], folders, strict=True):
        assert ended.code in {1, 3}  # 3: could not check
        assert ended.err.count(f"WARNING Kafka at {NOBODY} {LATE}") == 1
        assert f"no answer from Kafka at {NOBODY}" in ended.err
        assert list(folder.iterdir()) == []


@pytest.mark.parametrize("command", ["status", "verify-purge m-42"])
def test_what_can_do_without_kafka_says_whom_it_asks_too(tmp_path: Path, command: str) -> None:
    database = a_log(tmp_path, a_view(), a_deletion()).database
    settings = AWAY | {"MATTERLOG_BROKER_TIMEOUT_SECONDS": "1"}
    ended = run(*command.split(), "--database", database, settings=settings)
    assert ended.err.count(f"WARNING Kafka at {NOBODY} {LATE}") == 1
    assert f": no answer from Kafka at {NOBODY}" in ended.err


def test_an_address_that_takes_connections_and_says_nothing_is_given_up_too(tmp_path: Path, silent: str) -> None:
    ended = run("consume", "--until-caught-up", "--bootstrap-servers", silent, cwd=tmp_path, settings=AWAY)
    assert (ended.code, ended.err.count(LATE)) == (1, 1)
    assert ended.err.splitlines()[-1].startswith(f"matterlog: no answer from Kafka at {silent}")
    assert list(tmp_path.iterdir()) == []


def test_a_first_consumer_waits_for_kafka_and_makes_no_database_meanwhile(tmp_path: Path) -> None:
    """A supervisor may start both at once; an empty database is no log."""
    process = start("consume", cwd=tmp_path, settings=AWAY | {"MATTERLOG_BROKER_TIMEOUT_SECONDS": "1"})
    with process:
        time.sleep(5)
        assert (process.poll(), list(tmp_path.iterdir())) == (None, [])
        process.terminate()
        ended = end_of(process)
    assert (ended.code, list(tmp_path.iterdir())) == (0, [])
    assert ended.err.count(f"views and deletions wait since {time.strftime('%Y-')}") == 1


def test_a_consumer_serves_the_log_that_is_there_while_kafka_is_away(tmp_path: Path) -> None:
    """And says in the status that it does not read."""
    database = a_log(tmp_path, a_view()).database
    with consuming(database, settings=AWAY | {"MATTERLOG_BROKER_TIMEOUT_SECONDS": "1"}):
        wait_until(lambda: status(database)["reading_trouble"] is not None)
        found = status(database)
        assert len(done("export", "--output", "-", "--database", database).text.splitlines()) == 2
    assert found["rows"] == 1
    assert f"no answer from Kafka at {NOBODY}" in str(found["reading_trouble"])


def pump(source: socket.socket, sink: socket.socket) -> None:
    """Pass on what one side says until it ends, or the other one does."""
    with source, suppress(OSError):
        while data := source.recv(65_536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_RDWR)


def lead(listening: socket.socket, to: str) -> None:
    """Lead each connection to a broker until nobody listens any more."""
    host, _, port = to.rpartition(":")
    with suppress(OSError):
        while True:
            near, far = listening.accept()[0], socket.create_connection((host, int(port)))
            for pair in ((near, far), (far, near)):
                threading.Thread(target=pump, args=pair, daemon=True).start()


@pytest.mark.parametrize("exists", [True, False], ids=["a log that is there", "a first consumer"])
def test_a_consumer_that_waited_reads_on_when_kafka_comes(
    kafka_here: dict[str, str], tmp_path: Path, *, exists: bool
) -> None:
    """Nobody has to start it again."""
    servers, database = kafka_here["MATTERLOG_BOOTSTRAP_SERVERS"], tmp_path / "log.duckdb"
    if exists:
        done("consume", "--until-caught-up", "--database", database, settings=kafka_here)
    pipeline = Pipeline(servers, Topics(kafka_here["MATTERLOG_TOPIC_PREFIX"]), database)
    pipeline.write(a_view())
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{listening.getsockname()[1]}"
        settings = kafka_here | {"MATTERLOG_BOOTSTRAP_SERVERS": address, "MATTERLOG_BROKER_TIMEOUT_SECONDS": "1"}
        with start("consume", "--database", database, settings=settings) as process:
            assert process.stderr is not None
            while b"views and deletions wait" not in (line := process.stderr.readline()):
                assert line
            assert database.exists() == exists
            listening.listen()
            threading.Thread(target=lead, args=(listening, servers), daemon=True).start()
            wait_until_it_answers(database, process)
            wait_until(lambda: status(database)["rows"] == 1)
            assert status(database)["reading_trouble"] is None
            process.terminate()
            assert end_of(process).code == 0
            listening.shutdown(socket.SHUT_RDWR)


def status(database: Path) -> dict[str, object]:
    """The status as a monitor reads it."""
    found: dict[str, object] = json.loads(done("status", "--json", "--database", database).out)
    return found
