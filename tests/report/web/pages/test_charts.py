"""The pictures of the pages as charts, in a real Chromium under the site's policy of content."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from matterlog.report.web.identity.accounts import Role
from matterlog.schemas import UserType
from testbed.events import NOON, a_view
from tests.report.web.pages.test_accessibility import violations
from tests.report.web.sites import RunningSite, running_site
from tests.report.web.visits import signed_in

PATHS: Final = ("/", "/reports/users", "/reports/matters", "/reports/clients")
HOSTILE: Final = "<img src=x onerror=alert(1)>', datum['visits']]) </script><script>alert(2)</script>"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[RunningSite]:
    """A site on the day after three views of a member's, and one of a guest's with hostile names."""
    views = [a_view(matter_viewed_at=NOON + timedelta(hours=each)) for each in range(3)]
    guest = a_view(
        user_id="u-2",
        user_name=HOSTILE,
        user_type=UserType.GUEST,
        user_email="x@client.example",
        user_company_name=HOSTILE,
        user_company_id="c-1",
        matter_id="m-2",
        matter_name=HOSTILE,
    )
    with running_site(tmp_path, *views, guest) as running:
        running.clock.now = datetime(2026, 3, 2, tzinfo=UTC)
        yield running


def chart_of(page: Page) -> Any:
    """The page's chart, once it is drawn."""
    chart = page.locator(".chart svg")
    expect(chart).to_be_visible(timeout=20_000)
    return chart


def point_at(page: Page, title: str, text: str) -> None:
    """Move the mouse to the middle of the mark whose tip has this line."""
    chart_of(page).scroll_into_view_if_needed()
    x, y = page.evaluate(
        """([title, text]) => {
            const mark = [...document.querySelectorAll(".pointed")].find(each => each.__data__.tooltip[title] === text);
            const { x, y, width, height } = mark.getBoundingClientRect();
            return [x + width / 2, y + height / 2];
        }""",
        [title, text],
    )
    page.mouse.move(x, y)


@pytest.mark.parametrize("path", PATHS)
def test_a_picture_becomes_a_chart_in_light_and_dark(chromium: Browser, site: RunningSite, path: str) -> None:
    """Without a word of the browser's about its policy; it changes with the reader's colours, and axe finds nothing."""
    with signed_in(chromium, site, Role.ANALYST, color_scheme="light") as visit:
        page = visit.open(path)
        light = chart_of(page).inner_html()
        expect(page.locator("picture")).to_have_count(0)
        assert violations(page) == []
        page.emulate_media(color_scheme="dark")
        expect(page.locator(".chart [fill='#56B4E9'], .chart [stroke='#56B4E9']").first).to_be_attached()
        assert chart_of(page).inner_html() != light
        assert violations(page) == []
        assert visit.complaints == []


@pytest.mark.parametrize("path", PATHS)
def test_names_are_text_in_a_chart(chromium: Browser, site: RunningSite, path: str) -> None:
    """Whatever they look like: in its labels and in its tips."""
    with signed_in(chromium, site, Role.ANALYST) as visit:
        page = visit.open(path)
        chart = chart_of(page)
        for mark in range(min(40, chart.locator("path.pointed").count())):
            chart.locator("path.pointed").nth(mark).hover(force=True)
        expect(page.locator(".picture img, .tip *:not(div, dt, dd), .picture script:not([src])")).to_have_count(0)
        assert visit.complaints == []


def figures(page: Page) -> list[str]:
    """The lines of the tip."""
    expect(page.locator(".tip")).to_be_visible()
    return page.locator(".tip div").all_inner_texts()


@pytest.mark.parametrize(
    ("path", "title", "name"),
    [("/", "Day", "Sun 1 Mar 2026"), ("/reports/users", "ID", "u-2"), ("/reports/clients", "ID", "c-1")],
)
def test_a_mark_says_its_line_of_the_table(
    chromium: Browser, site: RunningSite, path: str, title: str, name: str
) -> None:
    """Figure by figure; a name as it is."""
    with signed_in(chromium, site, Role.ANALYST) as visit:
        page = visit.open(path)
        point_at(page, title, name)
        said = [line.split("\n")[-1] for line in figures(page)]
        page.get_by_text("The same figures as tables").click()
        cells = (
            page.locator("details tr").filter(has=page.get_by_role("cell", name=name, exact=True)).get_by_role("cell")
        )
        assert said == [cell for cell in cells.all_inner_texts() if cell]


def test_an_hour_of_the_week_says_its_figure_where_its_number_stands(chromium: Browser, site: RunningSite) -> None:
    """The same as in the table."""
    with signed_in(chromium, site, Role.ANALYST) as visit:
        page = visit.open("/")
        point_at(page, "From", "Sunday 12:00")
        assert figures(page) == ["From\nSunday 12:00", "Visits\n2"]
        page.get_by_text("The same figures as tables").click()
        expect(page.get_by_role("row", name="12:00").get_by_role("cell").last).to_have_text("2")


