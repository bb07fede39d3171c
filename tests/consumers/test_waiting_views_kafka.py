"""What is wrong with views stops views alone: deletions are applied all the same, and no view is lost or doubled."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event as Signal
from typing import Any, Final
from unittest.mock import Mock

import pytest
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError

from matterlog.consumers import waits
from matterlog.consumers.database.batch import BatchResult
from matterlog.consumers.database.store import Store
from matterlog.consumers.errors import (
    BrokerUnavailable,
    PositionExpired,
    ReadingFailed,
    TooManyDeadLetters,
    TopicMissing,
    TopicRemade,
)
from matterlog.consumers.materialise import Materialiser, decoder
from matterlog.consumers.reading import kafka as consumers_kafka
from matterlog.consumers.reading import prefetch
from matterlog.consumers.reading.schema_registry import RegisteredSchemas
from matterlog.consumers.recovery.recovery import put_together
from matterlog.consumers.waits import Wait, WaitKeeper
from matterlog.schemas import MatterViewed, Topics, encode
from matterlog.schemas.codec import newest_schema
from matterlog.schemas.storage.database_files import DatabaseFiles
from matterlog.schemas.topics import key_of
from testbed.events import a_deletion, a_view
from tests.consumers.pipeline import Pipeline, ids_of
from tests.consumers.test_consumer_kafka import some_views
from tests.topics_at_rest import cut, make, make_topics, remove

pytestmark = pytest.mark.broker

JUNK: Final = [("k", b"poison")] * 14
PURGED: Final = "SELECT matter_id FROM purges"
OURS: Final = Schema(newest_schema(MatterViewed).text, "AVRO")


@pytest.fixture
def pipeline(kafka: str, topic_prefix: str, tmp_path: Path) -> Pipeline:
    """A pipeline that has read six views."""
    made = Pipeline(kafka, Topics(topic_prefix), tmp_path / "log.duckdb")
    make_topics(made.servers, made.topics)
    return made


@dataclass
class Running:
    """A consumer without end, in a thread: ``consumer``."""

    consumer: Future[BatchResult] | None = None
    waits: list[Wait | None] = field(default_factory=list)
    purged: list[str] = field(default_factory=list)
    views: int = 0

    def note(self, applied: Any) -> None:
        """Note what a batch did."""
        self.purged += applied.matters_deleted
        self.views += applied.views

    def until(self, fact: Callable[[], object]) -> None:
        """Return when it is so; fail where the consumer ended before."""
        while not fact():
            assert self.consumer is None or not self.consumer.done(), "the consumer ended"
            time.sleep(0.01)

    def waits_for(self, kind: type[ReadingFailed]) -> bool:
        """Whether views alone wait for this."""
        return bool(self.waits and (wait := self.waits[-1]) and wait.views_alone and isinstance(wait.error, kind))


@contextmanager
def running(pipeline: Pipeline, **options: Any) -> Iterator[Running]:
    """Run the consumer without end; it must still run when the block ends, and end well when it is stopped."""
    stop, found = Signal(), Running()
    with ThreadPoolExecutor() as threads:
        options |= {"on_reading": found.waits.append, "on_applied": found.note}
        found.consumer = threads.submit(pipeline.run, stop, **options)
        try:
            found.until(lambda: found.waits)
            yield found
            assert not found.consumer.done()
        finally:
            stop.set()
        found.consumer.result()


def remove_views(pipeline: Pipeline) -> None:
    """Delete the topic of views alone."""
    remove(pipeline.servers, pipeline.topics.matter_views)


def make_views(pipeline: Pipeline) -> None:
    """Make the topic of views, which is not there."""
    make(pipeline.servers, pipeline.topics.matter_views)


def make_views_anew(pipeline: Pipeline) -> None:
    """Delete the topic of views alone, and make it again."""
    remove_views(pipeline)
    make_views(pipeline)


def expire(pipeline: Pipeline) -> None:
    """Have the next view of the reader deleted before it is read."""
    pipeline.write(*some_views(4))
    cut(pipeline.servers, pipeline.views, before=8)


def test_junk_on_a_quiet_topic_of_views_stops_views_alone(pipeline: Pipeline) -> None:
    """Fourteen messages: the same process purges the matter of the next deletion."""
    views = some_views(6)
    pipeline.write(*views, a_view(matter_id="m-1"))
    with running(pipeline) as consumer:
        consumer.until(lambda: consumer.views == 7)
        pipeline.put(pipeline.views, *JUNK)
        consumer.until(lambda: consumer.waits_for(TooManyDeadLetters))
        pipeline.write(a_deletion(matter_id="m-1"), a_view(matter_id="m-1"))
        consumer.until(lambda: consumer.purged == ["m-1"])
        assert consumer.waits_for(TooManyDeadLetters)
    assert (pipeline.stored(), pipeline.positions()[pipeline.views, 0]) == (ids_of(views), 7)
    applied = pipeline.catch_up(max_dead_letters=1.0)
    assert (applied.dead_letters, applied.refused) == (14, 1)
    assert pipeline.stored() == ids_of(views)


def test_views_that_wait_go_on_waiting_where_the_loop_starts_again_in_the_process(pipeline: Pipeline) -> None:
    """Fourteen unread messages alone would not be judged."""
    pipeline.write(*some_views(6))
    views = WaitKeeper(views_alone=True)
    with running(pipeline, views=views) as consumer:
        consumer.until(lambda: consumer.views == 6)
        pipeline.put(pipeline.views, *JUNK)
        consumer.until(lambda: consumer.waits_for(TooManyDeadLetters))
    with running(pipeline, views=views) as consumer:
        pipeline.write(a_deletion(matter_id="m-1"))
        consumer.until(lambda: consumer.purged == ["m-1"])
        assert consumer.waits_for(TooManyDeadLetters)
    assert pipeline.dead_letters() == []


def test_a_log_that_is_rebuilt_is_served_once_its_deletions_are_read_though_views_wait(pipeline: Pipeline) -> None:
    """And every view is in it once they are read."""
    views = some_views(6)
    pipeline.write(*views, a_view(matter_id="m-1"), a_deletion(matter_id="m-1"))
    pipeline.put(pipeline.views, *JUNK)
    paths = DatabaseFiles(pipeline.database)
    with paths.owned():
        put_together(paths, None)
    with pytest.raises(TooManyDeadLetters):
        pipeline.catch_up()
    with Store(paths) as store:
        assert not store.recovering
    assert (pipeline.stored(), pipeline.rows(PURGED)) == ([], ["m-1"])
    assert pipeline.catch_up(max_dead_letters=1.0).refused == 1
    assert pipeline.stored() == ids_of(views)


@pytest.mark.parametrize(
    ("spoil", "kind"),
    [
        (lambda pipeline: pipeline.put(pipeline.views, *JUNK, *JUNK), TooManyDeadLetters),
        (expire, PositionExpired),
        (make_views_anew, TopicRemade),
        (remove_views, TopicMissing),
    ],
)
def test_what_catches_up_applies_the_deletions_and_ends_with_what_is_wrong_with_views(
    pipeline: Pipeline, spoil: Callable[[Pipeline], None], kind: type[ReadingFailed]
) -> None:
    """Every time until somebody acts."""
    pipeline.write(*some_views(6))
    pipeline.catch_up()
    spoil(pipeline)
    for matter in ("m-1", "m-2"):
        pipeline.write(a_deletion(matter_id=matter))
        with pytest.raises(kind, match="matter-views"):
            pipeline.catch_up()
    assert pipeline.rows(PURGED) == ["m-1", "m-2"]
    assert (len(pipeline.stored()), pipeline.positions()[pipeline.views, 0]) == (6, 6)


def test_junk_deletions_stop_both(pipeline: Pipeline) -> None:
    """No flood of good views hides them, and none of junk views lets them pass."""
    pipeline.write(*some_views(100))
    pipeline.put(pipeline.deletions, *JUNK, *JUNK)
    with pytest.raises(TooManyDeadLetters, match=r"28 of the last 28 .*-deletions \[0\] @ 0"):
        pipeline.run(Signal())
    pipeline.put(pipeline.views, *JUNK * 20)
    with pytest.raises(TooManyDeadLetters, match=r"28 of the last 28 .*-deletions \[0\] @ 0"):
        pipeline.run(Signal())
    assert (pipeline.stored(), pipeline.dead_letters()) == ([], [])


def test_a_flood_of_deletions_does_not_hide_junk_views(pipeline: Pipeline) -> None:
    """Each topic is judged by itself."""
    pipeline.write(*[a_deletion(matter_id=f"m-{number}") for number in range(100)])
    pipeline.put(pipeline.views, *JUNK, *JUNK)
    with pytest.raises(TooManyDeadLetters, match="28 of the last 28"):
        pipeline.catch_up()
    assert (len(pipeline.rows(PURGED)), pipeline.dead_letters()) == (100, [])


def test_a_topic_of_views_made_anew_beneath_the_reader_stops_views_alone(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of the new topic is applied, deletions are; also at the next start."""
    monkeypatch.setattr(consumers_kafka, "_CHECK_TOPICS_EVERY_SECONDS", 0.0)
    monkeypatch.setattr(waits, "FIRST_PAUSE_SECONDS", 0.1)
    pipeline.write(*some_views(6), a_view(matter_id="m-1"))
    with running(pipeline) as consumer:
        consumer.until(lambda: consumer.views == 7)
        make_views_anew(pipeline)
        consumer.until(lambda: consumer.waits_for(TopicRemade))
        pipeline.write(*some_views(9), a_deletion(matter_id="m-1"))
        consumer.until(lambda: consumer.purged == ["m-1"])
    with running(pipeline) as consumer:
        pipeline.write(a_deletion(matter_id="m-2"))
        consumer.until(lambda: consumer.purged == ["m-2"])
        assert consumer.waits_for(TopicRemade)
    assert (len(pipeline.stored()), pipeline.rows(PURGED)) == (6, ["m-1", "m-2"])


