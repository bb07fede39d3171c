"""Sends tombstones for records that are no longer in the log, so that compaction removes them from the topic.

A key is *buried* when it is in the table ``tombstones``: the batch that purges, refuses or discards a record puts it
there in its own transaction. A *tombstone* is a message with that key and no value, in the record's own partition.

1. For each key, the topic's last record matches the activity table: a tombstone if no row has that key and partition,
   otherwise that row's view again. So no view of a living matter can be removed from the topic, and a rebuild from the
   topic gives the same table before and after compaction.
2. A key leaves the table only when the broker has acknowledged its message: after a crash, or while the broker is
   unavailable, messages are merely repeated.
3. Tombstones are sent to the topic of views only. On the topic of deletions, a tombstone could erase a deletion, and
   only the deletion service may write there. Records there are counted in the receipt as out of reach.
4. Compaction never touches a partition's newest file, and the broker opens a new file only when a message arrives
   after ``max.compaction.lag.ms``. So each partition gets one more message after that time. Otherwise the tombstones
   of a partition without new messages would wait for ever.
5. While views are unread, the topic may hold views of deleted matters that nobody knows of, so no receipt says that it
   is rid of them. While another topic may stand in its place, nothing is sent: the right one may come back.
"""

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol

import duckdb
import pyarrow as pa

from matterlog.consumers.database.log_store import LogStore
from matterlog.consumers.database.transaction import incoming
from matterlog.consumers.errors import StoreFailed
from matterlog.consumers.reading.records import table_of
from matterlog.consumers.worker import Worker
from matterlog.schemas import MatterViewed, Topics, encode
from matterlog.schemas.instants import CLOCKS_DIFFER, stored_now
from matterlog.schemas.storage.statements import load_statements, named_rows

logger = logging.getLogger(__name__)

SQL: Final = load_statements(__package__, "tombstones.sql")
# Looking keys up in the table may read all of its event IDs, so keys are sent in large batches.
KEYS_A_BATCH: Final = 50_000
LOOK_EVERY_SECONDS: Final = 1.0
# If the broker is unavailable or refuses, sending is retried after this pause, doubled each time up to the last.
_FIRST_PAUSE_SECONDS: Final = 1.0
_LAST_PAUSE_SECONDS: Final = 60.0
# No event has this key. Tombstones with it make the broker open a new file.
CLOSING_KEY: Final = b"matterlog-close-file"

# Partition, key, value. Without a value: a tombstone.
Message = tuple[int, bytes, bytes | None]
# Writes messages to a topic and waits until the broker has acknowledged every one. None on success, otherwise the
# problem, for people. Then any of the messages may have been written.
Write = Callable[[str, Sequence[Message], threading.Event], str | None]

_WAITING: Final = pa.schema({"kafka_partition": pa.int32(), "key": pa.binary()})


class ReadingOfViews(Protocol):
    """What is known of the topic of views: the consumer's loop."""

    def views_topic_is_sure(self) -> bool:
        """Say whether the topic is the one that was read."""

    def views_are_read(self) -> bool:
        """Say whether the topic is read up to its end."""


