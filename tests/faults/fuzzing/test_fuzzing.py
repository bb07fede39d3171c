"""Damaged input at every door: no crash, no hang, each message a row or a dead letter, each answer below 500."""

import json
from pathlib import Path
from random import Random

import pytest

from matterlog.app.owner.question import question_of
from testbed.budget import budget
from tests.faults.fuzzing.doors import CaseFailed, Door, dice_of, knock
from tests.faults.fuzzing.every_door import DOORS, _plain
from tests.faults.fuzzing.questions import READ_ONLY

# The same cases in each run of ``make test``, and others for ``make faults``.
SEED = budget(1, 2)


@pytest.mark.faults
@pytest.mark.parametrize("name", DOORS)
def test_no_input_breaks_a_door(name: str, tmp_path: Path) -> None:
    """A failure names the command that tries its case again."""
    door = DOORS[name]
    tally = knock(door, tmp_path, SEED, range(budget(door.trials, 50 * door.trials)))
    assert tally.cases >= 0.9 * tally.trials * door.cases


def test_make_test_tries_200_000_cases() -> None:
    assert sum(door.trials * door.cases for door in DOORS.values()) > 200_000


def test_a_trial_that_raises_names_its_command(tmp_path: Path) -> None:
    """With seed and number, which give the same dice again."""

    def raises(dice: Random) -> int:
        assert dice.random() < 0.9
        return 1

    with pytest.raises(CaseFailed, match=r"python -m tests\.faults\.fuzzing x --seed 7 --first (\d+)") as caught:
        knock(Door(name="x", trials=1, opened=_plain(raises)), tmp_path, 7, range(100))
    number = int(str(caught.value).partition("--first ")[2].partition(" ")[0])
    assert dice_of(7, number).random() >= 0.9
    assert all(dice_of(7, before).random() < 0.9 for before in range(number))


def test_a_trial_that_takes_long_fails(tmp_path: Path) -> None:
    """After it was tried three times."""
    tried, seconds = [], iter(range(100))

    def slow(_dice: Random) -> int:
        tried.append(1)
        return 1

    door = Door(name="x", trials=1, opened=_plain(slow), max_seconds=0.5, clock=lambda: float(next(seconds)))
    with pytest.raises(CaseFailed, match="seconds of processor time"):
        knock(door, tmp_path, 1, range(1))
    assert len(tried) == 3


@pytest.mark.parametrize("seed", READ_ONLY, ids=lambda seed: seed["ask"])
def test_what_is_damaged_is_a_question_at_first(seed: dict[str, object]) -> None:
    """Damage to what makes no sense would only try how nonsense is refused."""
    assert question_of(json.dumps(seed).encode()).ask == seed["ask"]
