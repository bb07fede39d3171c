"""Each test here runs on both stores."""

from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any, Final

import pytest

from matterlog.consumers.database.log_store import LogStore
from testbed.budget import budget
from testbed.feed import Feed
from tests.consumers.contract.stores import OpenStore, opener_of_a_file, opener_of_a_lake

# On the lake these run each time. The others take minutes there: `make faults` runs them.
LAKE_EACH_TIME: Final = {"test_abilities", "test_apply"}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test on the file store, and on the lake store where the budget allows."""
    if "new_log" not in metafunc.fixturenames:
        return
    kinds: list[Any] = ["file"]
    if metafunc.module.__name__.rpartition(".")[2] in LAKE_EACH_TIME:
        kinds.append(pytest.param("lake", marks=pytest.mark.postgresql))
    elif budget(small=False, large=True):
        kinds.append(pytest.param("lake", marks=(pytest.mark.postgresql, pytest.mark.faults)))
    metafunc.parametrize("new_log", kinds, indirect=True)


@pytest.fixture
def new_log(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], OpenStore]:
    """Makes logs, and opens them."""
    numbers = count()

    def new() -> OpenStore:
        if request.param == "lake":
            return opener_of_a_lake(request.getfixturevalue("lakes").new())
        folder = tmp_path / f"log-{next(numbers)}"
        folder.mkdir()
        return opener_of_a_file(folder)

    return new


@pytest.fixture
def open_store(new_log: Callable[[], OpenStore]) -> OpenStore:
    """Opens one log of the test's own."""
    return new_log()


@pytest.fixture
def store(open_store: OpenStore) -> Iterator[LogStore]:
    """A store on a new log."""
    with closing(open_store()) as opened:
        yield opened


@pytest.fixture
def feed(store: LogStore) -> Feed:
    """Gives events to the store."""
    return Feed(store)
