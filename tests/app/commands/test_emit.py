"""`matterlog emit`: the good lines are sent, the bad ones named, and a broker that is away is told."""

import contextlib
import json
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import pytest

from matterlog.schemas.storage.database_files import DatabaseFiles
from testbed.command import done, environment, popen, run, start
from tests.report.logs import extract_of

HEADER: Final = "user_ID,user_name,user_email,user_type,matter_viewed_at,matter_ID,matter_name,matter_type\r\n"
ROW: Final = "u-{},Zoë,zoe@example.com,Guest,2026-11-22T14:05:09.{:06}Z,m-1,Heron,live\r\n"
VIEW: Final = {
    "user_ID": "u-1",
    "user_name": "Zoë",
    "user_email": "zoe@example.com",
    "user_type": "Guest",
    "matter_viewed_at": "2026-11-22T14:05:09.123456Z",
    "matter_ID": "m-1",
    "matter_name": "Heron",
    "matter_type": "live",
}
# A broker that does not answer is given up within a second.
IMPATIENT: Final = {"MATTERLOG_BROKER_TIMEOUT_SECONDS": "1", "MATTERLOG_BOOTSTRAP_SERVERS": "127.0.0.1:1"}
AWAY: Final = "matterlog: no answer from Kafka at 127.0.0.1:1: "


def users_in_the_log(folder: Path, settings: Mapping[str, str]) -> list[str]:
    """Consume what was sent, and read whose views arrived."""
    database = folder / "log.duckdb"
    done("consume", "--until-caught-up", "--database", database, settings=settings)
    return [row["user_ID"] for row in json.loads(extract_of(DatabaseFiles(database), format="json"))]


def test_bad_lines_are_named_on_standard_error_and_the_good_ones_are_sent(
    tmp_path: Path, kafka_here: dict[str, str]
) -> None:
    """The exit code is 1, the counts are on standard output, no value is anywhere."""
    good = [ROW.format(number, number) for number in range(3)]
    lines = [
        HEADER,
        good[0],
        "secret,3\r\n",
        good[2].replace("2026", "secret"),
        good[2].replace("Zoë", "secr\xe9t"),
        good[1],
    ]
    (tmp_path / "x.csv").write_bytes(b"".join(line.encode("latin-1" if "\xe9" in line else "utf-8") for line in lines))
    ended = run("emit", "views", "x.csv", cwd=tmp_path, settings=kafka_here)
    assert (ended.code, ended.text) == (1, "2 events sent, 3 bad lines, 0 events not accepted by Kafka\n")
    first, second, third, last = ended.err.splitlines()
    assert first == "x.csv:3: 2 values for 8 columns"
    assert second.startswith("x.csv:4: matter_viewed_at must be an instant with its time zone, such as 2026-11-22")
    assert third.startswith("x.csv:5: user_name must be text")
    assert last == "matterlog: 3 of 5 records were not sent"
    assert users_in_the_log(tmp_path, kafka_here) == ["u-0", "u-1"]


def test_standard_input_is_told_apart_by_its_first_character(tmp_path: Path, kafka_here: dict[str, str]) -> None:
    """CSV and NDJSON, with a byte-order mark or without."""
    lines = [json.dumps(VIEW | {"user_ID": f"u-{number}"}) + "\n" for number in range(4)]
    given = [
        (HEADER + ROW.format(8, 1)).encode("utf-8-sig"),
        "".join(lines[:2]).encode(),
        "".join(lines[2:]).encode("utf-8-sig"),
    ]
    told = [done("emit", "views", "-", given=data, settings=kafka_here).text for data in given]
    assert told == [f"{count} events sent, 0 bad lines, 0 events not accepted by Kafka\n" for count in (1, 2, 2)]
    assert sorted(users_in_the_log(tmp_path, kafka_here)) == ["u-0", "u-1", "u-2", "u-3", "u-8"]


@contextlib.contextmanager
def emitting(*pieces: bytes, settings: Mapping[str, str]) -> Iterator["subprocess.Popen[bytes]"]:
    """Send what comes on a pipe, piece by piece, until a line is reported as bad; more may come."""
    pipe = subprocess.PIPE
    streams = {"stdin": pipe, "stdout": pipe, "stderr": pipe}
    with popen(["emit", "views", "-"], env=environment(settings), **streams) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        try:
            for piece in pieces:
                process.stdin.write(piece)
                process.stdin.flush()
                # Blank pieces are read by themselves.
                time.sleep(0 if piece.strip() else 2)
            if pieces[-1].endswith(b"bad\n"):
                next(line for line in process.stderr if line.startswith(b"-:4: "))
            yield process
        finally:
            process.kill()


