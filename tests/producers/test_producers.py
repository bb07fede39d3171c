"""What every transport promises to the two producers, held by one suite for Kafka and for memory."""

import contextlib
import threading
from collections.abc import Iterator
from types import ModuleType
from typing import Any, Final
from uuid import UUID

import pytest

import matterlog.producers
from matterlog.producers import (
    BufferFull,
    Counts,
    Failure,
    MatterDeletionProducer,
    MatterViewProducer,
    NotDelivered,
    ProducerClosed,
    Transport,
)
from matterlog.schemas import InvalidEvent, Topics, decode, new_event_id
from testbed.events import NOON, a_deletion, a_view
from tests.producers.transports import Bench, KafkaBench, MemoryBench

WAIT_SECONDS: Final = 30.0
OFFICE: Final = {
    "user_company_id": "c-7",
    "user_company_name": "Hale & Co",
    "user_member_office_id": "o-3",
    "user_member_office_name": "City",
    "user_member_office_location_name": "London",
    "user_member_office_location_iso2": "GB",
}


@pytest.fixture(params=["memory", pytest.param("kafka", marks=pytest.mark.broker)])
def bench(request: pytest.FixtureRequest, topics: Topics) -> Iterator[Bench]:
    """Transports of each kind in turn."""
    if request.param == "memory":
        yield MemoryBench()
        return
    with contextlib.ExitStack() as closing:
        yield KafkaBench(request.getfixturevalue("kafka"), topics, closing)


@pytest.fixture
def topics(topic_prefix: str) -> Topics:
    """The topics of one test."""
    return Topics(topic_prefix)


@pytest.fixture
def failures() -> list[Failure]:
    """What an application's callback was told."""
    return []


def views_to(transport: Transport, topics: Topics) -> MatterViewProducer:
    return MatterViewProducer(transport, topic_prefix=topics.prefix, source="/web")


def deletions_to(transport: Transport, topics: Topics) -> MatterDeletionProducer:
    return MatterDeletionProducer(transport, topic_prefix=topics.prefix, source="/deletion-service")


def fields(**changes: Any) -> dict[str, Any]:
    """What a web app gives for one view, without an event ID."""
    return a_view(**changes).model_dump(exclude={"event_id"})


def test_emit_returns_the_id_of_the_view_that_arrives(bench: Bench, topics: Topics) -> None:
    """The caller's ID is the one in the message: enough to repeat the event."""
    with views_to(bench.well(), topics) as producer:
        event_id = producer.emit(**fields())
    [message] = bench.at_rest(topics.matter_views.name)
    assert decode(message.value).event_id == event_id


def test_every_field_of_a_view_arrives(bench: Bench, topics: Topics) -> None:
    """The message's bytes are the event that was emitted, optional fields included."""
    with views_to(bench.well(), topics) as producer:
        event_id = producer.emit(**fields(**OFFICE))
    [message] = bench.at_rest(topics.matter_views.name)
    assert decode(message.value) == a_view(event_id=event_id, **OFFICE)


def test_a_views_key_is_its_own_id(bench: Bench, topics: Topics) -> None:
    """A tombstone with that key erases this view and no other."""
    with views_to(bench.well(), topics) as producer:
        event_id = producer.emit(**fields())
    assert [message.key for message in bench.at_rest(topics.matter_views.name)] == [str(event_id)]


def test_a_deletions_key_is_the_matters_id(bench: Bench, topics: Topics) -> None:
    """Compaction keeps one deletion for each matter, for ever; the event arrives whole."""
    with deletions_to(bench.well(), topics) as producer:
        event_id = producer.emit(matter_id="m-7", deleted_at=NOON)
    [message] = bench.at_rest(topics.matter_deletions.name)
    assert message.key == "m-7"
    assert decode(message.value) == a_deletion(matter_id="m-7", event_id=event_id)


