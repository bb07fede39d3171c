"""What providers do that the standard does not expect, and what administrators can do about it."""

import copy
import json
import re
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from joserfc.jwk import ECKey, OKPKey, RSAKey

from matterlog.app.service import service
from matterlog.app.settings import Settings
from matterlog.report.errors import AccountRefused
from matterlog.report.web.identity.accounts import Role
from matterlog.report.web.identity.api_tokens import Scope
from matterlog.report.web.identity.audit_log import Actor
from matterlog.report.web.identity.identity_provider import ProviderIdentity
from matterlog.report.web.identity.site_database import SiteDatabase
from tests.report.web.identity.provider import CLIENT_ID, EMAIL, Provider, both, ends_with, go_and_come_back
from tests.report.web.sites import NAME, RunningSite

World = tuple[RunningSite, Provider]
NOT_VERIFIED: Final = "e-mail address not verified"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A provider and a site with an account that has no password."""
    with both(tmp_path) as (site, provider):
        site.parts.accounts.add(EMAIL, Role.ANALYST, None, Actor(), chosen_by_owner=True)
        yield site, provider


@pytest.fixture(scope="module")
def running_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A provider and a site without accounts."""
    with both(tmp_path_factory.mktemp("world"), second_factor_acr="gold") as known:
        yield known


@pytest.fixture
def shared_world(running_world: World) -> Iterator[World]:
    """The same, for tests that change nothing at the site; the provider forgets what it was told."""
    site, provider = running_world
    site.clock.now = datetime.now(UTC)
    before = copy.deepcopy(vars(provider))
    yield running_world
    vars(provider).update(before)


def names(site: RunningSite, *, again: bool = False) -> ProviderIdentity:
    """Whom the provider names."""
    assert site.parts.provider is not None
    back = httpx.get(site.parts.provider.begin("a visit", again=again)).headers["location"]
    answer = parse_qs(urlsplit(back).query)
    return site.parts.provider.finish("a visit", answer["state"][0], answer["code"][0])


def test_cognito_says_as_text_that_an_address_is_verified(world: World) -> None:
    """And signs in."""
    site, provider = world
    provider.person["email_verified"] = "true"
    assert ends_with(site).status_code == 303


def test_entra_says_nothing_of_an_address_which_a_setting_trusts(tmp_path: Path) -> None:
    """An address that is said not to be verified is not trusted."""
    with both(tmp_path, trust_email=True) as (site, provider):
        assert [names(site).verified_email for provider.person["email_verified"] in (False, "false", None)] == [
            None
        ] * 3
        del provider.person["email_verified"]
        assert names(site).verified_email == EMAIL


def test_an_address_of_which_nothing_is_said_is_not_trusted(world: World) -> None:
    """Without the setting."""
    site, provider = world
    del provider.person["email_verified"]
    assert NOT_VERIFIED in ends_with(site).text


@pytest.mark.parametrize(
    ("userinfo", "found"),
    [
        ({"sub": "248289761001", "email": "okta@firm.example", "email_verified": True}, "okta@firm.example"),
        ({"sub": "248289761001", "email": "okta@firm.example", "email_verified": False}, None),
        ({"sub": "248289761001", "email": "okta@firm.example"}, None),
        ({"sub": "another", "email": "okta@firm.example", "email_verified": True}, None),
        ({"email": "okta@firm.example", "email_verified": True}, None),
        ({"sub": "248289761001"}, None),
        (None, None),
    ],
)
def test_okta_says_at_another_address_whether_an_e_mail_address_is_verified(
    shared_world: World, userinfo: dict[str, Any] | None, found: str | None
) -> None:
    """Of the same person. If that fails, a bound account can sign in all the same."""
    site, provider = shared_world
    provider.person = {"sub": "248289761001", "email": EMAIL}
    provider.userinfo, provider.offers = userinfo, {"userinfo_endpoint": f"{provider.issuer}/userinfo"}
    assert site.parts.provider is not None
    site.parts.provider._metadata = None
    assert names(site).verified_email == found


