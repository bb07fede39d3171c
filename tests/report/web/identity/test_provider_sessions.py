"""Sessions of people who signed in at the identity provider: second factors, recent sign-ins, signing out."""

import html
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pyotp
import pytest

from matterlog.report.web.identity.accounts import Role
from matterlog.report.web.identity.audit_log import Actor
from matterlog.report.web.identity.second_factor import new_secret
from matterlog.report.web.identity.sessions import RECENT
from matterlog.report.web.parts import PROVIDER_SIGN_INS_A_MINUTE, SignInPolicy
from tests.report.web.identity.provider import EMAIL, Provider, both, go_and_come_back
from tests.report.web.sites import PASSWORD, Client, RunningSite

World = tuple[RunningSite, Provider]
TOKEN = {"label": "Power BI", "scope": "extracts", "days": "90"}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A provider, and a site with an account that has a password too."""
    with both(tmp_path) as (site, provider):
        site.parts.accounts.add(EMAIL, Role.ADMINISTRATOR, PASSWORD, Actor(), chosen_by_owner=True)
        yield site, provider


def come(site: RunningSite) -> tuple[Client, str]:
    """Somebody who went to the provider and back, and where that led."""
    client = site.client()
    return client, client.get(go_and_come_back(client)).headers["location"]


def back_from(site: RunningSite, page: str) -> str:
    """The path on which the provider sends back who follows a page's link to it."""
    address = re.search(r'<a href="(http[^"]+)"', page)
    assert address is not None
    return httpx.get(html.unescape(address[1])).headers["location"].removeprefix(site.url)


def test_a_sign_in_at_the_provider_does_not_go_round_the_accounts_second_factor(world: World) -> None:
    """Unless the provider says that it asked for one, or the operator says so of the provider."""
    site, provider = world
    secret = new_secret()
    account = site.parts.accounts.named(EMAIL)
    site.parts.second_factors.add(account, secret, pyotp.TOTP(secret).at(site.clock.now), Actor())
    client, where = come(site)
    assert (where, client.get("/account").status_code) == ("/sign-in/code?next=%2F", 303)
    site.clock.advance(timedelta(seconds=30))
    client.post("/sign-in/code", "/sign-in/code", code=pyotp.TOTP(secret).at(site.clock.now))
    assert client.get("/account").status_code == 200
    provider.lies = {"amr": ["pwd", "otp"]}
    assert come(site)[1] == "/"
    provider.lies = {"amr": ["pwd"]}
    assert come(site)[1] == "/sign-in/code?next=%2F"
    site.parts.policy = SignInPolicy(provider_asks_second_factor=True)
    assert come(site)[1] == "/"


def test_a_required_second_factor_may_be_the_providers(world: World) -> None:
    """Where the provider asked for none, one is added here, also by an account without a password."""
    site, provider = world
    site.parts.policy = SignInPolicy(second_factor_for=frozenset(Role))
    client, _ = come(site)
    assert client.get("/").headers["location"] == "/account/second-factor"
    provider.lies = {"amr": ["pwd", "otp"]}
    client, _ = come(site)
    assert client.get("/account").status_code == 200
    site.parts.accounts.add("only@there.example", Role.ANALYST, None, Actor())
    provider.person |= {"sub": "another", "email": "only@there.example"}
    provider.lies, secret = {}, new_secret()
    client = site.client()
    page = client.post("/sign-in/provider", "/sign-in?again=true", again="true").text
    client.get(back_from(site, page))
    sent = {"secret": secret, "code": pyotp.TOTP(secret).at(site.clock.now)}
    assert client.post("/account/second-factor", "/account/second-factor", **sent).status_code == 200
    assert client.get("/account").status_code == 200


def test_a_recent_sign_in_is_the_providers(world: World) -> None:
    """A person whom the provider only recognised signs in there again before lasting power."""
    site, provider = world
    provider.lies = {"auth_time": int((site.clock.now - 2 * RECENT).timestamp())}
    client, _ = come(site)
    assert "again=true" in client.post("/account/tokens", "/account", **TOKEN).headers["location"]
    page = client.post("/sign-in/provider", "/sign-in?again=true", again="true").text
    provider.lies = {}
    client.get(back_from(site, page))
    assert (provider.asked["prompt"], provider.asked["max_age"]) == ("login", "0")
    assert client.post("/account/tokens", "/account", **TOKEN).status_code == 200


def test_a_provider_that_recognised_a_person_and_does_not_say_when_gives_no_recent_sign_in(world: World) -> None:
    """Or whoever sits at a browser that was left open gets one by a click."""
    site, _ = world
    client, _ = come(site)
    assert "again=true" in client.post("/account/tokens", "/account", **TOKEN).headers["location"]
    assert client.get("/account/second-factor").headers["location"].endswith("next=%2Faccount%2Fsecond-factor")


def test_refused_answers_of_the_provider_are_one_entry(world: World) -> None:
    site, provider = world
    provider.refuses = True
    for _ in range(3):
        come_back = go_and_come_back(client := site.client())
        assert client.get(come_back).status_code == 502
    assert site.acts().count("SIGN_IN_FAILED") == 1


def test_somebody_who_signed_in_here_stays_signed_in_there(world: World) -> None:
    """Signing out ends the provider's session only where it began ours."""
    site, provider = world
    provider.offers["end_session_endpoint"] = f"{provider.issuer}/end"
    client = site.client()
    client.sign_in(EMAIL)
    assert client.post("/sign-out", "/account").headers["location"] == "/sign-in"
    client, _ = come(site)
    assert "/end" in client.post("/sign-out", "/account").text


def test_going_to_the_provider_is_limited_by_network(world: World) -> None:
    """Each time is a row in the site's database."""
    site, _ = world
    client = site.client()
    statuses = [client.post("/sign-in/provider", "/sign-in").status_code for _ in range(PROVIDER_SIGN_INS_A_MINUTE + 1)]
    assert (set(statuses[:-1]), statuses[-1]) == ({200}, 429)
