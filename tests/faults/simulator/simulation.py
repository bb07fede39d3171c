"""One simulation: the real consumer, from the Kafka client's calls to the database's file, in a simulated world.

1. Real are the loop (``materialise``), the batches (``prefetch``), the reader with its checks (``kafka``), the decoder,
   the file store on DuckDB, the sender of tombstones, ``reread``, extracts and engagement. Simulated are Kafka behind
   its client, the clock, and the moments at which something fails.
2. One thread does everything, and every choice comes from a seed: the same options give the same trace, in any process.
3. A *life* is one process, from opening the store to its end: a crash, an error, or a stop. A crash keeps the files as
   they are on the disk at that moment, and the next life begins with a copy of them. The end of a commit under way may
   be torn off.
4. After every commit and every opening, the tables are compared with the model: the rule applied to what the client
   handed out below the database's positions. Readers are compared in the middle of transactions too.
5. In the *safety phase* the schedule's actions happen. Nothing may ever be lost, doubled, resurrected, or read on
   where a topic was cut. No second owner may open the file.
6. Then everything heals. In the *healing phase* the consumer must catch up within a bounded number of steps and lives,
   and must have read whatever the topics hold.
7. The operator does what the error's text says: has a cut topic read again, accepts what expired, lets a flood of junk
   be kept as dead letters. The operator is slow.
8. What nothing can tell is left out: a topic is cut only where the last record that was read tells, as rule 2 of
   ``positions_check`` says.
"""

import logging
import queue
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, Self
from unittest import mock

from matterlog.consumers import materialise, waits
from matterlog.consumers.database import readers
from matterlog.consumers.database.store import Store
from matterlog.consumers.erasure.tombstones import TombstoneSender
from matterlog.consumers.errors import (
    DatabaseUnusable,
    PositionExpired,
    ReadingFailed,
    StoreFailed,
    TooManyDeadLetters,
    TopicRemade,
)
from matterlog.consumers.materialise import Materialiser, decoder
from matterlog.consumers.reading import group_offsets, kafka, kafka_topics, prefetch
from matterlog.consumers.reading.schema_registry import RegisteredSchemas
from matterlog.consumers.recovery.reread import begin_reread
from matterlog.consumers.waits import Wait, WaitKeeper
from testbed.feed import TOPICS
from tests.consumers.histories import outcome_of, tables
from tests.faults.simulator.asked import ask, views_of
from tests.faults.simulator.client import Source
from tests.faults.simulator.disk import Disk
from tests.faults.simulator.events import Events
from tests.faults.simulator.model import BrokenPromise
from tests.faults.simulator.schedule import Options
from tests.faults.simulator.world import Crash, NeverEnds, World

# How long the operator needs to act.
_OPERATOR_STEPS: Final = 60
# How long the service needs to start a consumer again that failed.
_PAUSE_STEPS: Final = 20
# A consumer that nothing is wrong with needs a few lives, one for each decision of the operator.
MAX_HEALING_LIVES: Final = 12
_DECODE: Final = decoder(TOPICS, RegisteredSchemas(None))


class SteppedPrefetch(prefetch.Prefetch):
    """The real batches, made when somebody asks for one, and not by a thread."""

    ahead = 1

    def __enter__(self) -> Self:
        self._ready: queue.Queue[Any] = queue.Queue()
        self._is_over = False
        return self

    def _end(self) -> None:
        self._commit_applied()

    def next(self, timeout_seconds: float) -> prefetch.FetchedBatch | None:  # noqa: ARG002 - no time passes
        """Return the next batch; make as many as the thread might have made meanwhile."""
        while self._ready.qsize() < self.ahead and not self._is_over:
            self._commit_applied()
            try:
                made = self._make_batch()
            except Exception as error:  # noqa: BLE001 - carried over, as by the thread
                made, self._is_over = None, True
                self._ready.put(error)
            if made is None:
                break
            self._put(made)
        return super().next(0)


