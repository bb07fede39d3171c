"""Knock at one door: ``python -m tests.faults.fuzzing DOOR --seed 1 --trials 100000``; ``--first`` begins later.

It prints what was tried, or the trial that failed. If the process dies, the file that it named first has the trial's
number, in 8 bytes.
"""

import argparse
import faulthandler
import logging
import shutil
import sys
import tempfile
import time
import traceback
from pathlib import Path

from tests.faults.fuzzing.doors import NOTE, CaseFailed, knock
from tests.faults.fuzzing.every_door import DOORS


def main() -> int:
    """Knock, and tell; 1 if a trial failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.fuzzing", description=__doc__)
    parser.add_argument("door", choices=DOORS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--trials", type=int)
    parser.add_argument("--minutes", type=float, default=float("inf"), help="stop after so long")
    given = parser.parse_args()
    door = DOORS[given.door]
    logging.disable(logging.WARNING)
    faulthandler.enable()
    trials = range(given.first, given.first + (given.trials or door.trials))
    folder = Path(tempfile.mkdtemp(prefix="matterlog-fuzzing-"))
    sys.stdout.write(f"{door.name}: the number of the present trial is in {folder / NOTE}\n")
    try:
        tally = knock(door, folder, given.seed, trials, time.monotonic() + given.minutes * 60)
    except CaseFailed:
        traceback.print_exc()
        return 1
    shutil.rmtree(folder)
    sys.stdout.write(f"{door.name:>12} {tally}\n")
    return 0


sys.exit(main())