def test_a_day_of_a_matter_says_its_figures(chromium: Browser, site: RunningSite) -> None:
    """Members and guests in one tip."""
    with signed_in(chromium, site, Role.ANALYST) as visit:
        page = visit.open("/reports/matters")
        point_at(page, "Guests", "1")
        assert figures(page) == [f"Matter\n{HOSTILE}", "Day\nSun 1 Mar 2026", "Members\n0", "Guests\n1"]


def test_the_arrow_keys_lead_from_mark_to_mark(chromium: Browser, site: RunningSite) -> None:
    """The chart is one stop of the Tab key, and what has the focus says its figures."""
    with signed_in(chromium, site, Role.ANALYST) as visit:
        page = visit.open("/")
        chart_of(page).locator(".pointed[tabindex]").focus()
        expect(page.locator(":focus")).to_have_attribute("aria-label", re.compile("^Day: Sun 1 Feb 2026, Members: 0"))
        page.keyboard.press("ArrowRight")
        expect(page.locator(":focus")).to_have_attribute("aria-label", re.compile("^Day: Mon 2 Feb 2026"))
        page.keyboard.press("ArrowDown")
        expect(page.locator(":focus")).to_have_attribute("aria-label", re.compile("^From: Monday"))
        assert figures(page)[1] == "Visits\n0"
        expect(chart_of(page).locator(".pointed[tabindex]")).to_have_count(1)
        page.keyboard.press("Escape")
        expect(page.locator(".tip")).to_be_hidden()


def of_whom(marks: Locator) -> set[str]:
    """Whose visits are drawn."""
    return set(marks.evaluate_all("marks => marks.map(mark => mark.__data__.datum.who)"))


@pytest.mark.parametrize("path", ["/", "/reports/matters"])
def test_a_legend_singles_out_members_or_guests(chromium: Browser, site: RunningSite, path: str) -> None:
    """While it is pointed at, and by Enter from the keyboard until it is pressed again."""
    with signed_in(chromium, site, Role.ANALYST) as visit:
        page = visit.open(path)
        members, guests = (chart_of(page).get_by_role("button", name=who).first for who in ("Members", "Guests"))
        aside = page.locator(".chart .aside")
        members.hover()
        assert of_whom(aside) == {"Guests"}
        page.mouse.move(0, 0)
        expect(aside).to_have_count(0)
        guests.focus()
        page.keyboard.press("Enter")
        expect(guests).to_have_attribute("aria-pressed", "true")
        assert of_whom(aside) == {"Members"}
        assert violations(page) == []
        page.keyboard.press("Enter")
        expect(aside).to_have_count(0)


def test_a_long_course_is_zoomed(chromium: Browser, site: RunningSite) -> None:
    """Of two matters, by buttons; the arrow keys stay among the days that are seen."""
    with signed_in(chromium, site, Role.ANALYST) as visit:
        page = visit.open("/reports/matters?last=90d&by=day")
        chart = chart_of(page)
        expect(chart.locator(".pointed")).to_have_count(2 * 90)
        width = chart.locator(".pointed").first.evaluate("mark => mark.getBoundingClientRect().width")
        page.get_by_role("button", name="Zoom in").click()
        expect(chart.locator(".pointed")).to_have_count(2 * 45)
        wider = chart.locator(".pointed").first.evaluate("mark => mark.getBoundingClientRect().width")
        assert 1.9 < wider / width < 2.2
        page.get_by_role("button", name="Later").click()
        expect(page.get_by_role("button", name="Later")).to_have_attribute("aria-disabled", "true")
        point_at(page, "Guests", "1")
        assert figures(page)[1] == "Day\nSun 1 Mar 2026"
        assert violations(page) == []
        page.get_by_role("button", name="Zoom out").click()
        expect(chart.locator(".pointed")).to_have_count(2 * 90)
        assert visit.complaints == []


def test_the_days_stand_below_the_course(chromium: Browser, site: RunningSite) -> None:
    """As in the picture: dates are what the interpreter of expressions reads otherwise."""
    with signed_in(chromium, site, Role.ANALYST) as visit:
        expect(chart_of(visit.open("/")).get_by_text("1 Feb", exact=True)).to_be_visible()


def test_without_script_the_picture_stays(chromium: Browser, site: RunningSite) -> None:
    with signed_in(chromium, site, Role.ANALYST, java_script_enabled=False) as visit:
        expect(visit.open("/").locator("img")).to_be_visible()


def test_where_the_description_does_not_come_the_picture_stays(chromium: Browser, site: RunningSite) -> None:
    with signed_in(chromium, site, Role.ANALYST) as visit:
        visit.page.route("**/picture.json*", lambda route: route.abort())
        with visit.page.expect_console_message(lambda line: "The picture stays as it is" in line.text):
            page = visit.open("/reports/users")
        expect(page.locator("img")).to_be_visible()
