"""Who keeps the site's extracts, with nobody who makes them."""

import io
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, cast

import pytest

from matterlog.report.errors import ExtractFailed, ExtractGone, SiteBusy
from matterlog.report.extracts.extracts import Extract
from matterlog.report.extracts.requests import ExtractRequest
from matterlog.report.handover.register import Channel, RegisterEntry
from matterlog.report.web.extracts.extract_maker import ExtractMaker
from matterlog.report.web.extracts.kept_extracts import MAX_KEPT_BY_ONE, KeptExtracts
from matterlog.report.web.extracts.site_extract import FinishedExtract, Progress, SiteExtract
from matterlog.report.web.figures.ports import Log
from matterlog.report.web.identity.accounts import Account, Role

NOW = datetime(2026, 11, 22, tzinfo=UTC)
ANALYST = Account(
    account_id=1,
    name="a.silva",
    role=Role.ANALYST,
    password_hash=None,
    must_change_password=False,
    totp_secret=None,
    totp_last_step=0,
    provider_subject=None,
    disabled_at=None,
    password_set_at=None,
    created_at="2026-11-22",
)


class FailingMaker:
    """Fails at once."""

    def make(self, wanted: SiteExtract) -> None:
        """Fail."""
        wanted.finish(ExtractFailed("none today"))


@pytest.fixture
def extracts() -> KeptExtracts:
    """Extracts that all fail, and are kept to say so."""
    return KeptExtracts(cast("ExtractMaker", FailingMaker()), cast("Log", None), lambda: NOW)


def started(extracts: KeptExtracts) -> SiteExtract:
    """One more, which has failed."""
    kept = extracts.start(ANALYST, ExtractRequest(format="csv"), Channel.DOWNLOAD)
    kept.wait()
    return kept


def test_what_was_dropped_takes_no_place(extracts: KeptExtracts) -> None:
    """Nor is it found any more."""
    kept = [started(extracts) for _ in range(MAX_KEPT_BY_ONE)]
    with pytest.raises(SiteBusy):
        started(extracts)
    kept[0].drop()
    with pytest.raises(ExtractGone):
        extracts.of(ANALYST, kept[0].key)
    assert extracts.of(ANALYST, started(extracts).key).failure is not None


def test_a_failure_is_kept_until_the_extract_is_dropped(extracts: KeptExtracts) -> None:
    """So its page can say what became of it."""
    kept = started(extracts)
    assert extracts.of(ANALYST, kept.key) is kept
    with pytest.raises(ExtractFailed, match="none today"):
        kept.take()
    kept.drop()
    assert kept.failure is None
    assert kept.wait_for_change(0)


def test_who_takes_an_extract_gets_all_of_it_whoever_else_does(tmp_path: Path) -> None:
    """Also when it is dropped meanwhile."""
    kept = SiteExtract(ANALYST, ExtractRequest(format="csv"), Channel.DOWNLOAD, NOW)
    with (tmp_path / "extract").open("w+b", buffering=0) as file:
        file.write(b"whole")
        kept.finish(FinishedExtract(extract=cast("Extract", None), entry=cast("RegisterEntry", None), file=file))
        taken = [kept.take()[1] for _ in range(3)]
        kept.drop()
    assert [b"".join(content) for content in taken] == [b"whole"] * 3
    for content in taken:
        content.close()


def test_an_extract_without_its_file_is_never_called_finished() -> None:
    """One whose file goes is under way before: who waits for it does so without the lock."""
    kept, seen = SiteExtract(ANALYST, ExtractRequest(format="csv"), Channel.DOWNLOAD, NOW), list[bool]()

    class WatchedFile(io.BytesIO):
        def close(self) -> None:
            seen.append(kept.is_finished)
            super().close()

    made = FinishedExtract(
        extract=cast("Extract", None), entry=cast("RegisterEntry", None), file=cast("BinaryIO", WatchedFile())
    )
    kept.finish(made)
    kept.renew(made)
    assert seen[0] is False
    assert (kept.made, kept.was_renewed) == (None, True)


def test_progress_is_told_in_percent_and_begins_anew_with_a_new_try() -> None:
    """As far as lines tell."""
    progress, told = Progress(), list[int | None]()
    steps: list[Callable[[], None]] = [
        lambda: None,
        lambda: progress.expect(4),
        lambda: progress.count(b"a\nb\n"),
        lambda: progress.count(b"\n" * 9),
        lambda: progress.expect(2),
        lambda: progress.expect(0),
    ]
    for step in steps:
        step()
        told.append(progress.percent)
    assert told == [None, 0, 50, 100, 0, 100]
