"""``make mutants``: every planted fault must be noticed. ``python -m tests.mutants NAME ...`` plants some of them.

What was killed is remembered in ``.mutants/`` until the project or the mutant changes: a run that was stopped goes on.
"""

import argparse
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from tests.mutants.mutants import ROOT, Mutant, MutantFailed, kill, read_mutants, state_of_project

DONE: Final = ROOT / ".mutants"


def main() -> int:
    """Plant them and tell which live; 1 if any does."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("names", nargs="*", help="mutants to plant; all without any")
    parser.add_argument("--jobs", type=int, default=2, help="how many at once")
    given = parser.parse_args()
    mutants = [each for each in read_mutants() if not given.names or each.name in given.names]
    unknown = set(given.names) - {each.name for each in mutants}
    if unknown:
        parser.error(f"there is no mutant {', '.join(sorted(unknown))}")
    state = state_of_project()
    DONE.mkdir(exist_ok=True)
    with ThreadPoolExecutor(given.jobs) as jobs:
        failures = [failure for failure in jobs.map(lambda each: _outcome(each, state), mutants) if failure]
    print(f"{len(mutants) - len(failures)} mutants killed, {len(failures)} not")
    return 1 if failures else 0


def _outcome(mutant: Mutant, state: str) -> str | None:
    """Kill a mutant unless that was done; return why that failed."""
    done = DONE / mutant.key(state)
    if done.exists():
        return None
    with tempfile.TemporaryDirectory(prefix="matterlog-mutant-") as folder:
        try:
            kill(mutant, Path(folder) / "project")
        except MutantFailed as failure:
            print(f"FAILED {failure}", flush=True)
            return str(failure)
    done.touch()
    print(f"killed {mutant.name}", flush=True)
    return None


sys.exit(main())
