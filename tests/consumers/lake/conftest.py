"""A lake of the test's own, and what befalls its sessions in PostgreSQL."""

from collections.abc import Iterator

import pytest

from matterlog.consumers.lake.lake_store import LakeStore
from matterlog.schemas.storage.lake import Lake
from testbed.feed import Feed
from tests.consumers.contract.stores import Lakes


@pytest.fixture
def lake(lakes: Lakes) -> Lake:
    """An empty lake, in whose files bytes can be looked for."""
    return lakes.new(encrypted=False)


@pytest.fixture
def store(lake: Lake) -> Iterator[LakeStore]:
    """A store on it."""
    with LakeStore(lake) as opened:
        yield opened


@pytest.fixture
def feed(store: LakeStore) -> Feed:
    """Gives events to the store."""
    return Feed(store)
