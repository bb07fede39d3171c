"""A site of each test's own, and one real browser for all."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import patch

import pytest
from argon2 import PasswordHasher
from playwright.sync_api import Browser, Error

from matterlog.report.web.identity import passwords
from matterlog.report.web.reports import handing_over
from testbed.command import PATIENCE_SECONDS
from tests.report.web.sites import RunningSite, running_site
from tests.report.web.visits import chromium_here, started_chromium


@pytest.fixture(scope="module", autouse=True)
def _cheap_hashes() -> Iterator[None]:
    """Argon2id with less memory and fewer passes: hundreds of sign-ins need not each cost what an attacker's must."""
    with patch.object(passwords, "_HASHER", PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1)):
        yield


@pytest.fixture(autouse=True)
def _patient_downloads(monkeypatch: pytest.MonkeyPatch) -> None:
    """A loaded machine takes its time: what is no large extract comes with the answer there too."""
    monkeypatch.setattr(handing_over, "ANSWERED_AT_ONCE_SECONDS", PATIENCE_SECONDS)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[RunningSite]:
    """A site over an empty log."""
    with running_site(tmp_path) as running:
        yield running


@pytest.fixture(scope="module")
def shared_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSite]:
    """A site over an empty log, for those tests of a file that change nothing there."""
    with running_site(tmp_path_factory.mktemp("site")) as running:
        yield running


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """A headless Chromium of this machine's."""
    if (program := chromium_here()) is None:
        pytest.skip("no Chromium: `apt-get install chromium`")
    with ExitStack() as until_the_end:
        try:
            browser = until_the_end.enter_context(started_chromium(program))
        except Error as error:
            pytest.skip(f"Chromium does not start: {error.message.splitlines()[0]}")
        yield browser