def test_a_view_carries_cloudevents_headers(bench: Bench, topics: Topics) -> None:
    """A reader without our schemas can tell what a message is."""
    with views_to(bench.well(), topics) as producer:
        event_id = producer.emit(**fields())
    [message] = bench.at_rest(topics.matter_views.name)
    assert message.headers == (
        ("ce_specversion", "1.0"),
        ("ce_id", str(event_id)),
        ("ce_type", "matterlog.MatterViewed"),
        ("ce_source", "/web"),
        ("ce_time", "2026-03-01T12:00:00.678901Z"),
        ("content-type", "application/avro"),
    )


def test_a_deletions_headers_name_its_type_source_and_time(bench: Bench, topics: Topics) -> None:
    """As for a view."""
    with deletions_to(bench.well(), topics) as producer:
        producer.emit(matter_id="m-7", deleted_at=NOON)
    headers = dict(bench.at_rest(topics.matter_deletions.name)[0].headers)
    assert headers["ce_type"] == "matterlog.MatterDeleted"
    assert headers["ce_source"] == "/deletion-service"
    assert headers["ce_time"] == "2026-03-01T12:00:00.678901Z"


@pytest.mark.parametrize("wrong", [{"user_email": "nobody"}, {"matter_viewed_at": NOON.replace(tzinfo=None)}])
def test_a_wrong_field_fails_in_the_callers_hands(bench: Bench, topics: Topics, wrong: dict[str, Any]) -> None:
    """The error names the field, and nothing was sent."""
    transport = bench.stalled()
    with pytest.raises(InvalidEvent, match=next(iter(wrong))):
        views_to(transport, topics).emit(**fields() | wrong)
    assert transport.counts.taken == 0


@pytest.mark.parametrize("field", ["user_id", "user_name", "user_email", "user_type", "matter_id", "matter_name"])
def test_a_field_that_the_web_app_does_not_have_is_an_error(bench: Bench, topics: Topics, field: str) -> None:
    """None for a required field, or the field left out: no half an event is sent."""
    transport = bench.stalled()
    producer = views_to(transport, topics)
    with pytest.raises(InvalidEvent, match=field):
        producer.emit(**fields() | {field: None})
    with pytest.raises(TypeError, match=field):
        producer.emit(**{name: value for name, value in fields().items() if name != field})
    assert transport.counts.taken == 0


def test_a_wrong_deletion_fails_in_the_callers_hands(bench: Bench, topics: Topics) -> None:
    """As for a view."""
    transport = bench.stalled()
    with pytest.raises(InvalidEvent, match="matter_id"):
        deletions_to(transport, topics).emit(matter_id=" m-7")
    assert transport.counts.taken == 0


def test_a_given_event_id_is_repeated(bench: Bench, topics: Topics) -> None:
    """A web app's retry says the same event again, and the log counts it once."""
    event_id = new_event_id()
    with views_to(bench.well(), topics) as producer:
        assert [producer.emit(**fields(), event_id=each) for each in (event_id, str(event_id))] == [event_id] * 2
    assert [message.key for message in bench.at_rest(topics.matter_views.name)] == [str(event_id)] * 2


def test_a_prefix_stands_before_both_topics(bench: Bench, topics: Topics) -> None:
    """Two installations share a broker."""
    transport = bench.well()
    views_to(transport, topics).emit_event(a_view())
    deletions_to(transport, topics).emit_event(a_deletion())
    transport.flush(WAIT_SECONDS)
    for name in ("matter-views", "matter-deletions"):
        assert [message.topic for message in bench.at_rest(f"{topics.prefix}{name}")] == [f"{topics.prefix}{name}"]


def test_emit_after_close_is_refused(bench: Bench, topics: Topics) -> None:
    """A typed error, not a message that nobody will send."""
    transport = bench.stalled()
    views, deletions = views_to(transport, topics), deletions_to(transport, topics)
    views.close()
    with pytest.raises(ProducerClosed):
        views.emit_event(a_view())
    with pytest.raises(ProducerClosed):
        deletions.emit_event(a_deletion())