class TombstoneSender(Worker):
    """A background thread that sends messages for buried keys. Use as a context manager.

    Args:
        store: the log. Its writer is briefly held for each batch.
        topics: the log's topics.
        write: writes to the topic of views.
        closes_after_seconds: the time after which a new message makes the broker close a file for certain: the topic's
            ``max.compaction.lag.ms`` plus a margin for its clock.
        reading: knows how far the topic of views is read.
        clock: returns the current time, in UTC without a zone.
    """

    def __init__(
        self,
        store: LogStore,
        topics: Topics,
        write: Write,
        *,
        closes_after_seconds: float,
        reading: ReadingOfViews,
        clock: Callable[[], datetime] = stored_now,
    ) -> None:
        super().__init__("matterlog-tombstones", daemon=True)
        self._store = store
        self._topic = topics.matter_views.name
        self._deletions_topic = topics.matter_deletions.name
        self._write = write
        self._closes_after = timedelta(seconds=closes_after_seconds)
        self._reading_of_views = reading
        self._clock = clock
        # Why messages cannot be sent, for people. None: no problem.
        self.trouble: str | None = None
        self.has_sent = False

    def _run(self) -> None:
        pause = LOOK_EVERY_SECONDS
        while not self._stop.wait(pause):
            try:
                self.send()
            except StoreFailed as error:
                # Keys that were not removed are sent again.
                self._report(f"tombstones wait: {error}")
            pause = min(pause * 2, _LAST_PAUSE_SECONDS) if self.trouble else LOOK_EVERY_SECONDS

    def finish(self) -> None:
        """Stop the thread and send all waiting messages in this one. Raises the errors of ``send``."""
        self._end()
        self._stop.clear()
        self.send()

    def send(self) -> None:
        """Send all messages that wait now. Afterwards ``trouble`` holds the problem, if any.

        Raises:
            StoreFailed: the database failed or is being reopened.
        """
        work = self._work()
        if work["out_of_reach"]:
            self._execute("count_out_of_reach", "remove_out_of_reach", topic=self._deletions_topic)
        if not self._reading_of_views.views_topic_is_sure():
            return
        trouble = self._send_waiting() if work["to_send"] else None
        if trouble is None and (work["to_send"] or work["to_record"]):
            now = self._clock()
            self._execute("record_tombstoned", now=now, latest=now + CLOCKS_DIFFER)
        if trouble is None and work["to_close"] and self._reading_of_views.views_are_read():
            trouble = self._close()
        if not self._stop.is_set():
            self._report(trouble)

    def _send_waiting(self) -> str | None:
        while (waiting := self._waiting())[0]:
            messages, newest = waiting
            if trouble := self._write(self._topic, messages, self._stop):
                return trouble
            self.has_sent = True
            rows = [message[:2] for message in messages]
            with self._store.transaction() as transaction, transaction.incoming("waiting", table_of(rows, _WAITING)):
                transaction.connection.execute(SQL["remove"], {"topic": self._topic, "newest": newest})
        return None

    def _execute(self, *statements: str, **values: object) -> None:
        with self._store.transaction() as transaction:
            for statement in statements:
                transaction.connection.execute(SQL[statement], values)

    def _close(self) -> str | None:
        """Make the broker close the files that hold tombstones of deleted matters."""
        closable = self._closable()
        partitions = [partition for topic, partition in self._store.positions() if topic == self._topic]
        messages = [(partition, CLOSING_KEY, None) for partition in partitions]
        if trouble := self._write(self._topic, messages, self._stop):
            return trouble
        self._execute("close", now=self._clock(), closable=closable)
        return None

    def _closable(self) -> datetime:
        """Return the time before which written tombstones lie in files that can be closed now."""
        return self._clock() - self._closes_after

    def _report(self, trouble: str | None) -> None:
        if trouble != self.trouble:
            if trouble is None:
                logger.info("tombstones are sent to %s again", self._topic)
            else:
                logger.error("%s", trouble)
        self.trouble = trouble

    def _work(self) -> dict[str, bool]:
        """Return whether each kind of work is due."""
        instants = {"closable": self._closable(), "latest": self._clock() + CLOCKS_DIFFER}
        names = {"topic": self._topic, "deletions_topic": self._deletions_topic, **instants}
        with self._reading() as connection:
            (work,) = named_rows(connection.execute(SQL["work"], names))
            return work

    def _waiting(self) -> tuple[list[Message], int]:
        """Read a batch of messages to send from one committed state, and the newest transaction that buried a key."""
        with self._reading() as connection:
            keys = connection.execute(SQL["waiting"], {"topic": self._topic, "keys": KEYS_A_BATCH}).fetchall()
            ((newest,),) = connection.execute(SQL["newest"]).fetchall()
            with incoming(connection, "waiting", table_of(keys, _WAITING)):
                stored = named_rows(connection.execute(SQL["stored_views"]))
        views = {(view.pop("kafka_partition"), str(view["event_id"]).encode()): encode(_view(view)) for view in stored}
        return [(partition, key, views.get((partition, key))) for partition, key in keys], newest or 0

    @contextmanager
    def _reading(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Give a connection that sees one committed state of the database."""
        try:
            with self._store.reader() as connection:
                connection.execute("BEGIN")
                yield connection
                connection.execute("ROLLBACK")
        except duckdb.Error as error:
            raise StoreFailed(f"the database is being closed, or it failed ({type(error).__name__})") from error


def _view(columns: dict[str, Any]) -> MatterViewed:
    return MatterViewed(**columns | {"matter_viewed_at": columns["matter_viewed_at"].replace(tzinfo=UTC)})
