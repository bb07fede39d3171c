"""The pages of one matter, user and client, and the receipt of a deleted matter."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import pytest

from matterlog.report.web.http.forms import FIELD
from matterlog.report.web.identity.accounts import Role
from matterlog.schemas import MatterType, UserType
from testbed.events import a_deletion, a_view
from tests.report.logs import apply
from tests.report.web.sites import RunningSite, running_site, token_in

NOW: Final = datetime(2026, 3, 31, 12, tzinfo=UTC)
SCRIPT: Final = "<script>alert(1)</script>"
MATTER: Final = "/reports/matters/details?matter=m-1"
USER: Final = "/reports/users/details?user=gus"
COMPANY: Final = "/reports/clients/details?company=c-1"
DOMAIN: Final = "/reports/clients/details?domain=client.example"
PAGES: Final = (MATTER, USER, COMPANY, DOMAIN)


def seen(user: str, days_ago: float, **more: Any) -> Any:
    """A view so many days before the last of March; of a guest if it has a company or a client's address."""
    kind = UserType.GUEST if {"user_company_id", "user_email"} & more.keys() else UserType.MEMBER
    fields = {"user_id": user, "user_name": user, "user_type": kind, "matter_id": "m-1", "matter_name": "Heron"}
    return a_view(**fields | {"matter_viewed_at": NOW - timedelta(days=days_ago)} | more)


def at(domain: str, **more: Any) -> dict[str, Any]:
    """The fields of a guest of a client."""
    return {"user_email": f"x@{domain}", **more}


COMPANY_OF: Final = {"user_company_id": "c-1", "user_company_name": "Client Ltd"}
VIEWS: Final = (
    *(seen("ann", days) for days in (1, 2, 2 - 30 / 86400, 40)),
    *(seen("bob", days, matter_id="m-2") for days in (3, 50)),
    *(seen("gus", days, **at("client.example")) for days in (4, 5, 35)),
    seen("gus", 6, matter_id="m-demo", matter_type=MatterType.DEMO, **at("client.example")),
    *(seen("eve", days, matter_id="m-2", **at("elsewhere.example"), **COMPANY_OF) for days in (7, 8)),
    seen("eve", 90, matter_id="m-2", **at("elsewhere.example")),
    seen("pat", 9, matter_id="m-2", **at("gmail.com")),
)


@contextmanager
def running(folder: Path) -> Iterator[RunningSite]:
    """A site on the last of March over the views."""
    with running_site(folder, *VIEWS) as site:
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


def figures(page: str) -> dict[str, str]:
    """The figures at the top of a page."""
    return dict(re.findall(r"<dt>([^<]*)</dt><dd[^>]*>(?:<a [^>]*>)?([^<]*)", page))


def rows(page: str) -> dict[str, str]:
    """The first cell of each table's rows with a link, and the number of visits."""
    return dict(
        re.findall(r'<th scope="row"><a [^>]*><bdi>(.*?)</bdi>.*?class="figure">(?:<a [^>]*>)?<bdi>(.*?)<', page)
    )


@pytest.mark.parametrize(
    ("address", "where"),
    [
        (MATTER, "matter_id = 'm-1'"),
        (f"{MATTER}&last=90d&user_type=Guest", "matter_id = 'm-1' AND user_type = 'Guest'"),
        (USER, "user_id = 'gus' AND matter_type = 'live'"),
        (f"{USER}&matter_type=all&last=90d", "user_id = 'gus'"),
        (f"{USER}&matter_type=demo", "user_id = 'gus' AND matter_type = 'demo'"),
        (f"{COMPANY}&last=all", "user_id = 'eve' AND user_type = 'Guest'"),
        (DOMAIN, "user_id = 'gus' AND user_type = 'Guest' AND matter_type = 'live'"),
        (f"{DOMAIN}&raw_views=true&last=all", "user_id = 'gus' AND matter_type = 'live'"),
    ],
)
def test_the_figures_are_those_of_the_plain_rows(shared_site: RunningSite, address: str, where: str) -> None:
    """Counted by a statement of the test's own; the Activity report where they lead has as many rows."""
    client, days = shared_site.known(), {"90d": 90, "all": 10_000}
    since = NOW.replace(hour=0) - timedelta(
        days=next((n for last, n in days.items() if f"last={last}" in address), 30) - 1
    )
    with shared_site.parts.log.reader() as connection:
        query = f"SELECT count(*), count(DISTINCT user_id), count(DISTINCT matter_id) FROM activity WHERE {where}"  # noqa: S608 - our own
        views, people, matters = connection.execute(
            f"{query} AND matter_viewed_at >= $since", {"since": since.replace(tzinfo=None)}
        ).fetchall()[0]
    page = client.get(address).text
    assert figures(page)["Views"] == str(views)
    assert f"People: {people} in this period" in page or "/users/" in address
    assert f"Matters: {matters} in this period" in page or "/matters/" in address
    (there,) = re.findall(r'<dt>Views</dt><dd><a href="(.*?)">', page)
    assert f"<strong>{views}</strong>" in client.get(unescape(there)).text


