"""From ``emit`` to the activity table through a real broker, and the ways in which topics surprise their reader."""

import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, nullcontext
from pathlib import Path
from threading import Event as Signal
from types import SimpleNamespace
from typing import Any, Final

import confluent_kafka
import pytest
from confluent_kafka import TopicPartition

from matterlog.consumers import materialise
from matterlog.consumers.database.batch import BatchResult
from matterlog.consumers.database.store import Store
from matterlog.consumers.errors import (
    BrokerUnavailable,
    ConsumerError,
    PositionExpired,
    StoreFailed,
    TooManyDeadLetters,
    TopicMissing,
    TopicRemade,
)
from matterlog.consumers.reading import kafka as consumers_kafka
from matterlog.consumers.reading import kafka_topics
from matterlog.consumers.reading.client_settings import REQUIRED
from matterlog.consumers.reading.kafka import KafkaSource
from matterlog.schemas import MatterViewed, Topics, encode
from matterlog.schemas.topics import key_of
from testbed.apache_kafka import LocalKafka
from testbed.events import a_deletion, a_view
from tests.consumers.pipeline import Pipeline, ids_of
from tests.topics_at_rest import add_partitions, cut, make_topics, messages_of, remove_topics

pytestmark = pytest.mark.broker

NOBODY: Final = "127.0.0.1:1"
COMPACTION_TIMEOUT_SECONDS: Final = 60.0


@pytest.fixture
def unmade(kafka: str, topic_prefix: str, tmp_path: Path) -> Pipeline:
    """A pipeline whose topics nobody has made yet."""
    return Pipeline(kafka, Topics(topic_prefix), tmp_path / "log.duckdb")


@pytest.fixture
def pipeline(unmade: Pipeline) -> Pipeline:
    """A pipeline with topics of one partition each."""
    make_topics(unmade.servers, unmade.topics)
    return unmade


def some_views(count: int, **changes: Any) -> list[MatterViewed]:
    return [a_view(**changes) for _ in range(count)]


def as_message(event: MatterViewed) -> tuple[str, bytes]:
    return key_of(event), encode(event)


def wait_until(fact: Callable[[], object]) -> None:
    """Return when it is so; pytest's own time limit ends a test where it never is."""
    while not fact():
        time.sleep(0.01)


# The plain way


def test_what_is_emitted_is_in_the_table(pipeline: Pipeline) -> None:
    """Every field, once."""
    views = some_views(50)
    pipeline.emit(*views)
    assert pipeline.catch_up() == BatchResult(records=50, views=50)
    assert pipeline.stored() == ids_of(views)
    [names] = pipeline.rows("SELECT DISTINCT user_name, user_type, matter_viewed_at, matter_type FROM activity")
    assert names == (views[0].user_name, "Member", views[0].matter_viewed_at.replace(tzinfo=None), "live")


def test_every_partition_is_read(unmade: Pipeline) -> None:
    """Keys scatter views over partitions."""
    make_topics(unmade.servers, unmade.topics, partitions=3)
    views = some_views(60)
    unmade.emit(*views)
    unmade.catch_up()
    assert unmade.stored() == ids_of(views)
    assert {partition for topic, partition in unmade.positions() if topic == unmade.views} == {0, 1, 2}


def test_empty_topics_are_caught_up_with(pipeline: Pipeline) -> None:
    """Nothing to read is no reason to wait."""
    assert pipeline.catch_up() == BatchResult()
    assert pipeline.positions() == {}


def test_a_restart_goes_on_where_the_database_stands(pipeline: Pipeline) -> None:
    """Nothing is read again; what came meanwhile is."""
    pipeline.write(*some_views(3))
    pipeline.catch_up()
    assert pipeline.catch_up() == BatchResult()
    pipeline.write(a_view())
    assert pipeline.catch_up() == BatchResult(records=1, views=1)


def test_small_batches_end_in_the_same_table(pipeline: Pipeline) -> None:
    """Where batches are cut makes no difference."""
    views, applied = some_views(25), list[BatchResult]()
    pipeline.write(*views)
    assert pipeline.catch_up(batch_records=10, on_applied=applied.append).views == 25
    assert max(batch.records for batch in applied) <= 10
    assert pipeline.stored() == ids_of(views)


