"""Everything outside of the consumer: its clock, what is wrong with Kafka and the disk, and when the process dies.

Each call of the consumer to the outside is a *point*. The schedule's actions happen there, and the process may die
before and after it.
"""

import hashlib
from collections.abc import Callable
from datetime import datetime, timedelta
from threading import Event
from typing import Any, Final

from tests.faults.simulator.broker import Broker
from tests.faults.simulator.model import Model
from tests.faults.simulator.schedule import Action, Options, stream

_BEGINS: Final = datetime(2026, 3, 1, 12)  # noqa: DTZ001 - as the store keeps instants
_STEP_SECONDS: Final = 0.001
# A simulation that needs more steps than this does not end.
MAX_STEPS: Final = 20_000


class Crash(BaseException):
    """The process is dead. No code of the product catches this."""


class NeverEnds(Exception):
    """The consumer does not catch up, though nothing is wrong any more."""


class Clock:
    """The clock of the machine, and the seconds that never go back."""

    def __init__(self) -> None:
        """Begin."""
        self._seconds = 1_000.0
        self._offset = timedelta()

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        return self._seconds

    def now(self) -> datetime:
        """Return the time of the machine, which somebody may set."""
        return _BEGINS + timedelta(seconds=self._seconds) + self._offset

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._seconds += seconds

    def jump(self, seconds: float) -> None:
        """Set the machine's clock."""
        self._offset += timedelta(seconds=seconds)


class World:
    """The outside of one simulation.

    Args:
        options: what it depends on.
    """

    def __init__(self, options: Options) -> None:
        """Begin with nothing written, and nothing wrong."""
        self.options = options
        self.clock = Clock()
        self.broker = Broker(options.partitions, tells_epochs=options.epochs)
        self.model = Model(self.broker)
        self.dice = stream(options.seed, "order")
        self.step = 0
        self.stop = Stop(self)
        self.is_dead = self.is_healed = False
        # The topic of which Kafka does not answer where its partitions end, while that lasts.
        self.unanswered = ""
        # When the process dies: at the point named so, after so many of them.
        self.deadly: tuple[str, int] | None = None
        # How the next commit ends: "not made" or "made", and an error follows either way. None: as it should.
        self.next_commit: str | None = None
        # Carries out an action that is due.
        self.act: Callable[[Action], None] = lambda _: None
        # Called while no transaction is under way: what other threads and people do.
        self.between_batches: Callable[[], None] = lambda: None
        # Called when the process dies: the disk keeps what is on it.
        self.on_crash: Callable[[], None] = lambda: None
        self._actions = options.actions()[::-1]
        self._wrong: dict[str, int] = {}
        self._trace = hashlib.sha256()
        self.story: list[str] = []

    def point(self, name: str, *facts: Any) -> None:
        """Note a call to the outside; what is due happens.

        Raises:
            Crash: the process dies here.
            NeverEnds: there were too many.
        """
        if self.is_dead:
            raise Crash
        self.step += 1
        if self.step > MAX_STEPS:
            raise NeverEnds(f"the consumer has not caught up after {MAX_STEPS} steps")
        self.clock.advance(_STEP_SECONDS)
        self.tell(name, *facts)
        while self._actions and self._actions[-1].at <= self.step and not self.is_healed:
            action = self._actions.pop()
            self.tell("ACTION", *action)
            self.fail(action.kind, action.lasts)
            self.act(action)
        self.broker.come_back(self.step)
        if self._dies_at(name):
            self.die()

    def _dies_at(self, name: str) -> bool:
        if self.deadly is None or not name.startswith(self.deadly[0]):
            return False
        self.deadly = (self.deadly[0], self.deadly[1] - 1)
        return self.deadly[1] < 0

    def die(self) -> None:
        """Kill the process.

        Raises:
            Crash: always.
        """
        self.tell("CRASH")
        self.deadly, self.is_dead = None, True
        self.on_crash()
        raise Crash

    def tell(self, *facts: Any) -> None:
        """Add to the trace."""
        line = f"{self.step} {' '.join(map(str, facts))}"
        self._trace.update(f"{line}\n".encode())
        self.story.append(line)

    def fail(self, kind: str, lasts: int) -> None:
        """Begin a fault, or let it last longer."""
        self._wrong[kind] = max(self._wrong.get(kind, 0), self.step + lasts)

    def is_wrong(self, kind: str) -> bool:
        """Say whether a fault lasts."""
        return not self.is_healed and self._wrong.get(kind, 0) > self.step

    def heal(self) -> None:
        """End every fault; nothing happens any more."""
        self.tell("HEALED")
        self.is_healed, self.deadly, self.next_commit = True, None, None
        self.broker.come_back()

    @property
    def trace_hash(self) -> str:
        """A hash of all that happened."""
        return self._trace.hexdigest()[:16]


class Stop(Event):
    """The signal to stop. To wait for it takes no time but the simulated one."""

    def __init__(self, world: World) -> None:
        """Begin unset."""
        super().__init__()
        self._world = world

    def wait(self, timeout: float | None = None) -> bool:
        """Let the time pass."""
        self._world.point("wait", timeout)
        self._world.clock.advance(timeout or 0.0)
        return self.is_set()
