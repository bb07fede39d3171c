"""The site's extracts that are being made or kept for download, each with its own thread.

Too many are refused. What is kept is dropped when it expires, and made again when a matter that it held was purged.
"""

import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Final

from matterlog.report.engagement.engagement_files import EngagementFileRequest
from matterlog.report.errors import ExtractGone, SiteBusy
from matterlog.report.extracts.requests import ExtractRequest
from matterlog.report.handover.handing_out import was_recalled
from matterlog.report.handover.register import Channel
from matterlog.report.log.giving_way import give_way
from matterlog.report.web.extracts.extract_maker import ExtractMaker
from matterlog.report.web.extracts.site_extract import SiteExtract
from matterlog.report.web.figures.ports import Log
from matterlog.report.web.identity.accounts import Account
from matterlog.schemas import MatterlogError

MAX_KEPT: Final = 64
MAX_KEPT_BY_ONE: Final = 24
LOOK_FOR_PURGES_SECONDS: Final = 10.0


class KeptExtracts:
    """The extracts of all accounts."""

    def __init__(self, maker: ExtractMaker, log: Log, now: Callable[[], datetime]) -> None:
        self._maker = maker
        self._log = log
        self._now = now
        self._lock = threading.Lock()
        self._kept: dict[str, SiteExtract] = {}

    def start(self, account: Account, request: ExtractRequest | EngagementFileRequest, how: Channel) -> SiteExtract:
        """Start an extract.

        Raises:
            SiteBusy: too many are being made or kept.
        """
        wanted = SiteExtract(account, request, how, self._now())
        with self._lock:
            self._kept = {key: each for key, each in self._kept.items() if not each.is_dropped}
            own = [each for each in self._kept.values() if each.account.account_id == account.account_id]
            if len(own) >= MAX_KEPT_BY_ONE or len(self._kept) >= MAX_KEPT:
                raise SiteBusy("Too many extracts are being made or kept. Download or wait for one of them first.")
            self._kept[wanted.key] = wanted
        threading.Thread(target=self._live, args=(wanted,), name="matterlog-site-extract", daemon=True).start()
        return wanted

    def of(self, account: Account, key: str) -> SiteExtract:
        """Return one of an account's own extracts.

        Raises:
            ExtractGone: it does not exist, has expired, or was dropped.
        """
        with self._lock:
            kept = self._kept.get(key)
        if kept is None or kept.account.account_id != account.account_id:
            raise ExtractGone
        self._sweep(kept)
        if kept.is_dropped:
            raise ExtractGone
        return kept

    def _live(self, wanted: SiteExtract) -> None:
        give_way()
        self._maker.make(wanted)
        while self._must_be_made_again(wanted):
            self._maker.make(wanted)

    def _sweep(self, kept: SiteExtract) -> None:
        """Drop an extract that has expired, or the file of one that must be made again; raises as the log does."""
        if kept.is_finished and self._now() >= kept.expires_at:
            kept.drop()
        elif (made := kept.made) is not None:
            with self._log.reader() as connection:
                is_stale = was_recalled(connection, made.entry)
            if is_stale:
                kept.renew(made)

    def _must_be_made_again(self, kept: SiteExtract) -> bool:
        """Sweep again and again until the extract has no file any more; return whether it must be made again."""
        while not kept.wait_for_change(LOOK_FOR_PURGES_SECONDS):
            with suppress(MatterlogError):  # the log is unavailable; a download meanwhile fails with that error
                self._sweep(kept)
        return kept.begin_again()
