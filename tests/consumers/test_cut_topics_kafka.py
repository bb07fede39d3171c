"""A broker's folder put back to an older copy and written to again: the same topic IDs, other records."""

import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Event as Signal
from typing import Any, Final

import pytest

from matterlog.consumers.database.batch import BatchResult
from matterlog.consumers.database.store import Store
from matterlog.consumers.errors import TopicRemade, WouldLose
from matterlog.consumers.reading.kafka import KafkaSource
from matterlog.consumers.recovery.backups import find_backup, take_backup
from matterlog.consumers.recovery.coverage import refuse_loss
from matterlog.consumers.recovery.reread import DatabaseOnly, begin_reread, read_database_only
from matterlog.consumers.waits import Wait
from matterlog.schemas import MatterViewed, Topics
from matterlog.schemas.storage.database_files import DatabaseFiles
from testbed.apache_kafka import LocalKafka
from testbed.command import done, run
from testbed.events import a_deletion, a_view
from tests.consumers.pipeline import Pipeline, ids_of
from tests.topics_at_rest import cut, make_topics, messages_of, wait_for_partitions

pytestmark = pytest.mark.broker

NOTHING: Final = DatabaseOnly(views=0, deletions=0, dead_letters=0, cut=0, rereading=0)


@pytest.fixture(scope="module")
def broker(kafka_jars: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalKafka]:  # noqa: ARG001 - skips without
    """A broker for these tests: each has topics of its own there, and puts all of the broker's folder back."""
    running = LocalKafka(tmp_path_factory.mktemp("kafka"))
    running.start()
    try:
        yield running
    finally:
        running.kill()


@pytest.fixture
def pipeline(broker: LocalKafka, topic_prefix: str, tmp_path: Path) -> Pipeline:
    """A pipeline with topics of its own."""
    made = Pipeline(broker.bootstrap_servers, Topics(topic_prefix), tmp_path / "log.duckdb")
    make_topics(made.servers, made.topics)
    return made


def settings_of(pipeline: Pipeline) -> dict[str, str]:
    """What a command of this pipeline finds in its environment."""
    return {
        "MATTERLOG_BOOTSTRAP_SERVERS": pipeline.servers,
        "MATTERLOG_TOPIC_PREFIX": pipeline.topics.prefix,
        "MATTERLOG_DATABASE": str(pipeline.database),
    }


def some_views(count: int, **changes: Any) -> list[MatterViewed]:
    return [a_view(**changes) for _ in range(count)]


def copy_of(kafka: LocalKafka) -> Path:
    """Copy the broker's folder, in the place of an earlier copy."""
    copy = kafka.log_dir.with_name("copy")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(kafka.log_dir, copy)
    return copy


def copied(kafka: LocalKafka) -> Path:
    """A copy of the broker's folder, as somebody's nightly backup of the volume has it."""
    kafka.stop()
    copy = copy_of(kafka)
    kafka.start()
    return copy


def copied_while_it_runs(kafka: LocalKafka) -> Path:
    """The same, as a snapshot of the volume has it. The broker that is put back on it begins another epoch."""
    kafka.pause()
    try:
        return copy_of(kafka)
    finally:
        kafka.resume()


def put_back(kafka: LocalKafka, copy: Path, pipeline: Pipeline) -> None:
    """The broker comes back on the copy. What it had since is thrown away, so it need not end well."""
    kafka.kill()
    shutil.rmtree(kafka.log_dir)
    shutil.copytree(copy, kafka.log_dir)
    kafka.start()
    for topic in pipeline.topics.both:
        wait_for_partitions(pipeline.servers, topic.name, 1)


def begin(pipeline: Pipeline, *, every: bool = False, accept_gaps: bool = False) -> list[tuple[str, int]]:
    """Have read again what has to be, as the command does."""
    with closing(pipeline.source()) as source, Store(DatabaseFiles(pipeline.database)) as store:
        return list(begin_reread(source, store, pipeline.topics, every=every, accept_gaps=accept_gaps))


def held_alone(pipeline: Pipeline) -> DatabaseOnly:
    """What only the database holds."""
    with Store(DatabaseFiles(pipeline.database)) as store, store.reader() as connection:
        return read_database_only(connection)


