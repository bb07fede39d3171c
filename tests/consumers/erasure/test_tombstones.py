"""What is buried, and what the sender makes of it; the topic is a list here, a real one in its Kafka tests."""

import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

import duckdb
import pytest

from matterlog.consumers.database.dead_letters import DeadLetterAddress
from matterlog.consumers.database.store import Store
from matterlog.consumers.erasure import tombstones
from matterlog.consumers.erasure.tombstones import CLOSING_KEY, Message, TombstoneSender
from matterlog.consumers.errors import StoreFailed
from matterlog.schemas import Event, MatterViewed, decode
from matterlog.schemas.storage.database_files import DatabaseFiles
from testbed.events import a_deletion, a_view, record_of
from testbed.feed import DELETIONS, OTHER_VALUES, TOPICS, VIEWS, Feed, ReadViews, apply_records, rows

BURIED: Final = "SELECT kafka_partition, decode(key), matter_id FROM tombstones ORDER BY ALL"
STAGES: Final = "SELECT topic_tombstoned_at, topic_erased_at FROM purges"
MORNING: Final = datetime(2026, 11, 22, 6)  # noqa: DTZ001 - as the table holds it
LAG: Final = timedelta(hours=6)


class Topic:
    """Takes what is written to it, unless it is told to refuse."""

    def __init__(self) -> None:
        """Nothing is written yet."""
        self.written: list[tuple[str, int, bytes, bytes | None]] = []
        self.refusal: str | None = None

    def write(self, topic: str, messages: Sequence[Message], stop: threading.Event) -> str | None:  # noqa: ARG002
        """Keep the messages."""
        if self.refusal is None:
            self.written += [(topic, *message) for message in messages]
        return self.refusal

    def erased(self) -> list[tuple[int, str]]:
        """Where tombstones were written, and of which keys."""
        assert {topic for topic, *_ in self.written} <= {VIEWS}
        return sorted((p, key.decode()) for _, p, key, value in self.written if value is None and key != CLOSING_KEY)

    def restated(self) -> list[tuple[int, str, Event]]:
        """The events that were written once more."""
        return [(p, key.decode(), decode(value)) for _, p, key, value in self.written if value is not None]


@pytest.fixture
def topic() -> Topic:
    """What the sender writes to."""
    return Topic()


@pytest.fixture
def sender(store: Store, topic: Topic) -> TombstoneSender:
    """A sender whose clock stands still and that was not started."""
    return sender_of(store, topic, MORNING)


def sender_of(store: Store, topic: Topic, now: datetime, reading: ReadViews | None = None) -> TombstoneSender:
    """A sender at an instant, that was not started."""
    return TombstoneSender(
        store,
        TOPICS,
        topic.write,
        closes_after_seconds=LAG.total_seconds(),
        reading=reading or ReadViews(),
        clock=lambda: now,
    )


def key(view: MatterViewed) -> str:
    """The view's key."""
    return str(view.event_id)


# What is buried


def test_a_purge_buries_each_view_in_its_rows_partition(feed: Feed) -> None:
    first, second, other = a_view(), a_view(), a_view(matter_id="m-2")
    apply_records(feed.store, record_of(first, 0, 0), record_of(second, 3, 0), record_of(other, 3, 1))
    assert rows(feed.store, BURIED) == []
    feed.apply(a_deletion())
    assert rows(feed.store, BURIED) == [(0, key(first), "m-42"), (3, key(second), "m-42")]


def test_a_refused_view_is_buried_once_a_batch(feed: Feed) -> None:
    late = a_view()
    feed.apply(a_deletion())
    feed.apply(late, late)
    assert rows(feed.store, BURIED) == [(0, key(late), "m-42")]
    feed.apply(late)
    assert rows(feed.store, BURIED) == [(0, key(late), "m-42")] * 2


def test_dead_letters_of_a_deleted_matter_are_buried_under_their_own_keys(feed: Feed) -> None:
    feed.apply(feed.record(a_view())._replace(key=b"\xff key"))
    feed.apply(a_deletion(), feed.record(a_view())._replace(key=b"late"))
    buried = rows(feed.store, "SELECT topic, key FROM tombstones ORDER BY ALL")
    assert buried == [(VIEWS, b"late"), (VIEWS, b"\xff key")]


def test_a_discarded_dead_letter_is_buried(feed: Feed) -> None:
    poison = feed.poison(key=b"k-1")
    feed.apply(poison, feed.poison(key=b"k-2"))
    feed.store.discard([DeadLetterAddress(VIEWS, 0, poison.offset)])
    assert rows(feed.store, BURIED) == [(0, "k-1", None)]


