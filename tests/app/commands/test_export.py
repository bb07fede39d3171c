"""`matterlog export`: whole or an error, with an owner and without, wherever the file lies."""

import contextlib
import getpass
import hashlib
import io
import signal
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest

from matterlog.app.errors import WrongUse
from matterlog.app.files.exporting import LogExtracts
from matterlog.app.owner.access import LogAccess, open_log
from matterlog.app.owner.questions import ExtractQuestion, StatusQuestion
from matterlog.consumers.database.store import Store
from matterlog.consumers.reading.decode import decode_records
from matterlog.consumers.reading.records import Move, Position
from matterlog.report.errors import ExtractFailed
from matterlog.report.extracts.requests import ExtractRequest
from matterlog.report.extracts.whole_file import whole_file
from matterlog.report.handover.handing_out import Recipient, hand_out
from matterlog.report.handover.manifest import manifest_path, read_manifest
from matterlog.report.handover.register import Channel, FileRegister
from matterlog.schemas import MatterlogError, Topics
from matterlog.schemas.storage.database_files import DatabaseFiles
from testbed.command import PATIENCE_SECONDS, consuming, done, end_of, owned, run, start
from testbed.events import NOON, a_deletion, a_view
from tests.report.logs import a_big_log, a_log, apply, extract_of

# An extract of so many rows is far larger than what pipes and sockets hold.
MANY: Final = 400_000


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> DatabaseFiles:
    """Four views, of the last days and of long ago."""
    return a_log(
        tmp_path_factory.mktemp("few"),
        a_view(user_id="old", matter_viewed_at=NOON.replace(year=2020)),
        a_view(user_id="=guest", user_type="Guest", matter_name="a\r\nb"),
        a_view(user_id="in-demo", matter_type="demo", user_company_name=""),
        a_view(user_id="elsewhere", matter_id="m-43"),
    )


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> DatabaseFiles:
    """A log whose extract takes a while."""
    return a_big_log(tmp_path_factory.mktemp("many"), MANY)


@pytest.fixture(scope="module")
def very_many(tmp_path_factory: pytest.TempPathFactory) -> DatabaseFiles:
    """A log whose extract takes long enough to be caught at it."""
    return a_big_log(tmp_path_factory.mktemp("very-many"), 4 * MANY)


def test_the_format_is_what_the_name_ends_with_unless_it_is_given(few: DatabaseFiles, tmp_path: Path) -> None:
    """The summary goes to standard error, and its SHA-256 is the file's."""
    names: dict[str, tuple[str, ...]] = {"x.csv": (), "x.JSON": (), "y.csv": ("--format", "json")}
    for name, more in names.items():
        ended = done("export", "--database", few.database, "--output", name, *more, cwd=tmp_path)
        assert ended.out == b""
        assert ended.err.startswith("4 rows, ")
    csv, json = extract_of(few, format="csv"), extract_of(few, format="json")
    manifests = {f"{name}.manifest.json" for name in names}
    found = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.name not in manifests}
    assert found == {"x.csv": csv, "x.JSON": json, "y.csv": json}


@pytest.mark.parametrize(
    ("options", "request_"),
    [
        (
            ["--all", "--raw-csv", "--event-id", "--columns", "full"],
            {"raw_csv": True, "with_event_id": True, "columns": "full"},
        ),
        (["--user", "old", "--user", "elsewhere"], {"filter": {"users": ["old", "elsewhere"]}}),
        (["--matter", "m-43", "--user-type", "Member"], {"filter": {"matters": ["m-43"], "user_types": ["Member"]}}),
        (["--matter-type", "demo"], {"filter": {"matter_types": ["demo"]}}),
    ],
)
def test_options_reach_the_extract(few: DatabaseFiles, options: list[str], request_: dict[str, object]) -> None:
    """With nothing on standard output but the extract."""
    ended = done("export", "--database", few.database, "--format", "csv", "--output", "-", *options)
    assert ended.out == extract_of(few, format="csv", **request_)
    assert 1 < ended.out.count(b"\r\n") < 7


