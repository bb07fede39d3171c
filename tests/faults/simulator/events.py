"""What the schedule's actions do: to the topics, to the disk, to the clock and to the process."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from matterlog.consumers.database.store import Store
from matterlog.consumers.errors import DatabaseUnusable, StoreFailed
from matterlog.consumers.reading.records import TopicPartition
from matterlog.schemas import decode
from matterlog.schemas.storage.database_files import DatabaseInUse
from testbed.feed import DELETIONS, VIEWS
from tests.consumers.histories import Message
from tests.faults.simulator.asked import ask, views_of
from tests.faults.simulator.broker import tombstone
from tests.faults.simulator.load import Load
from tests.faults.simulator.model import BrokenPromise
from tests.faults.simulator.schedule import Action
from tests.faults.simulator.world import World

if TYPE_CHECKING:
    from tests.faults.simulator.simulation import Simulation

_TOPICS: Final = (VIEWS, VIEWS, VIEWS, DELETIONS)
# A broker that starts again with an older volume is away for a while: the client notices.
_RESTART_STEPS: Final = 8
# More views than a cut takes away: the position is inside of the topic again.
_REFILL: Final = 8


class Events:
    """Carries out actions.

    Args:
        world: where they happen.
        simulation: whose process they happen to.
    """

    def __init__(self, world: World, simulation: "Simulation") -> None:
        """Know each kind of action."""
        self._world, self._simulation = world, simulation
        self._load = Load(world.broker, world.options)
        self._kinds: dict[str, Callable[[Action], object]] = {
            **self._load.kinds,
            "unanswered": self._unanswered,
            "partition added": lambda action: world.broker.add_partition(self._topic(action)),
            "cut": self._cut,
            "made anew": self._make_anew,
            "expired": self._expire,
            "compacted": self._compact,
            "aborted": self._abort,
            "unknown outcome": self._unknown_outcome,
            "crash": lambda action: self._die("", action.which % 3),
            "crash while writing": lambda action: self._die("statement", action.which % 20),
            "crash at commit": self._crash_at_commit,
            "stop": lambda _: world.stop.set(),
            "pause": lambda action: world.clock.advance(action.which % 300),
            "clock jump": lambda action: world.clock.jump(action.which % 2_000_000 - 1_000_000),
            "rival": self._rival,
            "readers": self._read,
            "tombstones": self._send_tombstones,
        }
        self._is_asking = self._has_to_send = False

    def act(self, action: Action) -> None:
        """Carry out an action; a fault that lasts needs nothing more than its time."""
        if (kind := self._kinds.get(action.kind)) is not None:
            kind(action)

    def write_back(self, topic: str, messages: Sequence[tuple[int, bytes, bytes | None]]) -> None:
        """Write what the consumer itself sends to a topic."""
        for partition, key, value in messages:
            message = tombstone(topic, key)
            if value is not None:
                message = Message(message.record._replace(value=value), decode(value), None)
            self._load.write(message, partition)

    def _topic(self, action: Action) -> str:
        return _TOPICS[action.which % len(_TOPICS)]

    def _place(self, action: Action) -> TopicPartition:
        places = list(self._world.broker.places(self._topic(action)))
        return places[action.which // 8 % len(places)]

    def _unanswered(self, action: Action) -> None:
        self._world.unanswered = self._topic(action)

    def _restart(self) -> None:
        self._world.broker.restarts += 1
        self._world.fail("away", _RESTART_STEPS)

    def _cut(self, action: Action) -> None:
        """Put the broker's volume back to an older copy, and write at the offsets that are free again."""
        broker, topic = self._world.broker, self._topic(action)
        if broker.topics[topic].is_missing:
            return
        self._restart()
        for number, place in enumerate(list(broker.places(topic))):
            partition = broker.partition(place)
            fork = max(partition.begin, partition.end - (action.which >> number) % 6)
            if self._world.model.would_tell(place, fork):
                broker.cut(place, fork)
                for each in range(_REFILL if topic == VIEWS and action.which % 2 else 0):
                    self._load.write_view(action.which + number * _REFILL + each, number)

    def _make_anew(self, action: Action) -> None:
        self._restart()
        self._world.broker.make_anew(self._topic(action), self._world.step + action.lasts)

    def _expire(self, action: Action) -> None:
        place = self._place(action)
        partition = self._world.broker.partition(place)
        if not self._world.model.in_doubt(place):
            kept = partition.end - partition.begin
            self._world.broker.expire(place, partition.begin + (action.which >> 5) % (kept + 1))

    def _compact(self, action: Action) -> None:
        for place in self._world.broker.places(VIEWS):
            if not self._world.model.in_doubt(place):
                self._world.broker.compact(place, action.which % 4)

    def _abort(self, action: Action) -> None:
        place = self._place(action)
        if not self._world.model.in_doubt(place):
            self._world.broker.abort(place, action.which % 3)

    def _unknown_outcome(self, action: Action) -> None:
        self._world.next_commit = ("not made", "made")[action.which % 2]

    def _die(self, point: str, after: int, torn: float | None = None) -> None:
        self._world.deadly, self._simulation.disk.torn = (point, after), torn

    def _crash_at_commit(self, action: Action) -> None:
        """Die before a commit, behind it, or while it is written: then any part of it may have reached the disk."""
        after, torn = ((0, None), (1, None), (1, action.which % 101 / 100))[action.which % 3]
        self._die("COMMIT", after, torn)

    def _rival(self, _: Action) -> None:
        """Open the database as another process would.

        Raises:
            BrokenPromise: nothing keeps it from that.
        """
        if (store := self._simulation.disk.store) is not None:
            try:
                Store(store.paths).close()
            except DatabaseInUse:
                return
            except DatabaseUnusable as error:
                raise BrokenPromise("nothing but DuckDB kept a second owner out") from error
            raise BrokenPromise("a second owner could open the database")

    def _read(self, action: Action) -> None:
        """Ask the reading side now, in the middle of a transaction or not."""
        store = self._simulation.disk.store
        if store is not None and store.is_open and not self._is_asking:
            self._is_asking = True
            try:
                ask(store.reader(), views_of(self._world.model.outcome), action.which)
            finally:
                self._is_asking = False

    def _send_tombstones(self, _: Action) -> None:
        self._has_to_send = True

    def between_batches(self) -> None:
        """Do what another thread does while no transaction is under way."""
        sender = self._simulation.sender
        if self._has_to_send and sender is not None:
            self._has_to_send = False
            with suppress(StoreFailed):  # as its thread does: what was not removed is sent again
                sender.send()