def test_what_the_token_says_of_an_address_needs_no_other(shared_world: World) -> None:
    """Nor does another overrule it."""
    site, provider = shared_world
    provider.person["email_verified"] = False
    provider.userinfo, provider.offers = provider.person | {"email_verified": True}, {"userinfo_endpoint": "http://x"}
    assert names(site).verified_email is None


def test_an_administrator_binds_a_subject_that_the_sign_in_page_shows(world: World) -> None:
    """It needs no verified address."""
    site, provider = world
    provider.person["email_verified"] = False
    shown = re.search("“(.*)”", ends_with(site).text)
    assert shown is not None
    site.parts.accounts.bind(site.parts.accounts.named(EMAIL), shown[1], Actor(account="admin"))
    assert ends_with(site).status_code == 303
    bound = site.parts.audit_log.newest(2)[1]
    assert (bound.act, bound.account) == ("PROVIDER_BOUND", "admin")
    assert json.loads(bound.details) == {"account": EMAIL, "subject": f"{provider.issuer} 248289761001"}


def test_an_account_and_a_subject_are_bound_once(world: World) -> None:
    """What is no subject is refused, or it would never sign in."""
    accounts = world[0].parts.accounts
    zoe, other = accounts.named(EMAIL), accounts.add(NAME, Role.ANALYST, None, Actor())
    accounts.bind(zoe, "https://idp.example 42", Actor())
    for account, subject in ((zoe, "https://idp.example 43"), (other, "https://idp.example 42")):
        with pytest.raises(AccountRefused, match="already bound"):
            accounts.bind(account, subject, Actor())
    for wrong in ("42", "https://idp.example", "https://idp.example ", "idp.example 42", "https://idp.example 4\n2"):
        with pytest.raises(AccountRefused, match="this is no subject"):
            accounts.bind(other, wrong, Actor())
    assert [each.provider_subject for each in (accounts.named(EMAIL), accounts.named(NAME))] == [
        "https://idp.example 42",
        None,
    ]


def test_an_unbound_account_takes_the_persons_new_subject(world: World) -> None:
    """The button stands where a subject is bound; sessions and tokens of the old one end."""
    site, provider = world
    client, admin = site.client(), site.signed_in("admin", Role.ADMINISTRATOR)
    client.get(go_and_come_back(client))
    account = site.parts.accounts.named(EMAIL)
    token = site.parts.api_tokens.make(account, "a", frozenset({Scope.EXTRACTS}), 30, Actor())
    provider.person["sub"] = "of the new registration"
    assert ends_with(site).status_code == 403
    (way,) = re.findall(r'action="(/accounts/\d+/unbind)"', admin.get("/accounts").text)
    assert admin.post(way, "/accounts").status_code == 303
    assert client.get("/account").status_code == 303
    assert site.parts.api_tokens.find(token) is None
    assert "/unbind" not in admin.get("/accounts").text
    assert ends_with(site).status_code == 303
    (unbound,) = [entry for entry in site.parts.audit_log.newest(9) if entry.act == "PROVIDER_UNBOUND"]
    assert (unbound.account, unbound.address) == ("admin", "127.0.0.1")
    assert json.loads(unbound.details) == {"account": EMAIL, "subject": f"{provider.issuer} 248289761001"}


def test_what_is_not_bound_cannot_be_unbound(world: World) -> None:
    """Nothing ends."""
    with pytest.raises(AccountRefused, match="is not bound"):
        world[0].parts.accounts.unbind(world[0].parts.accounts.named(EMAIL), Actor())


def test_a_sign_in_that_the_provider_refuses_is_told_and_recorded(world: World) -> None:
    """Only where it began in this browser: anybody can send somebody a link."""
    site, provider = world
    provider.refuses = True
    answer = ends_with(site)
    assert "Not signed in: the identity provider did not sign you in." in answer.text
    assert 'name="password"' in answer.text
    assert json.loads(site.parts.audit_log.newest(1)[0].details)["reason"] == "answer refused"
    before = site.acts()
    assert site.client().get("/sign-in/provider/answer?state=x&error=access_denied").status_code == 403
    assert site.acts() == before