def test_the_last_days_are_whole_days_up_to_today(tmp_path: Path) -> None:
    """On whichever side of midnight the test runs."""
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    days = {"now": 0, "in": -28, "out": -30, "ahead": 3}
    views = (a_view(user_id=name, matter_viewed_at=today + timedelta(days=day)) for name, day in days.items())
    paths = a_log(tmp_path, *views)
    ended = done("export", "--database", paths.database, "--last", "30d", "--output", "-")
    assert [line.partition(",")[0] for line in ended.text.splitlines()] == ["user_ID", "in", "now"]


def test_days_are_those_of_the_time_zone_and_times_stay_in_utc(tmp_path: Path) -> None:
    """In Kolkata, 18:30 UTC is midnight."""
    instants = (datetime(2026, 2, 28, 18, minute, tzinfo=UTC) for minute in (29, 30))
    paths = a_log(tmp_path, *(a_view(matter_viewed_at=instant) for instant in instants))
    day = ("--from", "2026-03-01", "--to", "2026-03-01", "--timezone", "Asia/Kolkata")
    ended = done("export", "--database", paths.database, *day, "--output", "-")
    assert [line.split(",")[4] for line in ended.text.splitlines()[1:]] == ["2026-02-28T18:30:00.000000Z"]


def test_through_the_owners_socket_come_the_same_bytes(few: DatabaseFiles, many: DatabaseFiles) -> None:
    """Few and many, with every option that goes over the wire."""
    wide = ["--columns", "full", "--raw-csv", "--event-id", "--matter", "m-42"]
    for paths, options in ((few, wide), (many, wide[:0])):
        alone = done("export", "--database", paths.database, "--output", "-", *options)
        with owned(paths):
            answered = done("export", "--database", paths.database, "--output", "-", *options)
        assert answered.out == alone.out
        assert answered.err == alone.err


def test_a_folder_deeper_than_a_sockets_address_may_be_is_no_obstacle(tmp_path: Path) -> None:
    """A hundred and eight bytes are all that the operating system takes."""
    folder = tmp_path / ("x" * 100) / ("ü" * 50)
    folder.mkdir(parents=True)
    paths = a_log(folder, a_view())
    with owned(paths):
        assert paths.socket.is_socket()
        ended = done("export", "--database", "log.duckdb", "--output", "-", cwd=folder)
    assert ended.err.startswith("1 rows")


def test_a_database_name_that_no_socket_can_have_is_wrong_use(tmp_path: Path, kafka_here: dict[str, str]) -> None:
    """Told before anything is read."""
    ended = run("consume", "--database", tmp_path / ("x" * 120), settings=kafka_here)
    assert ended.code == 2
    assert "Give the database a shorter name" in ended.err


def test_an_export_into_a_folder_that_is_missing_says_so(few: DatabaseFiles, tmp_path: Path) -> None:
    """With the path that was given."""
    ended = run("export", "--database", few.database, "--output", "missing/x.csv", cwd=tmp_path)
    assert (ended.code, ended.out) == (1, b"")
    assert ended.err == ("matterlog: missing/x.csv cannot be written (No such file or directory): no file was left\n")


@pytest.mark.parametrize("owner", [False, True])
def test_a_reader_that_goes_away_ends_the_export_without_a_trace(many: DatabaseFiles, owner: bool) -> None:  # noqa: FBT001
    """As `| head -1` does."""
    with owned(many) if owner else contextlib.nullcontext():
        process = start("export", "--database", many.database, "--output", "-")
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"user_ID,")
        process.stdout.close()
        assert process.stderr is not None
        told = process.stderr.read()
        assert process.wait(PATIENCE_SECONDS) == 1
        process.stderr.close()
    assert b"Traceback" not in told


def bytes_of_half_files(folder: Path) -> int:
    """How much stands in files that have no final name yet."""
    total = 0
    for path in folder.glob(".x.csv.*.partial"):
        with contextlib.suppress(FileNotFoundError):  # it got its name in this moment
            total += path.stat().st_size
    return total


