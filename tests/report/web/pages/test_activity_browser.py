"""The analyst's path in a real browser: from the sign-in to a file that holds what was emitted."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from matterlog.report.web.identity.accounts import Role
from testbed.events import NOON, a_view
from tests.report.web.sites import RunningSite, running_site
from tests.report.web.visits import Visit, signed_in

SCRIPT = "<img src=x onerror=alert(1)>\r\nX-Evil: 1"
VIEWS = (a_view(matter_id="m-1"), a_view(matter_id="m-2", user_name=SCRIPT, matter_name='Project "Heron"\r\n, =1+1'))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[RunningSite]:
    """A site over two views, one with hostile names."""
    with running_site(tmp_path, *VIEWS) as running:
        yield running


def taken(visit: Visit, how: str = "click") -> tuple[str, str]:
    """Download; the file's name and its text."""
    with visit.page.expect_download() as download:
        button = visit.page.get_by_role("button", name="Download", exact=True)
        button.click() if how == "click" else button.press("Enter")
    return download.value.suggested_filename, Path(download.value.path()).read_bytes().decode()


def test_an_analyst_downloads_what_was_emitted(chromium: Browser, site: RunningSite) -> None:
    """Reports, Activity report, the last option; names are data in page, file and headers."""
    with signed_in(chromium, site, Role.ANALYST) as visit:
        reports = visit.page.get_by_role("navigation").get_by_role("link")
        links = [link.inner_text() for link in reports.all() if link.is_visible()]
        assert links[-2:] == ["Activity report", "My account"]
        reports.filter(has_text="Activity report").last.click()
        visit.page.get_by_label("All time").check()
        expect(visit.page.locator("#seen strong")).to_have_text("2")
        expect(visit.page.get_by_role("cell", name="onerror")).to_be_visible()
        name, text = taken(visit)
        rows = list(csv.DictReader(io.StringIO(text, newline="")))
        assert name.endswith(".csv")
        assert [(row["matter_ID"], row["user_name"], row["matter_name"]) for row in rows] == [
            (view.matter_id, view.user_name, view.matter_name) for view in VIEWS
        ]
        assert {row["matter_viewed_at"] for row in rows} == {f"{NOON:%Y-%m-%dT%H:%M:%S.%fZ}"}
        assert visit.complaints == []


def test_the_count_follows_each_change(chromium: Browser, site: RunningSite) -> None:
    """And a day that is typed chooses the selected dates."""
    with signed_in(chromium, site, Role.ANALYST) as visit:
        page = visit.open("/reports/activity?last=all")
        page.get_by_text("Only some matters or people").click()
        page.get_by_label("Matter IDs").fill("m-2")
        expect(page.locator("#seen strong")).to_have_text("1")
        page.get_by_label("First day").fill("2026-03-02")
        expect(page.get_by_label("Selected dates")).to_be_checked()
        expect(page.locator("#seen strong")).to_have_text("0")
        page.get_by_label("Last day, included").fill("2026-03-01")
        expect(page.get_by_role("alert")).to_contain_text("The last day is before the first day")


def test_the_path_works_without_script_and_without_a_mouse(chromium: Browser, site: RunningSite) -> None:
    """The button "Show" counts; Enter downloads."""
    with signed_in(chromium, site, Role.ANALYST, java_script_enabled=False) as visit:
        page = visit.open("/reports/activity")
        page.get_by_label("All time").press("ArrowRight")
        page.get_by_role("button", name="Show").press("Enter")
        assert visit.path == "/reports/activity?last=30d"
        page.get_by_label("Last 30 days").press("ArrowLeft")
        page.get_by_role("button", name="Show").press("Enter")
        expect(page.locator("#seen strong")).to_have_text("2")
        assert visit.path == "/reports/activity"
        page.get_by_label("JSON", exact=False).first.press("Space")
        name, text = taken(visit, "Enter")
        assert name.endswith(".json")
        assert text.count("matter_ID") == 2
