"""A consumer into a lake, while it, its catalogue and its storage fail: nothing is lost, doubled or resurrected."""

import itertools
import random
import secrets
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from matterlog.consumers.lake.lake_tables import make_tables
from matterlog.report.handover.lake_register import make_register
from matterlog.schemas import Topics
from matterlog.schemas.storage.lake import Lake
from testbed.budget import budget
from testbed.command import start
from testbed.embedded_postgresql import EmbeddedPostgreSQL
from testbed.events import a_view, record_of
from tests.consumers.histories import Message, expected
from tests.consumers.lake.sessions import end_sessions
from tests.faults.faulty_storage import BUCKET, FaultyStorage, Mood, faulty_storage
from tests.faults.installation import LOOK_SECONDS, PATIENCE_SECONDS, Consuming
from tests.faults.lake_installation import LakeInstallation
from tests.faults.test_kill import in_order, written
from tests.topics_at_rest import make_topics

pytestmark = [pytest.mark.broker, pytest.mark.faults, pytest.mark.postgresql]

PARTITIONS: Final = 2
KILLS: Final = budget(2, 100)
ROUNDS: Final = budget(1, 5)
FIRST_HISTORIES: Final = budget(6, 120)
HISTORIES_A_KILL: Final = budget(4, 16)
# A commit to a lake takes a few dozen statements of PostgreSQL.
BATCH_RECORDS: Final = 100
FAULT_SECONDS: Final = 1.5


@pytest.fixture
def dice() -> random.Random:
    """Random, and repeatable from what it printed."""
    seed = secrets.randbits(32)
    print(f"seed {seed}")  # noqa: T201 - shown where the test fails
    return random.Random(seed)  # noqa: S311 - repeatable, not secret


@pytest.fixture
def storage(dice: random.Random, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyStorage]:
    """The storage, and the environment in which this process and its children find it."""
    with faulty_storage(dice) as running:
        for name, value in {
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_REGION": "us-east-1",
            "DUCKDB_S3_ENDPOINT": running.address,
            "DUCKDB_S3_USE_SSL": "false",
        }.items():
            monkeypatch.setenv(name, value)
        yield running


@pytest.fixture
def postgresql() -> Iterator[EmbeddedPostgreSQL]:
    """A PostgreSQL of the test's own, which it may kill."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)  # PostgreSQL may have to run as another user
        with EmbeddedPostgreSQL(Path(folder) / "postgresql") as running:
            yield running


@pytest.fixture
def installation(
    kafka: str, topic_prefix: str, tmp_path: Path, postgresql: EmbeddedPostgreSQL, storage: FaultyStorage
) -> LakeInstallation:
    """Topics, and an empty lake."""
    assert storage.mood is Mood.WELL
    topics = Topics(topic_prefix)
    make_topics(kafka, topics, partitions=PARTITIONS)
    lake = Lake(catalogue=postgresql.make_database("lake"), data=f"s3://{BUCKET}/lake/", spill=tmp_path)
    with closing(lake.connect(create=True)) as connection:
        make_tables(connection)
    make_register(lake)
    return LakeInstallation(kafka, topics, tmp_path, lake)


def has_moved(installation: LakeInstallation, before: int) -> bool:
    """Say whether anything was committed since."""
    return installation.snapshot() > before


def wait_for(reached: Callable[[], bool], consumer: Consuming) -> None:
    """Return when it is so."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not reached():
        assert consumer.process.poll() in {None, -signal.SIGABRT}, consumer.errors.read_text("utf-8")
        assert time.monotonic() < deadline, consumer.errors.read_text("utf-8")
        time.sleep(LOOK_SECONDS * 10)


def goes_on(installation: LakeInstallation, before: int, consumer: Consuming) -> bool:
    """Wait until the consumer has committed; say whether it lived to do so."""
    wait_for(lambda: has_moved(installation, before) or consumer.process.poll() == -signal.SIGABRT, consumer)
    return consumer.process.poll() is None


def check(installation: LakeInstallation, sent: list[Message]) -> None:
    """All is as the rule says, and the next erasure removes whatever was left behind."""
    installation.catch_up()
    assert installation.outcome() == expected(in_order(sent))
    installation.erase()
    assert installation.orphans() == set()
    assert installation.outcome() == expected(in_order(sent))


