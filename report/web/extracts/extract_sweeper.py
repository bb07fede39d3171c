"""The sweeper of the site's extracts: it drops those that have expired or may hold a purged matter."""

from collections.abc import Callable
from datetime import datetime
from typing import Final

from matterlog.report.errors import ExtractGone
from matterlog.report.handover.handing_out import purged_since
from matterlog.report.web.extracts.site_extract import SiteExtract
from matterlog.report.web.figures.ports import Log
from matterlog.schemas import MatterlogError

LOOK_FOR_PURGES_SECONDS: Final = 10.0
_STALE: Final = "Matters that this extract may hold were deleted since it was made, so it was dropped. Make it again."


class ExtractSweeper:
    """The sweeper, which checks whether an extract may still be kept."""

    def __init__(self, log: Log, now: Callable[[], datetime]) -> None:
        self._log = log
        self._now = now

    def sweep(self, kept: SiteExtract) -> None:
        """Drop an extract that may no longer be kept; raises what reading the log raises."""
        if kept.is_finished and self._now() >= kept.expires_at:
            kept.drop()
            return
        made = kept.made
        if made is None:
            return
        with self._log.reader() as connection:
            purged = purged_since(connection, made.entry)
        if purged:
            kept.drop(ExtractGone(_STALE))

    def stay_with(self, kept: SiteExtract) -> None:
        """Sweep an extract at intervals until it is dropped."""
        while not kept.wait_for_drop(LOOK_FOR_PURGES_SECONDS):
            try:
                self.sweep(kept)
            except MatterlogError:  # the log is unavailable; a download meanwhile fails with that error
                continue
