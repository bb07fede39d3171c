"""Fetching and decoding in a thread of their own, while the batch before is applied.

1. Batches come out in the order in which they were fetched, each with the moves that belong to it.
2. One batch waits at most, and one is being made: that bounds the memory whatever the backlog. A batch is made piece by
   piece; the client's messages, many times as large as the columns made of them, are dropped with each piece.
3. The source belongs to the thread until the thread has ended: what is applied is told to the group there too, since a
   commit waits for a fetch that another thread has under way.
4. What the thread raises, ``next`` raises.
"""

import gc
import logging
import queue
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

import pyarrow as pa

from matterlog.consumers.errors import BrokerUnavailable
from matterlog.consumers.reading.kafka import Fetch
from matterlog.consumers.reading.records import DecodedRecords, Move, Record, joined, joined_moves
from matterlog.consumers.worker import Worker

logger = logging.getLogger(__name__)

# How long a fetch waits for the batch to fill: what a view that comes alone waits at most, and what stopping takes.
FETCH_SECONDS: Final = 0.2
# As many as decode fastest; a batch is a few of these.
PIECE_RECORDS: Final = 5_120
_REGISTRY_PAUSE_SECONDS: Final = 0.5
# More objects than a batch under way makes.
_GARBAGE_OBJECTS: Final = 100_000


def settle_memory() -> None:
    """Have a process that consumes look for garbage seldom, and give memory back.

    1. Python's collector starts whenever 700 more objects are there than before. Every message is one, and part of no
       cycle: that took a sixth of the fetching thread's time.
    2. Arrow's own allocator keeps what a batch took; the system's keeps about 40 MB less.
    """
    gc.set_threshold(_GARBAGE_OBJECTS)
    pa.set_memory_pool(pa.system_memory_pool())


class Source(Protocol):
    """What brings records: ``KafkaSource``."""

    def fetch(self, max_records: int, timeout_seconds: float) -> Fetch:
        """Read up to ``max_records`` records, waiting at most ``timeout_seconds``."""

    def commit(self, moves: Sequence[Move]) -> None:
        """Tell the group where reading stands."""


@dataclass(frozen=True, slots=True)
class FetchedBatch:
    """What one transaction applies."""

    decoded: DecodedRecords
    moves: tuple[Move, ...]


class Prefetch(Worker):
    """Brings batches; use as a context manager.

    Args:
        source: started.
        decode: records -> what they are.
        batch_records: how many records a batch holds at most. It holds what came within FETCH_SECONDS and what waited
            then, so it is small when the reader has caught up and full when it is behind.
        keep_records: whether to keep the records of views with them, for a conflict; asked for each piece.
    """

    def __init__(
        self,
        source: Source,
        decode: Callable[[Sequence[Record]], DecodedRecords],
        batch_records: int,
        *,
        keep_records: Callable[[], bool],
    ) -> None:
        super().__init__("matterlog-fetch", daemon=True)
        self._keep_records = keep_records
        self._source = source
        self._decode = decode
        self._batch_records = batch_records
        self._ready: queue.Queue[FetchedBatch | BaseException] = queue.Queue(maxsize=1)
        self._applied: queue.SimpleQueue[FetchedBatch] = queue.SimpleQueue()

    def _end(self) -> None:
        super()._end()
        self._commit_applied()

    def applied(self, batch: FetchedBatch) -> None:
        """Say that a batch is in the database; the group is told before the next fetch."""
        self._applied.put(batch)

    def next(self, timeout_seconds: float) -> FetchedBatch | None:
        """Return the next batch, None when none came in time; raise what fetching or decoding raised."""
        try:
            ready = self._ready.get(timeout=timeout_seconds)
        except queue.Empty:
            return None
        if isinstance(ready, BaseException):
            raise ready
        return ready

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self._commit_applied()
                if (batch := self._make_batch()) is not None:
                    self._put(batch)
        except BaseException as error:  # noqa: BLE001 - carried over to the thread that asks for batches
            self._put(error)

    def _make_batch(self) -> FetchedBatch | None:
        """Fetch and decode until the batch is full or nothing more waits; None for nothing, or when stopped."""
        deadline = time.monotonic() + FETCH_SECONDS
        parts: list[DecodedRecords] = []
        moves: list[Move] = []
        missing, wanted, got = self._batch_records, 0, 0
        while missing and got == wanted:
            wanted = min(PIECE_RECORDS, missing)
            fetched = self._source.fetch(wanted, max(0.0, deadline - time.monotonic()))
            if (decoded := self._decode_when_possible(fetched)) is None:
                return None
            parts.append(decoded if self._keep_records() else replace(decoded, view_records=None))
            moves += fetched.moves
            got = len(fetched.records)
            missing -= got
        return FetchedBatch(joined(parts), joined_moves(moves)) if moves else None

    def _commit_applied(self) -> None:
        while not self._applied.empty():
            self._source.commit(self._applied.get().moves)

    def _decode_when_possible(self, fetched: Fetch) -> DecodedRecords | None:
        """Decode; wait for a schema registry that is away, since no message is bad for that. None when stopped."""
        while not self._stop.is_set():
            try:
                return self._decode(fetched.records)
            except BrokerUnavailable as error:
                logger.warning("%s; trying again", error)
                self._stop.wait(_REGISTRY_PAUSE_SECONDS)
        return None

    def _put(self, ready: FetchedBatch | BaseException) -> None:
        while not self._stop.is_set():
            try:
                self._ready.put(ready, timeout=FETCH_SECONDS)
            except queue.Full:
                continue
            return
