"""Runs of simulations: one, many, and the shortest one that still fails."""

import shutil
import tempfile
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final, NamedTuple

from matterlog.consumers.database.store import Store
from testbed.feed import files_in
from tests.faults.simulator.schedule import Options
from tests.faults.simulator.simulation import Simulation

# A folder in memory, where there is one: what a simulated crash leaves is copied, and no power is lost.
_MEMORY: Final = Path("/dev/shm")
_MOST_TRIES: Final = 60


class Run(NamedTuple):
    """How a simulation went: the hash of its trace, its story, and why it failed (None: it did not)."""

    options: Options
    trace: str
    story: Sequence[str]
    failure: str | None


def play(options: Options) -> Run:
    """Play one simulation; whatever the consumer raises that nobody expects is a failure too."""
    with tempfile.TemporaryDirectory(
        prefix="matterlog-simulation-", dir=_MEMORY if _MEMORY.is_dir() else None
    ) as folder:
        template = _template(Path(folder))
        simulation = Simulation(options, Path(folder), template)
        failure = None
        try:
            simulation.run()
        except Exception as error:  # noqa: BLE001 - a simulation finds what nobody thought of
            failure = f"{type(error).__name__}: {error}"
        return Run(options, simulation.world.trace_hash, simulation.world.story, failure)


_made: list[bytes] = []


def _template(folder: Path) -> Path:
    """Return a new database; making one costs more than copying it."""
    template = folder / "template.duckdb"
    if not _made:
        making = folder / "making"
        making.mkdir()
        with closing(Store(files_in(making))):
            pass
        _made.append(files_in(making).database.read_bytes())
        shutil.rmtree(making)
    template.write_bytes(_made[0])
    return template


def shrunk(options: Options, fails: Callable[[Options], bool]) -> Options:
    """Return the same options with as few actions as still fail.

    Pieces of the schedule are left out, first large ones, as long as what is left fails. The other actions stay as they
    are, since none depends on another one.
    """
    kept = list(range(len(options.actions()))) if options.keep is None else list(options.keep)
    tries, size = 0, max(1, len(kept) // 2)
    while tries < _MOST_TRIES:
        begin, before = 0, len(kept)
        while begin < len(kept) and tries < _MOST_TRIES:
            fewer = kept[:begin] + kept[begin + size :]
            tries += 1
            if fails(options.only(fewer)):
                kept = fewer
            else:
                begin += size
        if size == 1 and len(kept) == before:
            break
        size = max(1, size // 2)
    return options.only(kept)


def command_of(options: Options) -> str:
    """Return the command that plays a simulation again."""
    keep = "" if options.keep is None else f" KEEP={','.join(map(str, options.keep))}"
    return f"make simulate FIRST={options.seed} SEEDS=1{keep}"


def report(run: Run) -> str:
    """Return what somebody needs to know of a simulation that failed, after it was shrunk."""
    kind = str(run.failure).partition(":")[0]
    short = play(shrunk(run.options, lambda fewer: str(play(fewer).failure).partition(":")[0] == kind))
    story = "\n  ".join(line for line in short.story if "statement" not in line)
    return (
        f"seed {run.options.seed} failed, trace {run.trace}: {run.failure}\n{run.options}\n\n"
        f"shrunk to {len(short.options.actions())} actions, trace {short.trace}: {short.failure}\n{short.options}\n\n"
        f"what happened then:\n  {story}\n\nagain: {command_of(run.options)}\nshrunk: {command_of(short.options)}"
    )
