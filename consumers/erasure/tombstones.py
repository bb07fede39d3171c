"""Sending back to the topic what the log no longer holds, so that the broker's log cleaner drops it.

A key is *buried* when it stands in the table ``tombstones``: the batch that purges, refuses or discards a record puts
it there in its own transaction. A *tombstone* is a message with that key and no value, in the record's own partition.

1. For each key, the topic's last record matches the activity table: a tombstone where no row stands under that key and
   partition, else that row's view once more. So nothing here can take a living matter's view out of the topic, and a
   rebuild from the topic gives the same table after compaction as before.
2. A key leaves the table when the broker has acknowledged its message, not before: a crash, or a broker that is away,
   costs a repetition and nothing else.
3. Tombstones go to the topic of views alone. On the topic of deletions one could erase a deletion, and only the
   deletion service may write there; what lies there is counted into the receipt as out of reach.
4. The cleaner never touches a partition's newest file, and the broker opens a new one only when a message arrives
   after ``max.compaction.lag.ms``. So once that time has passed, each partition gets one more message, or the
   tombstones of a partition that nobody writes to would wait for ever.
"""

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple, Protocol

import duckdb
import pyarrow as pa

from matterlog.consumers.database.store import Store
from matterlog.consumers.database.transaction import incoming
from matterlog.consumers.errors import StoreFailed
from matterlog.consumers.reading.records import table_of
from matterlog.consumers.worker import Worker
from matterlog.schemas import MatterViewed, Topics, encode
from matterlog.schemas.instants import stored_now
from matterlog.schemas.storage.statements import load_statements, named_rows

logger = logging.getLogger(__name__)

SQL: Final = load_statements(__package__, "tombstones.sql")
# Asking what the table holds under the keys may read all of its event IDs, so keys go in large batches.
KEYS_A_BATCH: Final = 50_000
LOOK_EVERY_SECONDS: Final = 1.0
# A broker that is away, or refuses, is asked again after this, doubled each time up to the last.
_FIRST_PAUSE_SECONDS: Final = 1.0
_LAST_PAUSE_SECONDS: Final = 60.0
# No event has this key. Its tombstones make the broker open a new file.
CLOSING_KEY: Final = b"matterlog-close-file"

# Partition, key, value; no value is a tombstone.
Message = tuple[int, bytes, bytes | None]

_WAITING: Final = pa.schema({"kafka_partition": pa.int32(), "key": pa.binary()})


class TopicWriter(Protocol):
    """What writes to Kafka: the app gives one."""

    def write(self, topic: str, messages: Sequence[Message], stop: threading.Event) -> str | None:
        """Write messages to their partitions and wait until the broker has acknowledged every one.

        Returns:
            None when it has; else what is in the way, for people. Then any of them may have been written.
        """


class PendingTombstones(NamedTuple):
    """Keys to send, and the number of the newest transaction that had buried something when they were read."""

    messages: list[Message]
    newest: int


class Work(NamedTuple):
    """What there is to do."""

    to_send: bool
    out_of_reach: bool
    to_settle: bool
    to_close: bool


