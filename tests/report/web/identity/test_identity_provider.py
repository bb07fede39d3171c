"""Signing in at an identity provider that really runs."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import RSAKey
from playwright.sync_api import Browser, expect

from matterlog.report.web.identity.accounts import Role
from matterlog.report.web.identity.audit_log import Actor
from tests.report.web.identity.provider import EMAIL, Provider, both, ends_with, go_and_come_back
from tests.report.web.sites import RunningSite
from tests.report.web.visits import visiting


@pytest.fixture
def world(tmp_path: Path) -> Iterator[tuple[RunningSite, Provider]]:
    """With an account that has no password."""
    with both(tmp_path) as (site, provider):
        site.parts.accounts.add(EMAIL, Role.ANALYST, None, Actor(), chosen_by_owner=True)
        yield site, provider


@pytest.fixture(scope="module")
def shared_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningSite, Provider]]:
    """The same, for tests in which nobody is signed in."""
    with both(tmp_path_factory.mktemp("world")) as (site, provider):
        site.parts.accounts.add(EMAIL, Role.ANALYST, None, Actor(), chosen_by_owner=True)
        yield site, provider


def test_whom_the_provider_names_is_signed_in(world: tuple[RunningSite, Provider]) -> None:
    """And recorded; the session is one like any other."""
    site, provider = world
    client = site.client()
    assert client.get(go_and_come_back(client)).headers["location"] == "/"
    assert EMAIL in client.get("/account").text
    signed_in, linked = site.parts.audit_log.newest(2)
    assert signed_in.details == '{"how": "identity provider"}'
    assert (linked.act, linked.account) == ("PROVIDER_LINKED", EMAIL)
    assert json.loads(linked.details) == {"account": EMAIL, "subject": f"{provider.issuer} 248289761001"}


def test_the_whole_way_in_a_browser(world: tuple[RunningSite, Provider], chromium: Browser) -> None:
    """One click there and one back, by way of the provider; the security policy stands in nobody's way."""
    site, provider = world
    provider.offers["end_session_endpoint"] = f"{provider.issuer}/end"
    with visiting(chromium, site) as visit:
        visit.open("/sign-in").get_by_role("button", name="Sign in with your organisation").click()
        expect(visit.page.get_by_role("heading", name="Overview")).to_be_visible()
        visit.page.get_by_role("button", name="Sign out").click()
        expect(visit.page.get_by_role("heading", name="Sign in")).to_be_visible()
        assert provider.ended == [f"{site.url}/sign-in"]
        assert visit.complaints == []


def test_the_account_stays_with_the_person_and_not_with_the_address(world: tuple[RunningSite, Provider]) -> None:
    """Somebody else who gets the address does not get the account; its owner may change the address."""
    site, provider = world
    assert ends_with(site).status_code == 303
    provider.person["email"] = "zoe.married@firm.example"
    assert ends_with(site).status_code == 303
    provider.person |= {"sub": "somebody else", "email": EMAIL}
    answer = ends_with(site)
    assert (answer.status_code, "account bound to another subject" in answer.text) == (403, True)


@pytest.mark.parametrize(
    ("person", "reason"),
    [
        ({"email_verified": False}, "e-mail address not verified"),
        ({"email_verified": "false"}, "e-mail address not verified"),
        ({"email_verified": None}, "e-mail address not verified"),
        ({"email": None}, "e-mail address not verified"),
        ({"email": "nobody@firm.example"}, "no account"),
    ],
)
def test_who_has_no_account_is_refused(
    shared_world: tuple[RunningSite, Provider], person: dict[str, Any], reason: str
) -> None:
    """Also where nobody has verified the address. The page and the audit log say why, and the page says the subject."""
    site, provider = shared_world
    provider.lies = person
    answer = ends_with(site)
    assert (answer.status_code, f"Not signed in: {reason}." in answer.text) == (403, True)
    assert f"“{provider.issuer} 248289761001”" in answer.text
    (entry,) = site.parts.audit_log.newest(1)
    assert (entry.act, entry.account) == ("SIGN_IN_FAILED", None)
    assert json.loads(entry.details) == {"how": "identity provider", "reason": reason}


def test_a_disabled_account_is_refused(world: tuple[RunningSite, Provider]) -> None:
    """Whatever the provider says."""
    site, _ = world
    site.parts.accounts.disable(site.parts.accounts.named(EMAIL), Actor())
    answer = ends_with(site)
    assert (answer.status_code, "account disabled" in answer.text) == (403, True)
    (entry,) = site.parts.audit_log.newest(1)
    assert (entry.account, json.loads(entry.details)["reason"]) == (EMAIL, "account disabled")
    assert site.parts.accounts.named(EMAIL).provider_subject is None


@pytest.mark.parametrize(
    "lies",
    [
        *({"aud": "another"}, {"iss": "https://elsewhere.example"}, {"nonce": "another"}, {"exp": 1}),
        *({"sub": subject} for subject in (None, "", " ", 7, "a\nb")),
        *({"aud": ["matterlog", "another"], "azp": party} for party in (None, "another")),
        {"aud": ["another", "a third"], "azp": "matterlog"},
    ],
    ids=str,
)
def test_a_token_that_does_not_hold_is_refused(
    shared_world: tuple[RunningSite, Provider], lies: dict[str, Any]
) -> None:
    """For other clients, of another issuer, of another sign-in, expired, of nobody."""
    site, provider = shared_world
    provider.lies = lies
    answer = ends_with(site)
    assert (answer.status_code, "answer is not valid" in answer.text) == (502, True)
    assert json.loads(site.parts.audit_log.newest(1)[0].details)["reason"] == "answer refused"
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
