"""The second factor: codes that hold once, recovery codes, and the way through the pages."""

import re
from datetime import timedelta

import pyotp
import pytest

from matterlog.report.errors import CodeRefused
from matterlog.report.web.http.forms import SESSION_COOKIE
from matterlog.report.web.identity.audit_log import Actor
from matterlog.report.web.identity.second_factor import SecondFactors, matching_step, new_secret
from matterlog.report.web.identity.sessions import AWAITING_SECOND_FACTOR
from tests.report.web.sites import NAME, PASSWORD, Client, RunningSite

HALF_MINUTE = timedelta(seconds=30)


def code_of(site: RunningSite, secret: str) -> str:
    """What the device shows now."""
    return pyotp.TOTP(secret).at(site.clock.now)


@pytest.fixture
def secret(site: RunningSite) -> str:
    """The secret of an account that has a second factor; the code of this half minute is used."""
    made = new_secret()
    site.parts.second_factors.add(site.account(), made, code_of(site, made), Actor())
    return made


def second_step(site: RunningSite) -> Client:
    """Somebody who has given the right password."""
    client = site.client()
    assert client.sign_in().headers["location"] == "/sign-in/code?next=%2F"
    return client


def test_the_password_alone_opens_nothing(site: RunningSite, secret: str) -> None:  # noqa: ARG001 - the account has one
    """Not even the pages of one's own account."""
    client = second_step(site)
    assert client.get("/account").headers["location"] == "/sign-in?next=%2Faccount"


def test_the_devices_code_opens_the_site_under_another_token(site: RunningSite, secret: str) -> None:
    """The half session is gone."""
    client = second_step(site)
    half = dict(client.cookies)
    site.clock.advance(HALF_MINUTE)
    assert client.post("/sign-in/code", "/sign-in/code", code=code_of(site, secret)).headers["location"] == "/"
    assert client.get("/account").status_code == 200
    assert client.cookies[SESSION_COOKIE] != half[SESSION_COOKIE]
    client.cookies = half
    assert client.get("/sign-in/code").headers["location"] == "/sign-in"


def test_a_code_holds_once(site: RunningSite, secret: str) -> None:
    """Neither it nor an older one is taken again."""
    takes = site.parts.second_factors.takes
    account = site.parts.accounts.named(NAME)
    assert not takes(account, code_of(site, secret), Actor())
    earlier = code_of(site, secret)
    site.clock.advance(HALF_MINUTE)
    assert takes(account, code_of(site, secret), Actor())
    assert not takes(account, code_of(site, secret), Actor())
    assert not takes(account, earlier, Actor())


def test_a_recovery_code_opens_its_own_account_alone(site: RunningSite) -> None:
    """Somebody else's is no code, and stays its owner's."""
    accounts, made, factors = [site.account(name) for name in ("one", "other")], new_secret(), site.parts.second_factors
    (code, *_), _ = [factors.add(account, made, code_of(site, made), Actor()) for account in accounts]
    assert not factors.takes(accounts[1], code, Actor())
    assert factors.takes(accounts[0], code, Actor())