def test_white_space_that_comes_first_does_not_decide_on_the_format(kafka_here: dict[str, str]) -> None:
    """A slow program may write it alone; lines are counted from the first one."""
    array = json.dumps([VIEW, {"user_ID": 1}], indent=0).encode()
    with emitting(b"\n \n", array, settings=kafka_here) as process:
        out, err = process.communicate()
    assert (process.returncode, out) == (1, b"1 events sent, 1 bad lines, 0 events not accepted by Kafka\n")
    assert err.startswith(b"-:14: ")


THREE: Final = "".join(json.dumps(VIEW | {"user_ID": f"u-{number}"}) + "\n" for number in range(3)).encode()


def test_a_signal_ends_it_in_order_and_tells_how_many_were_sent(kafka_here: dict[str, str]) -> None:
    """Sent is what the broker has acknowledged."""
    with emitting(THREE, b"bad\n", settings=kafka_here) as process:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert out == b"3 events sent, 1 bad lines, 0 events not accepted by Kafka\n"
    assert err.endswith(b"stopped before the end of -. Send it again: what was sent is not counted twice\n")
    assert b"Traceback" not in err


@contextlib.contextmanager
def emitting_to_nobody(topic_prefix: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Send a view and then three more to a broker that has gone meanwhile."""
    with start("broker", "--topic-prefix", topic_prefix) as broker:
        assert broker.stdout is not None
        address = broker.stdout.readline().decode().strip().partition("=")[2]
        settings = {"MATTERLOG_BOOTSTRAP_SERVERS": address, "MATTERLOG_TOPIC_PREFIX": topic_prefix}
        with emitting(THREE, b"bad\n", settings=settings) as process:
            broker.kill()
            assert process.stdin is not None
            assert process.stderr is not None
            process.stdin.write(THREE + b"bad\n")
            process.stdin.flush()
            next(line for line in process.stderr if line.startswith(b"-:8: "))
            yield process


def test_a_signal_ends_it_soon_where_the_broker_has_gone(topic_prefix: str) -> None:
    """What was not acknowledged is told."""
    with emitting_to_nobody(topic_prefix) as process:
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=20)
    sent, bad, lost = (int(words.split()[0]) for words in out.decode().split(", "))
    assert (process.returncode, sent + lost, lost >= 3, bad) == (143, 6, True, 2)
    assert err.endswith(b"stopped before the end of -. Send it again: what was sent is not counted twice\n")
    assert b"Traceback" not in err


def test_a_second_signal_ends_it_at_once(topic_prefix: str) -> None:
    """Whoever presses Ctrl-C again does not want to wait for a broker that has gone."""
    with emitting_to_nobody(topic_prefix) as process:
        process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=2)
    assert (process.returncode, out) == (130, b"")


def test_a_deletion_of_one_line_purges_the_matter(tmp_path: Path, kafka_here: dict[str, str]) -> None:
    """Whichever of the two the consumer reads first."""
    views = "".join(
        json.dumps(VIEW | {"matter_ID": f"m-{number}", "user_ID": f"u-{number}"}) + "\n" for number in (1, 2)
    )
    done("emit", "views", "-", given=views.encode(), settings=kafka_here)
    done("emit", "deletions", "-", given=b'{"matter_ID": "m-1"}', settings=kafka_here)
    assert users_in_the_log(tmp_path, kafka_here) == ["u-2"]


def test_an_array_of_views_is_read_whatever_its_file_is_called(tmp_path: Path, kafka_here: dict[str, str]) -> None:
    """As a JSON extract is written, and as a person lays it out."""
    views = [VIEW | {"user_ID": f"u-{number}"} for number in range(3)]
    (tmp_path / "x.ndjson").write_text("\ufeff\n" + json.dumps(views, indent=2))
    done("emit", "views", "x.ndjson", cwd=tmp_path, settings=kafka_here)
    assert sorted(users_in_the_log(tmp_path, kafka_here)) == ["u-0", "u-1", "u-2"]


def test_a_json_extract_can_be_sent_again(tmp_path: Path, kafka_here: dict[str, str]) -> None:
    """With its events' IDs nothing is counted twice."""
    done("emit", "views", "-", given=json.dumps([VIEW]).encode(), settings=kafka_here)
    assert users_in_the_log(tmp_path, kafka_here) == ["u-1"]
    done("export", "--output", "x.json", "--event-id", "--columns", "full", "--database", "log.duckdb", cwd=tmp_path)
    assert done("emit", "views", "x.json", cwd=tmp_path, settings=kafka_here).text.startswith("1 events sent")
    assert users_in_the_log(tmp_path, kafka_here) == ["u-1"]


BAD_DELETIONS: Final = {
    "array": b'[\n{"matter_ID": "m-1"},\n{"matter": "m-2"}\n]',
    "array that is cut short": b'[\n{"matter_ID": "m-1"},\n{"matter_ID": "m-2"}\n',
    "ndjson": b'{"matter_ID": "m-1"}\n{"matter_ID": 2}\n',
    "csv": b"matter_ID\nm-1\nm-2,m-3\n",
}


@pytest.mark.parametrize("given", BAD_DELETIONS.values(), ids=BAD_DELETIONS)
def test_a_bad_line_among_deletions_sends_none(given: bytes) -> None:
    """A deletion cannot be taken back; no broker is asked for anything."""
    ended = run("emit", "deletions", "-", given=given, settings=IMPATIENT)
    assert (ended.code, ended.text) == (1, "")
    assert ended.err.startswith("-:")
    assert "so no deletion was sent" in ended.err.splitlines()[-1]
    assert "--skip-bad-lines" in ended.err


def test_the_good_deletions_among_bad_ones_are_sent_on_demand(kafka_here: dict[str, str]) -> None:
    """Each line of the result counts."""
    given = BAD_DELETIONS["array"]
    ended = run("emit", "deletions", "-", "--skip-bad-lines", given=given, settings=kafka_here)
    assert (ended.code, ended.text) == (1, "1 events sent, 1 bad lines, 0 events not accepted by Kafka\n")


def test_more_deletions_than_can_be_checked_at_once_are_refused(tmp_path: Path) -> None:
    """As a file and on standard input: nothing is sent."""
    with (tmp_path / "x.ndjson").open("wb") as file:
        file.truncate(100_000_001)
    ended = run("emit", "deletions", "x.ndjson", cwd=tmp_path, settings=IMPATIENT)
    assert (ended.code, "100,000,000 bytes: no deletion was sent" in ended.err) == (1, True)


def test_a_broker_that_is_away_is_told_within_its_time(tmp_path: Path) -> None:
    """Nothing was sent; the address is said at once, in few lines however many events there are."""
    (tmp_path / "x.csv").write_text(HEADER + "".join(ROW.format(number, number) for number in range(500)))
    ended = run("emit", "views", "x.csv", cwd=tmp_path, settings=IMPATIENT)
    assert (ended.code, ended.text) == (1, "")
    assert "WARNING Kafka at 127.0.0.1:1 does not answer yet" in ended.err
    assert ended.err.splitlines()[-1].startswith(AWAY)
    assert ended.err.count("\n") < 10
    assert "Traceback" not in ended.err


def test_a_deletion_that_no_broker_takes_is_told_as_not_sent() -> None:
    """A purge that was "sent" and did not happen is the worst of all."""
    ended = run("emit", "deletions", "-", given=b"matter_ID\nm-1\nm-2\n", settings=IMPATIENT)
    assert (ended.code, ended.text) == (1, "")
    assert ended.err.splitlines()[-1].startswith(AWAY)


@pytest.mark.broker
def test_topics_that_are_missing_are_told_with_the_command_that_makes_them(kafka: str, topic_prefix: str) -> None:
    """A real broker makes none by itself."""
    settings = {
        "MATTERLOG_BOOTSTRAP_SERVERS": kafka,
        "MATTERLOG_TOPIC_PREFIX": topic_prefix,
        "MATTERLOG_KAFKA_TOPIC_METADATA_PROPAGATION_MAX_MS": "200",
    }
    ended = run("emit", "views", "-", given=json.dumps(VIEW).encode(), settings=settings)
    assert (ended.code, ended.text) == (1, "0 events sent, 0 bad lines, 1 events not accepted by Kafka\n")
    assert "Unknown topic or partition (1). Check that Kafka is up" in ended.err
    assert "matterlog topics create" in ended.err


def test_the_guard_of_a_raw_csv_is_left_alone(tmp_path: Path, kafka_here: dict[str, str]) -> None:
    """Its user's ID begins with a quote of its own."""
    data = (HEADER + ROW.replace("u-{}", "'={}").format(1, 1)).encode()
    done("emit", "views", "-", "--raw-csv", given=data, settings=kafka_here)
    done("emit", "views", "-", given=data, settings=kafka_here)
    assert sorted(users_in_the_log(tmp_path, kafka_here)) == ["'=1", "=1"]


def test_ndjson_carries_no_guard(tmp_path: Path, kafka_here: dict[str, str]) -> None:
    """A quote in front of a formula is the user's own."""
    done("emit", "views", "-", given=json.dumps(VIEW | {"user_ID": "'=1"}).encode(), settings=kafka_here)
    assert users_in_the_log(tmp_path, kafka_here) == ["'=1"]
