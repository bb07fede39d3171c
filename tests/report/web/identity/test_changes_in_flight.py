"""Accounts that are changed while somebody signs in with them: the check of a password takes a while."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pyotp
import pytest

from matterlog.report.errors import CodeRefused, SignInRefused, TooManyTries
from matterlog.report.web.identity.accounts import Account
from matterlog.report.web.identity.api_tokens import Scope
from matterlog.report.web.identity.audit_log import Actor
from matterlog.report.web.identity.passwords import Passwords
from matterlog.report.web.identity.second_factor import new_secret
from matterlog.report.web.identity.sign_in import FREE_BY_NAME, Way
from tests.report.web.sites import NAME, PASSWORD, RunningSite

HERE = Way(address="192.0.2.1")
OTHER_PASSWORD = "an umbrella in the rain"  # noqa: S105 - of an account that lives for one test
CHANGES = ["reset", "disable", "second factor", "bind"]


def change(site: RunningSite, account: Account, how: str) -> None:
    """What an administrator or the owner does elsewhere."""
    if how == "reset":
        site.parts.accounts.reset(account, None, Actor())
    elif how == "disable":
        site.parts.accounts.disable(account, Actor())
    elif how == "bind":
        site.parts.accounts.bind(account, "https://idp.example 42", Actor())
    else:
        secret = new_secret()
        site.parts.second_factors.add(account, secret, pyotp.TOTP(secret).at(site.clock.now), Actor())


def in_the_check(monkeypatch: pytest.MonkeyPatch, do: Callable[[], None]) -> None:
    """Do something once, right after a password was found right."""
    matches, left = Passwords.matches, [do]

    def slow(self: Passwords, kept: str | None, typed: str) -> bool:
        right = matches(self, kept, typed)
        if left:
            left.pop()()
        return right

    monkeypatch.setattr(Passwords, "matches", slow)


@pytest.mark.parametrize("how", CHANGES)
def test_a_sign_in_under_way_starts_no_session_of_a_changed_account(
    site: RunningSite, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """The old password would open it behind the reset, or without the second factor."""
    account = site.account()
    in_the_check(monkeypatch, lambda: change(site, account, how))
    with pytest.raises(SignInRefused):
        site.parts.sign_in.with_password(NAME, PASSWORD, HERE)
    site.parts.accounts.enable(account, Actor())
    assert site.parts.sessions.of_account(account) == []


def test_a_reset_is_not_undone_by_a_password_that_is_changed_meanwhile(
    site: RunningSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever has taken the account knows the present password too."""
    client = site.signed_in()
    in_the_check(monkeypatch, lambda: change(site, site.parts.accounts.named(NAME), "reset"))
    chosen = {"present": PASSWORD, "wanted": OTHER_PASSWORD, "again": OTHER_PASSWORD}
    client.post("/account/password", "/account/password", **chosen)
    assert site.parts.accounts.named(NAME).must_change_password
    with pytest.raises(SignInRefused):
        site.parts.sign_in.with_password(NAME, OTHER_PASSWORD, HERE)


def test_a_reset_account_gets_no_second_factor_and_no_token_that_were_asked_for_before(site: RunningSite) -> None:
    before, secret = site.account(), new_secret()
    change(site, before, "reset")
    with pytest.raises(SignInRefused):
        site.parts.second_factors.add(before, secret, pyotp.TOTP(secret).at(site.clock.now), Actor())
    with pytest.raises(SignInRefused):
        site.parts.api_tokens.make(before, "Power BI", frozenset({Scope.STATUS}), 7, Actor())


def test_one_code_opens_one_of_two_sign_ins_at_once(site: RunningSite) -> None:
    change(site, site.account(), "second factor")
    secret = site.parts.accounts.named(NAME).totp_secret
    assert secret is not None
    site.clock.advance(timedelta(minutes=2))
    tokens = [site.parts.sign_in.with_password(NAME, PASSWORD, HERE).token for _ in range(4)]

    def enter(token: str) -> bool:
        waiting = site.parts.sessions.find(token)
        assert waiting is not None
        try:
            site.parts.sign_in.with_code(waiting, pyotp.TOTP(secret).at(site.clock.now), HERE)
        except CodeRefused:
            return False
        return True

    with ThreadPoolExecutor(4) as threads:
        assert sum(threads.map(enter, tokens)) == 1


def test_wrong_passwords_at_once_are_counted_before_they_are_checked(site: RunningSite) -> None:
    site.account()

    def enter(number: int) -> type[Exception] | None:
        try:
            site.parts.sign_in.with_password(NAME, f"wrong {number}", HERE)
        except (SignInRefused, TooManyTries) as error:
            return type(error)
        return None

    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(enter, range(20)))
    assert (found.count(SignInRefused), found.count(TooManyTries)) == (FREE_BY_NAME, 20 - FREE_BY_NAME)
