"""Records that expired before anybody read them, and a topic that is read again from its beginning."""

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest

from matterlog.consumers.database.store import Store
from matterlog.consumers.errors import PositionExpired, TopicRemade
from matterlog.consumers.recovery.reread import begin_reread
from matterlog.schemas import Topics
from matterlog.schemas.storage.database_files import DatabaseFiles
from testbed.command import Ended, run
from testbed.events import a_deletion, a_view
from tests.consumers.pipeline import Pipeline
from tests.topics_at_rest import add_partitions, cut, make, make_topics, remove

pytestmark = pytest.mark.broker

ACCEPTED: Final = "--accept-gaps"
CAUGHT_UP: Final = "--until-caught-up"


@pytest.fixture
def pipeline(kafka: str, topic_prefix: str, tmp_path: Path) -> Pipeline:
    """A pipeline on topics of which retention removes records."""
    made = Pipeline(kafka, Topics(topic_prefix), tmp_path / "log.duckdb")
    make_topics(made.servers, made.topics, cleanup_policy="compact,delete")
    return made


def command(pipeline: Pipeline, *words: str) -> Ended:
    """Run a command as an operator does."""
    settings = {"MATTERLOG_BOOTSTRAP_SERVERS": pipeline.servers, "MATTERLOG_DATABASE": str(pipeline.database)}
    return run(*words, settings=settings | {"MATTERLOG_TOPIC_PREFIX": pipeline.topics.prefix})


def make_again(pipeline: Pipeline, *events: Any) -> None:
    """The topic of deletions is deleted and created again, with these events."""
    deletions = pipeline.topics.matter_deletions
    remove(pipeline.servers, deletions)
    make(pipeline.servers, deletions, special={"cleanup.policy": "compact,delete"})
    pipeline.write(*events)


def gaps(pipeline: Pipeline) -> list[Any]:
    """The offsets that the log says it never had."""
    return pipeline.rows("SELECT topic, kafka_partition, first_missing, next_available FROM gaps")


def expire(pipeline: Pipeline, topic: str, event: Callable[..., Any]) -> None:
    """Three are read, and nine that nobody has read expire."""
    pipeline.write(*[event(matter_id=f"m-{n}") for n in range(3)])
    pipeline.catch_up()
    pipeline.write(*[event(matter_id=f"m-{n}") for n in range(3, 12)])
    cut(pipeline.servers, topic, before=12)


@pytest.mark.parametrize("event", [a_view, a_deletion])
def test_reading_again_writes_nothing_off_that_expired_unread(pipeline: Pipeline, event: Callable[..., Any]) -> None:
    """It is refused as consume does, until somebody accepts it; then everything says what is missing."""
    topic = pipeline.views if event is a_view else pipeline.deletions
    expire(pipeline, topic, event)
    for words, way_out in ((("consume", CAUGHT_UP), "consume"), (("reread", "--all"), "reread --all")):
        ended = command(pipeline, *words)
        assert (ended.code, f"{topic} [0]: offsets 3 to 11 expired" in ended.err) == (1, True), ended.err
        assert f"run: matterlog {way_out} {ACCEPTED}" in ended.err
    assert (gaps(pipeline), pipeline.positions()[topic, 0]) == ([], 3)
    ended = command(pipeline, "reread", "--all", ACCEPTED)
    assert (ended.code, f"1 ranges of missing records: {topic} [0]: offsets 3 to 11" in ended.text) == (0, True)
    assert "They are recorded as missing" in ended.err
    extract = pipeline.database.with_name("extract.csv")
    assert command(pipeline, "export", "-o", str(extract)).code == 0
    told = json.loads(extract.with_name("extract.csv.manifest.json").read_text())["gaps"]
    assert [(gap["first_missing"], gap["next_available"]) for gap in told] == [(3, 12)]
    assert json.loads(command(pipeline, "status", "--json").text)["gaps"] == 1
    for again in ("consume --until-caught-up", "reread --all", "consume --until-caught-up --accept-gaps"):
        assert command(pipeline, *again.split()).code == 0
    assert gaps(pipeline) == [(topic, 0, 3, 12)]