@pytest.mark.parametrize(("steps", "holds"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_a_code_holds_for_its_half_minute_and_its_neighbours(site: RunningSite, steps: int, *, holds: bool) -> None:
    """Clocks differ."""
    made = new_secret()
    code = pyotp.TOTP(made).at(site.clock.now + steps * HALF_MINUTE)
    assert (matching_step(made, code, site.clock.now) is not None) is holds


@pytest.mark.parametrize("code", ["", "12345", "1234567", "abcdef", "١٢٣٤٥٦", "123 45"])
def test_what_is_no_code_is_refused(site: RunningSite, code: str) -> None:
    """Whatever it is."""
    assert matching_step(new_secret(), code, site.clock.now) is None


def test_the_second_step_ends_soon(site: RunningSite, secret: str) -> None:
    """Five minutes behind the password."""
    client = second_step(site)
    site.clock.advance(AWAITING_SECOND_FACTOR)
    answer = client.request("POST", "/sign-in/code", data={"code": code_of(site, secret)})
    assert answer.status_code == 403
    assert client.get("/sign-in/code").headers["location"] == "/sign-in"


def test_wrong_codes_are_limited_too(site: RunningSite, secret: str) -> None:  # noqa: ARG001 - the account has one
    """A million are soon tried otherwise."""
    client = second_step(site)
    answers = [client.post("/sign-in/code", "/sign-in/code", code="000000").text for _ in range(12)]
    assert "Too many attempts" in answers[-1]
    assert "SIGN_IN_LIMITED" in site.acts()


def test_the_way_through_the_pages(site: RunningSite) -> None:
    """Added, with recovery codes shown once, each of which opens the account once; removed with the password."""
    client = site.signed_in()
    page = client.get("/account/second-factor").text
    made = re.search(r'name="secret" value="([A-Z2-7]{32})"', page)
    assert made is not None
    assert "<svg" in page
    sent = {"secret": made[1], "code": code_of(site, made[1])}
    wrong = client.post("/account/second-factor", "/account", **sent, password="wrong")  # noqa: S106 - wrong
    assert wrong.status_code == 422
    shown = client.post("/account/second-factor", "/account", **sent, password=PASSWORD).text
    codes = re.findall(r"<li>([0-9a-f]{20})</li>", shown)
    assert len(set(codes)) == 10
    assert "10 recovery codes left" in client.get("/account").text
    for answer in ("/", None):
        other = second_step(site)
        assert other.post("/sign-in/code", "/sign-in/code", code=codes[0]).headers.get("location") == answer
    assert "9 recovery codes left" in client.get("/account").text
    client.post("/account/second-factor/remove", "/account", password=PASSWORD)
    assert site.parts.accounts.named(NAME).totp_secret is None
    assert [act for act in site.acts() if "SECOND" in act or "RECOVERY" in act] == [
        *("SECOND_FACTOR_ADDED", "RECOVERY_CODE_USED", "SECOND_FACTOR_REMOVED")
    ]


def test_a_reset_takes_the_second_factor_away(site: RunningSite, secret: str) -> None:  # noqa: ARG001 - the account has one
    """Its owner lost the device, or it would not be reset."""
    given = site.parts.accounts.reset(site.parts.accounts.named(NAME), None, Actor())
    assert site.client().sign_in(password=given).headers["location"] == "/"


def test_another_second_factor_ends_the_other_sessions(site: RunningSite) -> None:
    """Added or removed: whoever took one is out."""
    client, taken, made = site.signed_in(), site.client(), new_secret()
    taken.sign_in()
    sent = {"secret": made, "code": code_of(site, made), "password": PASSWORD}
    client.post("/account/second-factor", "/account/second-factor", **sent)
    assert (taken.get("/account").status_code, client.get("/account").status_code) == (303, 200)
    taken = second_step(site)
    site.clock.advance(HALF_MINUTE)
    taken.post("/sign-in/code", "/sign-in/code", code=code_of(site, made))
    client.post("/account/second-factor/remove", "/account/second-factor", password=PASSWORD)
    assert (taken.get("/account").status_code, client.get("/account").status_code) == (303, 200)


def test_a_recovery_code_opens_an_account_whose_secret_is_lost(site: RunningSite) -> None:
    """It was encrypted with a secret of the site that is not there any more."""
    made, log = new_secret(), site.parts.audit_log
    encrypting = SecondFactors(site.parts.database, log, "0123456789" * 4)
    code, *_ = encrypting.add(site.account(), made, code_of(site, made), Actor())
    account = site.parts.accounts.named(NAME)
    with pytest.raises(CodeRefused, match="Use a recovery code"):
        site.parts.second_factors.takes(account, "123456", Actor())
    assert site.parts.second_factors.takes(account, code, Actor())


def test_a_secret_is_encrypted_where_the_site_has_one_of_its_own(site: RunningSite, secret: str) -> None:
    """One that lay in clear too, from the next start on; with another secret of the site no code is taken."""
    database, audit_log, account = site.parts.database, site.parts.audit_log, site.parts.accounts.named
    assert account(NAME).totp_secret == secret
    factors = SecondFactors(database, audit_log, "x" * 32)
    stored = account(NAME).totp_secret
    assert stored is not None
    assert secret not in stored
    site.clock.advance(HALF_MINUTE)
    assert SecondFactors(database, audit_log, "x" * 32).takes(account(NAME), code_of(site, secret), Actor())
    assert account(NAME).totp_secret == stored
    for other in (SecondFactors(database, audit_log, "y" * 32), SecondFactors(database, audit_log)):
        with pytest.raises(CodeRefused, match="site_secret"):
            other.takes(account(NAME), code_of(site, secret), Actor())
    made = new_secret()
    factors.add(site.account("the.other"), made, code_of(site, made), Actor())
    assert made not in str(account("the.other").totp_secret)
