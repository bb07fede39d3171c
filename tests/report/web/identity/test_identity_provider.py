"""Signing in at an identity provider that really runs."""

import html
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from joserfc.jwk import RSAKey
from playwright.sync_api import Browser, expect

from matterlog.report.web.identity.accounts import Role
from matterlog.report.web.identity.audit_log import Actor
from matterlog.report.web.identity.identity_provider import ProviderSettings
from tests.report.web.identity.provider import CLIENT_ID, CLIENT_SECRET, Provider, running_provider
from tests.report.web.sites import Client, RunningSite, running_site
from tests.report.web.visits import visiting

EMAIL = "zoe@firm.example"


@contextmanager
def both(folder: Path) -> Iterator[tuple[RunningSite, Provider]]:
    """A provider, and a site that knows it; the site's address is known when it listens."""
    with running_provider() as provider:
        known = ProviderSettings(
            issuer=provider.issuer, client_id=CLIENT_ID, client_secret=CLIENT_SECRET, public_url="http://set-below"
        )
        with running_site(folder, provider=known) as site:
            assert site.parts.provider is not None
            object.__setattr__(known, "public_url", site.url)
            yield site, provider


@pytest.fixture
def world(tmp_path: Path) -> Iterator[tuple[RunningSite, Provider]]:
    """With an account that has no password."""
    with both(tmp_path) as (site, provider):
        site.parts.accounts.add(EMAIL, Role.ANALYST, None, Actor(), chosen_by_owner=True)
        yield site, provider


def go_and_come_back(client: Client) -> str:
    """Go to the provider; return the path on which it sends back."""
    page = client.post("/sign-in/provider", "/sign-in").text
    address = re.search(r'<a href="(http[^"]+)"', page)
    assert address is not None
    back = httpx.get(html.unescape(address[1])).headers["location"]
    return str(back).removeprefix(client.url)


def ends_with(site: RunningSite) -> httpx.Response:
    """The answer to somebody new who went all the way."""
    client = site.client()
    return client.get(go_and_come_back(client))


def test_whom_the_provider_names_is_signed_in(world: tuple[RunningSite, Provider]) -> None:
    """And recorded; the session is one like any other."""
    site, _ = world
    client = site.client()
    assert client.get(go_and_come_back(client)).headers["location"] == "/"
    assert EMAIL in client.get("/account").text
    assert site.parts.audit_log.newest(1)[0].details == '{"how": "identity provider"}'


def test_the_whole_way_in_a_browser(world: tuple[RunningSite, Provider], chromium: Browser) -> None:
    """One click; the security policy stands in nobody's way."""
    with visiting(chromium, world[0]) as visit:
        visit.open("/sign-in").get_by_role("button", name="Sign in with your organisation").click()
        expect(visit.page.get_by_role("heading", name="Overview")).to_be_visible()
        assert visit.complaints == []


def test_the_account_stays_with_the_person_and_not_with_the_address(world: tuple[RunningSite, Provider]) -> None:
    """Somebody else who gets the address does not get the account; its owner may change the address."""
    site, provider = world
    assert ends_with(site).status_code == 303
    provider.person["email"] = "zoe.married@firm.example"
    assert ends_with(site).status_code == 303
    provider.person |= {"sub": "somebody else", "email": EMAIL}
    assert ends_with(site).status_code == 403


@pytest.mark.parametrize(
    "person", [{"email_verified": False}, {"email_verified": "true"}, {"email": "nobody@firm.example"}, {"email": None}]
)
def test_who_has_no_account_is_refused(world: tuple[RunningSite, Provider], person: dict[str, Any]) -> None:
    """Also where nobody has verified the address."""
    site, provider = world
    provider.person |= person
    answer = ends_with(site)
    assert (answer.status_code, "You have no account here" in answer.text) == (403, True)
    assert site.acts()[-1] == "SIGN_IN_FAILED"


def test_a_disabled_account_is_refused(world: tuple[RunningSite, Provider]) -> None:
    """Whatever the provider says."""
    site, _ = world
    site.parts.accounts.disable(site.parts.accounts.named(EMAIL), Actor())
    assert ends_with(site).status_code == 403


@pytest.mark.parametrize(
    "lies",
    [{"aud": "another"}, {"iss": "https://elsewhere.example"}, {"nonce": "another"}, {"exp": 1}, {"sub": None}],
    ids=lambda lies: next(iter(lies)),
)
def test_a_token_that_does_not_hold_is_refused(world: tuple[RunningSite, Provider], lies: dict[str, Any]) -> None:
    """For another client, of another issuer, of another sign-in, expired, of nobody."""
    site, provider = world
    provider.lies = lies
    assert ends_with(site).status_code == 502
    assert "SIGNED_IN" not in site.acts()


def test_a_token_that_another_signed_is_refused(world: tuple[RunningSite, Provider]) -> None:
    """Under the same key's name."""
    site, provider = world
    provider.signs_with = RSAKey.generate_key(2048, {"kid": "1"})
    assert ends_with(site).status_code == 502


def test_an_answer_holds_for_who_asked_once_and_for_a_while(world: tuple[RunningSite, Provider]) -> None:
    """Nobody is signed in as somebody else by a link."""
    site, _ = world
    client, other = site.client(), site.client()
    back = go_and_come_back(client)
    other.get("/sign-in")
    assert other.get(back).status_code == 403
    assert client.get(back).status_code == 303
    assert client.get(back).status_code == 403
    late = site.client()
    back = go_and_come_back(late)
    site.clock.advance(timedelta(minutes=10))
    assert late.get(back).status_code == 403


def test_without_a_provider_there_is_no_button(site: RunningSite) -> None:
    """And no way."""
    client = site.client()
    assert "your organisation" not in client.get("/sign-in").text
    assert client.post("/sign-in/provider", "/sign-in").status_code == 403
    assert client.get("/sign-in/provider/answer?state=a&code=b").status_code == 403