def refused(pipeline: Pipeline) -> str:
    """What the consumer says when it does not start to read."""
    with pytest.raises(TopicRemade) as raised:
        pipeline.catch_up()
    return str(raised.value)


@pytest.mark.parametrize("event", [a_view, a_deletion])
def test_a_topic_cut_and_filled_again_past_its_position_stops_it(
    pipeline: Pipeline, broker: LocalKafka, event: Callable[..., Any]
) -> None:
    """With more records than before, under the same ID; at every start, also when the evidence is gone."""
    pipeline.write(*[event(matter_id=f"m-{n}") for n in range(6)])
    copy = copied(broker)
    pipeline.write(*[event(matter_id=f"m-{n}") for n in range(10, 13)])
    assert pipeline.catch_up().records == 9
    put_back(broker, copy, pipeline)
    pipeline.write(*[event(matter_id=f"m-{n}") for n in range(20, 24)])
    assert "[0] @ 9: the topic was cut" in refused(pipeline)
    assert "matterlog reread" in refused(pipeline)
    if event is a_view:
        cut(pipeline.servers, pipeline.views, before=10)
    assert "[0] @ 9: the topic was cut" in refused(pipeline)


def test_a_tail_lost_in_a_leaders_epoch_stops_it_though_its_last_record_is_gone(
    pipeline: Pipeline, broker: LocalKafka
) -> None:
    """Kafka compares the leader epoch of the record before the position with its own."""
    pipeline.write(*some_views(3))
    copy = copied(broker)
    broker.stop()
    broker.start()
    wait_for_partitions(pipeline.servers, pipeline.views, 1)
    pipeline.write(*some_views(3))
    pipeline.catch_up()
    put_back(broker, copy, pipeline)
    pipeline.write(*some_views(5))
    cut(pipeline.servers, pipeline.views, before=6)
    assert "[0] @ 6: the topic was cut" in refused(pipeline)
    assert pipeline.rows("SELECT topic, kafka_partition FROM cuts") == [(pipeline.views, 0)]


