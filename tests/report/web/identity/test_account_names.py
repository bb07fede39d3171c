"""Account names: whatever an e-mail address may have, in one form, at every place where names go."""

import csv
import io
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pyotp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matterlog.report.errors import AccountRefused, PasswordRefused
from matterlog.report.web.identity.accounts import Accounts, Role, normal_name
from matterlog.report.web.identity.audit_log import Actor, AuditLog
from matterlog.report.web.identity.passwords import Passwords, check_password
from matterlog.report.web.identity.site_database import SiteDatabase
from tests.report.web.identity.provider import both, ends_with
from tests.report.web.sites import PASSWORD, RunningSite

ADDRESSES = [
    *(
        "o'brien@firm.example",
        "jürgen.müller@firm.example",
        "r&d@firm.example",
        "a/b@firm.example",
        "_ops@firm.example",
    ),
    *(
        "a+b@firm.example",
        "-x@firm.example",
        "+1@firm.example",
        "=1+1@firm.example",
        "@dmin",
        "{a}|b~c!#$%*?^`@x.example",
    ),
    *("用户@例子.广告", "zoë", "1" * 87 + "@firm.example"),
]
NOT_NAMES = [
    *(
        "",
        "a",
        "a" * 101,
        "two words",
        "a\u00a0b",
        "a\tb",
        "a\nb",
        "a\0b",
        "a\x7fb",
        "a\u200bb",
        "a\u202eb",
        "a\ud800b",
    ),
    *("a;b", "a,b", 'a"b', "<b>", "a\\b", "[a]", "(a)", "a:b"),
]


@pytest.fixture
def accounts(tmp_path: Path) -> Accounts:
    """Accounts in a database of their own."""
    database = SiteDatabase(tmp_path / "accounts")
    return Accounts(database, AuditLog(database), Passwords())


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSite]:
    """A site with an account of each of these names."""
    with both(tmp_path_factory.mktemp("names")) as (site, provider):
        for name in ADDRESSES:
            site.parts.accounts.add(name, Role.ANALYST, PASSWORD, Actor(), chosen_by_owner=True)
            provider.person |= {"sub": name, "email": name.upper()}
            assert ends_with(site).status_code == 303, name
        yield site


@pytest.mark.parametrize("name", ADDRESSES)
def test_an_address_is_a_name(named: RunningSite, name: str) -> None:
    """Its owner signs in with a password too, however it is typed, and meets it on the pages as it is."""
    client = named.client()
    typed = unicodedata.normalize("NFD", f" {name.upper()} ")
    assert client.sign_in(typed).status_code == 303
    escaped = name.replace("&", "&amp;").replace("'", "&#39;")
    assert f"<dd>{escaped}</dd>" in client.get("/account").text
    secret = client.get("/account/second-factor").text
    assert "<svg" in secret


def test_a_name_runs_as_no_formula_in_a_spreadsheet(named: RunningSite) -> None:
    """Nor does it open a cell of its own where cells end at a semicolon."""
    text = b"".join(named.parts.audit_log.as_csv()).decode()
    cells = {row["account"] for row in csv.DictReader(io.StringIO(text))}
    assert {f"'{name}" if name[0] in "=+-@" else name for name in ADDRESSES} <= cells
    assert not [name for name in ADDRESSES if ";" in name]


@pytest.mark.parametrize("name", ADDRESSES)
def test_an_authenticator_app_reads_a_name(name: str) -> None:
    """Out of the address in the QR code."""
    made = pyotp.TOTP("A" * 32).provisioning_uri(name=name, issuer_name="matterlog")
    assert (found := pyotp.parse_uri(made)).name == name
    assert found.issuer == "matterlog"


@pytest.mark.parametrize("name", NOT_NAMES, ids=ascii)
def test_what_no_address_has_is_no_name(accounts: Accounts, name: str) -> None:
    """Blanks, control characters, characters that cannot be seen, separators of lists and of cells."""
    with pytest.raises(AccountRefused, match="not a valid account name"):
        accounts.add(name, Role.ANALYST, None, Actor())
    assert accounts.all() == []


@given(st.text())
def test_a_name_has_one_form(text: str) -> None:
    """However often it is made, and whether its accents are composed or not."""
    name = normal_name(text)
    assert normal_name(name) == name
    assert unicodedata.is_normalized("NFC", name)


def test_composed_and_upper_case_make_no_other_account(accounts: Accounts) -> None:
    """Nobody takes a name that looks the same."""
    accounts.add("zoë@firm.example", Role.ANALYST, None, Actor())
    for name in ("ZOË@firm.example", "zoe\u0308@firm.example", " Zoe\u0308@Firm.Example "):
        with pytest.raises(AccountRefused, match="already an account"):
            accounts.add(name, Role.ANALYST, None, Actor())


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("müller@firm.example", "xx MU\u0308LLER xx xx"),
        ("o'brien@firm.example", "xx O'Brien xx xx"),
        ("\uff41\uff42\uff43\uff44", "xx \uff21bc\uff44 xx xx"),
        ("\ufb01nance@firm.example", "xx Finance xx xx"),
    ],
)
def test_a_password_does_not_hold_the_name_in_any_form(name: str, password: str) -> None:
    """Composed or not, wide or not."""
    with pytest.raises(PasswordRefused, match="contains the name"):
        check_password(password, normal_name(name))