UNUSABLE: Final[dict[str, Any]] = {
    "unknown curve": {"kty": "EC", "crv": "P-999", "x": "AA", "y": "AA", "kid": "1"},
    "no point of its curve": {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "kid": "1"},
    "unknown curve without ID": {"kty": "OKP", "crv": "X999", "x": "AA"},
    "unknown type": {"kty": "AKP", "alg": "ML-DSA-44", "pub": "AA", "kid": "1"},
    "incomplete": {"kty": "RSA", "kid": "1"},
    "symmetric": {"kty": "oct", "k": "AAAA", "kid": "1"},
    "no type": {"kid": "1"},
    "type of no sense": {"kty": ["RSA"]},
    "text": "RSA",
    "nothing": None,
    "for agreement": OKPKey.generate_key("X25519").as_dict(private=False),
    "other type": ECKey.generate_key("P-256").as_dict(private=False),
    "for encryption": RSAKey.generate_key(2048).as_dict(private=False) | {"use": "enc"},
    "another": RSAKey.generate_key(2048).as_dict(private=False),
}


@pytest.mark.parametrize("unusable", [*UNUSABLE, "all"])
@pytest.mark.filterwarnings("ignore:.*:joserfc.errors.SecurityWarning")
def test_keys_that_cannot_be_used_are_passed_over(shared_world: World, unusable: str) -> None:
    """Of an unknown type or curve, malformed, for something else, without a key ID."""
    site, provider = shared_world
    provider.other_keys = list(UNUSABLE.values()) if unusable == "all" else [UNUSABLE[unusable]]
    assert names(site).verified_email == EMAIL


def test_a_token_may_name_a_key_id_where_the_keys_have_none(shared_world: World) -> None:
    """And the other way round; the signature must be of one of them."""
    site, provider = shared_world
    with_id = provider.key
    provider.other_keys = [RSAKey.generate_key(2048).as_dict(private=False)]
    provider.key, provider.header = RSAKey.generate_key(2048), {"alg": "RS256", "kid": "1"}
    assert names(site).verified_email == EMAIL
    provider.key, provider.header = with_id, {"alg": "RS256"}
    assert names(site).verified_email == EMAIL
    provider.signs_with = RSAKey.generate_key(2048)
    assert "answer is not valid (BadSignatureError)" in ends_with(site).text


@pytest.mark.parametrize(
    ("key", "header"),
    [
        (RSAKey.generate_key(2048, {"kid": "2"}), {"alg": "PS512", "kid": "2"}),
        (ECKey.generate_key("P-521"), {"alg": "ES512"}),
        (OKPKey.generate_key("Ed25519"), {"alg": "EdDSA"}),
    ],
    ids=lambda value: str(value.get("alg", "")),
)
@pytest.mark.filterwarnings("ignore:.*:joserfc.errors.SecurityWarning")
def test_a_key_that_is_new_is_known_at_once(shared_world: World, key: Any, header: dict[str, str]) -> None:
    """The provider may change its key between two sign-ins."""
    site, provider = shared_world
    assert names(site).verified_email == EMAIL
    provider.key, provider.header = key, header
    assert names(site).verified_email == EMAIL


def test_a_clock_may_be_ahead_by_the_leeway(shared_world: World) -> None:
    """By two minutes, or by what the setting says; not by more."""
    site, provider = shared_world
    provider.seconds_ahead = 110
    assert names(site).verified_email == EMAIL
    provider.seconds_ahead = 180
    assert "answer is not valid (InvalidClaimError)" in ends_with(site).text


def test_a_token_for_several_is_accepted_if_it_was_made_for_us(shared_world: World) -> None:
    """It says so in azp."""
    site, provider = shared_world
    provider.lies = {"aud": ["another", CLIENT_ID], "azp": CLIENT_ID}
    assert names(site).verified_email == EMAIL


