"""Signing in and out: passwords, limits, sessions."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Final

import pyotp
import pytest
from argon2 import extract_parameters
from argon2.exceptions import VerifyMismatchError

from matterlog.report.errors import AccountRefused, PasswordRefused, SignInRefused, TooManyTries
from matterlog.report.web.http.forms import BROWSER_COOKIE, SESSION_COOKIE
from matterlog.report.web.identity import passwords as password_module
from matterlog.report.web.identity.accounts import Role
from matterlog.report.web.identity.audit_log import Actor
from matterlog.report.web.identity.passwords import Passwords, check_password, generate_password
from matterlog.report.web.identity.rate_limits import (
    FORGOTTEN_AFTER_SECONDS,
    LONGEST_PAUSE_SECONDS,
    Pauses,
    RateLimit,
    network_of,
)
from matterlog.report.web.identity.second_factor import new_secret
from matterlog.report.web.identity.secret_tokens import hash_of
from matterlog.report.web.identity.sessions import AWAITING_SECOND_FACTOR, IDLE, OLD
from matterlog.report.web.identity.sign_in import FIRST_PASSWORD_VALID, FREE_BY_NAME, FREE_BY_NETWORK, Way
from tests.report.web.sites import NAME, PASSWORD, Client, RunningSite

# As it is before the fixtures make it cheap.
REAL_HASHER = password_module._HASHER
MOMENT = timedelta(seconds=1)
HERE: Final = Way(address="192.0.2.1")
ELSEWHERE: Final = Way(address="192.0.2.2")


def is_signed_in(client: Client) -> bool:
    return client.get("/account").status_code == 200


def test_the_right_password_opens_the_site(site: RunningSite) -> None:
    """Whatever the name's capitals."""
    site.account()
    client = site.client()
    assert client.sign_in(NAME.upper()).status_code == 303
    assert NAME in client.get("/account").text
    assert site.acts() == ["ACCOUNT_ADDED", "SIGNED_IN"]


def test_wrong_password_unknown_name_and_disabled_account_get_the_same_answer(site: RunningSite) -> None:
    """What differs is recorded, but for the unknown name: it may be a password."""
    site.parts.accounts.disable(site.account("off.duty"), Actor())
    site.account()
    tries = [(NAME, "wrong"), ("nobody", PASSWORD), ("off.duty", PASSWORD)]
    answers = [site.client().sign_in(*each) for each in tries]
    assert {answer.status_code for answer in answers} == {403}
    assert all("The name or the password is wrong" in answer.text for answer in answers)
    failed = [entry.account for entry in site.parts.audit_log.newest(100) if entry.act == "SIGN_IN_FAILED"]
    assert set(failed) == {NAME, None, "off.duty"}


