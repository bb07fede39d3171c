"""What an operator of ``matterlog consume`` sees while views wait: deletions are applied, and the rest is said."""

import json
from pathlib import Path

from matterlog.schemas import Topics
from testbed.command import consuming, done, run
from testbed.events import a_deletion, a_view
from tests.consumers.pipeline import Pipeline
from tests.consumers.test_consumer_kafka import wait_until


def spoilt(settings: dict[str, str], tmp_path: Path) -> Pipeline:
    """A log that has read a view, and topics that hold junk views and the deletion of its matter."""
    topics = Topics(settings["MATTERLOG_TOPIC_PREFIX"])
    pipeline = Pipeline(settings["MATTERLOG_BOOTSTRAP_SERVERS"], topics, tmp_path / "log.duckdb")
    pipeline.write(a_view(matter_id="m-1"))
    done("consume", "--until-caught-up", "--database", pipeline.database, settings=settings)
    pipeline.put(pipeline.views, *[("k", b"poison")] * 20)
    pipeline.write(a_deletion(matter_id="m-1"))
    return pipeline


def test_what_catches_up_ends_with_1_once_deletions_are_applied_and_their_tombstones_sent(
    kafka_here: dict[str, str], tmp_path: Path
) -> None:
    """A supervisor sees that views are unread; the deleted matter does not wait for that."""
    pipeline = spoilt(kafka_here, tmp_path)
    ended = run("consume", "--until-caught-up", "--database", pipeline.database, settings=kafka_here)
    assert (ended.code, "20 of the last 20 records could not be read as events" in ended.err) == (1, True)
    found = json.loads(done("status", "--json", "--database", pipeline.database).out)
    assert (found["deleted_matters"], found["rows"], found["tombstones"]) == (1, 0, 0)


def test_the_status_tells_that_views_wait_and_why(kafka_here: dict[str, str], tmp_path: Path) -> None:
    """As long as they do; stopped, the consumer ends well."""
    pipeline = spoilt(kafka_here, tmp_path)
    with consuming(pipeline.database, settings=kafka_here):
        wait_until(lambda: json.loads(status(pipeline))["reading_trouble"] is not None)
        told = json.loads(status(pipeline))["reading_trouble"]
        wait_until(lambda: json.loads(status(pipeline))["deleted_matters"] == 1)
    assert told.startswith("views wait since 2")
    assert "Z: 20 of the last 20 records could not be read as events" in told
    assert json.loads(status(pipeline))["reading_trouble"] is None


def status(pipeline: Pipeline) -> bytes:
    """The status as a monitor reads it."""
    return done("status", "--json", "--database", pipeline.database).out
