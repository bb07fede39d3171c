"""The consumer keeps its promises in simulated worlds, and planted bugs are found; ``simulation.py`` has the rules.

A seed stands for all that happens. ``make simulate SEEDS=2000`` plays more of them, and says of one that fails how to
play it again.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from testbed.budget import budget
from tests.faults.simulator.runs import play, report, shrunk
from tests.faults.simulator.schedule import FAULTS, LIFE, LOAD, Options
from tests.mutants.mutants import ROOT, copy_project, read_mutants

SEEDS_A_TEST: Final = 10
SEEDS: Final = range(0, budget(20, 20_000), SEEDS_A_TEST)
# A safeguard that is taken out -> a seed that finds it, and the number of seeds from 0 on within which one does.
PLANTED: Final = {
    "positions_moved_before_their_rows": (0, 5),
    "late_views_of_the_same_batch_let_in": (6, 20),
    "deletion_forgotten_with_its_batch": (0, 5),
    "batch_is_retried_blindly": (1, 5),
    "cut_topic_is_read_on": (10, 20),
    "lock_of_the_database_is_lost": (10, 30),
}
DOCUMENT: Final = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")


def simulate(*options: str, tree: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run simulations in a process of their own."""
    return subprocess.run(
        [sys.executable, "-m", "tests.faults.simulator", *options],
        cwd=tree,
        env=os.environ | {"PYTHONPATH": str(tree / "src")} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.faults
@pytest.mark.parametrize("first", SEEDS)
def test_the_consumer_keeps_its_promises(first: int) -> None:
    for seed in range(first, first + SEEDS_A_TEST):
        run = play(Options.of(seed))
        assert run.failure is None, report(run)


@pytest.mark.faults
def test_a_seed_is_the_same_simulation_in_any_process() -> None:
    """Under another order of sets and dictionaries too."""
    here = [f"{seed} {play(Options.of(seed)).trace}" for seed in range(3)]
    there = simulate("--seeds", "3", "--traces", PYTHONHASHSEED="7").stdout.splitlines()
    assert there[:3] == here


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project, to plant bugs in."""
    tree = tmp_path_factory.mktemp("planted") / "project"
    copy_project(tree)
    return tree


@pytest.mark.faults
@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_bug_is_found(name: str, project: Path) -> None:
    """With the seed that docs/faults.md names; with a large budget within the number of seeds that stands there."""
    (mutant,) = [each for each in read_mutants() if each.name == name]
    seed, within = PLANTED[name]
    first, seeds = (seed, 1) if budget(1, 2) == 1 else (0, within)
    mutant.plant(project)
    try:
        found = simulate("--first", str(first), "--seeds", str(seeds), "--stop", tree=project)
    finally:
        mutant.take_out(project)
    assert found.returncode == 1, found.stdout + found.stderr
    assert "FAILED" in found.stdout


def test_the_document_names_what_finds_each_planted_bug() -> None:
    for name, (seed, within) in PLANTED.items():
        assert f"| {within} | `make simulate FIRST={seed} SEEDS=1` | `{name}` |" in DOCUMENT
    assert f"`make test` plays {len(SEEDS) * SEEDS_A_TEST} seeds" in DOCUMENT or budget(1, 2) == 2


def test_what_fails_is_shrunk_to_the_actions_that_it_needs() -> None:
    """Here it fails where two certain actions meet."""
    needed = {3, 11}
    short = shrunk(Options.of(1), lambda options: needed <= set(options.keep or ()))
    assert short.keep == (3, 11)
    assert [each for number, each in enumerate(Options.of(1).actions()) if number in needed] == short.actions()


def test_a_simulation_that_fails_says_how_to_play_it_again() -> None:
    run = play(Options.of(4).only((0, 1)))._replace(failure="BrokenPromise: for this test")
    told = report(run)
    assert "seed=4" in told
    assert "make simulate FIRST=4 SEEDS=1 KEEP=0,1" in told


def test_load_faults_and_life_have_streams_of_their_own() -> None:
    """More load leaves each fault where it was."""
    options = Options.of(4)
    more = Options(**{name: getattr(options, name) for name in options.__slots__} | {"loads": options.loads + 20})
    assert {*options.actions()} < {*more.actions()}


def test_everything_happens_that_can() -> None:
    """A kind of action that never comes would prove nothing."""
    happened = {action.kind for seed in range(50) for action in Options.of(seed).actions()}
    assert happened == {*LOAD, *FAULTS, *LIFE}
