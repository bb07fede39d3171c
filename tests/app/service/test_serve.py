"""``matterlog serve`` as a process: it goes on whatever its parts do, and ends when told to."""

import json
import signal
import socket
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from matterlog.app.topics.topics_admin import TopicAdmin
from matterlog.consumers.database.store import Store
from matterlog.consumers.reading.decode import decode_records
from matterlog.consumers.reading.records import Move, Position
from matterlog.producers import KafkaProducer, MatterViewProducer
from matterlog.schemas import Topics
from matterlog.schemas.storage.database_files import DatabaseFiles
from testbed.command import PATIENCE_SECONDS, Ended, done, run
from testbed.events import a_view
from testbed.served import serving


def refusal(database: Path, *arguments: str) -> Ended:
    """How a service ends that cannot start."""
    return run("serve", "--no-consumer", "--database", database, *arguments, settings={"MATTERLOG_PORT": "0"})


def test_emitted_views_are_in_the_log_and_the_owner_answers(kafka_here: dict[str, str], tmp_path: Path) -> None:
    """Consumer, socket and site in one process."""
    database = tmp_path / "log.duckdb"
    with serving(database, settings=kafka_here) as served:
        served.wait_until(200)
        prefix = kafka_here["MATTERLOG_TOPIC_PREFIX"]
        with KafkaProducer(kafka_here["MATTERLOG_BOOTSTRAP_SERVERS"]) as transport:
            MatterViewProducer(transport, source="test", topic_prefix=prefix).emit_event(a_view())
        deadline = time.monotonic() + PATIENCE_SECONDS
        while "matterlog_rows 1.0" not in httpx.get(f"{served.url}/metrics").text:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        status: dict[str, Any] = json.loads(done("status", "--json", "--database", database).text)
        assert status["rows"] == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_it_ends_well_and_leaves_nothing_behind(tmp_path: Path, number: int) -> None:
    """The database can be opened at once by the next one."""
    database = tmp_path / "log.duckdb"
    with serving(database, "--no-consumer") as served:
        served.wait_until(200)
        assert served.stop(number) == 0
    assert not DatabaseFiles(database).socket.exists()
    with Store(DatabaseFiles(database)):
        pass


def test_a_broker_that_is_away_takes_nothing_down(tmp_path: Path) -> None:
    """The reason is told, and it is tried again."""
    settings = {"MATTERLOG_BROKER_TIMEOUT_SECONDS": "1"}
    with serving(tmp_path / "log.duckdb", "--bootstrap-servers", "127.0.0.1:1", settings=settings) as served:
        served.wait_until(503, "no answer from Kafka at 127.0.0.1:1")
        assert httpx.get(f"{served.url}/sign-in").status_code == 200
        assert httpx.get(f"{served.url}/health/live").status_code == 200


@pytest.mark.broker
def test_topics_that_are_made_later_are_read_then(kafka: str, topic_prefix: str, tmp_path: Path) -> None:
    """Nobody has to start it again."""
    settings = {"MATTERLOG_BOOTSTRAP_SERVERS": kafka, "MATTERLOG_TOPIC_PREFIX": topic_prefix}
    with serving(tmp_path / "log.duckdb", settings=settings) as served:
        served.wait_until(503, "Create it with: matterlog topics create")
        TopicAdmin(kafka, {}).create(Topics(topic_prefix), 1, 1)
        served.wait_until(200)


def test_a_topic_that_is_another_one_stops_the_consumer_and_nothing_else(
    kafka_here: dict[str, str], tmp_path: Path
) -> None:
    """Only a person can say what to do; the way out stands in the reason."""
    paths, topic = DatabaseFiles(tmp_path / "log.duckdb"), f"{kafka_here['MATTERLOG_TOPIC_PREFIX']}matter-views"
    with Store(paths) as store:
        ahead = Move(topic=topic, partition=0, began=None, ends=Position(next_offset=1000))
        store.apply(decode_records([], Topics()), [ahead])
    with serving(paths.database, settings=kafka_here) as served:
        served.wait_until(503, "the topic was cut")
        assert "No views arrive until an operator acts." in served.ready()[1][0]
        assert httpx.get(f"{served.url}/sign-in").status_code == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])  # noqa: S104 - what is refused
def test_without_tls_it_listens_to_this_machine_alone(tmp_path: Path, host: str) -> None:
    """Unless told otherwise in so many words."""
    ended = refusal(tmp_path / "log.duckdb", "--host", host)
    assert (ended.code, "--insecure-bind" in ended.err) == (2, True)
    with serving(tmp_path / "log.duckdb", "--no-consumer", "--host", "0.0.0.0", "--insecure-bind") as served:  # noqa: S104
        assert served.url.startswith("http://0.0.0.0:")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--tls-key", "x.pem"], "--tls-certificate and --tls-key must be given together"),
        (["--tls-key", "x.pem", "--tls-certificate", "y.pem"], "there is no file"),
        (["--trusted-proxy", "somewhere"], "setting trusted_proxy (IP address of the proxy whose"),
        (["--port", "70000"], "setting port"),
    ],
)
def test_settings_that_make_no_sense_are_wrong_use(tmp_path: Path, arguments: list[str], told: str) -> None:
    """Before anything is started."""
    ended = refusal(tmp_path / "log.duckdb", *arguments)
    assert (ended.code, told in ended.err) == (2, True), ended.err


def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    """With its number."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = refusal(tmp_path / "log.duckdb", "--port", port)
    assert (ended.code, f"cannot listen on 127.0.0.1:{port}" in ended.err) == (1, True)


def test_it_owns_the_database(tmp_path: Path) -> None:
    """A second one is refused."""
    with serving(tmp_path / "log.duckdb", "--no-consumer") as served:
        served.wait_until(200)
        ended = refusal(tmp_path / "log.duckdb", "--port", "0")
        assert (ended.code, f"in use by process {served.process.pid}" in ended.err) == (1, True)
