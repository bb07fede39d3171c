"""Kill the real process at any moment: nothing is lost, nothing doubled, nothing resurrected."""

import csv
import itertools
import random
import secrets
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from matterlog.schemas import Topics
from testbed.budget import budget
from testbed.events import a_deletion, a_view, record_of
from tests.consumers.histories import History, Message, expected
from tests.faults.installation import Consuming, Installation
from tests.topics_at_rest import make_topics

pytestmark = [pytest.mark.broker, pytest.mark.faults]

PARTITIONS: Final = 3
KILLS: Final = budget(10, 200)
HISTORIES_A_KILL: Final = 16
FIRST_HISTORIES: Final = 120
# So few that a consumer that is killed has nearly always more to read, and commits every few milliseconds.
BATCH_RECORDS: Final = 20


@pytest.fixture
def installation(kafka: str, topic_prefix: str, tmp_path: Path) -> Installation:
    """Topics with three partitions, and no database yet."""
    topics = Topics(topic_prefix)
    make_topics(kafka, topics, partitions=PARTITIONS)
    return Installation(kafka, topics, tmp_path)


def written(dice: random.Random, numbers: Iterator[int], histories: int) -> Iterator[Message]:
    """Yield the messages of new histories, mixed; those with the same key in their order."""
    rest = [list(reversed(History(number, dice).messages())) for number in itertools.islice(numbers, histories)]
    while rest := [messages for messages in rest if messages]:
        message = dice.choice(rest).pop()
        # A compacted topic takes no message without a key.
        yield Message(message.record._replace(key=message.record.key or b"none"), message.event, message.flaw)


def kill_at_some_moment(consumer: Consuming, written_before: int, dice: random.Random) -> None:
    """Kill while it starts, while it writes, or while it ends."""
    moment = dice.choice(("starting", "writing", "writing", "writing", "ending"))
    if moment == "starting":
        time.sleep(dice.uniform(0.0, 1.5))
    else:
        consumer.wait_until(lambda _: consumer.written() != written_before)
        time.sleep(dice.uniform(0.0, 0.3))
    if moment == "ending":
        consumer.process.send_signal(signal.SIGTERM)
        time.sleep(dice.uniform(0.0, 0.3))
    consumer.end(signal.SIGKILL)


def in_order(messages: list[Message]) -> list[Message]:
    """Each partition's messages in its order."""
    return sorted(messages, key=lambda message: message.record[:3])


def test_a_consumer_killed_at_any_moment_loses_and_doubles_nothing(installation: Installation) -> None:
    """Views, duplicates, conflicts, deletions, late views, poison and tombstones, while the consumer dies and dies."""
    seed = secrets.randbits(32)
    print(f"seed {seed}")  # noqa: T201 - shown where the test fails
    dice, numbers = random.Random(seed), itertools.count()  # noqa: S311 - repeatable, not secret
    sent = installation.send(written(dice, numbers, FIRST_HISTORIES))
    for _ in range(KILLS):
        with installation.consuming("--batch-records", BATCH_RECORDS) as consumer:
            written_before = consumer.written()
            sent += installation.send(written(dice, numbers, HISTORIES_A_KILL))
            kill_at_some_moment(consumer, written_before, dice)
        assert installation.inconsistencies() == []
    installation.catch_up()
    assert installation.outcome() == expected(in_order(sent))


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_stop_finishes_the_batch_and_leaves_cleanly(
    installation: Installation, how: signal.Signals
) -> None:
    sent = installation.send(written(random.Random(how), itertools.count(), 100))  # noqa: S311 - repeatable, not secret
    with installation.consuming("--batch-records", BATCH_RECORDS) as consumer:
        consumer.wait_until_consuming()
        assert consumer.end(how) == 0
        assert " records: " in consumer.output.read_text()
    left = {file.name for file in installation.folder.glob("log.duckdb*")}
    assert left == {"log.duckdb", "log.duckdb.lock"}
    assert installation.inconsistencies() == []
    installation.catch_up()
    assert installation.outcome() == expected(in_order(sent))


def test_a_second_consumer_is_refused_with_the_first_ones_process_id(installation: Installation) -> None:
    with installation.consuming() as first:
        first.wait_until_consuming()
        second = installation.run("consume")
        assert second.code == 1
        assert f"is in use by process {first.process.pid}, which owns it" in second.err
        assert first.end(signal.SIGTERM) == 0


def test_the_log_is_exported_whoever_owns_it_and_right_after_a_kill(installation: Installation) -> None:
    """Through the owner; from the file, beside the socket that a killed owner left; through the next owner."""
    installation.send(Message(record_of(event, 0, 0), event, None) for event in [a_view(), a_view(matter_id="m-2")])
    installation.catch_up()
    with installation.consuming() as owner:
        owner.wait_until_consuming()
        exports = [exported_matters(installation)]
        owner.end(signal.SIGKILL)
    assert installation.paths.socket.exists()
    exports.append(exported_matters(installation))
    installation.send([Message(record_of(a_deletion(), 0, 0), None, None)])
    with installation.consuming() as owner:
        owner.wait_until(lambda text: "purged matter m-42" in text)
        exports.append(exported_matters(installation))
        assert owner.end(signal.SIGTERM) == 0
    assert exports == [["m-2", "m-42"], ["m-2", "m-42"], ["m-2"]]


def exported_matters(installation: Installation) -> list[str]:
    """The matters of the report's rows."""
    done = installation.run("export", "--format", "csv", "--output", "-")
    assert done.code == 0, done.err
    return sorted(row["matter_ID"] for row in csv.DictReader(done.text.splitlines()))
