"""What is chosen on an engagement page: by address, checked field by field, with and without script."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, expect

from matterlog.report.web.identity.accounts import Role
from matterlog.schemas import MatterType, UserType
from testbed.events import a_view
from tests.report.web.sites import RunningSite, running_site
from tests.report.web.visits import signed_in

NOW = datetime(2026, 3, 31, 12, tzinfo=UTC)
PAGES = ("users", "matters", "clients")


def seen(user: str, days_ago: float, **more: object) -> object:
    """A view by somebody so many days before the last of March."""
    return a_view(user_id=user, user_name=user, matter_viewed_at=NOW - timedelta(days=days_ago), **more)


@contextmanager
def running(folder: Path) -> Iterator[RunningSite]:
    """A site on the last of March: views of this week, of the last days' ends, of guests, of a demo."""
    events = [seen("ann", 1), seen("ann", 1 - 30 / 86400), seen("bob", 60), seen("cy", 100), seen("cy", 99)]
    events += [seen("gus", 2, user_type=UserType.GUEST, matter_id="m-2", user_email="gus@client.example")]
    events += [seen("dee", 3, matter_id="m-3", matter_type=MatterType.DEMO)]
    with running_site(folder, *events) as site:  # type: ignore[arg-type]
        site.clock.now = NOW
        yield site


@pytest.fixture
def site(tmp_path: Path) -> Iterator[RunningSite]:
    """One of a test's own."""
    with running(tmp_path) as site:
        yield site


@pytest.fixture(scope="module")
def shared_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSite]:
    """One for the tests that only look."""
    with running(tmp_path_factory.mktemp("site")) as site:
        yield site


def names_and_visits(answer: httpx.Response) -> dict[str, str]:
    """The first column of a page's table, and the first figure of each row."""
    assert answer.status_code == 200, answer.text
    rows = re.findall(r'<tr><th scope="row">.*?<bdi>(.*?)</bdi>(.*?)</tr>', answer.text)
    return {name: re.findall(r'class="figure">(?:<a [^>]*>)?<bdi>(.*?)</bdi>', rest)[0] for name, rest in rows}


@pytest.mark.parametrize(
    ("query", "visits"),
    [
        ("", {"ann": "1", "gus": "1", "bob": "0", "cy": "0"}),
        ("last=90d", {"ann": "1", "gus": "1", "bob": "1", "cy": "0"}),
        ("last=all", {"ann": "1", "gus": "1", "bob": "1", "cy": "2"}),
        ("last=&to=2026-01-30", {"bob": "1", "cy": "2"}),
        ("last=&from=2026-03-29&to=2026-03-29", {"gus": "1", "bob": "0", "cy": "0"}),
        ("raw_views=true", {"ann": "2", "gus": "1", "bob": "0", "cy": "0"}),
        ("user_type=Guest", {"gus": "1"}),
        ("user_type=Member&matter_type=all", {"ann": "1", "dee": "1", "bob": "0", "cy": "0"}),
        ("matter_type=demo", {"dee": "1"}),
    ],
)
def test_the_choices_in_the_address_say_what_is_counted(
    shared_site: RunningSite, query: str, visits: dict[str, str]
) -> None:
    """Whole days, the last one included."""
    assert names_and_visits(shared_site.known().get(f"/reports/users?{query}")) == visits


def test_days_are_those_of_the_time_zone(shared_site: RunningSite) -> None:
    """The view at noon in UTC is one of the next day in Kiribati."""
    query = "last=&from=2026-03-31&timezone=Pacific%2FKiritimati"
    assert names_and_visits(shared_site.known().get(f"/reports/users?{query}"))["ann"] == "1"


@pytest.mark.parametrize("by", ["day", "week", "month"])
def test_matters_are_drawn_by_the_step_that_was_chosen(shared_site: RunningSite, by: str) -> None:
    """Over time."""
    client = shared_site.known()
    picture = client.get(f"/reports/matters/picture.svg?by={by}")
    assert f"{by.capitalize()}, UTC" in picture.text
    assert f'value="{by}" selected' in client.get(f"/reports/matters?by={by}").text


