"""The site's extracts that are being made or kept for download, each with its own thread.

Too many are refused. What is kept is dropped when it expires, and made again when a matter that it held was purged.
"""

import threading
from collections.abc import Callable
from datetime import datetime
from typing import Final

from matterlog.report.engagement.engagement_files import EngagementFileRequest
from matterlog.report.errors import ExtractGone, SiteBusy
from matterlog.report.extracts.requests import ExtractRequest
from matterlog.report.handover.register import Channel
from matterlog.report.log.giving_way import give_way
from matterlog.report.web.extracts.extract_maker import ExtractMaker
from matterlog.report.web.extracts.extract_sweeper import ExtractSweeper
from matterlog.report.web.extracts.site_extract import SiteExtract
from matterlog.report.web.identity.accounts import Account

MAX_KEPT: Final = 64
MAX_KEPT_BY_ONE: Final = 24


class KeptExtracts:
    """The extracts of all accounts."""

    def __init__(self, maker: ExtractMaker, sweeper: ExtractSweeper, now: Callable[[], datetime]) -> None:
        self._maker = maker
        self._sweeper = sweeper
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
        self._sweeper.sweep(kept)
        if kept.is_dropped:
            raise ExtractGone
        return kept

    def _live(self, wanted: SiteExtract) -> None:
        give_way()
        self._maker.make(wanted)
        while self._sweeper.must_be_made_again(wanted):
            self._maker.make(wanted)
