"""``matterlog purges``: the receipts at the command line, with an owner and without."""

import hashlib
import json
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from matterlog.app.owner.owner import answering
from matterlog.app.owner.question import Owner
from matterlog.app.owner.registered_extracts import registered_extracts
from matterlog.consumers.database.store import Store
from matterlog.consumers.materialise import decoder
from matterlog.consumers.reading.schema_registry import RegisteredSchemas
from matterlog.producers import KafkaProducer, MatterDeletionProducer, MatterViewProducer
from matterlog.schemas import Topics
from matterlog.schemas.storage.database_files import DatabaseFiles
from testbed.command import done, owned, run
from testbed.events import a_deletion, a_view
from testbed.feed import Feed


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A log with one deleted matter."""
    path = tmp_path / "log.duckdb"
    with Store(DatabaseFiles(path)) as store:
        feed = Feed(store)
        feed.apply(a_view(), a_view(matter_id="m-2"))
        feed.apply(a_deletion())
    return path


def told(*arguments: str | Path) -> Any:
    """What a command says as JSON."""
    return json.loads(done("purges", *arguments, "--json").out)


def test_no_matter_is_cut_in_a_pipe(tmp_path: Path) -> None:
    """A script that looks for an ID would not find it."""
    matter = "m-" + "x" * 126
    with Store(DatabaseFiles(tmp_path / "log.duckdb")) as store:
        Feed(store).apply(a_deletion(matter_id=matter))
    assert matter in done("purges", "list", "--database", tmp_path / "log.duckdb").text


@pytest.mark.parametrize("holding", [owned, nullcontext])
def test_receipts_are_told_by_the_owner_or_read_from_the_file(database: Path, holding: Callable[..., Any]) -> None:
    with holding(DatabaseFiles(database)):
        [listed] = told("list", "--database", database)
        assert told("show", "m-42", "--database", database) == listed
    assert (listed["matter_id"], listed["views_purged"], listed["tombstones_waiting"]) == ("m-42", 1, 1)
    assert (listed["done"], listed["overdue"]) == (False, False)
    assert listed["stages"]["table"] is not None
    assert listed["stages"]["topic"] is None


def test_a_receipt_names_the_files_that_were_exported_before(tmp_path: Path) -> None:
    """By their names and digests, for whoever has to ask for them back."""
    paths, report = DatabaseFiles(tmp_path / "log.duckdb"), tmp_path / "report.csv"
    with Store(paths) as store:
        Feed(store).apply(a_view(), a_view(matter_id="m-2"))
    done("export", "--output", report, "--database", paths.database)
    done("export", "--matter", "m-2", "--output", tmp_path / "other.csv", "--database", paths.database)
    with Store(paths, extracts=registered_extracts(paths)) as store:
        Feed(store, begins=2).apply(a_deletion())
    receipt = told("show", "m-42", "--database", paths.database)
    [file] = receipt["recall"]
    assert (file["name"], file["rows"], receipt["recall_complete"]) == (str(report), 1, True)
    assert file["sha256"] == hashlib.sha256(report.read_bytes()).hexdigest()
    assert file["sha256"][:8] in done("purges", "show", "m-42", "--database", paths.database).text


@pytest.mark.parametrize("holding", [owned, nullcontext])
def test_a_rehearsal_is_told_by_the_owner_or_read_from_the_file(database: Path, holding: Callable[..., Any]) -> None:
    with holding(DatabaseFiles(database)):
        found = told("rehearse", "m-2", "--database", database)
        assert (found["views"], found["tombstones"], found["recall"]) == (1, 1, [])
        assert "already deleted" in done("purges", "rehearse", "m-42", "--database", database).text


def test_a_receipt_is_printed_for_people(database: Path) -> None:
    listed = done("purges", "list", "--database", database).text
    assert "m-42" in listed
    assert "overdue" not in listed.lower()
    shown = done("purges", "show", "m-42", "--database", database).text
    assert "to come" in shown
    assert "Not covered:" in shown


def test_consume_sends_the_tombstones_of_what_it_purges(tmp_path: Path, kafka_here: dict[str, str]) -> None:
    """And reads them back as what they are, before it ends."""
    database = tmp_path / "log.duckdb"
    consume = ("consume", "--until-caught-up", "--database", database)
    topics = Topics(kafka_here["MATTERLOG_TOPIC_PREFIX"])
    with KafkaProducer(kafka_here["MATTERLOG_BOOTSTRAP_SERVERS"]) as transport:
        for _ in range(3):
            MatterViewProducer(transport, topic_prefix=topics.prefix).emit_event(a_view())
        transport.flush(30)
        done(*consume, settings=kafka_here)
        MatterDeletionProducer(transport, topic_prefix=topics.prefix).emit_event(a_deletion())
    assert "3 tombstones" in done(*consume, settings=kafka_here).text
    receipt = told("show", "m-42", "--database", database)
    assert (receipt["views_purged"], receipt["tombstones_waiting"]) == (3, 0)
    assert receipt["stages"]["tombstones"] is not None
    assert done(*consume, settings=kafka_here).text.startswith("0 records")


def test_the_status_tells_what_is_in_the_way_of_tombstones(database: Path) -> None:
    """As the owner knows it."""
    paths, decode = DatabaseFiles(database), decoder(Topics(), RegisteredSchemas(None))
    with Store(paths) as store, answering(Owner(store, decode, lambda: "the broker refuses")):
        ended = done("status", "--database", database)
        found = json.loads(done("status", "--json", "--database", database).out)
    assert "Trouble: the broker refuses" in ended.err
    assert (found["tombstones"], found["tombstones_trouble"]) == (1, "the broker refuses")
    assert found["oldest_tombstone_at"] is not None


def test_a_missed_deadline_is_an_exit_code(database: Path) -> None:
    """For whoever watches: nothing overdue is 0, something is 1."""
    done("purges", "list", "--overdue", "--database", database)
    with Store(DatabaseFiles(database)) as store, store.transaction() as transaction:
        transaction.connection.execute("UPDATE purges SET purged_at = purged_at - INTERVAL 2 HOUR")
        transaction.connection.execute("UPDATE tombstones SET since = since - INTERVAL 2 HOUR")
    overdue = run("purges", "list", "--overdue", "--erase-within", "1h", "--database", database)
    assert (overdue.code, "OVERDUE" in overdue.text) == (1, True)


@pytest.mark.parametrize("holding", [owned, nullcontext])
def test_only_the_newest_deletions_are_listed_and_the_others_on_demand(
    tmp_path: Path, holding: Callable[..., Any]
) -> None:
    """With their number and the way to the next ones; as JSON all of them, unless limited."""
    paths = DatabaseFiles(tmp_path / "log.duckdb")
    with Store(paths) as store:
        Feed(store).apply(*(a_deletion(matter_id=f"m-{number:03}") for number in range(250)))
    to = ("--database", paths.database)
    with holding(paths):
        listed = done("purges", "list", *to).text
        behind = done("purges", "list", "--limit", "150", "--before", "m-099", *to).text
        everything, some = told("list", *to), told("list", "--limit", "2", "--before", "m-247", *to)
    assert listed.endswith("100 of 250 deletions. Go on with: --before m-099\n")
    assert [text in listed for text in ("m-000", "m-099 ", "m-100 ")] == [True, True, False]
    assert ("m-100" in behind, "m-249" in behind, behind.endswith("150 of 250 deletions\n")) == (True, True, True)
    assert [each["matter_id"] for each in everything] == [f"m-{number:03}" for number in range(250)]
    assert [each["matter_id"] for each in some] == ["m-248", "m-249"]


def test_a_matter_without_a_deletion_is_wrong_use(database: Path) -> None:
    ended = run("purges", "show", "m-2", "--database", database)
    assert (ended.code, ended.out) == (2, b"")
    assert "no deletion of matter m-2 has arrived" in ended.err