def test_closing_again_does_nothing(bench: Bench, topics: Topics) -> None:
    """Both producers may share a transport, and each may close it."""
    transport = bench.stalled()
    views = views_to(transport, topics)
    views.emit_event(a_view())
    with pytest.raises(NotDelivered):
        views.close(timeout_seconds=0)
    views.close()
    deletions_to(transport, topics).close()


def test_a_full_buffer_is_an_error_at_once(bench: Bench, topics: Topics) -> None:
    """The event that does not fit was not taken, and those before it wait."""
    transport = bench.full_after(2)
    producer = views_to(transport, topics)
    producer.emit_event(a_view())
    producer.emit_event(a_view())
    with pytest.raises(BufferFull):
        producer.emit_event(a_view())
    assert transport.counts == Counts(taken=2, delivered=0, failed=0)


def test_failures_reach_the_callback_and_are_counted(bench: Bench, topics: Topics, failures: list[Failure]) -> None:
    """Each event that the broker refuses is told once, by its ID."""
    transport = bench.refusing(failures.append)
    producer = views_to(transport, topics)
    sent = {producer.emit_event(a_view()) for _ in range(5)}
    assert producer.flush(WAIT_SECONDS) == 0
    assert [len(failures), {failure.event_id for failure in failures}] == [5, sent]
    assert {failure.topic for failure in failures} == {topics.matter_views.name}
    assert transport.counts == Counts(taken=5, delivered=0, failed=5)


def test_a_failure_holds_nothing_of_the_events_content(
    bench: Bench, topics: Topics, failures: list[Failure], caplog: pytest.LogCaptureFixture
) -> None:
    """Failures end up in logs, where personal data must not be."""
    producer = views_to(bench.refusing(failures.append), topics)
    producer.emit_event(a_view(user_name="Zebedee", user_email="zebedee@example.com"))
    producer.flush(WAIT_SECONDS)
    assert "zebedee" not in (repr(failures) + caplog.text).lower()
    assert failures[0].reason


def test_a_callback_that_raises_stops_nothing(bench: Bench, topics: Topics, caplog: pytest.LogCaptureFixture) -> None:
    """Later outcomes are served, emit goes on, and the callback's error is logged."""

    def on_failure(failure: Failure) -> None:
        raise LookupError(failure.topic)

    transport = bench.refusing(on_failure)
    producer = views_to(transport, topics)
    for _ in range(5):
        producer.emit_event(a_view())
    assert producer.flush(WAIT_SECONDS) == 0
    assert transport.counts.failed == 5
    assert caplog.text.count("on_failure raised") == 5


def test_close_tells_how_many_events_are_given_up(bench: Bench, topics: Topics) -> None:
    """The number is what the caller can check against; nothing waits behind a closed door."""
    transport = bench.stalled()
    producer = views_to(transport, topics)
    for _ in range(3):
        producer.emit_event(a_view())
    with pytest.raises(NotDelivered, match="3 events") as caught:
        producer.close(timeout_seconds=0)
    assert caught.value.undelivered == 3
    assert transport.counts == Counts(taken=3, delivered=0, failed=3)


def test_events_that_close_gives_up_reach_the_callback(bench: Bench, topics: Topics, failures: list[Failure]) -> None:
    """They are failures as any others: the callback is the one place that hears of all."""
    producer = views_to(bench.stalled(failures.append), topics)
    event_id = producer.emit_event(a_view())
    with pytest.raises(NotDelivered):
        producer.close(timeout_seconds=0)
    assert [failure.event_id for failure in failures] == [event_id]


def test_leaving_the_context_delivers_and_closes(bench: Bench, topics: Topics) -> None:
    """``with`` is all that a script needs."""
    transport = bench.well()
    with views_to(transport, topics) as producer:
        for _ in range(100):
            producer.emit_event(a_view())
    assert len(bench.at_rest(topics.matter_views.name)) == 100
    assert transport.counts == Counts(taken=100, delivered=100, failed=0)
    with pytest.raises(ProducerClosed):
        producer.emit_event(a_view())