def test_a_deletion_purges_and_late_views_are_refused(pipeline: Pipeline) -> None:
    """Before, beside and after its deletion: no view of the matter is stored."""
    other = a_view(matter_id="m-2")
    pipeline.emit(other, *some_views(3, matter_id="m-1"))
    pipeline.catch_up()
    pipeline.emit(a_deletion(matter_id="m-1"), a_view(matter_id="m-1"))
    assert pipeline.catch_up() == BatchResult(
        records=2, deletions=1, refused=1, matters_deleted=("m-1",), views_purged=3
    )
    pipeline.emit(a_view(matter_id="m-1"))
    assert pipeline.catch_up() == BatchResult(records=1, refused=1)
    assert pipeline.stored() == [other.event_id]


def test_a_repeated_event_is_stored_once(pipeline: Pipeline) -> None:
    """In one batch and in two."""
    view = a_view()
    pipeline.write(view, view)
    assert pipeline.catch_up() == BatchResult(records=2, views=1, duplicates=1)
    pipeline.write(view)
    assert pipeline.catch_up() == BatchResult(records=1, duplicates=1)


def test_tombstones_are_passed_over(pipeline: Pipeline) -> None:
    """They erase records of the topic and say nothing to the log."""
    view = a_view()
    pipeline.put(pipeline.views, as_message(view), (str(view.event_id), None))
    assert pipeline.catch_up() == BatchResult(records=2, views=1, tombstones=1)
    assert pipeline.stored() == [view.event_id]


# Messages that cannot be understood


def test_a_poison_message_costs_only_itself(pipeline: Pipeline) -> None:
    """The views around it are stored; it is kept whole."""
    before, after = a_view(), a_view()
    pipeline.put(pipeline.views, as_message(before), ("k", b"poison"), as_message(after))
    assert pipeline.catch_up() == BatchResult(records=3, views=2, dead_letters=1)
    assert pipeline.stored() == ids_of([before, after])
    kept = pipeline.rows("SELECT kafka_partition, kafka_offset, key, payload, error_kind FROM dead_letters")
    assert kept == [(0, 1, b"k", b"poison", "unknown-framing")]


def test_an_event_in_the_wrong_topic_is_a_dead_letter(pipeline: Pipeline) -> None:
    """The right to write views is not the right to purge."""
    view, deletion = a_view(), a_deletion()
    pipeline.put(pipeline.views, as_message(view), (key_of(deletion), encode(deletion)))
    pipeline.put(pipeline.deletions, as_message(a_view()))
    assert pipeline.catch_up() == BatchResult(records=3, views=1, dead_letters=2)
    assert pipeline.dead_letters() == [("matter-deletions", "wrong-event"), ("matter-views", "wrong-event")]
    assert pipeline.stored() == [view.event_id]


def test_an_event_under_a_wrong_key_is_a_dead_letter(pipeline: Pipeline) -> None:
    """It could never be erased alone."""
    pipeline.put(pipeline.views, ("another", encode(a_view())))
    pipeline.put(pipeline.deletions, ("another", encode(a_deletion())))
    assert pipeline.catch_up() == BatchResult(records=2, dead_letters=2)
    assert pipeline.dead_letters() == [("matter-deletions", "wrong-key"), ("matter-views", "wrong-key")]


def test_a_view_in_the_wrong_topic_is_purged_with_its_matter(pipeline: Pipeline) -> None:
    """A dead letter whose event could be read is personal data that a deletion must reach."""
    pipeline.put(pipeline.deletions, as_message(a_view(matter_id="m-1")))
    pipeline.catch_up()
    pipeline.write(a_deletion(matter_id="m-1"))
    pipeline.catch_up()
    assert pipeline.dead_letters() == []
    assert pipeline.rows("SELECT dead_letters_purged FROM purges") == [1]


def test_a_conflict_is_kept_whole(pipeline: Pipeline) -> None:
    """Records are dropped when they are decoded; for a conflict they are read again."""
    view = a_view()
    pipeline.emit(view, *some_views(3), view.model_copy(update={"user_name": "Somebody Else"}), *some_views(3))
    assert pipeline.catch_up(batch_records=2) == BatchResult(records=8, views=7, dead_letters=1)
    [(key, headers)] = pipeline.rows("SELECT key, headers FROM dead_letters")
    assert key == str(view.event_id).encode()
    assert {"name": "ce_id", "value": key} in headers


