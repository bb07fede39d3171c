"""The one rule, over thousands of histories: order, repetition and the cutting of batches make no difference."""

import itertools
import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from matterlog.consumers.database.log_store import LogStore
from matterlog.consumers.reading.records import Record
from testbed.budget import budget
from testbed.feed import apply_records, decode
from tests.consumers.contract.stores import OpenStore
from tests.consumers.histories import PARTITIONS_A_HISTORY, History, Outcome, expected, outcome_of, tables

HISTORIES_AT_ONCE: Final = 500
HISTORIES: Final = budget(HISTORIES_AT_ONCE, 40_000)
SEEDS: Final = range(1_000, 1_000 + HISTORIES // HISTORIES_AT_ONCE)
REOPENED: Final = 0.15
LETTERS: Final = 2
NOTHING: Final = Outcome(frozenset(), frozenset(), frozenset())


def read_into(store: LogStore, batches: Iterable[Sequence[Record]], dice: random.Random) -> None:
    """Apply the batches; now and then the store is opened anew between two of them."""
    for batch in batches:
        applied = apply_records(store, *batch)
        kinds = (applied.views, applied.duplicates, applied.refused, applied.deletions, applied.tombstones)
        assert applied.records == sum(kinds) + applied.dead_letters
        if dice.random() < REOPENED:
            store.reopen()


def outcomes(store: LogStore) -> dict[int, Outcome]:
    """What the tables hold of each history, by its number."""
    found: dict[int, list[list[Any]]] = defaultdict(lambda: [[], [], []])
    for part, rows in enumerate(tables(store)):
        for row in rows:
            partition = row[1] if part == LETTERS else row[-2]
            found[partition // PARTITIONS_A_HISTORY][part].append(row)
    return {number: outcome_of(*parts) for number, parts in found.items()}


def ends(histories: Sequence[History]) -> dict[tuple[str, int], int]:
    """The ends of the histories' partitions."""
    partitions = itertools.chain.from_iterable(history.partitions.items() for history in histories)
    return {partition: messages[-1].record.offset + 1 for partition, messages in partitions}


def at_once(histories: Sequence[History], dice: random.Random) -> Iterator[list[Record]]:
    """Yield readings of many histories as one: the n-th batch is the n-th batch of each."""
    for slices in itertools.zip_longest(*(history.reading(dice) for history in histories), fillvalue=[]):
        yield list(itertools.chain.from_iterable(slices))


@pytest.mark.faults
@pytest.mark.parametrize("seed", SEEDS)
def test_every_reading_of_a_history_gives_what_the_rule_says(seed: int, new_log: Callable[[], OpenStore]) -> None:
    """Hundreds of histories a database: they share batches and transactions, and each is compared by itself.

    Trying all dead letters again changes nothing: what could be settled was settled when it was time.
    """
    dice = random.Random(seed)  # noqa: S311 - repeatable, not secret
    histories = [History(number, dice) for number in range(HISTORIES_AT_ONCE)]
    for _ in range(budget(1, 2)):
        with closing(new_log()()) as store:
            read_into(store, at_once(histories, dice), dice)
            found = outcomes(store)
            store.retry(None, decode)
            assert outcomes(store) == found
            assert {partition: stands.next_offset for partition, stands in store.positions().items()} == ends(histories)
            for history in histories:
                assert found.get(history.number, NOTHING) == expected(history.messages())


@pytest.mark.faults
@settings(max_examples=budget(5, 400), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.randoms(use_true_random=False))
def test_two_readings_of_a_history_give_the_same(new_log: Callable[[], OpenStore], dice: random.Random) -> None:
    """One history, batches of its own: where it fails, a short history that fails is shown."""
    history = History(0, dice)
    found = []
    for _ in range(2):
        with closing(new_log()()) as store:
            read_into(store, history.reading(dice), dice)
            found.append(outcomes(store).get(0, NOTHING))
    first, second = found
    assert first == second == expected(history.messages())


def test_the_histories_hold_everything_that_can_happen() -> None:
    """A generator that never makes a late view or a settled conflict would prove nothing."""
    found = [expected(History(number, random.Random(number)).messages()) for number in range(500)]  # noqa: S311
    kinds = {letter[-1] for outcome in found for letter in outcome.letters}
    assert kinds >= {"conflict", "wrong-key", "wrong-event", "truncated", "unknown-schema"}
    assert sum(bool(outcome.deleted and outcome.views) for outcome in found) > 100
