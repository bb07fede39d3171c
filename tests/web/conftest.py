"""A site of each test's own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.web.sites import RunningSite, running_site


@pytest.fixture
def site(tmp_path: Path) -> Iterator[RunningSite]:
    """A site over an empty log."""
    with running_site(tmp_path) as running:
        yield running
