"""Each test here runs on both stores."""

from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count
from pathlib import Path

import pytest

from matterlog.consumers.database.log_store import LogStore
from testbed.feed import Feed
from tests.consumers.contract.stores import OpenStore, opener_of_a_file, opener_of_a_lake


@pytest.fixture(params=["file", pytest.param("lake", marks=pytest.mark.postgresql)])
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
