"""From a table to a matter, to its people, to their client and to the Activity report, in a real browser."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, Page, expect

from matterlog.report.web.identity.accounts import Role
from matterlog.schemas import UserType
from testbed.events import a_deletion, a_view
from tests.report.logs import apply
from tests.report.web.pages.test_accessibility import PHONE, sideways, violations
from tests.report.web.pages.test_details import NOW, SCRIPT
from tests.report.web.sites import RunningSite, running_site
from tests.report.web.visits import signed_in

LONG: Final = "Unbreakable" * 80
CHINESE: Final = "合併與收購 海港"
ARABIC: Final = "\u202eصفقة الميناء"
NAMES: Final = {"m-1": SCRIPT, "m-2": LONG, "m-3": CHINESE, "m-4": ARABIC, "m-5": ""}


def guest(days: float, matter: str, **more: Any) -> Any:
    """A view by a guest of the client, so many days ago."""
    fields = {"user_id": "u-1", "user_name": f"Zoë {SCRIPT}", "user_email": "zoe@client.example"}
    when = {"matter_viewed_at": NOW - timedelta(days=days), "matter_id": matter, "matter_name": NAMES[matter]}
    return a_view(**{"user_type": UserType.GUEST} | fields | when | more)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[RunningSite]:
    """A site over views of five matters with hostile names, by one guest and one member."""
    views = [guest(day + number / 24, matter) for number, matter in enumerate(NAMES) for day in (1, 2, 40)]
    member = {"user_id": "u-2", "user_name": LONG, "user_type": UserType.MEMBER, "user_email": "b@firm.example"}
    views += [guest(3, "m-1", **member), guest(41, "m-3", **member), guest(42, "m-3", **member)]
    with running_site(tmp_path, *views) as running:
        running.clock.now = NOW
        yield running


def views_of(page: Page) -> str:
    """The number of views that a page says."""
    return page.locator("dt:text-is('Views') + dd").inner_text()


def test_a_name_leads_on_from_table_to_matter_to_user_to_client_and_to_the_views(
    chromium: Browser, site: RunningSite
) -> None:
    """The Activity report has as many rows as each page says; hostile names are text, and nothing complains."""
    with signed_in(chromium, site, Role.ANALYST) as visit:
        page = visit.open("/reports/matters?last=90d")
        page.get_by_role("link", name=SCRIPT, exact=True).click()
        expect(page.get_by_role("heading", level=1)).to_have_text(SCRIPT)
        assert views_of(page) == "4"
        page.get_by_role("link", name="Zoë").click()
        expect(page.get_by_role("heading", level=1)).to_have_text(f"Zoë {SCRIPT}")
        assert views_of(page) == "15"
        page.get_by_role("link", name="Client analysis").click()
        page.get_by_role("link", name="client.example").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("client.example")
        views = views_of(page)
        assert views == "10"  # of the last 30 days
        page.locator("dt:text-is('Views') + dd a").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Activity report")
        expect(page.locator(".counted strong")).to_have_text(views)
        assert visit.complaints == []


def test_one_click_downloads_a_matters_views(chromium: Browser, site: RunningSite, tmp_path: Path) -> None:
    """As many rows as the page says, with the period that was chosen on it."""
    with signed_in(chromium, site, Role.ANALYST, accept_downloads=True) as visit:
        page = visit.open("/reports/matters/details?matter=m-1")
        page.get_by_label("Dates").select_option("All time")
        page.get_by_role("button", name="Show").click()
        expect(page.locator("dt:text-is('Views') + dd")).to_have_text("4")
        with page.expect_download() as download:
            page.get_by_role("button", name="Download the Activity report").click()
        download.value.save_as(tmp_path / "views.csv")
    assert (tmp_path / "views.csv").read_bytes().count(b"\r\n") == 1 + 4


def test_the_picture_becomes_a_chart(chromium: Browser, site: RunningSite) -> None:
    """Of the page's own views."""
    with signed_in(chromium, site, Role.ANALYST) as visit:
        page = visit.open("/reports/users/details?user=u-1")
        chart = page.get_by_role("group", name="10 visits, all by guests")
        expect(chart).to_be_visible(timeout=30_000)
        assert visit.complaints == []


def test_no_page_violates_a_rule(chromium: Browser, site: RunningSite) -> None:
    """Nor has to be moved sideways, whatever the names; nor does the receipt of a deleted matter.

    On a phone, light and dark: what holds at 320 pixels holds on any phone.
    """

    def light_and_dark(page: Page) -> list[str]:
        found = violations(page)
        page.emulate_media(color_scheme="dark", reduced_motion="reduce")
        found += violations(page)
        page.emulate_media(color_scheme="light", reduced_motion="reduce")
        return found

    places = [f"matters/details?matter={matter}" for matter in NAMES]
    places += ["users/details?user=u-2", "users/details?user=u-1", "clients/details?domain=client.example"]
    found = []
    with signed_in(chromium, site, **PHONE) as visit:
        for place in places:
            page = visit.open(f"/reports/{place}")
            found += [f"{place} is too wide"] if sideways(page) else []
            if place in {places[2], *places[-2:]}:  # axe takes a while for a chart
                found += light_and_dark(page)
        apply(site.store, a_deletion(matter_id="m-1", deleted_at=NOW))
        page = visit.open("/reports/matters/details?matter=m-1")
        expect(page.get_by_role("heading", level=1)).to_have_text("Deleted matter")
        found += light_and_dark(page) + (["the receipt is too wide"] if sideways(page) else []) + visit.complaints
    assert not found, "\n".join(found)


def test_an_unknown_id_is_told_in_the_browser(chromium: Browser, site: RunningSite) -> None:
    """Inside the frame, with a way back."""
    with signed_in(chromium, site, Role.ANALYST) as visit:
        page = visit.open("/reports/users/details?user=nobody")
        expect(page.locator("main")).to_contain_text("The log holds no user with this ID.")
        expect(page.get_by_role("navigation", name="Pages").last).to_be_visible()