class Simulation:
    """One simulation. ``run`` returns the hash of its trace.

    Args:
        options: all that it depends on.
        folder: an empty one, for the files.
        template: a new database.
    """

    def __init__(self, options: Options, folder: Path, template: Path) -> None:
        """Begin in the safety phase."""
        self.world = World(options)
        self._events = Events(self.world, self)
        self.world.act = self._events.act
        self.world.between_batches = self._between_batches
        self.disk = Disk(self.world, folder, template)
        self._options = options
        # What the operator has decided for the next life.
        self._has_to_reread = self._accepts_gaps = self._keeps_junk = False
        self._waits_since: int | None = None
        self.sender: TombstoneSender | None = None

    def run(self) -> str:
        """Play it.

        Raises:
            BrokenPromise: the consumer broke a promise.
            NeverEnds: it did not catch up.
        """
        world = self.world
        with _patched(world, self._options.ahead):
            while not world.is_healed:
                has_caught_up = self._live()
            for _ in range(MAX_HEALING_LIVES):
                if has_caught_up:
                    return world.trace_hash
                has_caught_up = self._live()
        raise NeverEnds(f"the consumer has not caught up after {MAX_HEALING_LIVES} starts")

    def _live(self) -> bool:
        """Live one life; return whether the consumer has caught up."""
        world = self.world
        world.is_dead = False
        world.tell("LIFE")
        try:
            with self.disk.opened() as store, closing(Source(world)) as source:
                world.model.handed.clear()
                self._decide(store, source)
                self._consume(store, source)
                if not world.is_healed and world.step >= self._options.steps:
                    world.heal()
                    self._consume(store, source)
                if world.is_healed and not world.stop.is_set():
                    self._compare_all(store)
                    return True
        except Crash:
            pass
        except (ReadingFailed, StoreFailed, DatabaseUnusable) as error:
            world.tell("ENDED", type(error).__name__, error)
            self._note(error)
            self._pause()
        if world.step >= self._options.steps:
            world.heal()
        return False

    def _pause(self) -> None:
        """Wait before the next life, as the service does: a world in which something is wrong has some time."""
        with suppress(Crash):
            for _ in range(_PAUSE_STEPS):
                self.world.point("pause")

    def _consume(self, store: Store, source: Source) -> None:
        self._waits_since = None
        self.world.stop.clear()
        materialiser = Materialiser(
            source=source,
            store=store,
            decode=_DECODE,
            batch_records=self._options.batch_records,
            max_dead_letters=1.0 if self._keeps_junk else materialise.DEFAULT_MAX_DEAD_LETTERS,
            accept_gaps=self._accepts_gaps,
            on_reading=self._note_wait,
            views=WaitKeeper(views_alone=True, clock=self.world.clock.monotonic),
        )
        materialiser._both.clock = self.world.clock.monotonic
        self.sender = TombstoneSender(
            store, TOPICS, self._write_back, closes_after_seconds=60.0, reading=materialiser, clock=self.world.clock.now
        )
        try:
            materialiser.run(self.world.stop, until_caught_up=self.world.is_healed)
        finally:
            self.sender = None

    def _decide(self, store: Store, source: Source) -> None:
        """Do what the operator decided: have partitions read again."""
        if self._has_to_reread:
            self.world.model.may_go_back = True
            again = begin_reread(source, store, TOPICS, every=False, accept_gaps=True)
            self.world.tell("REREAD", again)
            self.world.model.may_go_back = self._has_to_reread = False

    def _note_wait(self, wait: Wait | None) -> None:
        if wait is None or not wait.lasts:
            self._waits_since = None
            return
        self._waits_since = self._waits_since or self.world.step
        self._note(wait.error)

    def _note(self, error: Exception) -> None:
        """Note what the operator has to decide."""
        self._has_to_reread |= isinstance(error, TopicRemade)
        self._accepts_gaps |= isinstance(error, PositionExpired)
        self._keeps_junk |= isinstance(error, TooManyDeadLetters)

    def _between_batches(self) -> None:
        """Have the operator stop a consumer that has waited for a decision, and end the safety phase."""
        world = self.world
        is_over = not world.is_healed and world.step >= self._options.steps
        if is_over or (self._waits_since is not None and world.step > self._waits_since + _OPERATOR_STEPS):
            world.stop.set()
        self._events.between_batches()

    def _write_back(self, topic: str, messages: Sequence[tuple[int, bytes, bytes | None]], _stop: Any) -> str | None:
        """Write what the sender of tombstones sends."""
        self.world.point("tombstones", len(messages))
        if self.world.is_wrong("away"):
            return "simulated: no broker"
        self._events.write_back(topic, messages)
        return None

    def _compare_all(self, store: Store) -> None:
        """Compare everything in the end.

        Raises:
            BrokenPromise: something differs, or was not read.
        """
        model = self.world.model
        if outcome_of(*tables(store)) != model.outcome:
            raise BrokenPromise("a row has another content than its view")
        model.everything_was_read()
        ask(store.reader(), views_of(model.outcome), self._options.seed)
        self.world.tell("CAUGHT UP", len(model.outcome.views), len(model.outcome.deleted), len(model.outcome.letters))


@contextmanager
def _patched(world: World, ahead: int) -> Iterator[None]:
    """Let the consumer's modules see the simulated time, and make batches without a thread."""
    clock = SimpleNamespace(monotonic=world.clock.monotonic)
    with ExitStack() as stack:
        for module in (kafka, kafka_topics, prefetch, group_offsets, readers, waits):
            stack.enter_context(mock.patch.object(module, "time", clock))
        stack.enter_context(mock.patch.object(materialise, "monotonic", world.clock.monotonic))
        stack.enter_context(mock.patch.object(materialise, "Prefetch", SteppedPrefetch))
        stack.enter_context(mock.patch.object(SteppedPrefetch, "ahead", ahead))
        logging.disable(logging.CRITICAL)  # a simulation is all warnings
        stack.callback(logging.disable, logging.NOTSET)
        yield
