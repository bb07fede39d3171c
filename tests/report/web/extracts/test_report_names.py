"""What a download is called in the audit log; names that stand in records stay for good."""

from typing import Final

import pytest

from matterlog.report.engagement.analyses import ANALYSES, report_title
from matterlog.report.extracts.formats import FORMATS
from matterlog.report.web.extracts.report_names import act_of_download

ACTS: Final = {
    (None, "csv"): "REPORTS_ACTIVITY_DOWNLOADED_CSV",
    (None, "json"): "REPORTS_ACTIVITY_DOWNLOADED_JSON",
    (None, "ndjson"): "REPORTS_ACTIVITY_DOWNLOADED_NDJSON",
    (None, "parquet"): "REPORTS_ACTIVITY_DOWNLOADED_PARQUET",
    (None, "xlsx"): "REPORTS_ACTIVITY_DOWNLOADED_XLSX",
    ("users", "csv"): "REPORTS_USER_ENGAGEMENT_DOWNLOADED_CSV",
    ("users", "json"): "REPORTS_USER_ENGAGEMENT_DOWNLOADED_JSON",
    ("users", "ndjson"): "REPORTS_USER_ENGAGEMENT_DOWNLOADED_NDJSON",
    ("users", "parquet"): "REPORTS_USER_ENGAGEMENT_DOWNLOADED_PARQUET",
    ("users", "xlsx"): "REPORTS_USER_ENGAGEMENT_DOWNLOADED_XLSX",
    ("matters", "csv"): "REPORTS_MATTER_ENGAGEMENT_DOWNLOADED_CSV",
    ("matters", "json"): "REPORTS_MATTER_ENGAGEMENT_DOWNLOADED_JSON",
    ("matters", "ndjson"): "REPORTS_MATTER_ENGAGEMENT_DOWNLOADED_NDJSON",
    ("matters", "parquet"): "REPORTS_MATTER_ENGAGEMENT_DOWNLOADED_PARQUET",
    ("matters", "xlsx"): "REPORTS_MATTER_ENGAGEMENT_DOWNLOADED_XLSX",
    ("clients", "csv"): "REPORTS_CLIENT_ANALYSIS_DOWNLOADED_CSV",
    ("clients", "json"): "REPORTS_CLIENT_ANALYSIS_DOWNLOADED_JSON",
    ("clients", "ndjson"): "REPORTS_CLIENT_ANALYSIS_DOWNLOADED_NDJSON",
    ("clients", "parquet"): "REPORTS_CLIENT_ANALYSIS_DOWNLOADED_PARQUET",
    ("clients", "xlsx"): "REPORTS_CLIENT_ANALYSIS_DOWNLOADED_XLSX",
}


@pytest.mark.parametrize(("report", "format_"), ACTS)
def test_the_names_of_acts_are_those_that_records_hold(report: str | None, format_: str) -> None:
    assert act_of_download(report, format_).value == ACTS[report, format_]


@pytest.mark.parametrize("report", ["activity", "weekday-hours", "matter-activity"])
def test_what_the_api_alone_gives_is_one_act_in_every_format(report: str) -> None:
    names = {act_of_download(report, format_).value for format_ in FORMATS}
    assert names == {"REPORTS_ENGAGEMENT_DOWNLOADED"}


def test_every_report_has_a_title_of_its_own() -> None:
    """Two of one title would be one name in the audit log."""
    titles = [report_title(report) for report in (None, *ANALYSES)]
    assert len(set(titles)) == len(titles)
