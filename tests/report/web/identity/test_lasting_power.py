"""What gives lasting power needs a recent sign-in, can be seen, and can be ended."""

from datetime import timedelta
from typing import Any, Final
from urllib.parse import quote

import pyotp
import pytest

from matterlog.report.web.http.forms import SESSION_COOKIE
from matterlog.report.web.identity.accounts import Role
from matterlog.report.web.identity.audit_log import Actor
from matterlog.report.web.identity.second_factor import new_secret
from matterlog.report.web.identity.sessions import IDLE, RECENT
from matterlog.report.web.parts import SignInPolicy
from tests.report.web.sites import NAME, PASSWORD, Client, RunningSite

TOKEN: Final[dict[str, Any]] = {"label": "Power BI", "scope": "extracts", "days": "90"}
OTHER: Final = "the.other"
FORMS: Final = [
    pytest.param("/account/tokens", "/account", TOKEN, id="token"),
    pytest.param("/accounts", "/accounts", {"name": "a.third", "role": "analyst"}, id="add"),
    pytest.param("/accounts/1/role", "/accounts", {"role": "administrator"}, id="role"),
    pytest.param("/accounts/1/reset", "/accounts", {}, id="reset"),
    pytest.param("/accounts/1/enable", "/accounts", {}, id="enable"),
    pytest.param("/account/second-factor/remove", "/account", {"password": PASSWORD}, id="second-factor"),
]


def an_administrator(site: RunningSite) -> Client:
    """Signed in, beside another account, the first one."""
    site.account(OTHER)
    return site.signed_in(role=Role.ADMINISTRATOR)


@pytest.mark.parametrize(("path", "form_page", "fields"), FORMS)
def test_lasting_power_needs_a_recent_sign_in(
    site: RunningSite, path: str, form_page: str, fields: dict[str, Any]
) -> None:
    """A browser that somebody left open, or a cookie that somebody took, gives none."""
    client = an_administrator(site)
    client.get("/account")
    site.clock.advance(RECENT)
    before = site.acts()
    answer = client.post(path, form_page, **fields)
    assert answer.headers["location"] == "/sign-in?again=true&next=%2F"
    assert site.acts() == before
    page = client.get(answer.headers["location"])
    assert "You signed in a while ago" in page.text
    client.post("/sign-in", "/sign-in?again=true", name=NAME, password=PASSWORD, next=form_page)
    assert "/sign-in" not in client.post(path, form_page, **fields).headers.get("location", "")


def test_the_way_back_is_the_page_of_the_form(site: RunningSite) -> None:
    client = an_administrator(site)
    site.clock.advance(RECENT)
    fields = {"form_token": client.token("/account"), **TOKEN}
    answer = client.request(
        "POST", "/account/tokens", data=fields, headers={"Referer": f"{site.url}/account?x=1#tokens"}
    )
    assert answer.headers["location"] == "/sign-in?again=true&next=%2Faccount"


@pytest.mark.parametrize(
    ("referer", "leads_to"), [("http://[", "/"), ("https://x//y.example/", "//y.example/"), ("no address", "/")]
)
def test_a_way_back_that_is_no_address_breaks_nothing(site: RunningSite, referer: str, leads_to: str) -> None:
    """One that leads elsewhere is left out by the sign-in page."""
    client = an_administrator(site)
    site.clock.advance(RECENT)
    fields = {"form_token": client.token("/account"), **TOKEN}
    answer = client.request("POST", "/account/tokens", data=fields, headers={"Referer": referer})
    assert answer.headers["location"] == f"/sign-in?again=true&next={quote(leads_to, safe='')}"
    assert 'name="next" value="/"' in client.get(answer.headers["location"]).text


def test_using_a_session_does_not_make_its_sign_in_recent(site: RunningSite) -> None:
    client = an_administrator(site)
    for _ in range(4):
        site.clock.advance(min(IDLE, RECENT) / 2)
        assert client.get("/account").status_code == 200
    assert "again=true" in client.post("/account/tokens", "/account", **TOKEN).headers["location"]


def test_an_owner_sees_the_sessions_and_ends_one(site: RunningSite) -> None:
    """Each where it came from; this one is marked, and another account's cannot be ended."""
    client, other = site.signed_in(), site.client()
    other.sign_in()
    stranger = site.signed_in(OTHER)
    page = client.get("/account").text
    assert page.count("End<span") == 1
    assert "This one" in page
    sessions = site.parts.sessions.of_account(site.parts.accounts.named(NAME))
    (elsewhere,) = [each for each in sessions if f"/account/sessions/{each.session_id}/end" in page]
    stranger.post(f"/account/sessions/{elsewhere.session_id}/end", "/account")
    assert other.get("/account").status_code == 200
    client.post(f"/account/sessions/{elsewhere.session_id}/end", "/account")
    assert (other.get("/account").status_code, client.get("/account").status_code) == (303, 200)
    assert site.acts()[-1] == "SESSION_ENDED"