@pytest.mark.parametrize(
    ("says", "asked"),
    [
        ({}, False),
        ({"amr": ["pwd"]}, False),
        ({"amr": ["otp"]}, False),
        ({"amr": ["pwd", "kba", "user", "geo"]}, False),
        ({"amr": "mfa"}, False),
        ({"amr": ["pwd", "otp"]}, True),
        ({"amr": ["hwk", "fpt"]}, True),
        ({"amr": ["pwd", "mfa"]}, True),
        ({"acr": "silver"}, False),
        ({"acr": "gold"}, True),
    ],
    ids=str,
)
def test_two_kinds_of_factors_are_a_second_factor(shared_world: World, says: dict[str, Any], asked: bool) -> None:  # noqa: FBT001 - a table's column
    """Something known, had or been, as RFC 8176 calls them; or the acr that the setting names, which is asked for."""
    site, provider = shared_world
    provider.lies = says
    assert names(site).asked_second_factor is asked
    assert provider.asked["acr_values"] == "gold"


def test_an_acr_is_nothing_where_no_setting_names_it(world: World) -> None:
    """Neither is a missing one."""
    site, provider = world
    for provider.lies in ({}, {"acr": None}, {"acr": ""}, {"acr": "gold"}):
        assert not names(site).asked_second_factor
    assert "acr_values" not in provider.asked


def test_a_person_can_be_made_to_sign_in_again(shared_world: World) -> None:
    """The provider then says when. Where it does not, only somebody who was asked again has just signed in."""
    site, provider = shared_world
    assert names(site).authenticated_at == datetime.fromtimestamp(0, UTC)
    assert "prompt" not in provider.asked
    found = names(site, again=True).authenticated_at
    assert (provider.asked["prompt"], provider.asked["max_age"]) == ("login", "0")
    assert found is not None
    assert abs((site.clock() - found).total_seconds()) < 100
    provider.lies = {"auth_time": None}
    assert names(site, again=True).authenticated_at is None


def test_signing_out_ends_the_session_at_the_provider(world: World) -> None:
    """Where it offers that; the session here has ended before."""
    site, provider = world
    provider.offers["end_session_endpoint"] = f"{provider.issuer}/end?tenant=1"
    client = site.client()
    client.get(go_and_come_back(client))
    session = dict(client.cookies)
    page = client.post("/sign-out", "/account")
    (address,) = re.findall(r'<a href="(http[^"]+)"', page.text)
    asked = parse_qs(urlsplit(address.replace("&amp;", "&")).query)
    assert asked == {"tenant": ["1"], "client_id": [CLIENT_ID], "post_logout_redirect_uri": [f"{site.url}/sign-in"]}
    assert (page.headers["clear-site-data"], "Sign out</button>" in page.text) == ('"cache", "storage"', False)
    client.cookies |= session
    assert client.get("/account").status_code == 303


def test_signing_out_does_not_need_the_provider(world: World) -> None:
    """It offers no end of sessions, or it is away; an account with a password never goes there."""
    site, provider = world
    client = site.client()
    client.get(go_and_come_back(client))
    assert client.post("/sign-out", "/account").headers["location"] == "/sign-in"
    provider.offers["end_session_endpoint"] = f"{provider.issuer}/end"
    assert site.parts.provider is not None
    site.parts.provider._metadata = None
    assert site.signed_in().post("/sign-out", "/account").headers["location"] == "/sign-in"


def test_each_setting_reaches_the_provider(tmp_path: Path) -> None:
    """Under its own name."""
    given: dict[str, Any] = {
        "issuer": "https://login.example",
        "client_id": "a client",
        "client_secret": "a secret",
        "trust_email": True,
        "leeway_seconds": 7,
        "second_factor_acr": "gold",
    }
    settings = Settings(public_url="https://site.example", **{f"oidc_{name}": value for name, value in given.items()})
    provider = service._provider(settings, SiteDatabase(tmp_path / "accounts"))
    assert provider is not None
    assert asdict(provider._settings) == {"public_url": "https://site.example", **given}