def test_a_conflict_ends_with_the_matter_that_it_was_with(pipeline: Pipeline) -> None:
    """As if the deletion had come first: the other matter's view takes its place."""
    first, second = a_view(matter_id="m-1"), a_view(matter_id="m-2")
    second = second.model_copy(update={"event_id": first.event_id})
    pipeline.write(first, second)
    assert pipeline.catch_up() == BatchResult(records=2, views=1, dead_letters=1)
    pipeline.write(a_deletion(matter_id="m-1"))
    pipeline.catch_up()
    assert pipeline.rows("SELECT event_id, matter_id FROM activity") == [(first.event_id, "m-2")]
    assert pipeline.dead_letters() == []


def test_a_batch_of_mostly_bad_messages_is_not_applied(pipeline: Pipeline) -> None:
    """A bad deployment must not dead-letter a whole topic; what was read is read again once it is mended."""
    pipeline.write(*some_views(9))
    pipeline.put(pipeline.views, *[("k", b"poison")] * 11)
    with pytest.raises(TooManyDeadLetters, match=r"11 of the last 20 .*-views \[0\] @ 9: unknown-framing"):
        pipeline.catch_up()
    assert [pipeline.stored(), pipeline.dead_letters(), pipeline.positions()] == [[], [], {}]


def test_all_are_kept_when_the_operator_says_so(pipeline: Pipeline) -> None:
    """``--max-dead-letters 1``: the way on that the error names."""
    pipeline.put(pipeline.views, *[("k", b"poison")] * 30)
    assert pipeline.catch_up(max_dead_letters=1.0) == BatchResult(records=30, dead_letters=30)


def test_half_of_a_batch_may_be_bad(pipeline: Pipeline) -> None:
    """The limit is one that must be exceeded."""
    pipeline.write(*some_views(10))
    pipeline.put(pipeline.views, *[("k", b"poison")] * 10)
    assert pipeline.catch_up() == BatchResult(records=20, views=10, dead_letters=10)


def test_fewer_than_twenty_records_stop_nothing(pipeline: Pipeline) -> None:
    """One bad message must not stop an idle topic."""
    pipeline.put(pipeline.views, *[("k", b"poison")] * 19)
    assert pipeline.catch_up() == BatchResult(records=19, dead_letters=19)


def test_bad_messages_that_trickle_in_stop_it_all_the_same(pipeline: Pipeline) -> None:
    """Small batches are judged together."""
    pipeline.put(pipeline.views, *[("k", b"poison")] * 30)
    with pytest.raises(TooManyDeadLetters, match="20 of the last 20"):
        pipeline.catch_up(batch_records=5)
    assert len(pipeline.dead_letters()) == 15


# Offsets that skip


def transact(pipeline: Pipeline, *views: MatterViewed, commit: bool) -> None:
    name = f"{pipeline.topics.prefix}{commit}"
    producer = confluent_kafka.Producer({"bootstrap.servers": pipeline.servers, "transactional.id": name})
    producer.init_transactions(30)
    producer.begin_transaction()
    for view in views:
        producer.produce(pipeline.views, key=key_of(view), value=encode(view))
    assert producer.flush(30) == 0
    (producer.commit_transaction if commit else producer.abort_transaction)(30)


def test_an_aborted_transaction_at_the_end_is_caught_up_with(pipeline: Pipeline) -> None:
    """Its views are not stored, and the position stands behind them: no lag is left."""
    committed = some_views(2)
    transact(pipeline, *committed, commit=True)
    transact(pipeline, *some_views(3), commit=False)
    assert pipeline.catch_up() == BatchResult(records=2, views=2)
    assert pipeline.stored() == ids_of(committed)
    with closing(pipeline.source()) as source:
        assert source.ends()[pipeline.views, 0] == pipeline.positions()[pipeline.views, 0] == 7


def test_views_behind_transaction_markers_are_read(pipeline: Pipeline) -> None:
    """Offsets rise, and nothing assumes that they rise by one."""
    views = some_views(3)
    for view in views:
        transact(pipeline, view, commit=True)
        pipeline.catch_up()
    assert pipeline.stored() == ids_of(views)
    assert pipeline.positions()[pipeline.views, 0] == 6