def test_a_discarded_dead_letter_is_buried_under_its_own_partition(feed: Feed) -> None:
    """Compaction drops a record only beneath a tombstone of the same partition."""
    feed.apply(feed.poison(key=b"k-1", partition=1), feed.poison(key=b"k-2", partition=2))
    feed.store.discard(None)
    assert rows(feed.store, BURIED) == [(1, "k-1", None), (2, "k-2", None)]


def test_what_comes_too_late_is_buried_under_its_own_partition(feed: Feed) -> None:
    """A view, and a record that could not be understood."""
    feed.apply(a_deletion())
    late = a_view()
    apply_records(feed.store, record_of(late, 1, 0), record_of(a_view(), 2, 0)._replace(key=b"late"))
    assert rows(feed.store, BURIED) == [(1, key(late), "m-42"), (2, "late", "m-42")]


def test_a_purged_dead_letter_is_buried_under_its_own_partition(feed: Feed) -> None:
    apply_records(feed.store, record_of(a_view(), 2, 0)._replace(key=b"k-1"))
    feed.apply(a_deletion())
    assert rows(feed.store, BURIED) == [(2, "k-1", "m-42")]


def test_a_conflict_in_another_partition_stays_in_the_topic(feed: Feed, sender: TombstoneSender, topic: Topic) -> None:
    """A rebuild finds the dead letter again; the row's record is in nobody's way there."""
    view = a_view()
    apply_records(feed.store, record_of(view, 0, 0))
    apply_records(feed.store, record_of(a_view(event_id=view.event_id, user_name="Somebody Else"), 1, 0))
    sender.send()
    assert (rows(feed.store, BURIED), topic.written) == ([], [])


@pytest.mark.parametrize("batches", [1, 2])
def test_a_copy_in_another_partition_is_buried_and_one_beside_the_row_is_not(feed: Feed, batches: int) -> None:
    """A topic that was given more partitions holds a repeated view in another one than before."""
    view = a_view()
    copies = [record_of(view, 0, 0), record_of(view, 0, 1), record_of(view, 1, 0)]
    for batch in [copies] if batches == 1 else [copies[:1], copies[1:]]:
        apply_records(feed.store, *batch)
    assert rows(feed.store, BURIED) == [(1, key(view), "m-42")]


# What is sent


def test_what_is_buried_is_sent_as_tombstones_and_leaves_the_table(
    feed: Feed, sender: TombstoneSender, topic: Topic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tombstones, "KEYS_A_BATCH", 2)
    views = [a_view() for _ in range(5)]
    feed.apply(*views, a_view(matter_id="m-2"), a_deletion())
    sender.send()
    assert topic.erased() == sorted((0, key(view)) for view in views)
    assert rows(feed.store, BURIED) == []


def test_a_conflict_makes_the_row_the_topics_last_word(feed: Feed, sender: TombstoneSender, topic: Topic) -> None:
    """For compaction the last record of a key counts, for the log the first."""
    first = a_view(**OTHER_VALUES)
    feed.apply(first)
    feed.apply(first.model_copy(update={"user_name": "Somebody Else"}))
    sender.send()
    assert topic.written[0][1:3] == (0, key(first).encode())
    assert topic.restated() == [(0, key(first), first)]
    assert rows(feed.store, BURIED) == []


def test_a_living_view_under_a_purged_key_stays_in_the_topic(feed: Feed, sender: TombstoneSender, topic: Topic) -> None:
    """The deleted matter's view was in conflict with another matter's, which takes its place."""
    first = a_view()
    second = a_view(matter_id="m-2").model_copy(update={"event_id": first.event_id})
    feed.apply(first, second)
    feed.apply(a_deletion())
    sender.send()
    assert (topic.erased(), topic.restated()) == ([], [(0, key(first), second)])


def test_a_copy_in_another_partition_than_the_rows_is_erased(feed: Feed, sender: TombstoneSender, topic: Topic) -> None:
    """Written once more there it would be a copy again."""
    view = a_view()
    apply_records(feed.store, record_of(view, 0, 0), record_of(view, 1, 0))
    sender.send()
    assert (topic.erased(), topic.restated()) == ([(1, key(view))], [])


def test_a_discarded_conflict_does_not_take_the_row_out_of_the_topic(
    feed: Feed, sender: TombstoneSender, topic: Topic
) -> None:
    view = a_view()
    feed.apply(view, a_view(matter_id="m-2", event_id=view.event_id))
    feed.store.discard(None)
    sender.send()
    assert (topic.erased(), topic.restated()) == ([], [(0, key(view), view)])


def test_a_key_that_only_looks_like_a_living_views_is_erased(feed: Feed, sender: TombstoneSender, topic: Topic) -> None:
    """In capitals an event's ID is another key for Kafka."""
    view = a_view(matter_id="m-2")
    feed.apply(view, feed.record(a_view())._replace(key=key(view).upper().encode()), a_deletion())
    sender.send()
    assert (topic.erased(), topic.restated()) == ([(0, key(view).upper())], [])


