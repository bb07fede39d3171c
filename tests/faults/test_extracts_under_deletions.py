"""Extracts that a running service makes while matters are deleted all the time: each ends, and is vouched for."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import UUID

import confluent_kafka
import duckdb
import httpx
import pytest

from matterlog.consumers.database.store import Store
from matterlog.report.handover.manifest import read_manifest
from matterlog.report.handover.register import FileRegister
from matterlog.report.log.reader import open_for_reading
from matterlog.report.purges.receipts import Receipt, read_receipts
from matterlog.report.web.http.forms import FIELD
from matterlog.report.web.identity.accounts import Accounts, Role
from matterlog.report.web.identity.audit_log import Actor, AuditLog
from matterlog.report.web.identity.passwords import Passwords
from matterlog.report.web.identity.site_database import SiteDatabase
from matterlog.schemas import Topics, encode
from matterlog.schemas.storage.database_files import DatabaseFiles
from testbed.budget import budget
from testbed.command import run, start
from testbed.events import a_deletion
from testbed.served import Served, serving, tokens_for
from tests.report.web.sites import NAME, PASSWORD, Client, token_in
from tests.topics_at_rest import make_topics

pytestmark = [pytest.mark.broker, pytest.mark.faults]

DELETIONS_A_SECOND: Final = 20
SECONDS: Final = budget(5, 60)
# As many as there are to delete while a slow machine makes its extracts.
DELETIONS: Final = DELETIONS_A_SECOND * budget(180, 900)
ROWS_OF_A_MATTER: Final = 5
ROWS: Final = budget(100_000, 1_000_000)
PATIENCE_SECONDS: Final = 900.0
# Rows that belong to matters which will be deleted lie among those of one that stays.
FILL: Final = """
    INSERT INTO activity BY NAME
    SELECT format('018f0000-0000-8000-8000-{:012x}', i)::UUID AS event_id, 'u-' || i % 97 AS user_id,
        'User ' || i AS user_name, 'u@example.com' AS user_email, 'Guest' AS user_type,
        TIMESTAMP '2026-01-01' + to_seconds(i) AS matter_viewed_at,
        CASE WHEN i % $every = 0 AND i // $every < $deleted * $each THEN 'm-' || (i // $every) % $deleted
            ELSE 'stays' END AS matter_id,
        'Project Heron' AS matter_name, 'live' AS matter_type, 0 AS kafka_partition, i AS kafka_offset, 1 AS arrival
    FROM range($rows) t(i);