def test_records_that_compaction_took_are_not_missed(unmade: Pipeline) -> None:
    """Gaps inside a partition are what an erasure leaves behind: no error, no gap to record."""
    make_topics(unmade.servers, unmade.topics, segment_ms="100", min_cleanable_dirty_ratio="0.001")
    erased, kept = a_view(), some_views(2)
    unmade.put(unmade.views, as_message(kept[0]), as_message(erased), as_message(kept[1]), (key_of(erased), None))
    deadline = time.monotonic() + COMPACTION_TIMEOUT_SECONDS
    while 1 in [message.offset() for message in messages_of(unmade.servers, unmade.views)]:
        assert time.monotonic() < deadline
        unmade.put(unmade.views, ("filler", None))
    unmade.catch_up()
    assert unmade.stored() == ids_of(kept)
    assert unmade.rows("SELECT * FROM gaps") == []


# Topics that are not what they were


def test_a_position_that_expired_stops_with_the_way_out(pipeline: Pipeline) -> None:
    """Never a silent jump: nothing behind the gap is applied."""
    read = some_views(2)
    pipeline.write(*read)
    pipeline.catch_up()
    pipeline.write(*some_views(4))
    cut(pipeline.servers, pipeline.views, before=5)
    with pytest.raises(PositionExpired, match=r"-views \[0\]: offsets 2 to 4 expired .* --accept-gaps"):
        pipeline.catch_up()
    assert pipeline.stored() == ids_of(read)
    assert pipeline.positions()[pipeline.views, 0] == 2


def test_an_accepted_gap_is_recorded_and_reading_goes_on(pipeline: Pipeline) -> None:
    """The operator decides, and the log says what it lacks."""
    read, lost, behind = some_views(2), some_views(3), a_view()
    pipeline.write(*read)
    pipeline.catch_up()
    pipeline.write(*lost, behind)
    cut(pipeline.servers, pipeline.views, before=5)
    assert pipeline.catch_up(accept_gaps=True) == BatchResult(records=1, views=1)
    assert pipeline.stored() == ids_of([*read, behind])
    gaps = "SELECT topic, kafka_partition, first_missing, next_available FROM gaps"
    assert pipeline.rows(gaps) == [(pipeline.views, 0, 2, 5)]


def test_a_new_database_records_that_a_topics_head_is_gone(pipeline: Pipeline) -> None:
    """There is nobody to ask: what is there is read."""
    pipeline.write(*some_views(3))
    cut(pipeline.servers, pipeline.views, before=2)
    assert pipeline.catch_up() == BatchResult(records=1, views=1)
    assert pipeline.rows("SELECT first_missing, next_available FROM gaps") == [(0, 2)]


def test_a_topic_that_was_cut_to_its_end_leaves_no_lag(pipeline: Pipeline) -> None:
    """The gap may reach up to where nothing is yet."""
    pipeline.write(*some_views(3))
    cut(pipeline.servers, pipeline.views, before=3)
    assert pipeline.catch_up() == BatchResult()
    assert pipeline.positions() == {(pipeline.views, 0): 3}


