"""Pages of a log that holds nothing, and of one that cannot be read: friendly, and with the status that is true."""

import pytest

from matterlog.report.web.identity.accounts import Role
from tests.report.web.sites import RunningSite

PAGES = ("/", "/reports/users", "/reports/matters", "/reports/clients", "/reports/activity")
PICTURES = tuple(f"/reports/{subject}/picture.svg" for subject in ("users", "matters", "clients", "activity"))
CHOICES = ("", "?last=all", "?last=90d&timezone=Asia/Tokyo", "?last=&from=2026-01-01")


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("choices", CHOICES)
def test_a_log_without_a_view_has_every_page(shared_site: RunningSite, path: str, choices: str) -> None:
    """Whatever is chosen."""
    answer = shared_site.known().get(path + choices)
    assert answer.status_code == 200
    assert "<bdi>" not in answer.text


@pytest.mark.parametrize("path", PICTURES)
def test_a_log_without_a_view_has_pictures_that_say_so(shared_site: RunningSite, path: str) -> None:
    answer = shared_site.known().get(path)
    assert (answer.status_code, "The log holds no views yet." in answer.text) == (200, True)


def test_a_log_without_a_view_says_so_in_words(site: RunningSite) -> None:
    """On each page in its own."""
    client = site.signed_in()
    overview = client.get("/").text
    assert "No view has arrived yet." in overview
    assert "No matter was visited in these 30 days." in overview
    assert overview.count("none in the 30 days before either") == 3
    for page in ("users", "matters", "clients"):
        assert "None in this period." in client.get(f"/reports/{page}").text


def test_a_table_of_nothing_is_a_file(site: RunningSite) -> None:
    """With its header; somebody may have the form open still."""
    answer = site.signed_in().post("/reports/users/download", "/account", format="csv")
    assert (answer.status_code, answer.text.count("\r\n")) == (200, 1)


def put_together_again(site: RunningSite) -> None:
    """The database is a restored one, to which not every deletion was applied."""
    with site.store.transaction() as transaction:
        transaction.connection.execute(
            "INSERT INTO recoveries VALUES ($now, 'nothing', NULL)", {"now": transaction.now}
        )
    site.store.reopen()


def close(site: RunningSite) -> None:
    """The database is closed under the site, as it is while it is opened again."""
    site.store.close()


@pytest.mark.parametrize("away", [put_together_again, close])
@pytest.mark.parametrize("path", [*PAGES, *PICTURES])
def test_a_log_that_cannot_be_read_is_told_and_when_to_ask_again(site: RunningSite, path: str, away: object) -> None:
    """503, a sentence, and a way to try again; never why in words that somebody else wrote."""
    client = site.signed_in(role=Role.ADMINISTRATOR)
    away(site)  # type: ignore[operator]
    answer = client.get(f"{path}?last=all")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert "The log cannot be read at the moment" in answer.text
    assert "Try again</a>" in answer.text
    assert "Error" not in answer.text


def test_the_overview_shows_the_pipeline_while_the_log_cannot_be_read(site: RunningSite) -> None:
    """Who looks wants to know whether somebody must act."""
    client = site.signed_in()
    put_together_again(site)
    page = client.get("/").text
    assert "State of the log" in page
    assert "Views arrive as they happen." in page


@pytest.mark.parametrize("page", ["users", "activity"])
def test_a_download_of_a_log_that_cannot_be_read_is_an_error(site: RunningSite, page: str) -> None:
    """And no file."""
    client = site.signed_in()
    token = client.token("/account")
    put_together_again(site)
    answer = client.request("POST", f"/reports/{page}/download", data={"form_token": token, "last": "all"})
    assert (answer.status_code, "content-disposition" in answer.headers) == (503, False)
