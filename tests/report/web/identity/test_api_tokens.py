"""API tokens: scoped, expiring, shown once, kept as a hash."""

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated

import pytest
from fastapi import APIRouter, Depends

from matterlog.report.errors import TokenRefused
from matterlog.report.web import site as site_module
from matterlog.report.web.http.visitors import bearer
from matterlog.report.web.identity.api_tokens import MAX_TOKENS, Scope, TokenHolder
from matterlog.report.web.identity.audit_log import Actor
from tests.report.web.sites import NAME, Client, RunningSite, running_site

router = APIRouter(prefix="/api/test")


@router.get("/whoami")
def whoami(holder: Annotated[TokenHolder, Depends(bearer(Scope.EXTRACTS))]) -> dict[str, str]:
    """Say whose token was sent."""
    return {"account": holder.account.name}


@router.post("/fails")
def fails() -> None:
    """Fail as a route does that has a mistake."""
    raise RuntimeError("@".join(["zoe", "example.com"]))  # put together, for the log shows the line itself


@pytest.fixture(name="site")
def a_site_with_an_api(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[RunningSite]:
    """A site with a route that takes tokens."""
    monkeypatch.setattr(site_module, "ROUTERS", (*site_module.ROUTERS, router))
    with running_site(tmp_path_factory.mktemp("api")) as running:
        yield running


def made(site: RunningSite, *scopes: Scope, days: int = 7) -> str:
    """A token of a new account."""
    return site.parts.api_tokens.make(site.account(), "Power BI", frozenset(scopes), days, Actor())


def asked_with(client: Client, token: str) -> tuple[int, str]:
    """The answer to who has a token."""
    answer = client.get("/api/test/whoami", headers={"Authorization": f"Bearer {token}"})
    return answer.status_code, answer.headers["content-type"]


def test_a_token_opens_what_its_scope_is_for(site: RunningSite) -> None:
    """And nothing else."""
    token = made(site, Scope.EXTRACTS)
    assert asked_with(site.client(), token) == (200, "application/json")
    assert site.client().get("/account", headers={"Authorization": f"Bearer {token}"}).status_code == 303
    other = site.parts.api_tokens.make(site.parts.accounts.named(NAME), "x", frozenset({Scope.STATUS}), 7, Actor())
    assert asked_with(site.client(), other) == (403, "application/problem+json")


def test_without_a_token_that_holds_the_answer_is_401(site: RunningSite) -> None:
    """A session's cookie is none; what is wanted stands in a header."""
    client = site.signed_in()
    answer = client.get("/api/test/whoami")
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert answer.json()["status"] == 401
    assert asked_with(client, "mlog_wrong")[0] == 401


def test_a_token_expires(site: RunningSite) -> None:
    """On the day that was chosen."""
    token = made(site, Scope.EXTRACTS)
    site.clock.advance(timedelta(days=7) - timedelta(seconds=1))
    assert asked_with(site.client(), token)[0] == 200
    site.clock.advance(timedelta(seconds=1))
    assert asked_with(site.client(), token)[0] == 401


@pytest.mark.parametrize("end", ["disable", "reset"])
def test_a_token_ends_with_its_accounts_rights(site: RunningSite, end: str) -> None:
    """For good."""
    token, account = made(site, Scope.EXTRACTS), site.parts.accounts.named(NAME)
    if end == "reset":
        site.parts.accounts.reset(account, None, Actor())
    else:
        site.parts.accounts.disable(account, Actor())
        site.parts.accounts.enable(account, Actor())
    assert asked_with(site.client(), token)[0] == 401


def test_a_token_is_shown_once_and_kept_as_a_hash(site: RunningSite) -> None:
    """Made and removed on the account's page."""
    client = site.signed_in()
    chosen = {"label": "<b>Power BI</b>", "scope": ["extracts", "status"], "days": "30"}
    page = client.post("/account/tokens", "/account", **chosen).text
    token = re.search(r'id="new-token">(mlog_[A-Za-z0-9_-]{43})<', page)
    assert token is not None
    assert asked_with(client, token[1])[0] == 200
    again = client.get("/account").text
    assert "&lt;b&gt;Power BI&lt;/b&gt;" in again
    assert token[1] not in again
    assert token[1].encode() not in (site.folder / "log.duckdb.accounts").read_bytes()
    client.post("/account/tokens/1/remove", "/account")
    assert asked_with(client, token[1])[0] == 401
    assert site.acts()[-3:] == ["API_TOKEN_MADE", "API_TOKEN_REMOVED", "API_TOKEN_REFUSED"]


def test_nobody_removes_the_token_of_somebody_else(site: RunningSite) -> None:
    """Its number is easily guessed."""
    token = made(site, Scope.EXTRACTS)
    site.signed_in("j.okafor").post("/account/tokens/1/remove", "/account")
    assert asked_with(site.client(), token)[0] == 200


@pytest.mark.parametrize(
    ("label", "scopes", "days"),
    [
        ("", {Scope.STATUS}, 7),
        (" ", {Scope.STATUS}, 7),
        ("x" * 81, {Scope.STATUS}, 7),
        ("x", set(), 7),
        ("x", {Scope.STATUS}, 3650),
    ],
)
def test_a_token_that_makes_no_sense_is_refused(site: RunningSite, label: str, scopes: set[Scope], days: int) -> None:
    """Without a name, for nothing, or nearly for ever."""
    with pytest.raises(TokenRefused):
        site.parts.api_tokens.make(site.account(), label, frozenset(scopes), days, Actor())


def test_an_account_has_so_many_tokens_and_no_more(site: RunningSite) -> None:
    """Somebody would forget what they are for."""
    account = site.account()
    for number in range(MAX_TOKENS):
        site.parts.api_tokens.make(account, f"token {number}", frozenset({Scope.STATUS}), 7, Actor())
    with pytest.raises(TokenRefused, match="Remove one first"):
        site.parts.api_tokens.make(account, "one more", frozenset({Scope.STATUS}), 7, Actor())


def test_a_route_of_the_api_that_fails_says_nothing_of_why(site: RunningSite, caplog: pytest.LogCaptureFixture) -> None:
    """Neither to who asked nor in the log."""
    answer = site.client().request("POST", "/api/test/fails")
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert "zoe@example.com" not in answer.text + caplog.text
    assert "/api/test/fails failed: RuntimeError" in caplog.text