class TombstoneSender(Worker):
    """Sends what is buried, in a thread of its own; use as a context manager.

    Args:
        store: the log; its writer is held for a moment for each batch.
        topics: of the log.
        writer: to the topic of views.
        closes_after_seconds: after how long the broker surely closes a file when a message arrives: the topic's
            ``max.compaction.lag.ms``, and what its clock may differ from ours.
        clock: gives the instant, in UTC without a zone.
    """

    def __init__(
        self,
        store: Store,
        topics: Topics,
        writer: TopicWriter,
        *,
        closes_after_seconds: float,
        clock: Callable[[], datetime] = stored_now,
    ) -> None:
        super().__init__("matterlog-tombstones", daemon=True)
        self._store = store
        self._topic = topics.matter_views.name
        self._never = topics.matter_deletions.name
        self._writer = writer
        self._closes_after = timedelta(seconds=closes_after_seconds)
        self._clock = clock
        # What is in the way of sending, for people; None when nothing is.
        self.trouble: str | None = None
        self.has_sent = False

    def _run(self) -> None:
        pause = LOOK_EVERY_SECONDS
        while not self._stop.wait(pause):
            # The store failed, or is being opened again: what was not removed is sent again.
            with suppress(StoreFailed):
                self.send()
            pause = min(pause * 2, _LAST_PAUSE_SECONDS) if self.trouble else LOOK_EVERY_SECONDS

    def finish(self) -> None:
        """Send what waits, here and now, and end; raises as ``send`` does."""
        self._end()
        self._stop.clear()
        self.send()

    def send(self) -> None:
        """Send everything that waits now; what is in the way stands in ``trouble`` afterwards.

        Raises:
            StoreFailed: the database failed, or is just being opened again.
        """
        work = self._work()
        if work.out_of_reach:
            self._give_up()
        trouble = self._send_waiting() if work.to_send else None
        if trouble is None and (work.to_send or work.to_settle):
            self._settle()
        if trouble is None and work.to_close:
            trouble = self._close()
        if not self._stop.is_set():
            self._tell(trouble)

    def _send_waiting(self) -> str | None:
        while (waiting := self._waiting()).messages:
            if trouble := self._writer.write(self._topic, waiting.messages, self._stop):
                return trouble
            self.has_sent = True
            rows = [message[:2] for message in waiting.messages]
            with (
                self._store.transaction() as transaction,
                transaction.incoming("waiting", table_of(rows, _WAITING)),
            ):
                transaction.connection.execute(SQL["remove"], {"topic": self._topic, "newest": waiting.newest})
        return None

    def _settle(self) -> None:
        with self._store.transaction() as transaction:
            transaction.connection.execute(SQL["settle"], {"now": self._clock()})

    def _give_up(self) -> None:
        with self._store.transaction() as transaction:
            transaction.connection.execute(SQL["count_out_of_reach"], {"topic": self._never})
            transaction.connection.execute(SQL["give_up"], {"topic": self._never})

    def _close(self) -> str | None:
        """Have the broker close the files that hold the tombstones of some matters."""
        closable = self._closable()
        partitions = [partition for topic, partition in self._store.positions() if topic == self._topic]
        messages = [(partition, CLOSING_KEY, None) for partition in partitions]
        if trouble := self._writer.write(self._topic, messages, self._stop):
            return trouble
        with self._store.transaction() as transaction:
            transaction.connection.execute(SQL["close"], {"now": self._clock(), "closable": closable})
        return None

    def _closable(self) -> datetime:
        """Return the instant up to which files that were written to may be closed now."""
        return self._clock() - self._closes_after

    def _tell(self, trouble: str | None) -> None:
        if trouble != self.trouble:
            if trouble is None:
                logger.info("tombstones reach %s again", self._topic)
            else:
                logger.error("%s", trouble)
        self.trouble = trouble

    def _work(self) -> Work:
        names = {"topic": self._topic, "never": self._never, "closable": self._closable()}
        with self._reading() as connection:
            return Work(*connection.execute(SQL["work"], names).fetchall()[0])

    def _waiting(self) -> PendingTombstones:
        """Read a batch of keys, and what the table holds under them, from one committed state."""
        with self._reading() as connection:
            keys = connection.execute(SQL["waiting"], {"topic": self._topic, "keys": KEYS_A_BATCH}).fetchall()
            ((newest,),) = connection.execute(SQL["newest"]).fetchall()
            with incoming(connection, "waiting", table_of(keys, _WAITING)):
                alive = named_rows(connection.execute(SQL["alive"]))
        views = {(view.pop("kafka_partition"), str(view["event_id"]).encode()): encode(_view(view)) for view in alive}
        return PendingTombstones(
            [(partition, key, views.get((partition, key))) for partition, key in keys], newest or 0
        )

    @contextmanager
    def _reading(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Give a connection that sees one committed state."""
        try:
            with self._store.reader() as connection:
                connection.execute("BEGIN")
                yield connection
                connection.execute("ROLLBACK")
        except duckdb.Error as error:
            raise StoreFailed(f"the database is being closed or has failed ({type(error).__name__})") from error


def _view(columns: dict[str, Any]) -> MatterViewed:
    """Return a row of the activity table as the event that it was made of."""
    return MatterViewed(**columns | {"matter_viewed_at": columns["matter_viewed_at"].replace(tzinfo=UTC)})