def test_a_matters_page_has_its_mark_its_course_and_its_people(shared_site: RunningSite) -> None:
    """With the figures behind the mark; visits, not views."""
    page = shared_site.known().get(MATTER).text
    assert "<h1><bdi>Heron</bdi></h1>" in page
    found = figures(page)
    assert (found["Views"], found["Visits"], found["Before"]) == ("5", "4", "2")
    assert (found["Members"], found["Guests"], found["Mark"]) == ("1", "1", "above usual")
    assert (found["Visits in the last 7 days"], found["Usual week (median)"]) == ("4", "0.0")
    assert (found["First seen (UTC)"], found["Last seen (UTC)"]) == ("2026-02-19", "2026-03-30")
    assert rows(page) == {"ann": "2", "gus": "2"}
    assert 'src="/reports/activity/picture.svg?matter_type=all&amp;matter=m-1"' in page


@pytest.mark.parametrize("address", PAGES)
def test_each_picture_is_drawn_of_the_pages_own_views(shared_site: RunningSite, address: str) -> None:
    """The same number of visits as the page says."""
    client = shared_site.known()
    page = client.get(address).text
    (source,) = re.findall(r'<img src="(.*?)"', page)
    visits = figures(page)["Visits"]
    drawn = client.get(unescape(source))
    assert drawn.status_code == 200
    assert f">{visits} visit" in drawn.text


def test_a_clients_views_without_its_company_are_counted_too(shared_site: RunningSite) -> None:
    """As in the analysis of clients, whose row leads to the page."""
    client = shared_site.known()
    listed = client.get("/reports/clients?last=all").text
    assert unescape(listed).count(COMPANY) == 1
    assert rows(listed)["Client Ltd"] == figures(client.get(f"{COMPANY}&last=all").text)["Visits"] == "3"


def test_what_has_no_name_is_called_by_its_id(tmp_path: Path) -> None:
    """A company keeps the latest name that it had."""
    views = [seen("eve", 1, **at("x.example"), user_company_id="c-1"), seen("ann", 2, matter_id="m-9", matter_name=" ")]
    with running_site(tmp_path, *views, seen("eve", 3, **at("x.example"), user_company_id="c-2")) as site:
        site.clock.now = NOW
        client = site.signed_in()
        pages = [client.get(each).text for each in (COMPANY, MATTER.replace("m-1", "m-9"))]
        assert ["<h1><bdi>c-1</bdi></h1>" in pages[0], "<h1><bdi>m-9</bdi></h1>" in pages[1]] == [True, True]
        apply(site.store, seen("eve", 4, **at("x.example"), **COMPANY_OF))
        assert "<h1><bdi>Client Ltd</bdi></h1>" in client.get(COMPANY).text


def test_people_at_a_public_mail_provider_are_no_client(shared_site: RunningSite) -> None:
    """Their row leads nowhere, and there is no page of them."""
    client = shared_site.known()
    listed = client.get("/reports/clients").text
    assert re.search(r'<th scope="row"><bdi>public mail: \w+', listed)
    assert not re.search(r'href="[^"]*(public|gmail)', listed)
    assert client.get("/reports/clients/details?domain=gmail.com").status_code == 404