@contextlib.contextmanager
def half_written(paths: DatabaseFiles, folder: Path) -> "Iterator[subprocess.Popen[bytes]]":
    """An export that stands still in the middle of its file; it goes on when the block ends."""
    for _ in range(20):  # a fast machine may be through before it is caught
        process = start("export", "--database", paths.database, "--output", folder / "x.csv")
        while process.poll() is None and not bytes_of_half_files(folder):
            time.sleep(0.001)
        process.send_signal(signal.SIGSTOP)
        if bytes_of_half_files(folder):
            yield process
            process.send_signal(signal.SIGCONT)
            return
        process.send_signal(signal.SIGCONT)
        end_of(process)
    pytest.fail("every export was over before it could be caught")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_an_export_that_is_stopped_leaves_nothing_half_written(
    very_many: DatabaseFiles, tmp_path: Path, number: int, code: int
) -> None:
    """The file that was there before is there still."""
    (tmp_path / "x.csv").write_bytes(b"old")
    with half_written(very_many, tmp_path) as process:
        process.send_signal(number)
    ended = end_of(process)
    assert ended.code == code
    assert "Traceback" not in ended.err
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("x.csv", b"old")]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_an_owner_that_ends_during_an_export_leaves_no_file(
    very_many: DatabaseFiles, tmp_path: Path, kafka_here: dict[str, str], number: int
) -> None:
    """Killed or asked to stop: what it had answered so far is no extract, and a stalled one does not hold it up."""
    with consuming(very_many.database, settings=kafka_here) as owner:
        with half_written(very_many, tmp_path) as process:
            owner.send_signal(number)
            assert end_of(owner).code == (0 if number == signal.SIGTERM else -number)
        ended = end_of(process)
    assert ended.code == 1
    assert ended.err == "matterlog: the owner of the database stopped before its answer was complete. Try again\n"
    assert list(tmp_path.iterdir()) == []


# What an owner may have sent when it dies: framed messages, then some bytes of the next one.
BROKEN_ANSWERS: Final = {
    "nothing": b"",
    "half a length": b"\0\0",
    "a length alone": struct.pack("!i", 100),
    "half a message": struct.pack("!i", 100) + b"user_ID",
    "a message": struct.pack("!i", 7) + b"user_ID",
    "all the data": struct.pack("!i", 7) + b"user_ID" + struct.pack("!i", 0),
    "half of the end": struct.pack("!i", 7)
    + b"user_ID"
    + struct.pack("!i", 0)
    + struct.pack("!i", 90)
    + b'{"result": ',
}


@contextlib.contextmanager
def an_owner_that_says(answer: bytes, paths: DatabaseFiles) -> Iterator[None]:
    """A socket beside the database that takes questions, says this, and goes away."""
    with socket.socket(socket.AF_UNIX) as listening, paths.owned():
        listening.bind(str(paths.socket))
        listening.listen()
        listening.settimeout(PATIENCE_SECONDS)

        def answer_two() -> None:
            listening.accept()[0].close()  # it only looked whether somebody is there
            asking, _ = listening.accept()
            with asking:
                asking.recv(100_000)
                asking.sendall(answer)

        thread = threading.Thread(target=answer_two)
        thread.start()
        yield
        thread.join()


@pytest.mark.parametrize("answer", BROKEN_ANSWERS.values(), ids=BROKEN_ANSWERS)
def test_an_answer_that_breaks_off_anywhere_is_no_extract(tmp_path: Path, answer: bytes) -> None:
    """Not even where all the data had come, but not the word that it was all."""
    paths, target = a_log(tmp_path, a_view()), tmp_path / "extracts" / "x.csv"
    target.parent.mkdir()
    request = ExtractRequest.model_validate({"format": "csv"})
    gone = pytest.raises(ExtractFailed, match=r"^the owner of the database stopped before its answer was complete")
    with an_owner_that_says(answer, paths), open_log(paths) as log, gone:
        _export(log, request, target)
    assert list(target.parent.iterdir()) == []


@pytest.mark.parametrize(("wrong_use", "kind"), [("true", WrongUse), ("false", MatterlogError)])
def test_an_owners_error_says_whose_fault_it_is(tmp_path: Path, wrong_use: str, kind: type[MatterlogError]) -> None:
    """After some data, or before any: the exit code follows from it."""
    paths = a_log(tmp_path, a_view())
    word = b'{"error": "why", "wrong_use": %s}' % wrong_use.encode()
    answer = struct.pack("!i", 4) + b"data" + struct.pack("!i", 0) + struct.pack("!i", len(word)) + word
    with an_owner_that_says(answer, paths), open_log(paths) as log:
        with pytest.raises(MatterlogError, match=r"^why$") as error:
            log.ask(StatusQuestion())
        assert type(error.value) is kind