def test_nothing_is_ever_written_to_the_topic_of_deletions(feed: Feed, sender: TombstoneSender, topic: Topic) -> None:
    """A tombstone under a matter's ID there would erase a deletion; the receipt says that a record stays."""
    stray = feed.record(a_view())._replace(topic=DELETIONS, offset=0, key=b"m-1")
    feed.apply(stray)
    apply_records(feed.store, record_of(a_deletion(), 0, 1), record_of(a_deletion(matter_id="m-1"), 0, 2))
    sender.send()
    assert topic.written == []
    assert rows(feed.store, "SELECT matter_id, out_of_reach FROM purges ORDER BY ALL") == [("m-1", 0), ("m-42", 1)]
    assert rows(feed.store, BURIED) == []


# What may go wrong


def wait_until(fact: Callable[[], bool]) -> None:
    """Return when it is so."""
    deadline = time.monotonic() + 60
    while not fact():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_what_a_broker_refuses_waits_and_is_told(feed: Feed, sender: TombstoneSender, topic: Topic) -> None:
    feed.apply(a_view(), a_deletion())
    topic.refusal = "the broker is away"
    sender.send()
    trouble = sender.trouble
    assert trouble == "the broker is away"
    assert len(rows(feed.store, BURIED)) == 1
    assert rows(feed.store, STAGES) == [(None, None)]
    topic.refusal = None
    sender.send()
    assert rows(feed.store, STAGES) == [(MORNING, None)]


def test_what_is_buried_while_the_broker_acknowledges_is_sent_again(feed: Feed) -> None:
    """A repeated view that comes behind its tombstone needs another one."""
    view = a_view()
    feed.apply(view, a_deletion())

    class Late(Topic):
        def write(self, name: str, messages: Sequence[Message], stop: threading.Event) -> str | None:
            if not self.written:
                feed.apply(view)
            return super().write(name, messages, stop)

    late = Late()
    sender_of(feed.store, late, MORNING).send()
    assert late.erased() == [(0, key(view))] * 2


def test_what_waits_survives_a_restart(paths: DatabaseFiles, topic: Topic) -> None:
    with Store(paths) as store:
        Feed(store).apply(view := a_view(), a_deletion())
    with Store(paths) as store:
        sender_of(store, topic, MORNING).send()
    assert topic.erased() == [(0, key(view))]


def test_a_sender_says_that_the_store_is_closed(feed: Feed, sender: TombstoneSender) -> None:
    feed.store.close()
    with pytest.raises(StoreFailed):
        sender.send()


def test_the_sender_sends_by_itself_until_it_is_left(feed: Feed, topic: Topic, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tombstones, "LOOK_EVERY_SECONDS", 0.01)
    settled = threading.Event()
    monkeypatch.setattr(topic, "write", lambda *_: settled.set())
    with sender_of(feed.store, topic, MORNING):
        feed.apply(a_view(), a_deletion())
        assert settled.wait(20)
    assert not [thread for thread in threading.enumerate() if thread.name == "matterlog-tombstones"]


