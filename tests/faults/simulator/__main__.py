"""``make simulate SEEDS=N``: plays the simulations of many seeds; tells of those that fail, and shrinks the first."""

import argparse
import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor
from typing import Final

from tests.faults.simulator.runs import Run, play, report
from tests.faults.simulator.schedule import Options

_TELL_EVERY: Final = 100


def main() -> int:
    """Play them; 1 if any fails."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.simulator", description=__doc__)
    parser.add_argument("--seeds", type=int, default=2_000, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--keep", default="", help="the numbers of the actions that are played, as a report names them")
    parser.add_argument("--jobs", type=int, default=1, help="how many processes")
    parser.add_argument("--traces", action="store_true", help="print the hash of each trace")
    parser.add_argument("--stop", action="store_true", help="stop at the first that fails, and do not shrink it")
    given = parser.parse_args()
    played = [Options.of(seed) for seed in range(given.first, given.first + given.seeds)]
    if given.keep:
        played = [each.only(map(int, given.keep.split(","))) for each in played]
    failed: list[Run] = []
    with ProcessPoolExecutor(given.jobs, mp_context=multiprocessing.get_context("spawn")) as processes:
        for number, run in enumerate(processes.map(play, played) if given.jobs > 1 else map(play, played), 1):
            if number % _TELL_EVERY == 0:
                print(f"{number} of {len(played)} played", flush=True)
            if given.traces:
                print(run.options.seed, run.trace, flush=True)
            if run.failure is not None:
                print(f"seed {run.options.seed} FAILED: {run.failure}", flush=True)
                failed.append(run)
                if given.stop:
                    return 1
    if failed:
        print(report(failed[0]))
    print(f"{len(played) - len(failed)} simulations kept every promise, {len(failed)} did not")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