def _export(log: LogAccess, request: ExtractRequest, target: Path) -> None:
    with whole_file(target) as file:
        log.ask(ExtractQuestion(request=request), file.write)


@pytest.mark.parametrize("owner", [False, True])
@pytest.mark.parametrize("written", ["csv", "json", "ndjson", "parquet", "xlsx"])
def test_every_file_agrees_with_its_manifest_and_stands_in_the_register(
    tmp_path: Path,
    written: str,
    owner: bool,  # noqa: FBT001
) -> None:
    """Whoever answers; the entry names the file by its whole path, and who made it."""
    paths, target = a_log(tmp_path, a_view(), a_view()), tmp_path / f"x.{written}"
    with owned(paths) if owner else contextlib.nullcontext():
        done("export", "--database", paths.database, "--output", target.name, cwd=tmp_path)
    told = done("verify-extract", target)
    (entry,) = FileRegister(paths.extracts).extracts()
    manifest = read_manifest(manifest_path(target))
    assert told.text == f"{target} matches {target}.manifest.json\n"
    assert (entry.name, entry.made_by, entry.how) == (str(target), getpass.getuser(), "export")
    assert (entry.extract_id, entry.sha256, entry.rows) == (manifest.extract_id, manifest.sha256, 2)
    assert manifest.topic_ends.not_known_because == "no broker is set"


def test_nobody_signs_the_register_with_another_name(tmp_path: Path) -> None:
    """The owner asks the operating system who is at the other end of its socket."""
    paths = a_log(tmp_path, a_view())
    with owned(paths), open_log(paths) as log:
        recipient = Recipient(made_by="somebody-else", how=Channel.EXPORT, name="/x.csv")
        hand_out(LogExtracts(log), ExtractRequest.model_validate({"format": "csv"}), recipient, io.BytesIO())
    assert [entry.made_by for entry in FileRegister(paths.extracts).extracts()] == [getpass.getuser()]


def test_standard_output_has_a_manifest_on_request(few: DatabaseFiles, tmp_path: Path) -> None:
    """And an entry in the register in any case."""
    before = len(FileRegister(few.extracts).extracts())
    ended = done("export", "--database", few.database, "--output", "-", "--manifest", tmp_path / "m.json")
    told = read_manifest(tmp_path / "m.json")
    assert (told.bytes, told.sha256) == (len(ended.out), hashlib.sha256(ended.out).hexdigest())
    assert FileRegister(few.extracts).extracts()[before].extract_id == told.extract_id


def test_without_its_manifest_nothing_goes_to_standard_output(few: DatabaseFiles, tmp_path: Path) -> None:
    """What has left cannot be taken back."""
    missing = tmp_path / "missing" / "m.json"
    ended = run("export", "--database", few.database, "--output", "-", "--manifest", missing)
    assert (ended.code, ended.out) == (1, b"")


def test_the_manifest_tells_how_far_behind_the_topic_the_log_is(tmp_path: Path, kafka_here: dict[str, str]) -> None:
    """Where a broker is set and answers."""
    paths = a_log(tmp_path)
    with Store(paths) as store:
        topic = kafka_here["MATTERLOG_TOPIC_PREFIX"] + "matter-views"
        moved = Move(topic=topic, partition=0, began=None, ends=Position(next_offset=0))
        store.apply(decode_records([], Topics()), [moved])
    done("export", "--database", paths.database, "--output", tmp_path / "x.csv", settings=kafka_here)
    told = read_manifest(tmp_path / "x.csv.manifest.json")
    assert told.topic_ends.asked_at is not None
    assert [(p.end_offset, p.behind) for p in told.positions if p.topic == topic] == [(0, 0)]


def test_a_matter_deleted_while_its_extract_is_written_is_in_no_file(tmp_path: Path) -> None:
    """The command starts over, and says so."""
    paths = a_big_log(tmp_path, MANY)
    with owned(paths) as store:
        with half_written(paths, tmp_path) as process:
            apply(store, a_deletion(matter_id="m-5"))
        ended = end_of(process)
    assert ended.code == 0
    assert "matters were deleted while the extract was written. It is written a second time" in ended.err
    data = (tmp_path / "x.csv").read_bytes()
    assert b",m-5," not in data
    assert b",m-6," in data
    (entry,) = FileRegister(paths.extracts).extracts()
    assert entry.bytes == len(data)