def test_a_cut_beneath_the_reader_stops_it(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """Retention may strike between the check and the first fetch."""
    assign = KafkaSource._assign

    def cut_and_assign(source: KafkaSource, partitions: Any) -> None:
        cut(pipeline.servers, pipeline.views, before=2)
        assign(source, partitions)

    pipeline.write(*some_views(3))
    monkeypatch.setattr(KafkaSource, "_assign", cut_and_assign)
    with pytest.raises(PositionExpired, match=r"-views \[0\] @ 0: .* --accept-gaps"):
        pipeline.catch_up()
    assert pipeline.stored() == []


@pytest.mark.parametrize("records", [1, 3, 9])
def test_a_topic_that_was_made_anew_stops_it(pipeline: Pipeline, records: int) -> None:
    """With fewer records than before, as many, or more: its offsets mean other records."""
    pipeline.write(*some_views(3))
    pipeline.catch_up()
    remove_topics(pipeline.servers, pipeline.topics)
    make_topics(pipeline.servers, pipeline.topics)
    pipeline.write(*some_views(records))
    with pytest.raises(TopicRemade, match=r"-views \[0\] @ 3: .* created again.*matterlog reread"):
        pipeline.catch_up()
    assert len(pipeline.stored()) == 3


def test_a_topic_of_deletions_that_is_made_anew_beneath_the_reader_stops_both(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next look around finds it, or the next fetch, and every later start. Nothing of the new topics is applied."""

    def make_anew(_: BatchResult) -> None:
        remove_topics(pipeline.servers, pipeline.topics)
        make_topics(pipeline.servers, pipeline.topics)
        monkeypatch.setattr(consumers_kafka, "_CHECK_TOPICS_EVERY_SECONDS", 0.0)

    pipeline.write(*some_views(3), a_deletion(matter_id="m-gone"))
    with pytest.raises(TopicRemade, match=r"matter-deletions.*(created again|was cut)"):
        pipeline.run(Signal(), on_applied=make_anew, batch_records=4)
    pipeline.write(*some_views(9), a_deletion(matter_id="m-1"))
    with pytest.raises(TopicRemade, match=r"matter-deletions.*(created again|was cut)"):
        pipeline.catch_up()
    assert (len(pipeline.stored()), pipeline.rows("SELECT matter_id FROM purges")) == (3, ["m-gone"])


def test_missing_topics_are_named_with_the_command_that_makes_them(unmade: Pipeline) -> None:
    """The first thing that a new operator meets."""
    with pytest.raises(TopicMissing, match=r"matter-deletions.*matterlog topics create"):
        unmade.catch_up()


def test_a_broker_that_does_not_answer_is_named(pipeline: Pipeline) -> None:
    """An error, not an endless wait."""
    pipeline.servers, pipeline.answer_seconds = NOBODY, 0.5
    with pytest.raises(BrokerUnavailable, match=NOBODY):
        pipeline.catch_up()


def test_a_broker_that_dies_and_comes_back_is_read_on(
    local_kafka: LocalKafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The consumer waits; nobody has to start it again."""
    monkeypatch.setattr(consumers_kafka, "_CHECK_TOPICS_EVERY_SECONDS", 0.0)
    pipeline = Pipeline(local_kafka.bootstrap_servers, Topics(), tmp_path / "log.duckdb", answer_seconds=1.0)
    views, stop, applied = some_views(5), Signal(), Signal()
    make_topics(pipeline.servers, pipeline.topics)
    pipeline.write(*views[:2])
    with ThreadPoolExecutor() as threads:
        running = threads.submit(pipeline.run, stop, on_applied=lambda _: applied.set())
        wait_until(applied.is_set)
        local_kafka.kill()
        wait_until(lambda: "Reading continues when Kafka is available again" in caplog.text)
        local_kafka.start()
        applied.clear()
        pipeline.write(*views[2:])
        wait_until(applied.is_set)
        stop.set()
    assert running.result() == BatchResult(records=5, views=5)


class Leaderless:
    """Kafka's answer while a topic has no leader, which no single broker gives on demand."""

    error = confluent_kafka.KafkaError(confluent_kafka.KafkaError.LEADER_NOT_AVAILABLE)

    def list_topics(self, topic: str, **_: Any) -> Any:
        return SimpleNamespace(topics={topic: self})


def test_a_topic_without_a_leader_is_not_called_missing() -> None:
    """Making it again would not help."""
    topics = kafka_topics.KafkaTopics(Leaderless(), NOBODY, {})  # type: ignore[arg-type] # a stand-in
    with pytest.raises(BrokerUnavailable, match=r"matter-views: .*Leader not available"):
        topics.partitions(["matter-views"], "Read")


def test_a_question_is_asked_again_if_the_broker_dies_amid_it(local_kafka: LocalKafka) -> None:
    """The connection ends at once; whoever asked waits for an answer as long as for a broker that is away."""
    make_topics(local_kafka.bootstrap_servers, topics := Topics())
    with closing(KafkaSource(local_kafka.bootstrap_servers, topics)) as source, ThreadPoolExecutor() as threads:
        ends = source.ends()
        assert local_kafka.pid is not None
        os.kill(local_kafka.pid, signal.SIGSTOP)
        asked = threads.submit(source.ends)
        time.sleep(0.3)  # the question is under way
        local_kafka.kill()
        local_kafka.start()
        assert asked.result() == ends


class Breaking:
    """A client that fails at every first question with this error, as no broker does on demand to each of them."""

    def __init__(self, code: int) -> None:
        """Have been asked nothing."""
        self._code = code
        self._questions: set[str] = set()

    def _break(self, question: str) -> None:
        if question not in self._questions:
            self._questions.add(question)
            raise confluent_kafka.KafkaException(confluent_kafka.KafkaError(self._code))

    def list_topics(self, topic: str, **_: Any) -> Any:
        self._break(f"partitions of {topic}")
        return SimpleNamespace(topics={topic: SimpleNamespace(error=None, partitions={0: None})}, cluster_id="one")

    def get_watermark_offsets(self, partition: TopicPartition, **_: Any) -> tuple[int, int]:
        self._break(f"watermarks of {partition.topic}")
        return 3, 7

    def describe_topics(self, topics: Any, **_: Any) -> Any:
        self._break(f"ID of {topics[0]}")
        answer = Future[Any]()
        answer.set_result(SimpleNamespace(topic_id="an ID"))
        return {topics[0]: answer}


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (confluent_kafka.KafkaError._TRANSPORT, "Broker transport failure"),
        (confluent_kafka.KafkaError._UNKNOWN_PARTITION, "Unknown partition"),
    ],
    ids=["the connection breaks", "a broker that came back does not know its partitions yet"],
)
def test_every_question_about_topics_is_asked_again(monkeypatch: pytest.MonkeyPatch, code: int, said: str) -> None:
    """For as long as an answer is waited for, and no longer."""
    client = Breaking(code)
    monkeypatch.setattr(kafka_topics, "AdminClient", lambda *_, **__: client)
    monkeypatch.setattr(confluent_kafka, "TopicCollection", list)
    topics = kafka_topics.KafkaTopics(client, NOBODY, {}, 5.0)  # type: ignore[arg-type] # a stand-in
    assert topics.partitions(["a"], "Read") == [("a", 0)]
    assert topics.ids(["b"]) == {"b": "an ID"}
    assert topics.watermarks([("a", 0)]) == {("a", 0): (3, 7)}
    impatient = kafka_topics.KafkaTopics(Breaking(code), NOBODY, {}, 0.0)  # type: ignore[arg-type] # a stand-in
    with pytest.raises(BrokerUnavailable, match=said):
        impatient.partitions(["a"], "Read")


