"""Users, matters and companies found by name on the Activity report's page; the name stands in no address."""

import re
from collections.abc import Iterator
from datetime import timedelta
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, expect

from matterlog.report.web.figures.name_search import MOST_SHOWN
from matterlog.report.web.identity.accounts import Role
from matterlog.schemas import UserType
from testbed.events import NOON, a_deletion, a_view
from tests.report.logs import apply
from tests.report.web.sites import Client, RunningSite, running_site
from tests.report.web.visits import signed_in

HERE = "/reports/activity"
SCRIPT = "<script>alert(1)</script>"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[RunningSite]:
    """A site over views with names that are alike, changed, hostile."""
    zoe: dict[str, Any] = {"user_id": "u-1", "user_email": "z@firm.example", "matter_id": "m-1"}
    guest: dict[str, Any] = {"user_type": UserType.GUEST, "user_company_id": "c-1", "user_company_name": "Heronsgate"}
    guest |= {"user_id": "u-2", "user_name": "Henrik Zo", "user_email": "h@client.example"}
    events = [
        a_view(**zoe),
        a_view(**zoe, user_name="Zoë Married", matter_viewed_at=NOON + timedelta(days=1)),
        a_view(matter_id="m-2", matter_name="Blue\u2003 Heron", **guest),
        a_view(user_id="u-3", user_name=SCRIPT, user_email="x@zoo.example", matter_id="m-3", matter_name="Osprey"),
    ]
    with running_site(tmp_path, *events) as running:
        yield running


def find(client: Client, name: str, **choices: Any) -> httpx.Response:
    """Send the form by its button "Find"."""
    return client.post(f"{HERE}/find", HERE, find=name, last="all", **choices)


def found(answer: httpx.Response) -> list[tuple[str, str]]:
    """What can be ticked: the field and the ID."""
    assert answer.status_code == 200, answer.text
    return re.findall(r'type="checkbox" name="add_(\w+)" value="([^"]*)"', answer.text)


@pytest.mark.parametrize(
    ("name", "ids"),
    [
        ("heron", ["m-1", "m-2", "c-1"]),
        ("  HERONS ", ["c-1"]),
        ("zoe", ["u-1"]),
        ("Zoë O", ["u-1"]),
        ("Zoe\u0308\u00a0 mar", ["u-1"]),
        ("blue heron", ["m-2"]),
        ("married", ["u-1"]),
        ("zo", ["u-1", "u-2", "u-3"]),
        ("@ZOO.example", ["u-3"]),
        ("m-3", ["m-3"]),
        ("m-", []),
        ("%", []),
        ("100%_", []),
        ("nobody", []),
        ("' OR 1=1 --", []),
    ],
)
def test_names_are_found_by_any_part(site: RunningSite, name: str, ids: list[str]) -> None:
    """Without accents, capital letters and kinds of blanks, former names and e-mail addresses too; an ID as a whole."""
    assert sorted(id_ for _, id_ in found(find(site.signed_in(), name))) == sorted(ids)


def test_the_latest_name_is_shown_and_as_text(site: RunningSite) -> None:
    """With what tells namesakes apart."""
    page = find(site.signed_in(), "zo").text
    assert re.search(r"<bdi>Zoë Married</bdi> <small>User, <bdi>z@firm.example</bdi>, 2 views</small>", page)
    assert SCRIPT not in page
    assert "&lt;script&gt;" in page


def test_what_is_ticked_is_chosen_beside_what_was(site: RunningSite) -> None:
    """The choices stay; the address has the IDs and no name."""
    client = site.signed_in()
    page = find(client, "heron", user_type="Guest", matter="m-9")
    assert '<input type="checkbox" name="user_type" value="Guest" checked>' in page.text
    shown = client.post(HERE, HERE, last="all", matter="m-9", add_matter=["m-1", "m-2", "m-1"], find="heron")
    address = shown.headers["location"]
    assert address == f"{HERE}?matter=m-9%0Am-1%0Am-2"
    assert "<strong>3</strong>" in client.get(address).text
    answer = client.post(f"{HERE}/download", HERE, last="all", format="json", add_user="u-2")
    assert [row["user_ID"] for row in answer.json()] == ["u-2"]


