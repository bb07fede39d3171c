"""Drops the site's extracts when they expire, and has those made again that held a matter which was purged."""

from collections.abc import Callable
from datetime import datetime
from typing import Final

from matterlog.report.handover.handing_out import was_recalled
from matterlog.report.web.extracts.site_extract import SiteExtract
from matterlog.report.web.figures.ports import Log
from matterlog.schemas import MatterlogError

LOOK_FOR_PURGES_SECONDS: Final = 10.0


class ExtractSweeper:
    """The sweeper, which checks whether an extract may still be kept."""

    def __init__(self, log: Log, now: Callable[[], datetime]) -> None:
        self._log = log
        self._now = now

    def sweep(self, kept: SiteExtract) -> None:
        """Drop an extract that has expired, or the file of one that must be made again; raises as the log does."""
        if kept.is_finished and self._now() >= kept.expires_at:
            kept.drop()
            return
        made = kept.made
        if made is None:
            return
        with self._log.reader() as connection:
            is_stale = was_recalled(connection, made.entry)
        if is_stale:
            kept.renew(made)

    def must_be_made_again(self, kept: SiteExtract) -> bool:
        """Sweep again and again until the extract has no file any more; return whether it must be made again."""
        while not kept.wait_for_change(LOOK_FOR_PURGES_SECONDS):
            try:
                self.sweep(kept)
            except MatterlogError:  # the log is unavailable; a download meanwhile fails with that error
                continue
        return kept.begin_again()
