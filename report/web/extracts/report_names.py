"""What each report is called: on a page, in a file's name, and in the audit log."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from matterlog.report.engagement.engagement_columns import Analysis
from matterlog.report.extracts.formats import FORMATS
from matterlog.report.web.identity.audit_log import Act, Download


@dataclass(frozen=True, slots=True)
class Report:
    """A report's title, and its name in the acts of downloading it.

    ``in_acts`` is None for the reports that the API alone gives: their downloads are one act, whatever the format.
    """

    title: str
    in_acts: str | None


REPORTS: Final[Mapping[Analysis | None, Report]] = {
    None: Report("Activity report", "ACTIVITY"),
    Analysis.USERS: Report("User engagement", "USER_ENGAGEMENT"),
    Analysis.MATTERS: Report("Matter engagement", "MATTER_ENGAGEMENT"),
    Analysis.CLIENTS: Report("Client analysis", "CLIENT_ANALYSIS"),
    Analysis.ACTIVITY: Report("Activity over time", None),
    Analysis.WEEKDAY_HOURS: Report("Hours of the week", None),
    Analysis.MATTER_ACTIVITY: Report("Matters over time", None),
}


def file_name(analysis: Analysis | None, format_: str, asked_at: datetime) -> str:
    """Return what a browser calls a file; nothing in it was chosen by anybody."""
    title = REPORTS[analysis].title.lower().replace(" ", "-")
    return f"{title}-{asked_at:%Y%m%dT%H%M%SZ}.{FORMATS[format_].ending}"


def act_of_download(analysis: Analysis | None, format_: str) -> Act | Download:
    """Return the act of taking a report in a format."""
    report = REPORTS[analysis].in_acts
    return Act.REPORTS_ENGAGEMENT_DOWNLOADED if report is None else Download(report, format_)