def test_a_topic_of_views_that_is_made_later_is_read_then(pipeline: Pipeline) -> None:
    """By itself, once it is there."""
    remove_views(pipeline)
    with running(pipeline) as consumer:
        assert consumer.waits_for(TopicMissing)
        pipeline.write(a_deletion(matter_id="m-1"))
        consumer.until(lambda: consumer.purged == ["m-1"])
        make_views(pipeline)
        views = some_views(2)
        pipeline.write(*views, a_view(matter_id="m-1"))
        consumer.until(lambda: consumer.views == 2)
        assert consumer.waits[-1] is None
    assert pipeline.stored() == ids_of(views)


def test_a_start_waits_for_a_leader_that_does_not_answer(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another broker answers meanwhile. What catches up ends with the reason."""
    start, answers = consumers_kafka.KafkaSource.start, Mock(side_effect=[*[BrokerUnavailable("no answer")] * 2, None])
    monkeypatch.setattr(consumers_kafka.KafkaSource, "start", lambda *a, **o: answers() or start(*a, **o))
    with pytest.raises(BrokerUnavailable):
        pipeline.catch_up()
    pipeline.write(a_view())
    with running(pipeline) as consumer:
        consumer.until(lambda: consumer.views == 1)


class Refusing(SchemaRegistryClient):
    """A registry that refuses the credentials until it is told otherwise."""

    refuses = True

    def get_schema(self, *_: Any, **__: Any) -> Schema:
        """Answer with 401, or with the schema of a view."""
        if self.refuses:
            raise SchemaRegistryError(401, 40101, "Unauthorized")
        return Schema(OURS.schema_str, "AVRO")


@pytest.fixture
def registry(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> Refusing:
    """A registry that refuses."""
    monkeypatch.setattr(prefetch, "_REGISTRY_PATIENCE_SECONDS", 0.0)
    made = Refusing({"url": "http://127.0.0.1:1"})
    pipeline.registered = RegisteredSchemas(made)
    return made


def test_a_registry_that_refuses_one_view_stops_views_alone_until_it_answers(
    pipeline: Pipeline, registry: Refusing
) -> None:
    """The reason is the true one; afterwards every view is stored once, and late ones are refused."""
    views = some_views(5)
    pipeline.write(*views[:3], a_view(matter_id="m-1"))
    with running(pipeline) as consumer:
        consumer.until(lambda: consumer.views == 4)
        pipeline.put(pipeline.views, (key_of(views[3]), encode(views[3], 7)))
        consumer.until(lambda: consumer.waits_for(BrokerUnavailable))
        pipeline.write(views[4], a_view(matter_id="m-1"), a_deletion(matter_id="m-1"))
        consumer.until(lambda: consumer.purged == ["m-1"])
        assert "answers with HTTP status 401: check the credentials" in str(consumer.waits[-1])
        registry.refuses = False
        consumer.until(lambda: consumer.views == 6)
        assert consumer.waits[-1] is None
    assert pipeline.stored() == ids_of(views)
    assert pipeline.rows("SELECT views_purged, views_refused FROM purges") == [(1, 1)]


def test_what_catches_up_ends_with_a_registry_that_refuses(pipeline: Pipeline, registry: Refusing) -> None:
    """Its deletions are applied; the next run stores the view."""
    view = a_view()
    pipeline.put(pipeline.views, (key_of(view), encode(view, 7)))
    pipeline.write(a_deletion(matter_id="m-1"))
    with pytest.raises(BrokerUnavailable, match="status 401: check the credentials"):
        pipeline.catch_up()
    assert pipeline.rows(PURGED) == ["m-1"]
    registry.refuses = False
    assert pipeline.catch_up().views == 1


def test_a_deletion_that_needs_a_registry_that_refuses_waits_for_it(pipeline: Pipeline, registry: Refusing) -> None:
    """Nobody can read it, so views wait with it, and nothing ends."""
    deletion = a_deletion(matter_id="m-1")
    with running(pipeline) as consumer:
        pipeline.put(pipeline.deletions, (key_of(deletion), encode(deletion, 7)))
        consumer.until(lambda: consumer.waits[-1] and not consumer.waits[-1].views_alone)
        registry.refuses = False
        consumer.until(lambda: consumer.waits[-1] is None)


def test_a_purge_does_not_wait_for_the_registry_of_a_conflict_that_it_ends(
    pipeline: Pipeline, registry: Refusing
) -> None:
    """The conflict stays a dead letter until it is retried."""
    first, second = a_view(matter_id="m-1"), a_view(matter_id="m-2")
    second = second.model_copy(update={"event_id": first.event_id})
    registry.refuses = False
    pipeline.put(pipeline.views, (key_of(first), encode(first)), (key_of(second), encode(second, 7)))
    pipeline.catch_up()
    registry.refuses, pipeline.registered = True, RegisteredSchemas(registry)
    pipeline.write(a_deletion(matter_id="m-1"))
    assert pipeline.catch_up().matters_deleted == ("m-1",)
    assert (pipeline.stored(), pipeline.dead_letters()) == ([], [("matter-views", "conflict")])


def test_the_loop_knows_how_far_the_topic_of_views_is_read_and_whether_it_is_the_right_one(pipeline: Pipeline) -> None:
    """What a receipt may say, and where a tombstone may go, depends on that."""
    pipeline.write(*some_views(6))
    decode = decoder(pipeline.topics, pipeline.registered)
    with closing(pipeline.source()) as source, Store(DatabaseFiles(pipeline.database)) as store:

        def known_after(*, fails: bool) -> tuple[bool, bool]:
            loop = Materialiser(source=source, store=store, decode=decode)
            assert (loop.views_topic_is_sure(), loop.views_are_read()) == (False, False)
            with pytest.raises(ReadingFailed) if fails else nullcontext():
                loop.run(Signal(), until_caught_up=True)
            return loop.views_topic_is_sure(), loop.views_are_read()

        assert known_after(fails=False) == (True, True)
        pipeline.put(pipeline.views, *JUNK, *JUNK)
        assert known_after(fails=True) == (True, False)
        make_views_anew(pipeline)
        assert known_after(fails=True) == (False, False)


# How a wait is told


@dataclass
class Clock:
    """Seconds that a test lets pass."""

    now: float = 0.0

    def __call__(self) -> float:
        """The seconds."""
        return self.now


def test_a_wait_is_said_once_and_again_now_and_then(caplog: pytest.LogCaptureFixture) -> None:
    """Not at every look, and at once where the reason is another one."""
    clock = Clock()
    views = WaitKeeper(views_alone=True, clock=clock)
    for seconds, reason in ((0, "a"), (1, "a"), (2, "b"), (3, "b"), (waits.SAY_AGAIN_SECONDS + 2, "b")):
        clock.now = seconds
        views.begin(BrokerUnavailable(reason))
        views.remind()
    said = [record.getMessage().partition("Z: ")[2] for record in caplog.records]
    assert said == [f"{reason}. Deletions are applied all the same" for reason in ("a", "b", "b")]


def test_a_wait_is_tried_again_after_longer_pauses_unless_a_person_must_decide() -> None:
    """Up to a minute."""
    clock = Clock()
    views = WaitKeeper(views_alone=True, clock=clock)
    for pause in (1, 2, 4, 8, 16, 32, 60, 60):
        views.begin(BrokerUnavailable("away"))
        clock.now += pause - 0.5
        assert not views.may_end
        clock.now += 0.5
        assert views.may_end
    views.begin(PositionExpired("gone"))
    clock.now += 10_000
    assert not views.may_end