@pytest.mark.parametrize("name", ["nobody", "off.duty"])
def test_who_cannot_sign_in_costs_a_hash_too(site: RunningSite, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """An unknown name and a disabled account: or the time would tell who has an account."""
    site.parts.accounts.disable(site.account("off.duty"), Actor())
    asked: list[str | None] = []
    matches = Passwords.matches

    def noted(self: Passwords, kept: str | None, typed: str) -> bool:
        asked.append(kept)
        return matches(self, kept, typed)

    monkeypatch.setattr(Passwords, "matches", noted)
    site.client().sign_in(name, "x")
    assert asked == [None]


def test_too_many_failures_are_followed_by_a_pause_even_for_the_right_password(site: RunningSite) -> None:
    """Of one name from one network; the flood is one entry in the record."""
    site.account()
    client = site.client()
    statuses = [client.sign_in(password="wrong").status_code for _ in range(FREE_BY_NAME)]  # noqa: S106 - wrong
    assert set(statuses) == {403}
    assert [client.sign_in().status_code for _ in range(3)] == [429, 429, 429]
    assert site.acts().count("SIGN_IN_LIMITED") == 1


def test_each_refused_sign_in_is_counted_for_monitors_also_during_a_pause(site: RunningSite) -> None:
    """And no other one."""
    site.account()
    client = site.client()
    client.sign_in()
    fail(site, [NAME] * (FREE_BY_NAME + 3), HERE)
    assert f"matterlog_sign_ins_refused_total {FREE_BY_NAME + 3:.1f}\n" in client.get("/metrics").text


def fail(site: RunningSite, names: Iterable[str], way: Way) -> None:
    """Try a wrong password with each name."""
    for name in names:
        with pytest.raises((SignInRefused, TooManyTries)):
            site.parts.sign_in.with_password(name, "wrong", way)


def test_many_names_from_one_network_are_followed_by_a_pause_too(site: RunningSite) -> None:
    """One password tried with every name; an account of the attacker's own frees nothing."""
    site.account()
    enter = site.parts.sign_in.with_password
    fail(site, [f"name-{number}" for number in range(FREE_BY_NETWORK - 1)], HERE)
    enter(NAME, PASSWORD, HERE)
    fail(site, ["one.more"], HERE)
    with pytest.raises(TooManyTries):
        enter(NAME, PASSWORD, HERE)
    assert site.acts().count("SIGN_IN_FAILED") == FREE_BY_NETWORK
    assert enter(NAME, PASSWORD, ELSEWHERE).token


def test_right_sign_ins_count_nowhere(site: RunningSite) -> None:
    """An office, or a proxy, may have one address for everybody."""
    site.account()
    for _ in range(2 * FREE_BY_NETWORK):
        assert site.parts.sign_in.with_password(NAME, PASSWORD, HERE).token


def test_an_attacker_keeps_no_owner_out_of_a_known_browser_nor_of_a_new_one_elsewhere(site: RunningSite) -> None:
    """The known browser stands in the attacker's own network."""
    client = site.signed_in()
    client.post("/sign-out", "/account")
    network = Way(address="127.0.0.1")
    fail(site, [NAME] * 100 + [f"name-{number}" for number in range(100)], network)
    with pytest.raises(TooManyTries):
        site.parts.sign_in.with_password(NAME, PASSWORD, network)
    assert client.sign_in().status_code == 303
    assert site.client().sign_in().status_code == 429
    assert site.parts.sign_in.with_password(NAME, PASSWORD, ELSEWHERE).token


def test_a_known_browser_is_known_for_its_own_account_alone(site: RunningSite) -> None:
    """And has a pause of its own, which its owner meets nowhere else."""
    site.account()
    client = site.signed_in("the.other")
    browser = Way(address="192.0.2.1", browser=client.cookies[BROWSER_COOKIE])
    fail(site, [NAME] * FREE_BY_NAME, browser)
    with pytest.raises(TooManyTries):
        site.parts.sign_in.with_password(NAME, PASSWORD, HERE)
    fail(site, ["the.other"] * FREE_BY_NAME, browser)
    with pytest.raises(TooManyTries):
        site.parts.sign_in.with_password("the.other", PASSWORD, browser)
    assert site.parts.sign_in.with_password("the.other", PASSWORD, HERE).token


def test_no_name_that_somebody_types_meets_the_counts_of_another_kind(site: RunningSite) -> None:
    """Such as those of the second factor's codes."""
    made = new_secret()
    account = site.account()
    site.parts.second_factors.add(account, made, pyotp.TOTP(made).at(site.clock.now), Actor())
    fail(site, [f"code of {NAME}", "code", f"code {NAME}"] * 8, HERE)
    waiting = site.parts.sessions.find(site.parts.sign_in.with_password(NAME, PASSWORD, HERE).token)
    assert waiting is not None
    site.clock.advance(timedelta(seconds=30))
    assert site.parts.sign_in.with_code(waiting, pyotp.TOTP(made).at(site.clock.now), HERE).token


def test_pauses_grow_and_are_forgotten() -> None:
    """Up to a quarter of an hour; a try in a pause counts nothing."""
    now = [0.0]
    pauses = Pauses(2, lambda: now[0])
    waits: list[float] = []
    for _ in range(10):
        assert pauses.wait_seconds(("a",)) == 0.0
        waits.append(pauses.wait_seconds(("a",)) if waits else 0.0)
        now[0] += waits[-1]
    assert waits == [0.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0, 640.0, 900.0, 900.0]
    now[0] += FORGOTTEN_AFTER_SECONDS + 1
    assert [pauses.wait_seconds(("a",)), pauses.wait_seconds(("a",)), pauses.wait_seconds(("a",))] == [0.0, 0.0, 10.0]


def test_a_first_password_expires(site: RunningSite) -> None:
    """One that its owner has chosen does not."""
    site.account("the.other")
    given = site.parts.accounts.reset(site.account(), None, Actor())
    site.clock.advance(FIRST_PASSWORD_VALID)
    assert site.client().sign_in(password=given).status_code == 403
    assert site.client().sign_in("the.other").status_code == 303
    assert site.client().sign_in(password=site.parts.accounts.reset(site.parts.accounts.named(NAME), None, Actor()))


def test_signing_in_again_ends_the_session_before(site: RunningSite) -> None:
    """Whoever kept its cookie has nothing."""
    client = site.signed_in()
    kept = dict(client.cookies)
    client.post("/sign-in", "/sign-in?again=true", name=NAME, password=PASSWORD)
    assert is_signed_in(client)
    client.cookies = kept
    assert not is_signed_in(client)


def test_a_limit_counts_within_its_window_by_key() -> None:
    """And starts again behind it."""
    now = [0.0]
    limit = RateLimit(2, 10.0, lambda: now[0])
    assert [limit.allows("a"), limit.allows("a"), limit.allows("a"), limit.allows("b")] == [True, True, False, True]
    now[0] = 10.1
    assert limit.allows("a")


def test_an_attackers_addresses_are_counted_together() -> None:
    """Whoever has one of IPv6 has a network of them."""
    assert network_of("2001:db8::1") == network_of("2001:db8::ffff:1") != network_of("2001:db8:0:1::1")
    assert network_of("192.0.2.1") != network_of("192.0.2.2")


def test_an_ipv4_address_in_ipv6_form_is_a_network_of_its_own() -> None:
    """Or everybody who comes through such a socket or proxy would be in one network."""
    assert network_of("::ffff:192.0.2.1") == network_of("192.0.2.1")


def test_a_pause_is_the_longest_whatever_the_count() -> None:
    """Days of failures are no number that overflows."""
    now = [0.0]
    pauses = Pauses(1, lambda: now[0])
    for _ in range(1100):
        assert pauses.wait_seconds(("name",)) == 0
        now[0] += LONGEST_PAUSE_SECONDS
    assert pauses.wait_seconds(("name",)) == 0
    assert pauses.wait_seconds(("name",)) == LONGEST_PAUSE_SECONDS


def test_each_sign_in_makes_a_new_token_which_is_kept_as_a_hash(site: RunningSite) -> None:
    """One that somebody planted before is worth nothing."""
    first = site.signed_in().cookies[SESSION_COOKIE]
    other = site.client()
    other.cookies[SESSION_COOKIE] = "planted"
    other.sign_in()
    assert len({first, "planted", other.cookies[SESSION_COOKIE]}) == 3
    with site.parts.database.reading() as connection:
        kept = [row["token_hash"] for row in connection.execute("SELECT token_hash FROM sessions")]
    assert hash_of(first) in kept
    assert first.encode() not in b"".join(kept)


def test_signing_out_ends_the_session_on_the_server(site: RunningSite) -> None:
    """Whoever kept the cookie has nothing."""
    client = site.signed_in()
    kept = dict(client.cookies)
    assert client.post("/sign-out", "/account").headers["location"] == "/sign-in"
    assert SESSION_COOKIE not in client.cookies
    client.cookies = kept
    assert not is_signed_in(client)


def test_a_session_ends_when_idle(site: RunningSite) -> None:
    """And a request keeps it alive."""
    client = site.signed_in()
    for _ in range(2):
        site.clock.advance(IDLE - MOMENT)
        assert is_signed_in(client)
    site.clock.advance(IDLE)
    assert not is_signed_in(client)


def test_a_session_ends_when_old(site: RunningSite) -> None:
    """However busy it is."""
    client = site.signed_in()
    for _ in range(OLD // (IDLE / 2) - 1):
        site.clock.advance(IDLE / 2)
        assert is_signed_in(client)
    site.clock.advance(IDLE / 2)
    assert not is_signed_in(client)


def test_disabling_an_account_ends_its_sessions_at_once(site: RunningSite) -> None:
    """Enabling it does not bring them back."""
    client = site.signed_in()
    account = site.parts.accounts.named(NAME)
    site.parts.accounts.disable(account, Actor())
    assert not is_signed_in(client)
    site.parts.accounts.enable(account, Actor())
    assert not is_signed_in(client)


def test_a_new_role_holds_from_the_next_request_on(site: RunningSite) -> None:
    """For better and for worse."""
    site.account("the.other", Role.ADMINISTRATOR)
    client = site.signed_in(role=Role.ADMINISTRATOR)
    assert client.get("/accounts").status_code == 200
    site.parts.accounts.set_role(site.parts.accounts.named(NAME), Role.ANALYST, Actor())
    assert client.get("/accounts").status_code == 403


def test_an_administrator_is_always_left(site: RunningSite) -> None:
    """Whoever asks."""
    account = site.account(role=Role.ADMINISTRATOR)
    with pytest.raises(AccountRefused, match="only administrator"):
        site.parts.accounts.disable(account, Actor())
    with pytest.raises(AccountRefused, match="only administrator"):
        site.parts.accounts.set_role(account, Role.ANALYST, Actor())


def test_a_password_that_others_know_has_to_be_changed_first(site: RunningSite) -> None:
    """No other page opens before."""
    given = site.parts.accounts.reset(site.account(), None, Actor())
    client = site.client()
    client.sign_in(password=given)
    assert client.get("/").headers["location"] == "/account/password"
    chosen = {"present": given, "wanted": PASSWORD, "again": PASSWORD}
    assert client.post("/account/password", "/account/password", **chosen).headers["location"] == "/account"
    assert is_signed_in(client)


def test_another_password_ends_every_other_session(site: RunningSite) -> None:
    """And gives this one another token."""
    client, other = site.signed_in(), site.client()
    other.sign_in()
    before = client.cookies[SESSION_COOKIE]
    chosen = {"present": PASSWORD, "wanted": "an umbrella in the rain", "again": "an umbrella in the rain"}
    client.post("/account/password", "/account/password", **chosen)
    assert (is_signed_in(client), is_signed_in(other)) == (True, False)
    assert client.cookies[SESSION_COOKIE] != before


@pytest.mark.parametrize(
    "password",
    [
        *("short", "x" * 257, "password", "PASSWORD1", "12345678", "aaaaaaaaaaaa", "23456789", "hgfedcba"),
        *("a.silva2026!", "MatterLog now"),
    ],
)
def test_a_bad_password_is_refused(password: str) -> None:
    """Too short, too long, common, one step after the other, or the account's own name."""
    with pytest.raises(PasswordRefused):
        check_password(password, "a.silva@firm.example")


@pytest.mark.parametrize(
    "password", [PASSWORD, "zwölf Boxkämpfer", "passwordless tea", pytest.param(generate_password(), id="generated")]
)
def test_a_good_password_is_taken(password: str) -> None:
    """Blanks and other letters too; nobody asks for a digit."""
    check_password(password, "a.silva@firm.example")


def test_what_is_kept_of_a_password_is_argon2id_with_64_mib_and_3_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A composed letter and its parts are the same."""
    monkeypatch.setattr(password_module, "_HASHER", REAL_HASHER)
    passwords = Passwords()
    kept = passwords.hash("caf\u00e9 am Markt")
    assert kept.startswith("$argon2id$v=19$m=65536,t=3,p=1$")
    assert passwords.matches(kept, "cafe\u0301 am Markt")
    assert not passwords.matches(kept, "cafe am Markt")
    assert not passwords.matches(None, "cafe am Markt")


def test_an_unknown_name_takes_as_long_as_a_wrong_password(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the costs of the hash that is compared, which would tell who has an account."""
    monkeypatch.setattr(password_module, "_HASHER", REAL_HASHER)
    of_nobody = password_module._hash_of_nobody()
    assert extract_parameters(of_nobody) == extract_parameters(REAL_HASHER.hash("a password"))
    with pytest.raises(VerifyMismatchError):
        REAL_HASHER.verify(of_nobody, "a password")


def test_a_session_that_awaits_its_second_factor_ends_soon() -> None:
    """It is worth a password."""
    assert timedelta(minutes=10) > AWAITING_SECOND_FACTOR