@pytest.mark.parametrize(
    ("query", "field", "text"),
    [
        ("last=fortnight", "last", "Choose again"),
        ("user_type=Robot", "user_type", "Choose again"),
        ("matter_type=<script>", "matter_type", "Choose again"),
        ("raw_views=", "raw_views", "Choose again"),
        ("by=hour", "by", "Choose again"),
        ("timezone=Europe%2FNowhere", "timezone", "is not a time zone"),
        ("timezone=" + "x" * 500, "timezone", "is not a time zone"),
        ("last=", "from", "Choose a first day, a last day, or both."),
        ("last=&from=31/03/2026", "from", "day is not a date"),
        ("last=&to=2026-02-30", "to", "day is not a date"),
        ("last=&from=2026-03-02&to=2026-03-01", "to", "before the first day"),
        ("last=&from=2026-04-01", "from", "has not begun yet"),
        ("last=&from=2011-12-30&to=2011-12-30&timezone=Pacific%2FApia", "from", "do not exist"),
        ("last=&from=1970-01-01&by=day", "by", "do not fit in a picture"),
    ],
)
def test_what_makes_no_sense_is_told_at_its_field(shared_site: RunningSite, query: str, field: str, text: str) -> None:
    """With an answer that is no success, and no word of what was typed as a script."""
    answer = shared_site.known().get(f"/reports/matters?{query}")
    assert answer.status_code == 422
    (said,) = re.findall(
        rf'aria-describedby="{field}-problem".*?id="{field}-problem">(.*?)</p>', answer.text, re.DOTALL
    )
    assert text in unescape(said)
    assert answer.text.count('class="complaint"') == 1
    assert "<script>" not in answer.text


def test_several_problems_are_told_at_once_and_the_rest_stays_chosen(shared_site: RunningSite) -> None:
    """What was typed is there to be put right."""
    query = "last=&from=yesterday&timezone=Mars&raw_views=true"
    page = shared_site.known().get(f"/reports/users?{query}").text
    assert page.count('class="complaint"') == 2
    assert all(kept in page for kept in ('value="yesterday"', 'value="Mars"', 'value="true" selected'))


@pytest.mark.parametrize("query", ["last=", "user_type=Robot", "timezone=Mars", "by=hour"])
def test_a_picture_of_what_makes_no_sense_is_refused(shared_site: RunningSite, query: str) -> None:
    """By an error that says why."""
    assert shared_site.known().get(f"/reports/matters/picture.svg?{query}").status_code == 400


@pytest.mark.parametrize("query", ["from=0001-01-01", "to=9999-12-31"])
def test_the_calendars_ends_are_days_like_others(shared_site: RunningSite, query: str) -> None:
    """They are no error."""
    assert "ann" in names_and_visits(shared_site.known().get(f"/reports/users?last=&{query}"))


@pytest.mark.parametrize("page", ["users", "matters"])
@pytest.mark.parametrize(
    "query",
    [
        "timezone=Asia/Kathmandu",
        "last=all",
        "last=90d&user_type=Guest",
        "last=&to=2025-12-21",
        "last=&from=2026-03-29&to=2026-03-31&matter_type=all",
    ],
)
def test_a_row_leads_to_the_activity_report_of_the_same_views(shared_site: RunningSite, page: str, query: str) -> None:
    """As many as it counts, for each row, and in the period before."""
    client = shared_site.known()
    answer = client.get(f"/reports/{page}?raw_views=true&{query}")
    rows = answer.text.count('<th scope="row">')
    links = re.findall(r'class="figure"><a href="([^"]+)"><bdi>(\d+)<', answer.text)
    has_before = "last=all" not in query and "last=&to" not in query
    assert len(links) == (2 * rows if has_before else rows) > 0
    for address, views in links:
        assert f"<strong>{views}</strong>" in client.get(unescape(address)).text


def test_the_form_works_with_the_keyboard_and_without_script(chromium: Browser, site: RunningSite) -> None:
    """The days show themselves when they are wanted; what was chosen stands in the address."""
    with signed_in(chromium, site, Role.ANALYST, java_script_enabled=False) as visit:
        page = visit.open("/reports/users")
        expect(page.get_by_label("First day")).to_be_hidden()
        page.get_by_label("Dates").select_option("Selected dates")
        page.get_by_label("First day").fill("2026-03-29")
        page.get_by_label("Last day, included").fill("2026-03-30")
        page.get_by_label("People").select_option("Members")
        page.get_by_role("button", name="Show").press("Enter")
        expect(page.get_by_role("rowheader").first).to_contain_text("ann")
        assert "from=2026-03-29&to=2026-03-30" in visit.path
        assert visit.complaints == []


def test_a_field_is_told_wrong_to_who_does_not_see_it(chromium: Browser, site: RunningSite) -> None:
    """By its description."""
    with signed_in(chromium, site, Role.ANALYST) as visit:
        field = visit.open("/reports/users?timezone=Mars").get_by_label("Time zone")
        expect(field).to_have_attribute("aria-invalid", "true")
        expect(field).to_have_accessible_description("'Mars' is not a time zone: use an IANA name like Europe/London.")