def test_a_guest_of_two_clients_is_told(tmp_path: Path) -> None:
    """The row of each client is that of the analysis. What holds all views of its people says so."""
    moved = [
        seen("eve", 2, **at("old.example"), **COMPANY_OF),
        seen("eve", 3, **at("x.example"), user_company_id="c-2"),
    ]
    moved += [seen("gus", 4, **at("old.example")), seen("gus", 4.5, **at("new.example"))]
    with running_site(tmp_path, *moved) as site:
        site.clock.now = NOW
        client = site.signed_in()
        company, domain = (
            client.get(f"/reports/clients/details?{each}").text for each in ("company=c-1", "domain=new.example")
        )
    said = "Some of its people count for another client too."
    assert (figures(company)["Views"], said in company) == ("1", False)
    assert (figures(domain)["Visits"], said in domain) == ("1", True)


@pytest.mark.parametrize(
    ("views", "sentence"),
    [
        ([("ann", 1), ("ann", 40)], "One person alone came in this period: <a"),
        (
            [("ann", 40), ("ann", 41), ("bob", 1), ("cy", 2), ("bob", 45)],
            "The most active in the period before did not",
        ),
        ([("ann", 1), ("bob", 2)], None),
        ([("ann", 40), ("bob", 41), ("bob", 2), ("cy", 1)], None),
    ],
)
def test_a_matters_page_says_what_hangs_on_one_person(
    tmp_path: Path, views: list[tuple[str, float]], sentence: str | None
) -> None:
    """One person alone came, or who came most before has gone silent; else nothing is said."""
    with running_site(tmp_path, *(seen(*each) for each in views)) as site:
        site.clock.now = NOW
        page = site.signed_in().get(MATTER).text
    hanging = page.partition("What hangs on one person")[2].partition("</section>")[0]
    assert bool(hanging) == (sentence is not None)
    assert sentence is None or (sentence in hanging and "<bdi>ann</bdi>" in hanging)


@pytest.mark.parametrize("address", PAGES)
def test_the_extract_of_a_page_is_one_click_away(site: RunningSite, address: str) -> None:
    """The form of the page downloads the Activity report of exactly its views."""
    client = site.signed_in()
    page = client.get(address).text
    form = page.partition('action="/reports/activity/download"')[2].partition("</form>")[0]
    fields = {name: unescape(value) for name, value in re.findall(r'name="([^"]+)" value="([^"]*)"', form)}
    answer = client.request(
        "POST", "/reports/activity/download", data={**fields, FIELD: token_in(page), "format": "csv"}
    )
    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.text.count("\r\n") - 1 == int(figures(page)["Views"])


@pytest.mark.parametrize(
    ("address", "status", "text"),
    [
        ("/reports/matters/details?matter=nobody", 404, "The log holds no matter with this ID."),
        ("/reports/users/details?user=nobody", 404, "The log holds no user with this ID."),
        ("/reports/clients/details?company=nobody", 404, "The log holds no client with this ID."),
        ("/reports/clients/details?domain=nobody.example", 404, "The log holds no client with this ID."),
        ("/reports/activity/picture.svg?domain=nobody.example", 404, "The log holds no client with this ID."),
        ("/reports/matters/details", 400, "Give this page one ID, as matter."),
        (
            "/reports/clients/details?company=c-1&domain=client.example",
            400,
            "Give this page one ID, as company or domain.",
        ),
        ("/reports/users/details?user=gus&matter=m-1", 400, "Give this page one ID, as user."),
        (f"{MATTER}&mater=m-2", 400, "'mater' is not a parameter here. Did you mean 'matter'?"),
        ("/reports/passwords/details?user=gus", 422, "subject"),
        (f"{MATTER}&timezone=Mars", 422, "is not a time zone"),
        (f"{MATTER}&from=1971-01-01&by=day", 200, "do not fit in a picture"),
        (f"{MATTER}&to=2020-01-01", 200, "Nothing was viewed up to the end of this period."),
    ],
)
def test_what_cannot_be_shown_is_told_inside_the_frame(
    shared_site: RunningSite, address: str, status: int, text: str
) -> None:
    """With the sidebar, and an answer that is no success where there is no page."""
    answer = shared_site.known().get(address)
    assert answer.status_code == status
    assert text in unescape(answer.text)
    assert 'href="/reports/activity"' in answer.text