class Answering:
    """A client whose broker answers again."""

    def list_topics(self, *_: Any, **__: Any) -> None:
        """Answer."""


class AboutDeletions:
    """Kafka's answers about the topic of deletions."""

    def __init__(self, *, answers: bool) -> None:
        """Answer, or not."""
        self.answers = answers

    def partitions(self, names: list[str], right: str) -> list[tuple[str, int]]:
        """One partition."""
        assert right == "Read"
        return [(names[0], 0)]

    def watermarks(self, partitions: list[tuple[str, int]]) -> dict[tuple[str, int], tuple[int, int]]:
        """An empty partition."""
        if not self.answers:
            raise BrokerUnavailable("away", partitions[0][0])
        return dict.fromkeys(partitions, (0, 0))


@pytest.mark.parametrize("answers", [True, False])
def test_views_without_a_leader_after_the_broker_was_away_are_told_if_deletions_have_one(
    monkeypatch: pytest.MonkeyPatch, *, answers: bool
) -> None:
    """Then views wait alone; otherwise the reader waits for both."""

    def find(_: Any) -> None:
        raise BrokerUnavailable("no leader", source.views_topic)

    with closing(KafkaSource(NOBODY, Topics())) as source:
        for name, value in (("_find", find), ("_reconnect", lambda: None)):
            monkeypatch.setattr(source, name, value)
        monkeypatch.setattr(source, "_kafka", AboutDeletions(answers=answers))
        with monkeypatch.context() as client:
            client.setattr(source, "_consumer", Answering())
            with pytest.raises(BrokerUnavailable, match="no leader") if answers else nullcontext():
                source._check_again()


