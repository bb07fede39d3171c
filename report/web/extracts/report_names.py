"""The names of downloaded reports: of the file, and in the audit log."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from matterlog.report.engagement.analyses import ANALYSES, Analysis, report_title
from matterlog.report.extracts.formats import FORMATS
from matterlog.report.web.identity.audit_log import Act, Download

_ACTIVITY: Final = "ACTIVITY"


def file_name(analysis: Analysis | None, format_: str, asked_at: datetime) -> str:
    """Return the name of a download's file. No part of it is user input."""
    title = report_title(analysis).lower().replace(" ", "-")
    return f"{title}-{asked_at:%Y%m%dT%H%M%SZ}.{FORMATS[format_].ending}"


@dataclass(frozen=True, slots=True)
class Abandoned(Download):
    """An extract that was stopped because its client was gone, such as REPORTS_ACTIVITY_ABANDONED_CSV."""

    @property
    def value(self) -> str:
        """The action's name."""
        return f"REPORTS_{self.report}_ABANDONED_{self.format.upper()}"


def act_of_abandoning(analysis: Analysis | None, format_: str) -> Abandoned:
    """Return the audit log's name for an extract whose client was gone."""
    return Abandoned(_ACTIVITY if analysis is None else report_title(analysis).upper().replace(" ", "_"), format_)


def act_of_download(analysis: Analysis | None, format_: str) -> Act | Download:
    """Return the audit log's name for a download. All reports that only the API has share one."""
    if analysis is None:
        return Download(_ACTIVITY, format_)
    if ANALYSES[analysis].page is None:
        return Act.REPORTS_ENGAGEMENT_DOWNLOADED
    return Download(report_title(analysis).upper().replace(" ", "_"), format_)