def test_a_store_that_fails_is_trouble_and_the_sender_goes_on(
    feed: Feed, topic: Topic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waits for a store that is away is told, and sent when it is back."""
    monkeypatch.setattr(tombstones, "LOOK_EVERY_SECONDS", 0.01)
    feed.apply(a_view(), a_deletion())
    reader, told = feed.store.reader, threading.Event()

    def away() -> None:
        told.set()
        raise duckdb.IOException

    monkeypatch.setattr(feed.store, "reader", away)
    with sender_of(feed.store, topic, MORNING) as sender:
        assert told.wait(20)
        wait_until(lambda: "tombstones wait: the database is being closed" in (sender.trouble or ""))
        monkeypatch.setattr(feed.store, "reader", reader)
        wait_until(lambda: sender.trouble is None)
    assert topic.written


# What the receipt says


def test_a_receipt_says_when_the_tombstones_were_acknowledged_and_when_their_files_were_closed(
    feed: Feed, topic: Topic
) -> None:
    """The log cleaner never touches the newest file, and a new one begins only with a message after the lag."""
    apply_records(feed.store, record_of(a_view(), 0, 0), record_of(a_view(matter_id="m-2"), 2, 0))
    feed.apply(a_deletion())
    sender_of(feed.store, topic, MORNING).send()
    sender_of(feed.store, topic, MORNING + LAG - timedelta(seconds=1)).send()
    assert rows(feed.store, STAGES) == [(MORNING, None)]
    assert CLOSING_KEY not in {message[2] for message in topic.written}
    sender_of(feed.store, topic, MORNING + LAG).send()
    assert [message for message in topic.written if message[2] == CLOSING_KEY] == [
        (VIEWS, 0, CLOSING_KEY, None),
        (VIEWS, 2, CLOSING_KEY, None),
    ]
    assert rows(feed.store, STAGES) == [(MORNING, MORNING + LAG)]


def test_no_receipt_says_that_the_topic_is_rid_of_a_matter_while_views_are_unread(feed: Feed, topic: Topic) -> None:
    """A view of the matter may be among them; tombstones of those that are known are sent all the same."""
    feed.apply(a_view(), a_deletion())
    unread = ReadViews(are_read=False)
    for now in (MORNING, MORNING + LAG):
        sender_of(feed.store, topic, now, unread).send()
    assert len(topic.erased()) == 1
    assert rows(feed.store, STAGES) == [(MORNING, None)]
    unread.are_read = True
    sender_of(feed.store, topic, MORNING + 2 * LAG, unread).send()
    assert rows(feed.store, STAGES) == [(MORNING, MORNING + 2 * LAG)]


def test_nothing_is_sent_while_another_topic_may_stand_in_the_place_of_views(feed: Feed, topic: Topic) -> None:
    """The right one may come back, with the records and without their tombstones."""
    feed.apply(a_view(), a_deletion())
    unsure = ReadViews(is_sure=False)
    sender_of(feed.store, topic, MORNING, unsure).send()
    assert (topic.written, rows(feed.store, STAGES)) == ([], [(None, None)])
    unsure.is_sure = True
    sender_of(feed.store, topic, MORNING, unsure).send()
    assert (len(topic.erased()), rows(feed.store, STAGES)) == (1, [(MORNING, None)])


def test_a_matter_without_views_leaves_nothing_to_send(feed: Feed, sender: TombstoneSender, topic: Topic) -> None:
    feed.apply(a_deletion())
    sender.send()
    assert topic.written == []
    assert rows(feed.store, STAGES) == [(MORNING, None)]


def test_a_late_view_takes_the_topics_stages_back(feed: Feed, sender: TombstoneSender) -> None:
    feed.apply(a_deletion())
    sender.send()
    late = a_view()
    feed.apply(late)
    assert rows(feed.store, STAGES) == [(None, None)]
    sender.send()
    assert rows(feed.store, STAGES) == [(MORNING, None)]


def test_a_late_view_takes_back_that_the_topic_is_rid_of_the_matter(feed: Feed, topic: Topic) -> None:
    """Its record lies in a file that the broker has not closed."""
    apply_records(feed.store, record_of(a_view(), 0, 0))
    feed.apply(a_deletion())
    for now in (MORNING, MORNING + LAG):
        sender_of(feed.store, topic, now).send()
    assert rows(feed.store, STAGES) == [(MORNING, MORNING + LAG)]
    apply_records(feed.store, record_of(a_view(), 0, 1))
    assert rows(feed.store, STAGES) == [(None, None)]


def test_a_stage_keeps_the_instant_at_which_it_was_reached(feed: Feed, topic: Topic) -> None:
    """Whatever other matters reach later."""
    apply_records(feed.store, record_of(a_view(), 0, 0), record_of(a_view(matter_id="m-2"), 0, 1))
    feed.apply(a_deletion())
    for now in (MORNING, MORNING + LAG):
        sender_of(feed.store, topic, now).send()
    feed.apply(a_deletion(matter_id="m-2"))
    for now in (MORNING + 2 * LAG, MORNING + 3 * LAG):
        sender_of(feed.store, topic, now).send()
    assert rows(feed.store, f"{STAGES} ORDER BY ALL") == [
        (MORNING, MORNING + LAG),
        (MORNING + 2 * LAG, MORNING + 3 * LAG),
    ]


def test_files_are_closed_for_the_matters_alone_whose_tombstones_have_waited_for_the_lag(
    feed: Feed, topic: Topic
) -> None:
    apply_records(feed.store, record_of(a_view(), 0, 0), record_of(a_view(matter_id="m-2"), 0, 1))
    feed.apply(a_deletion())
    sender_of(feed.store, topic, MORNING).send()
    feed.apply(a_deletion(matter_id="m-2"))
    sender_of(feed.store, topic, MORNING + LAG).send()
    assert rows(feed.store, f"{STAGES} ORDER BY ALL") == [(MORNING, MORNING + LAG), (MORNING + LAG, None)]


def test_what_a_wrong_clock_settled_waits_for_the_lag_and_no_longer(feed: Feed, topic: Topic) -> None:
    """From the first look on: when its tombstones were really written nobody knows."""
    apply_records(feed.store, record_of(a_view(), 0, 0))
    feed.apply(a_deletion())
    for now in (MORNING + timedelta(days=365), MORNING, MORNING + LAG):
        sender_of(feed.store, topic, now).send()
    assert rows(feed.store, STAGES) == [(MORNING, MORNING + LAG)]
