"""The engagement pages and the overview: a picture that is drawn, its finding as text, and the table."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from matterlog.report.web.identity.accounts import Role
from matterlog.schemas import UserType
from testbed.events import NOON, a_view
from tests.report.web.sites import RunningSite, running_site
from tests.report.web.visits import signed_in

SCRIPT = "<script>alert(1)</script>"
SUBJECTS = ("users", "matters", "clients")
# Fails for a picture that cannot be drawn.
DRAWN = "async () => { const picture = document.images[0]; await picture.decode(); return picture.currentSrc; }"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[RunningSite]:
    """A site on the day after two views, one of them a guest's with hostile names."""
    guest = a_view(
        user_id="u-2",
        user_name=SCRIPT,
        user_type=UserType.GUEST,
        user_email="x@client.example",
        matter_id="m-2",
        matter_name=SCRIPT,
    )
    with running_site(tmp_path, a_view(matter_viewed_at=NOON), guest) as running:
        running.clock.now = datetime(2026, 3, 2, tzinfo=UTC)
        yield running


@pytest.mark.parametrize("path", ["/", *(f"/reports/{subject}" for subject in SUBJECTS)])
def test_a_page_shows_its_picture_in_light_and_dark(chromium: Browser, site: RunningSite, path: str) -> None:
    """Under the site's policy of content; what the picture says is text as well; hostile names are text."""
    with signed_in(chromium, site, Role.ANALYST, color_scheme="dark") as visit:
        # As before the chart is there, or where it cannot be had.
        visit.page.route("**/charts.js*", lambda route: route.fulfill(content_type="text/javascript", body=""))
        assert visit.open(path).evaluate(DRAWN).endswith("&look=dark")
        visit.page.emulate_media(color_scheme="light")
        page = visit.open(path)
        assert "look" not in page.evaluate(DRAWN)
        assert page.locator("img").get_attribute("alt")
        page.get_by_text("The same figures as tables").click()
        expect(page.get_by_role("table").first).to_be_visible()
        assert visit.complaints == []


@pytest.mark.parametrize(
    ("subject", "cells"),
    [
        ("users", ["Zoë O’Hara", "&lt;script&gt;", "x@client.example", "new"]),  # noqa: RUF001 - a name
        ("matters", ["&lt;script&gt;", "2026-03-01"]),
        ("clients", ["client.example", "domain", "100%"]),
    ],
)
def test_the_table_has_the_figures_of_the_analysis(site: RunningSite, subject: str, cells: list[str]) -> None:
    """Names escaped."""
    page = site.signed_in().get(f"/reports/{subject}").text
    assert [cell for cell in cells if cell not in page] == []
    assert SCRIPT not in page


def test_a_period_without_a_view_says_so(site: RunningSite) -> None:
    """And still has a picture."""
    site.clock.now = datetime(2026, 6, 1, tzinfo=UTC)
    client = site.signed_in()
    assert "No visits in this period" in client.get("/reports/users").text
    assert client.get("/reports/users/picture.svg").text.startswith("<svg")


@pytest.mark.parametrize("path", ["/reports/passwords/picture.svg", "/reports/..%2f/picture.svg"])
def test_there_are_pictures_of_what_is_offered_alone(site: RunningSite, path: str) -> None:
    """Nothing else is drawn or read."""
    assert site.signed_in().get(path).status_code in {404, 422}


def test_the_reports_stand_in_the_sidebar_with_the_activity_report_last(site: RunningSite) -> None:
    """As users are told to find it."""
    page = site.signed_in().get("/").text
    places = [page.index(f'href="/reports/{each}"') for each in (*SUBJECTS, "activity")]
    assert places == sorted(places)