def test_an_administrator_sees_and_ends_sessions_and_tokens_of_others(site: RunningSite) -> None:
    other = site.signed_in(OTHER)
    client = site.signed_in(role=Role.ADMINISTRATOR)
    other.post("/account/tokens", "/account", **TOKEN)
    account = site.parts.accounts.named(OTHER)
    page = client.get(f"/accounts/{account.account_id}").text
    assert ("Power BI" in page, "127.0.0.1" in page) == (True, True)
    client.post(f"/accounts/{account.account_id}/shut-out", "/accounts")
    assert site.parts.api_tokens.of_account(account) == []
    assert other.get("/account").status_code == 303
    assert site.acts()[-1] == "ACCOUNT_SHUT_OUT"
    assert other.get(f"/accounts/{account.account_id}").status_code == 303


@pytest.mark.parametrize("ends", [True, False])
def test_tokens_end_with_a_changed_password_where_the_owner_chooses_so(site: RunningSite, *, ends: bool) -> None:
    client = site.signed_in()
    client.post("/account/tokens", "/account", **TOKEN)
    chosen = {"present": PASSWORD, "wanted": "an umbrella in the rain", "again": "an umbrella in the rain"}
    client.post("/account/password", "/account/password", **chosen, **({"end_tokens": "true"} if ends else {}))
    assert bool(site.parts.api_tokens.of_account(site.parts.accounts.named(NAME))) is not ends


@pytest.mark.parametrize("ends", [True, False])
def test_tokens_end_with_a_new_second_factor_where_the_owner_chooses_so(site: RunningSite, *, ends: bool) -> None:
    client, secret = site.signed_in(), new_secret()
    client.post("/account/tokens", "/account", **TOKEN)
    sent = {"secret": secret, "code": pyotp.TOTP(secret).at(site.clock.now), "password": PASSWORD}
    client.post("/account/second-factor", "/account", **sent, **({"end_tokens": "true"} if ends else {}))
    assert bool(site.parts.api_tokens.of_account(site.parts.accounts.named(NAME))) is not ends


def test_a_role_that_must_have_a_second_factor_adds_one_first(site: RunningSite) -> None:
    """And sees nothing else before; another role need not."""
    site.parts.policy = SignInPolicy(second_factor_for=frozenset({Role.ADMINISTRATOR}))
    client, other = site.signed_in(role=Role.ADMINISTRATOR), site.signed_in(OTHER)
    assert client.get("/accounts").headers["location"] == "/account/second-factor"
    assert client.post("/account/tokens", "/account/second-factor", **TOKEN).status_code == 303
    assert site.parts.api_tokens.of_account(site.parts.accounts.named(NAME)) == []
    secret = new_secret()
    sent = {"secret": secret, "code": pyotp.TOTP(secret).at(site.clock.now), "password": PASSWORD}
    client.post("/account/second-factor", "/account/second-factor", **sent)
    assert (client.get("/accounts").status_code, other.get("/account").status_code) == (200, 200)


def test_an_account_at_the_provider_is_not_sent_to_change_a_password(site: RunningSite) -> None:
    """It has none; it is made by an administrator, on the page or the command line."""
    account = site.parts.accounts.add("zoe@firm.example", Role.ANALYST, None, Actor())
    client = site.client()
    client.cookies[SESSION_COOKIE] = site.parts.sessions.start(account, "192.0.2.1")
    assert client.get("/account").status_code == 200


def test_an_account_at_the_provider_that_an_older_version_made_can_be_used(site: RunningSite) -> None:
    """That one made it change a password that it has not got."""
    account = site.parts.accounts.add("zoe@firm.example", Role.ANALYST, None, Actor())
    with site.parts.database.transaction() as connection:
        connection.execute("UPDATE accounts SET must_change_password = 1")
    client = site.client()
    client.cookies[SESSION_COOKIE] = site.parts.sessions.start(account, "192.0.2.1")
    assert client.get("/account").status_code == 200


def test_a_wrong_present_password_is_recorded(site: RunningSite) -> None:
    client = site.signed_in()
    chosen = {"present": "wrong", "wanted": "an umbrella in the rain", "again": "an umbrella in the rain"}
    client.post("/account/password", "/account/password", **chosen)
    assert site.parts.audit_log.newest(1)[0].details == '{"how": "password again"}'


def test_a_role_that_is_taken_away_takes_the_pages_at_once(site: RunningSite) -> None:
    client = an_administrator(site)
    site.account("a.third", Role.ADMINISTRATOR)
    site.parts.accounts.set_role(site.parts.accounts.named(NAME), Role.ANALYST, Actor())
    site.clock.advance(timedelta(seconds=1))
    assert client.post("/accounts/1/reset", "/account").status_code == 403