def test_flush_returns_how_many_events_wait(bench: Bench, topics: Topics) -> None:
    """None where all is well; all of them where nobody answers."""
    healthy, stalled = views_to(bench.well(), topics), views_to(bench.stalled(), topics)
    for producer in (healthy, healthy, stalled, stalled):
        producer.emit_event(a_view())
    assert healthy.flush(WAIT_SECONDS) == 0
    assert stalled.flush(0) == 2


def test_a_deletion_is_at_rest_when_emit_returns(bench: Bench, topics: Topics) -> None:
    """The deletion service must know: no flush, no close."""
    producer = deletions_to(bench.well(), topics)
    producer.emit(matter_id="m-7")
    assert [message.key for message in bench.at_rest(topics.matter_deletions.name)] == ["m-7"]


def test_a_refused_deletion_is_an_error(bench: Bench, topics: Topics) -> None:
    """The broker's reason is in the text."""
    producer = deletions_to(bench.refusing(), topics)
    with pytest.raises(NotDelivered, match=r"the broker refused the deletion: .+") as caught:
        producer.emit(matter_id="m-7")
    assert caught.value.undelivered == 1


def test_a_refused_deletion_reaches_the_callback_too(bench: Bench, topics: Topics, failures: list[Failure]) -> None:
    """The callback is the one place that hears of all, also of what emit raises."""
    event = a_deletion(matter_id="m-7")
    with pytest.raises(NotDelivered):
        deletions_to(bench.refusing(failures.append), topics).emit_event(event)
    assert [(each.event_id, each.topic) for each in failures] == [(event.event_id, topics.matter_deletions.name)]


def test_a_deletion_that_nobody_acknowledges_is_an_error(bench: Bench, topics: Topics) -> None:
    """It may still arrive, and the text says that it can be emitted again."""
    transport = bench.stalled()
    with pytest.raises(NotDelivered, match="it is safe to emit it again"):
        deletions_to(transport, topics).emit(matter_id="m-7", wait_seconds=0)
    assert transport.counts.waiting == 1


def test_a_deletion_can_be_emitted_without_waiting(bench: Bench, topics: Topics) -> None:
    """For whoever flushes many at once."""
    producer = deletions_to(bench.stalled(), topics)
    assert isinstance(producer.emit(matter_id="m-7", wait_seconds=None), UUID)
    assert producer.flush(0) == 1


def test_eight_threads_lose_nothing_and_repeat_no_id(bench: Bench, topics: Topics) -> None:
    """One producer serves all threads of a web app."""
    transport = bench.well()
    producer = views_to(transport, topics)
    view, ids = fields(), [list[UUID]() for _ in range(8)]

    def emit_many(mine: list[UUID]) -> None:
        mine += [producer.emit(**view) for _ in range(5_000)]

    threads = [threading.Thread(target=emit_many, args=[mine]) for mine in ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    producer.close()
    assert transport.counts == Counts(taken=40_000, delivered=40_000, failed=0)
    returned = [str(each) for mine in ids for each in mine]
    assert len(set(returned)) == 40_000
    assert sorted(message.key for message in bench.at_rest(topics.matter_views.name)) == sorted(returned)


@pytest.mark.parametrize(
    ("state", "expected"), [("well", (3, 3, 0, 0)), ("refusing", (3, 0, 3, 0)), ("stalled", (3, 0, 0, 3))]
)
def test_counts_add_up(bench: Bench, topics: Topics, state: str, expected: tuple[int, int, int, int]) -> None:
    """Taken = delivered + failed + waiting, whatever became of the messages."""
    transport: Transport = getattr(bench, state)()
    for _ in range(3):
        views_to(transport, topics).emit_event(a_view())
    transport.flush(0 if state == "stalled" else WAIT_SECONDS)
    counts = transport.counts
    assert (counts.taken, counts.delivered, counts.failed, counts.waiting) == expected


def test_the_package_exports_what_it_says_and_nothing_else() -> None:
    """A name that is not here is not for users."""
    public = {
        name
        for name, value in vars(matterlog.producers).items()
        if not name.startswith("_") and not isinstance(value, ModuleType)
    }
    assert sorted(public) == list(matterlog.producers.__all__)