def test_a_topic_cut_and_filled_again_while_its_reader_waits_for_kafka_stops_it(
    pipeline: Pipeline, broker: LocalKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reader comes back last: there is a record at its position, and Kafka sees nothing wrong."""
    slow = {"reconnect.backoff.ms": "8000", "reconnect.backoff.max.ms": "8000"}
    monkeypatch.setattr(Pipeline, "source", lambda _: KafkaSource(pipeline.servers, pipeline.topics, slow))
    pipeline.write(*some_views(6))
    copy = copied(broker)
    pipeline.write(*some_views(3))
    stop, applied, waits, told = Signal(), Signal(), Signal(), list[str]()

    def note(wait: Wait | None) -> None:
        if wait is not None:
            told.append(str(wait))
            waits.set()

    with ThreadPoolExecutor() as threads:
        running = threads.submit(pipeline.run, stop, on_applied=lambda _: applied.set(), on_reading=note)
        assert applied.wait(60)
        put_back(broker, copy, pipeline)
        pipeline.write(*some_views(8), a_deletion(matter_id="m-1"))
        try:
            assert waits.wait(60)
        finally:
            stop.set()
        running.result()
    assert "views wait since" in told[0]
    assert "[0] @ 9: the topic was cut" in told[0]
    assert len(pipeline.stored()) == 9


def test_reading_again_loses_and_doubles_nothing(pipeline: Pipeline, broker: LocalKafka) -> None:
    """Views, deletions, dead letters and purged records that the copy brought back; and what is left is named."""
    early, lost, late = some_views(3), some_views(4), some_views(5)
    pipeline.write(*early, *some_views(2, matter_id="m-gone"))
    pipeline.put(pipeline.views, ("k", b"early poison"))
    copy = copied_while_it_runs(broker)
    pipeline.write(*lost, a_deletion(matter_id="m-gone"))
    pipeline.put(pipeline.views, ("k", b"lost poison"))
    pipeline.catch_up()
    with Store(DatabaseFiles(pipeline.database)) as store, store.transaction() as transaction:
        transaction.connection.execute("DELETE FROM tombstones; UPDATE purges SET topic_erased_at = purged_at")
    put_back(broker, copy, pipeline)
    pipeline.write(*late, a_deletion(matter_id="m-late"))
    refused(pipeline)
    assert begin(pipeline) == [(pipeline.deletions, 0), (pipeline.views, 0)]
    applied = pipeline.catch_up()
    assert (applied.views, applied.duplicates, applied.refused, applied.deletions) == (5, 4, 2, 1)
    assert pipeline.stored() == ids_of([*early, *lost, *late])
    assert pipeline.rows("SELECT payload FROM dead_letters") == [b"early poison", b"lost poison"]
    assert held_alone(pipeline) == NOTHING._replace(views=4, deletions=1, dead_letters=1)
    assert pipeline.rows("SELECT count(*) FROM tombstones") == [1 + 1]
    assert pipeline.rows("SELECT matter_id FROM purges WHERE topic_erased_at IS NULL") == ["m-gone", "m-late"]
    assert pipeline.catch_up() == BatchResult()
    pipeline.write(lost[0])
    assert pipeline.catch_up().duplicates == 1
    assert held_alone(pipeline).views == 3


def test_what_is_killed_while_it_reads_again_goes_on(pipeline: Pipeline, broker: LocalKafka) -> None:
    """The next start reads on, and what only the database holds is known at the end."""
    views, lost = some_views(6), some_views(2)
    pipeline.write(*views[:4])
    copy = copied_while_it_runs(broker)
    pipeline.write(*lost)
    pipeline.catch_up()
    put_back(broker, copy, pipeline)
    pipeline.write(*views[4:], a_view(matter_id="m-7"))
    begin(pipeline)
    assert held_alone(pipeline) == NOTHING._replace(views=6, rereading=1)
    assert begin(pipeline) == []
    assert pipeline.catch_up().records == 7
    assert held_alone(pipeline) == NOTHING._replace(views=2)


def test_a_volume_without_the_tombstones_that_were_sent_stops_it(pipeline: Pipeline, broker: LocalKafka) -> None:
    """A consumer that catches up and ends has read its own tombstones: a topic that lost them is told."""
    settings = settings_of(pipeline)
    pipeline.write(*some_views(3, matter_id="m-gone"), a_deletion(matter_id="m-gone"))
    copy = copied_while_it_runs(broker)
    done("consume", "--until-caught-up", settings=settings)
    put_back(broker, copy, pipeline)
    assert "the topic was cut" in run("consume", "--until-caught-up", settings=settings).err
    assert "3 refused because their matter is deleted" in done("reread", settings=settings).text
    assert [each.offset() for each in messages_of(pipeline.servers, pipeline.views)] == [*range(6)]


def test_nobody_loses_what_only_the_database_holds(pipeline: Pipeline, broker: LocalKafka) -> None:
    """Consume, reread, restore and rebuild as an operator meets them."""
    settings = settings_of(pipeline)
    paths = DatabaseFiles(pipeline.database)
    pipeline.write(*some_views(3))
    pipeline.catch_up()
    with Store(paths) as store:
        take_backup(store, 3)
    copy = copied_while_it_runs(broker)
    pipeline.write(*some_views(2))
    pipeline.catch_up()
    assert done("reread", settings=settings).text.startswith("no topic was cut")
    put_back(broker, copy, pipeline)
    pipeline.write(*some_views(4))
    for command in ("consume", "restore", "rebuild"):
        ended = run(command, *["--until-caught-up"] * (command == "consume"), settings=settings)
        assert (ended.code, "matterlog reread" in ended.err) == (1, True), ended.err
    told = done("reread", settings=settings).text
    assert "7 records: 4 views stored, 3 duplicates" in told
    assert "The database alone holds 2 views, 0 deletions and 0 dead letters" in told
    for command in ("restore", "rebuild"):
        ended = run(command, settings=settings)
        assert (ended.code, "alone holds 2 views" in ended.err) == (1, True), ended.err
    with Store(paths) as store:
        take_backup(store, 3)
    with paths.owned():
        refuse_loss(paths, find_backup(paths, None), None)
        with pytest.raises(WouldLose, match="2 views"):
            refuse_loss(paths, None, None)
    assert "7 views stored" in done("rebuild", "--accept-loss", settings=settings).text