def test_the_cure_for_a_topic_made_again_writes_off_nothing_of_the_other(pipeline: Pipeline) -> None:
    """Of partitions whose last record is gone nothing tells whether they were cut: they are read again too."""
    pipeline.write(a_deletion(matter_id="m-gone"))
    expire(pipeline, pipeline.views, a_view)
    make_again(pipeline, a_deletion(matter_id="m-gone"))
    ended = command(pipeline, "reread")
    assert (ended.code, f"run: matterlog reread {ACCEPTED}" in ended.err) == (1, True), ended.err
    ended = command(pipeline, "reread", ACCEPTED)
    assert (ended.code, gaps(pipeline)) == (0, [(pipeline.views, 0, 3, 12)])
    assert f"{pipeline.deletions} [0] was cut or created again: what it lost before it was read is not" in ended.err


def test_the_beginning_of_a_topic_made_again_was_never_read(pipeline: Pipeline) -> None:
    """Though the position in the topic before it stood behind that."""
    pipeline.write(*[a_deletion(matter_id=f"m-{n}") for n in range(6)])
    pipeline.catch_up()
    make_again(pipeline, *[a_deletion(matter_id=f"m-{n}") for n in range(6, 10)])
    cut(pipeline.servers, pipeline.deletions, before=3)
    assert "[0]: offsets 0 to 2 expired" in command(pipeline, "reread").err
    assert command(pipeline, "reread", ACCEPTED).code == 0
    assert gaps(pipeline) == [(pipeline.deletions, 0, 0, 3)]
    assert len(pipeline.rows("SELECT matter_id FROM purges")) == 6 + 1


def test_what_is_killed_before_it_reads_is_known_and_bound_to_its_topic(pipeline: Pipeline) -> None:
    """What is missing stands beside the new position, and no other topic is read on from there."""
    expire(pipeline, pipeline.deletions, a_deletion)
    with closing(pipeline.source()) as source, Store(DatabaseFiles(pipeline.database)) as store:
        with pytest.raises(PositionExpired):
            begin_reread(source, store, pipeline.topics, every=True, accept_gaps=False)
        assert store.positions()[pipeline.deletions, 0].next_offset == 3
        begin_reread(source, store, pipeline.topics, every=True, accept_gaps=True)
    assert (gaps(pipeline), pipeline.positions()[pipeline.deletions, 0]) == ([(pipeline.deletions, 0, 3, 12)], 12)
    make_again(pipeline, *[a_deletion(matter_id=f"m-{n}") for n in range(20, 34)])
    with pytest.raises(TopicRemade, match="created again"):
        pipeline.catch_up()


def test_a_new_partition_whose_beginning_expired_is_told_where_others_are_read_again(pipeline: Pipeline) -> None:
    """There was no position, so nobody is asked; it is recorded."""
    pipeline.write(a_view())
    pipeline.catch_up()
    add_partitions(pipeline.servers, pipeline.views, 2)
    pipeline.write(a_view(), a_view(), partition=1)
    cut(pipeline.servers, pipeline.views, before=1, partition=1)
    ended = command(pipeline, "reread", "--all")
    assert (ended.code, f"{pipeline.views} [1]: offsets 0 to 0 expired" in ended.text) == (0, True)
    assert (gaps(pipeline), len(pipeline.stored())) == ([(pipeline.views, 1, 0, 1)], 2)


def test_a_backup_and_a_rebuild_do_not_write_off_what_expired_unread(pipeline: Pipeline) -> None:
    """A restored position has expired as the one before; a new database records all that it could not read."""
    expire(pipeline, pipeline.deletions, a_deletion)
    assert command(pipeline, "backup").code == 0
    assert command(pipeline, "restore").code == 0
    assert "[0]: offsets 3 to 11 expired" in command(pipeline, "consume", CAUGHT_UP).err
    assert f"{pipeline.deletions} [0] from offset 0 to 2" in command(pipeline, "rebuild").err
    assert gaps(pipeline) == []
    assert command(pipeline, "rebuild", "--accept-loss").code == 0
    assert gaps(pipeline) == [(pipeline.deletions, 0, 0, 12)]
