"""Fetching and decoding in a background thread, while the previous batch is applied.

1. Batches come in the order in which they were fetched, each with its moves.
2. At most one batch waits while another one is made, and each is bounded in records and in bytes. That limits the
   memory for any backlog. A batch is made in pieces. The client's messages, many times larger than the columns made of
   them, are dropped after each piece.
3. Only this thread uses the source until the thread has ended. It also commits the group's offsets, because a commit
   from another thread would wait for the current fetch.
4. An exception in the thread is raised by ``next``.
"""

import gc
import logging
import queue
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import pyarrow as pa

from matterlog.consumers.errors import RegistryUnavailable
from matterlog.consumers.reading.kafka import REFILL_SECONDS, Fetch, KafkaSource
from matterlog.consumers.reading.records import DecodedRecords, Move, Record, joined, joined_moves
from matterlog.consumers.worker import Worker

logger = logging.getLogger(__name__)

# How long a fetch waits for the batch to fill: the maximum delay of a single view, and of stopping.
FETCH_SECONDS: Final = 0.2
# The size that decodes fastest. A batch has a few such pieces.
PIECE_RECORDS: Final = 5_120
# A batch ends after a piece with which it keeps this many bytes: of columns, of rejects, and of records where those are
# kept. The default number of usual views, all of their columns filled, takes less.
BATCH_BYTES: Final = 16 << 20
_REGISTRY_PAUSE_SECONDS: Final = 0.5
_REGISTRY_PATIENCE_SECONDS: Final = 2.0
# More objects than one batch creates.
_GARBAGE_OBJECTS: Final = 100_000


def settle_memory() -> None:
    """Make a consuming process collect garbage rarely and return memory to the system.

    1. Python's collector runs whenever there are 700 more objects than before. Every message is an object and part of
       no cycle, so this took a sixth of the fetching thread's time.
    2. Arrow's own allocator keeps a batch's memory. The system's allocator keeps about 40 MB less.
    """
    gc.set_threshold(_GARBAGE_OBJECTS)
    pa.set_memory_pool(pa.system_memory_pool())


@dataclass(frozen=True, slots=True)
class FetchedBatch:
    """The records and moves that one transaction applies."""

    decoded: DecodedRecords
    moves: tuple[Move, ...]


class Prefetch(Worker):
    """A background thread that prepares batches. Use as a context manager.

    Args:
        source: where records come from, already started.
        decode: decodes records.
        batch_records: the maximum number of records in a batch, which BATCH_BYTES limits too. A batch holds what
            arrived within FETCH_SECONDS and what was waiting, so it is small when the consumer has caught up and full
            when it is behind.
        keep_records: whether to keep the records of views, for conflicts. Called for each piece.
    """

    def __init__(
        self,
        source: KafkaSource,
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
        """Note that a batch is in the database. Its offsets are committed before the next fetch."""
        self._applied.put(batch)

    def next(self, timeout_seconds: float) -> FetchedBatch | None:
        """Return the next batch, or None after the timeout. Raises errors of fetching and decoding."""
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
        """Fetch and decode until the batch is full or no more records wait. None: no records, or stopped."""
        deadline = time.monotonic() + FETCH_SECONDS
        parts: list[DecodedRecords] = []
        moves: list[Move] = []
        missing, size, is_full = self._batch_records, 0, True
        while is_full and missing > 0 and size < BATCH_BYTES:
            least = REFILL_SECONDS if parts else 0.0
            fetched = self._source.fetch(min(PIECE_RECORDS, missing), max(least, deadline - time.monotonic()))
            if (decoded := self._decode_when_possible(fetched)) is None:
                return None
            keeps = self._keep_records()
            parts.append(decoded if keeps else replace(decoded, kept_records=None))
            moves += fetched.moves
            missing -= len(fetched.records)
            size += decoded.size + (fetched.size if keeps else 0)
            is_full = fetched.is_full
        return FetchedBatch(joined(parts), joined_moves(moves)) if moves else None

    def _commit_applied(self) -> None:
        while not self._applied.empty():
            self._source.commit(self._applied.get().moves)

    def _decode_when_possible(self, fetched: Fetch) -> DecodedRecords | None:
        """Decode, and wait a little while the schema registry is unavailable: that makes no message bad. None: stopped.

        Raises:
            RegistryUnavailable: it is still unavailable. The loop decides what is read on without it.
        """
        deadline = time.monotonic() + _REGISTRY_PATIENCE_SECONDS
        while not self._stop.is_set():
            try:
                return self._decode(fetched.records)
            except RegistryUnavailable as error:
                if time.monotonic() >= deadline:
                    raise
                logger.warning("%s. Retrying", error)
                self._stop.wait(_REGISTRY_PAUSE_SECONDS)
        return None

    def _put(self, ready: FetchedBatch | BaseException) -> None:
        while not self._stop.is_set():
            try:
                self._ready.put(ready, timeout=FETCH_SECONDS)
            except queue.Full:
                continue
            return