@pytest.mark.parametrize("name", ["", "   "])
def test_without_a_name_the_button_shows_the_choices(site: RunningSite, name: str) -> None:
    """It is the form's first button, so that Enter in any field presses it."""
    answer = find(site.signed_in(), name, matter="m-1")
    assert (answer.status_code, answer.headers["location"]) == (303, f"{HERE}?matter=m-1")


def test_one_letter_is_too_few_and_many_results_are_cut_openly(tmp_path: Path) -> None:
    """The page says so."""
    with running_site(tmp_path, *(a_view(matter_id=f"m-{number}") for number in range(MOST_SHOWN + 1))) as site:
        client = site.signed_in()
        assert "at least two characters" in find(client, "h").text
        answer = find(client, "heron")
        assert len(found(answer)) == MOST_SHOWN
        assert "There are more" in answer.text


def test_a_deleted_matters_name_is_found_no_more(site: RunningSite) -> None:
    """Not from memory either."""
    client = site.signed_in()
    assert found(find(client, "osprey"))
    apply(site.store, a_deletion(matter_id="m-3"))
    assert not found(find(client, "osprey"))


@pytest.mark.parametrize("path", ["find", "found"])
def test_who_may_not_see_the_report_finds_nobody(site: RunningSite, path: str) -> None:
    """Nor does anybody by an address, or without the form's token."""
    assert site.client().request("POST", f"{HERE}/{path}", data={"find": "zo"}).status_code == 403
    stranger = site.client()
    answer = stranger.post(f"{HERE}/{path}", "/sign-in", find="zo")
    assert (answer.status_code, answer.headers["location"].startswith("/sign-in")) == (303, True)
    client = site.signed_in()
    assert client.request("POST", f"{HERE}/{path}", data={"find": "zo"}).status_code == 403
    assert client.get(f"{HERE}/{path}?find=zo").status_code == 405


def test_names_are_found_while_they_are_typed(chromium: Browser, site: RunningSite) -> None:
    """A tick puts the ID into its field and the count follows; no address has the name; Enter downloads nothing."""
    asked: list[str] = []
    with signed_in(chromium, site, Role.ANALYST) as visit:
        visit.page.on("request", lambda request: asked.append(request.url))
        page = visit.open(f"{HERE}?last=all")
        page.get_by_text("Only some matters or people").click()
        page.get_by_label("Find a user, a matter or a company by name").press_sequentially("heron")
        page.get_by_label("Blue Heron").check()
        expect(page.get_by_label("Matter IDs")).to_have_value("m-2")
        expect(page.locator("#seen strong")).to_have_text("1")
        page.get_by_label("Project Heron").check()
        expect(page.locator("#seen strong")).to_have_text("3")
        page.get_by_label("Blue Heron").uncheck()
        expect(page.get_by_label("Matter IDs")).to_have_value("m-1")
        expect(page.locator("#seen strong")).to_have_text("2")
        page.get_by_label("Find a user, a matter or a company by name").press("Enter")
        expect(page.get_by_label("Project Heron")).to_be_checked()
        assert visit.complaints == []
    assert not [address for address in asked if "eron" in unescape(address)]


def test_names_are_found_without_script(chromium: Browser, site: RunningSite) -> None:
    """By the button, then by a tick and "Show"."""
    with signed_in(chromium, site, Role.ANALYST, java_script_enabled=False) as visit:
        page = visit.open(f"{HERE}?last=all")
        page.get_by_text("Only some matters or people").click()
        page.get_by_label("Find a user, a matter or a company by name").fill("heron")
        page.get_by_label("Find a user, a matter or a company by name").press("Enter")
        page.get_by_label("Blue Heron").check()
        page.get_by_role("button", name="Show").click()
        expect(page.get_by_label("Matter IDs")).to_have_value("m-2")
        expect(page.locator("#seen strong")).to_have_text("1")