def test_new_partitions_are_found_and_read_from_their_beginning(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An operator may add partitions while the consumer runs."""
    monkeypatch.setattr(consumers_kafka, "_CHECK_TOPICS_EVERY_SECONDS", 0.0)
    first, second, stop = some_views(2), some_views(3), Signal()

    def widen_or_stop(_: BatchResult) -> None:
        if second:
            add_partitions(pipeline.servers, pipeline.views, 2)
            pipeline.write(*[second.pop() for _ in range(3)], partition=1)
        else:
            stop.set()

    pipeline.write(*first)
    assert pipeline.run(stop, on_applied=widen_or_stop) == BatchResult(records=5, views=5)
    assert pipeline.positions() == {(pipeline.views, 0): 2, (pipeline.views, 1): 3}


# The group


def group_of(pipeline: Pipeline) -> confluent_kafka.Consumer:
    return confluent_kafka.Consumer(
        {"bootstrap.servers": pipeline.servers, "group.id": f"{pipeline.topics.prefix}matterlog"}
    )


def test_the_group_shows_the_positions_to_lag_tools(pipeline: Pipeline) -> None:
    """After catching up Kafka's own tools show no lag; the group has the prefix of the topics."""
    pipeline.write(*some_views(5), a_deletion(matter_id="m-1"))
    pipeline.catch_up()
    with closing(group_of(pipeline)) as group:
        asked = [TopicPartition(*partition) for partition in pipeline.positions()]
        committed = {(each.topic, each.partition): each.offset for each in group.committed(asked, timeout=30)}
    assert committed == pipeline.positions() == {(pipeline.views, 0): 5, (pipeline.deletions, 0): 1}


def test_what_the_group_says_is_ignored(pipeline: Pipeline) -> None:
    """The database alone knows: an offset that somebody reset loses and doubles nothing."""
    views = some_views(5)
    pipeline.write(*views)
    with closing(group_of(pipeline)) as group:
        group.commit(offsets=[TopicPartition(pipeline.views, 0, 4)], asynchronous=False)
    assert pipeline.catch_up() == BatchResult(records=5, views=5)
    assert pipeline.stored() == ids_of(views)


@pytest.mark.parametrize("name", REQUIRED)
def test_settings_that_the_promises_rest_on_cannot_be_switched(name: str) -> None:
    """The text names the setting and what it must stay."""
    with pytest.raises(ConsumerError, match=f"{name} must stay {REQUIRED[name]}"):
        KafkaSource(NOBODY, Topics(), {name: "something-else"})


def test_an_unknown_setting_is_refused() -> None:
    """At construction, with its name."""
    with pytest.raises(ConsumerError, match=r"no\.such\.setting"):
        KafkaSource(NOBODY, Topics(), {"no.such.setting": "1"})


# A database that fails


class FailsOnce(Store):
    """The real store, whose first batch raises: before anything is done, or when all of it is committed."""

    committed = False
    left = 1

    def apply(self, *batch: Any, **options: Any) -> BatchResult:
        if not self.left:
            return super().apply(*batch, **options)
        self.left -= 1
        if self.committed:
            super().apply(*batch, **options)
        raise StoreFailed("the database failed (on purpose)")


class FailsOnceCommitted(FailsOnce):
    """Raises behind a commit that is durable."""

    committed = True


class FailsAlways(FailsOnce):
    """Never gets anywhere."""

    left = 1_000_000


@pytest.fixture
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(materialise, "_FIRST_PAUSE_SECONDS", 0.0)


@pytest.mark.usefixtures("_no_pauses")
@pytest.mark.parametrize("store", [FailsOnce, FailsOnceCommitted])
def test_a_batch_that_fails_is_neither_lost_nor_doubled(pipeline: Pipeline, store: type[FailsOnce]) -> None:
    """Whether it was committed or not, the positions know: no blind retry."""
    views = some_views(30)
    pipeline.write(*views)
    pipeline.catch_up(store, batch_records=10)
    assert pipeline.stored() == ids_of(views)
    assert pipeline.dead_letters() == []


@pytest.mark.usefixtures("_no_pauses")
def test_a_failed_batch_that_was_committed_is_not_read_again(pipeline: Pipeline) -> None:
    """After opening again, reading goes on behind it."""
    pipeline.write(*some_views(30))
    assert pipeline.catch_up(FailsOnceCommitted, batch_records=10) == BatchResult(records=20, views=20)


@pytest.mark.usefixtures("_no_pauses")
def test_a_batch_that_is_read_again_is_judged_once(pipeline: Pipeline) -> None:
    """Twelve bad messages read twice are no twenty-four."""
    pipeline.put(pipeline.views, *[("k", b"poison")] * 12)
    assert pipeline.catch_up(FailsOnce) == BatchResult(records=12, dead_letters=12)


@pytest.mark.usefixtures("_no_pauses")
def test_a_database_that_keeps_failing_stops_it(pipeline: Pipeline) -> None:
    """Nothing is lost; the operator sees the error."""
    pipeline.write(a_view())
    with pytest.raises(StoreFailed, match="on purpose"):
        pipeline.catch_up(FailsAlways)
    assert [pipeline.stored(), pipeline.positions()] == [[], {}]