@pytest.mark.parametrize("address", PAGES)
def test_who_may_see_a_page(shared_site: RunningSite, address: str) -> None:
    """Whoever is signed in; everybody else is sent to sign in and back."""
    answer = shared_site.client().get(address)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/sign-in?next={quote(address, safe='')}")
    assert [shared_site.known(role).get(address).status_code for role in Role] == [200, 200]


def test_the_audit_log_holds_the_page_and_no_id(site: RunningSite) -> None:
    """Neither the matter's nor a client's."""
    client = site.signed_in()
    for address in PAGES:
        client.get(address)
    held = " ".join(entry.details for entry in site.parts.audit_log.newest(100))
    assert all(f'"/reports/{place}/details"' in held for place in ("matters", "users", "clients"))
    assert not [each for each in ("m-1", "gus", "c-1", "client.example") if each in held]


def test_names_of_any_kind_are_text(tmp_path: Path) -> None:
    """In headings, links and tables; an ID too."""
    hostile = {
        "user_name": SCRIPT,
        "matter_name": f"{SCRIPT}\u202e",
        "matter_id": f"m&{SCRIPT}",
        "user_id": f'u"{SCRIPT}',
    }
    with running_site(tmp_path, seen("x", 1, **hostile)) as site:
        site.clock.now = NOW
        client = site.signed_in()
        for kind in ("matters", "users"):
            (address,) = re.findall(r'<th scope="row"><a href="(.*?)">', client.get(f"/reports/{kind}").text)
            page = client.get(unescape(address)).text
            assert figures(page)["Views"] == "1"
            assert SCRIPT not in page


def test_a_deleted_matter_has_its_receipt_and_no_name(site: RunningSite) -> None:
    """With its stages, their instants, and how many extracts are on the recall list; for analysts too."""
    client = site.signed_in()
    client.post("/reports/activity/download", "/account", matter="m-1", format="csv")
    assert "Heron" in client.get(MATTER).text
    apply(site.store, a_deletion(matter_id="m-1", deleted_at=NOW))
    answer = client.get(MATTER)
    found = figures(answer.text)
    assert answer.status_code == 200
    assert (found["Views purged"], found["Views refused later"], found["Extracts on the recall list"]) == (
        "7",
        "0",
        "1",
    )
    assert (found["Matter"], found["Database file rewritten"]) == ("m-1", "pending")
    assert answer.text.count("<time ") >= 3
    assert not [name for name in ("Heron", "ann", "gus") if name in answer.text]


def test_the_frame_comes_before_the_figures_are_counted(site: RunningSite, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow log does not keep the page away; what fails meanwhile is told in its place."""
    from matterlog.report.errors import SiteBusy  # noqa: PLC0415
    from matterlog.report.web.pages import details  # noqa: PLC0415

    def busy(*_: object) -> None:
        raise SiteBusy("Too many others ask.")

    client = site.signed_in()
    monkeypatch.setattr(details, "_details", busy)
    page = client.get(MATTER).text
    assert page.index("<h1>") < page.index("Too many others ask.")
    assert page.rstrip().endswith("</html>")


def test_lists_and_searches_lead_to_the_pages(site: RunningSite) -> None:
    """Tables of engagement, the overview, the search by name, and the deletions of Operations."""
    client = site.signed_in(role=Role.ADMINISTRATOR)
    assert f'href="{MATTER}&amp;last=90d"' in client.get("/reports/matters?last=90d").text
    assert f'href="{USER}&amp;matter_type=all"' in client.get("/reports/users?matter_type=all").text
    assert f'href="{MATTER}"' in client.get("/").text
    for text, address in (("Heron", MATTER), ("gus", USER), ("Client Ltd", COMPANY)):
        assert f'href="{address}"' in client.post("/reports/activity/found", "/account", find=text).text
    apply(site.store, a_deletion(matter_id="m-1", deleted_at=NOW))
    assert f'href="{MATTER}"' in client.get("/operations").text
