"""A door: a place where bytes of others come in. Knocking tries it with as many damaged inputs as wanted.

1. A *case* is one damaged input: a message, a file, a request. A *trial* is one or more cases that are tried at once,
   such as a batch of messages.
2. The seed and the number of a trial give its dice, whatever was tried before. So one trial can be tried again alone.
3. A trial fails if it raises: the door lets out an error that is not its own, or what it answers is wrong.
4. A trial fails if it takes long. The clock is the thread's processor time (for a server: the process's), since on a
   shared machine a wall clock measures the neighbours. Processor time too can be lost to them, in caches and in a
   virtual machine that is paused. So a slow trial is tried twice more, and its fastest time counts.
"""

import mmap
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

# Tries one trial, and returns the number of its cases.
Try = Callable[[Random], int]
# No input may keep a thread longer than this. The slowest that are known take a tenth of it.
MAX_SECONDS: Final = 0.1
_TRIES_OF_A_SLOW_TRIAL: Final = 3
# Far more than a run has trials: trials of one seed are not those of the next.
_TRIALS_A_SEED: Final = 10**12


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """A door.

    Args:
        name: its name on the command line.
        trials: how many of ``make test``.
        cases: how many a trial has.
        opened: opens it in a folder of its own; gives what tries one trial.
        max_seconds: the longest that a trial may take.
        clock: the processor's clock that is read.
    """

    name: str
    trials: int
    opened: Callable[[Path], AbstractContextManager[Try]]
    cases: int = 1
    max_seconds: float = MAX_SECONDS
    clock: Callable[[], float] = time.thread_time


@dataclass(slots=True)
class Tally:
    """What was tried at a door: trials, cases, processor seconds, the slowest trial."""

    trials: int = 0
    cases: int = 0
    seconds: float = 0.0
    slowest: float = 0.0

    def __str__(self) -> str:
        per_case = self.seconds / max(1, self.cases) * 1e6
        return (
            f"{self.cases:>10,} cases in {self.trials:>9,} trials, {self.seconds:7.1f} CPU-seconds, "
            f"{per_case:7.0f} us a case, slowest trial {self.slowest * 1000:5.1f} ms"
        )


class CaseFailed(AssertionError):
    """A trial failed. The text has the command that tries it again; the cause is what happened."""

    def __init__(self, door: Door, seed: int, number: int, why: str) -> None:
        again = f"python -m tests.faults.fuzzing {door.name} --seed {seed} --first {number} --trials 1"
        super().__init__(f"{why}\nTo try it again: {again}")


def dice_of(seed: int, number: int) -> Random:
    """Return the dice of a trial."""
    return Random(seed * _TRIALS_A_SEED + number)  # noqa: S311 - repeatable, not secret


def knock(door: Door, folder: Path, seed: int, trials: range, until: float = float("inf")) -> Tally:
    """Try these trials at a door, or as many as fit before an instant of the monotonic clock.

    Raises:
        CaseFailed: one of them failed.
    """
    tally = Tally()
    with door.opened(folder) as try_once, _noted(folder) as note:
        for number in trials:
            note(number)
            seconds = _tried(door, try_once, seed, number, tally)
            tally.trials += 1
            tally.seconds += seconds
            tally.slowest = max(tally.slowest, seconds)
            if time.monotonic() > until:
                break
    return tally


def _tried(door: Door, try_once: Try, seed: int, number: int, tally: Tally) -> float:
    """Try a trial, and return the seconds that it took at its fastest."""
    fastest = float("inf")
    for _ in range(_TRIES_OF_A_SLOW_TRIAL):
        dice = dice_of(seed, number)
        began = door.clock()
        try:
            cases = try_once(dice)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            raise CaseFailed(door, seed, number, f"{type(error).__name__}: {str(error)[:500]}") from error
        fastest = min(fastest, door.clock() - began)
        if fastest <= door.max_seconds:
            tally.cases += cases
            return fastest
    raise CaseFailed(door, seed, number, f"{fastest:.3f} seconds of processor time, the limit is {door.max_seconds}")


NOTE: Final = "trial"


@contextmanager
def _noted(folder: Path) -> Iterator[Callable[[int], None]]:
    """Give what notes a trial's number in a file, where it stays if the process dies in the trial."""
    path = folder / NOTE
    path.write_bytes(bytes(8))
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 8) as note:
        yield lambda number: note.__setitem__(slice(0, 8), number.to_bytes(8))
