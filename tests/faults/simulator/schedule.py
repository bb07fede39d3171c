"""What happens in one simulation, written down before it begins: so it can be printed, played again, and shrunk.

A *step* is one call of the consumer to the world outside of it: a question to Kafka, a statement of the database, a
pause. An *action* is due at a step: a message is written, a fault begins and lasts for some steps, the process dies.
Three streams of random numbers, apart from each other, choose the actions: one for the load, one for the faults, one
for the life of the process. So another load meets the same faults.
"""

import random
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Final, NamedTuple

# How often each kind comes among the actions of its stream.
LOAD: Final = {
    "view": 50,
    "deletion": 8,
    "duplicate": 9,
    "conflict": 4,
    "moved": 4,
    "replay": 3,
    "burst": 2,
    "broken": 4,
    "wrong key": 3,
    "wrong event": 2,
    "no value": 3,
    "junk": 1,
}
FAULTS: Final = {
    # Kafka, for as long as the action lasts.
    "away": 6,
    "unanswered": 4,
    "slow": 5,
    "failing reads": 4,
    # Kafka, at once.
    "partition added": 4,
    "cut": 12,
    "made anew": 4,
    "expired": 4,
    "compacted": 5,
    "aborted": 6,
    # The disk, for as long as the action lasts.
    "full": 4,
    "failing statement": 4,
    "slow disk": 2,
    # The disk, at the next commit.
    "unknown outcome": 8,
}
LIFE: Final = {
    "crash": 4,
    "crash while writing": 7,
    "crash at commit": 6,
    "stop": 3,
    "pause": 2,
    "clock jump": 3,
    "rival": 3,
    "readers": 5,
    "tombstones": 5,
}
_LONGEST: Final = 80


class Action(NamedTuple):
    """What begins at a step, for how many steps it lasts, and a number by which it chooses among what it could do."""

    at: int
    kind: str
    lasts: int
    which: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Everything that a simulation depends on; the same options give the same trace.

    Args:
        seed: of the three streams.
        steps: how long the safety phase is.
        loads, faults, lives: how many actions each stream has.
        matters, users: how many there are.
        partitions: how many each topic has at first.
        batch_records: the maximum number of records in a batch.
        ahead: how many batches may be fetched ahead.
        portion: the most messages that the client hands out at once.
        hesitates: how often the client has nothing for now, though there is something.
        idle: how many times longer than asked for the client waits where there is nothing.
        epochs: whether the broker tells leader epochs.
        keep: the numbers of the actions that are played. None: all.
    """

    seed: int
    steps: int
    loads: int
    faults: int
    lives: int
    matters: int
    users: int
    partitions: int
    batch_records: int
    ahead: int
    portion: int
    hesitates: float
    idle: int
    epochs: bool
    keep: tuple[int, ...] | None = None

    @classmethod
    def of(cls, seed: int) -> "Options":
        """Choose the options of a seed."""
        dice = stream(seed, "options")
        return cls(
            seed=seed,
            steps=dice.choice((100, 150, 250)),
            loads=dice.randint(8, 40),
            faults=dice.choice((0, 2, 4, 8)),
            lives=dice.choice((1, 2, 3, 6)),
            matters=dice.randint(2, 6),
            users=dice.randint(1, 4),
            partitions=dice.randint(1, 3),
            batch_records=dice.choice((4, 12, 100)),
            ahead=dice.choice((1, 1, 2)),
            portion=dice.choice((4, 30)),
            hesitates=dice.choice((0.0, 0.1, 0.3)),
            idle=dice.choice((1, 20, 60)),
            epochs=dice.random() < 0.4,
        )

    def only(self, keep: Iterable[int]) -> "Options":
        """Return the same simulation with some of its actions only."""
        return replace(self, keep=tuple(sorted(keep)))

    def actions(self) -> list[Action]:
        """Return what happens, in the order in which it does."""
        found: list[Action] = []
        for name, kinds, number in (
            ("load", LOAD, self.loads),
            ("faults", FAULTS, self.faults),
            ("life", LIFE, self.lives),
        ):
            # Most of what is written is there soon: a consumer has nothing to do before.
            latest = self.steps // 2 if name == "load" else self.steps
            dice = stream(self.seed, name)
            for _ in range(number):
                (kind,) = dice.choices(list(kinds), list(kinds.values()))
                found.append(Action(dice.randrange(latest), kind, dice.randint(1, _LONGEST), dice.getrandbits(24)))
        found.sort()
        return [action for number, action in enumerate(found) if self.keep is None or number in self.keep]

    def __str__(self) -> str:
        actions = self.actions()
        numbers = range(len(actions)) if self.keep is None else self.keep
        written = (
            f"\n  {number:3}: at {at}, {kind} (lasts {lasts}, {which})"
            for number, (at, kind, lasts, which) in zip(numbers, actions, strict=True)
        )
        return ", ".join(f"{name}={value!r}" for name, value in asdict(self).items()) + "".join(written)


def stream(seed: int, name: str) -> random.Random:
    """Return a stream of random numbers that no other one depends on."""
    return random.Random(f"{name} of {seed}")  # noqa: S311 - repeatable, not secret