"""


@dataclass(frozen=True)
class HandedOut:
    """A file that somebody got, its ID in the register, and how long it took."""

    way: str
    file: Path
    extract_id: UUID
    seconds: float


def filled(folder: Path) -> DatabaseFiles:
    """A closed database with many rows, some of matters that will be deleted."""
    paths = DatabaseFiles(folder / "log.duckdb")
    every = ROWS // (DELETIONS * ROWS_OF_A_MATTER)
    with Store(paths) as store:
        values = {"rows": ROWS, "every": every, "deleted": DELETIONS, "each": ROWS_OF_A_MATTER}
        store._connection.execute(FILL, values)
        store._connection.execute("UPDATE log SET last_arrival = 1")
    site = SiteDatabase(paths.accounts)
    accounts = Accounts(site, AuditLog(site), Passwords())
    accounts.add(NAME, Role.ANALYST, PASSWORD, Actor(), chosen_by_owner=True)
    return paths


@contextmanager
def deleting(servers: str, topics: Topics, stop: threading.Event) -> Iterator[threading.Event]:
    """Delete one matter after the other until told to stop; the event says that the time is over."""
    over = threading.Event()
    order = [f"m-{number}" for number in range(DELETIONS)]
    random.shuffle(order)

    def delete() -> None:
        producer, began = confluent_kafka.Producer({"bootstrap.servers": servers}), time.monotonic()
        for number, matter in enumerate(order):
            if stop.wait(max(0.0, began + number / DELETIONS_A_SECOND - time.monotonic())):
                break
            if number >= DELETIONS_A_SECOND * SECONDS:
                over.set()
            producer.produce(topics.matter_deletions.name, key=matter, value=encode(a_deletion(matter_id=matter)))
            producer.poll(0)
        over.set()
        assert producer.flush(60) == 0

    thread = threading.Thread(target=delete)
    thread.start()
    try:
        yield over
    finally:
        stop.set()
        thread.join()


def saved(answer: httpx.Response, file: Path) -> UUID:
    """Write an answer's body to a file; return the extract's ID."""
    assert answer.status_code == 200, answer.text[:500]
    file.write_bytes(answer.content)
    return UUID(answer.headers["Matterlog-Extract-Id"])


def by_api(served: Served, token: str, file: Path) -> UUID:
    """Ask the API."""
    where = f"{served.url}/api/v1/extracts/activity"
    return saved(httpx.get(where, headers={"Authorization": f"Bearer {token}"}, timeout=PATIENCE_SECONDS), file)


def by_site(client: Client, file: Path) -> UUID:
    """Ask the site as a browser does: a page shows the progress, and has the button that is pressed."""
    answer = client.post("/reports/activity/download", "/reports/activity", last="all", format="csv")
    while answer.status_code == 303:
        place = answer.headers["location"]
        page = client.request("GET", place).text
        if "<button>Download" not in page:
            time.sleep(1)
            continue
        wanted = f"{place}/awaited" if "Download when ready" in page else place
        answer = client.request("POST", wanted, data={FIELD: token_in(page)}, timeout=PATIENCE_SECONDS)
    return saved(answer, file)


def by_command(paths: DatabaseFiles, file: Path) -> UUID:
    """Ask the owner through its socket."""
    with start("export", "--database", paths.database, "--output", file) as process:
        _, told = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, told.decode()
    return read_manifest(file.with_name(f"{file.name}.manifest.json")).extract_id


def again_and_again(way: str, ask: Callable[[Path], UUID], folder: Path, over: threading.Event) -> list[HandedOut]:
    """Take one extract after the other until the time is over, and at least one."""
    made: list[HandedOut] = []
    while not made or not over.is_set():
        file, began = folder / f"{way}-{len(made)}.csv", time.monotonic()
        extract_id = ask(file)
        made.append(HandedOut(way, file, extract_id, time.monotonic() - began))
    return made


def matters_in(file: Path) -> dict[str, int]:
    """How many rows of each matter a file holds; no row twice."""
    with duckdb.connect(":memory:") as connection:
        rows = f"read_csv('{file}', header = true, all_varchar = true)"
        ((total, different),) = connection.execute(f"SELECT count(*), count(DISTINCT user_name) FROM {rows}").fetchall()  # noqa: S608 - a test's own file
        found = connection.execute(f"SELECT matter_ID, count(*) FROM {rows} GROUP BY ALL").fetchall()  # noqa: S608 - as above
    assert total == different
    return dict(found)


def receipts_of(paths: DatabaseFiles) -> tuple[list[Receipt], dict[str, int]]:
    """The receipt of each deletion, and the number of its transaction."""
    with open_for_reading(paths) as connection:
        arrivals = dict(connection.execute("SELECT matter_id, arrival FROM purges").fetchall())
        return read_receipts(connection), arrivals


def test_extracts_by_all_ways_end_and_are_vouched_for_while_matters_are_deleted_without_a_pause(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    """Each file is the state at its last pass; a deleted matter is in it and lists it with its rows, or neither."""
    topics, paths = Topics(topic_prefix), filled(tmp_path)
    make_topics(kafka, topics)
    (token,) = tokens_for(paths.database, 1)
    settings = {"MATTERLOG_BOOTSTRAP_SERVERS": kafka, "MATTERLOG_TOPIC_PREFIX": topic_prefix}
    made: list[HandedOut] = []
    with serving(paths.database, settings=settings) as served, ExitStack() as closing:
        served.wait_until(200)
        client = Client(served.url, closing)
        assert client.sign_in(NAME).status_code == 303
        ways: dict[str, Callable[[Path], UUID]] = {
            "site": lambda file: by_site(client, file),
            "api": lambda file: by_api(served, token, file),
            "command": lambda file: by_command(paths, file),
        }
        with deleting(kafka, topics, threading.Event()) as over:
            threads = [
                threading.Thread(target=lambda way=way, ask=ask: made.extend(again_and_again(way, ask, tmp_path, over)))
                for way, ask in ways.items()
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    assert {each.way for each in made} == set(ways)
    done = run("consume", "--until-caught-up", "--database", paths.database, settings=settings)
    assert done.code == 0, done.err
    entries = {entry.extract_id: entry for entry in FileRegister(paths.extracts).extracts()}
    receipts, arrivals = receipts_of(paths)
    assert SECONDS * DELETIONS_A_SECOND <= len(arrivals) < DELETIONS
    assert all(receipt.recall_complete for receipt in receipts)
    for extract in made:
        entry, found = entries[extract.extract_id], matters_in(extract.file)
        gone = {matter for matter, arrival in arrivals.items() if arrival <= entry.last_arrival}
        held = {matter: rows for matter, rows in found.items() if matter != "stays"}
        assert held == {f"m-{number}": ROWS_OF_A_MATTER for number in range(DELETIONS) if f"m-{number}" not in gone}
        assert found["stays"] == ROWS - DELETIONS * ROWS_OF_A_MATTER
        living = arrivals.keys() - gone
        recalled = {
            receipt.matter_id: each.rows
            for receipt in receipts
            for each in receipt.recall
            if each.extract_id == extract.extract_id
        }
        assert recalled == dict.fromkeys(living, ROWS_OF_A_MATTER)
        print(f"{extract.way}: {extract.seconds:.1f} s, {entry.rows:,} rows, {len(living)} matters deleted since")  # noqa: T201 - figures