def test_a_consumer_or_an_erasure_killed_at_any_moment_loses_and_doubles_nothing(
    installation: LakeInstallation, dice: random.Random
) -> None:
    """While it starts, while it writes, while it ends; every third time an erasure beside it."""
    numbers = itertools.count()
    sent = installation.send(written(dice, numbers, FIRST_HISTORIES))
    orphans = 0
    for kill in range(KILLS):
        with installation.consuming("--batch-records", BATCH_RECORDS) as consumer:
            before = installation.snapshot()
            sent += installation.send(written(dice, numbers, HISTORIES_A_KILL))
            if kill % 3 == 2:
                kill_an_erasure(installation, dice)
            elif dice.random() < 1 / 5:
                time.sleep(dice.uniform(0.0, 3.0))
            else:
                wait_for(partial(has_moved, installation, before), consumer)
                time.sleep(dice.uniform(0.0, 1.0))
            if dice.random() < 1 / 5:
                consumer.process.send_signal(signal.SIGTERM)
                time.sleep(dice.uniform(0.0, 0.5))
            consumer.end(signal.SIGKILL)
        assert installation.inconsistencies() == []
    orphans = len(installation.orphans())
    check(installation, sent)
    print(f"{KILLS} kills, {len(sent)} records, {orphans} files left behind and removed")  # noqa: T201 - the figures


def kill_an_erasure(installation: LakeInstallation, dice: random.Random) -> None:
    """Kill a command that erases, at some moment."""
    with start("erase", "--now", cwd=installation.folder, settings=installation.settings()) as erasing:
        time.sleep(dice.uniform(0.0, 6.0))
        erasing.kill()


def test_a_consumer_goes_on_exactly_once_whatever_happens_to_its_catalogue_and_its_storage(
    installation: LakeInstallation, dice: random.Random, postgresql: EmbeddedPostgreSQL, storage: FaultyStorage
) -> None:
    """PostgreSQL killed, its sessions ended, S3 away, slow, or failing.

    The consumer waits. Where DuckDB ends the process, as it does now and then when a session was lost, it is started
    again, as a supervisor does.
    """

    def sessions_end() -> None:
        end_sessions(installation.lake)

    def catalogue_dies() -> None:
        postgresql.stop("immediate")
        time.sleep(FAULT_SECONDS)
        postgresql.start()

    def storage_is(mood: Mood) -> Callable[[], None]:
        def fault() -> None:
            storage.mood = mood
            time.sleep(FAULT_SECONDS)
            storage.mood = Mood.WELL

        return fault

    faults = (sessions_end, catalogue_dies, *map(storage_is, (Mood.AWAY, Mood.SLOW, Mood.FAILING)))
    numbers = itertools.count()
    sent = installation.send(written(dice, numbers, FIRST_HISTORIES))
    aborted, said = 0, ""
    rest = list(faults * ROUNDS)
    while rest:
        with installation.consuming("--batch-records", BATCH_RECORDS) as consumer:
            consumer.wait_until_consuming()
            lives = True
            while rest and lives:
                sent += installation.send(written(dice, numbers, HISTORIES_A_KILL))
                time.sleep(dice.uniform(0.0, 1.0))
                rest.pop()()
                before = installation.snapshot()
                sent += installation.send(written(dice, numbers, HISTORIES_A_KILL))
                lives = goes_on(installation, before, consumer)
                aborted += not lives
                assert installation.inconsistencies() == []
            assert not lives or consumer.end(signal.SIGTERM) == 0
            said += consumer.errors.read_text("utf-8")
    assert "Trying again in" in said
    assert "connected to the lake again" in said
    assert "Traceback" not in said
    check(installation, sent)
    print(f"{len(faults) * ROUNDS} faults, {aborted} aborts, {len(sent)} records, {storage.refused} refused requests")  # noqa: T201


def test_until_caught_up_gives_up_on_a_lake_that_stays_away(
    installation: LakeInstallation, storage: FaultyStorage
) -> None:
    installation.send([Message(record_of(a_view(), 0, 0), a_view(), None)])
    storage.mood = Mood.AWAY
    done = installation.run("consume", "--until-caught-up", MATTERLOG_BROKER_TIMEOUT_SECONDS="3")
    assert done.code == 1
    assert "Trying again in" in done.err
    assert done.err.splitlines()[-1].startswith("matterlog: the lake's catalogue or its storage does not answer")


def test_of_two_consumers_of_one_lake_one_stops_and_says_why(installation: LakeInstallation) -> None:
    with installation.consuming() as first:
        first.wait_until_consuming()
        with start("consume", cwd=installation.folder, settings=installation.settings()) as second:
            try:
                assert second.stderr is not None
                while b"consuming into" not in (line := second.stderr.readline()):
                    assert line
                installation.send(
                    Message(record_of(event, 0, 0), event, None)
                    for event in (a_view(user_id=f"u-{n}") for n in range(5))
                )
                deadline = time.monotonic() + PATIENCE_SECONDS
                while (codes := (first.process.poll(), second.poll())) == (None, None):
                    assert time.monotonic() < deadline
                    time.sleep(LOOK_SECONDS)
                assert sorted(codes, key=str) == [1, None]
            finally:
                second.kill()
            said = first.errors.read_text("utf-8") + second.stderr.read().decode()
    assert "another consumer reads into this lake. Nothing of this batch was applied. Run only one" in said
    installation.catch_up()
    assert len(installation.outcome().views) == 5
