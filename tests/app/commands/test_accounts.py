"""``matterlog accounts``: who may sign in, and what was done."""

import csv
import io
import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from matterlog.app.owner.users import user_of_this_process
from matterlog.report.web.identity.accounts import Accounts
from matterlog.report.web.identity.audit_log import AuditLog
from matterlog.report.web.identity.passwords import Passwords
from matterlog.report.web.identity.site_database import SiteDatabase
from testbed.command import Ended, done, run

PASSWORD: Final = b"a lamp beside the harbour\n"


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A database's name: accounts need no database."""
    return tmp_path / "log.duckdb"


def accounts(database: Path, *words: str, given: bytes = b"") -> Ended:
    """Run a command that must succeed."""
    at = words.index("--") if "--" in words else len(words)
    return done("accounts", *words[:at], "--database", database, *words[at:], given=given)


def site_of(database: Path) -> SiteDatabase:
    """The site's own database beside it."""
    return SiteDatabase(database.with_name("log.duckdb.accounts"))


def test_a_password_comes_from_standard_input(database: Path) -> None:
    """And is the one that opens the account; the file is the user's alone."""
    told = accounts(database, "add", "A.Silva", "--role", "administrator", given=PASSWORD)
    site = site_of(database)
    account = Accounts(site, AuditLog(site), Passwords()).named("a.silva")
    assert told.text == "Account a.silva, administrator\n"
    assert Passwords().matches(account.password_hash, PASSWORD.decode().strip())
    assert not account.must_change_password
    assert database.with_name("log.duckdb.accounts").stat().st_mode & 0o777 == 0o600


def test_a_password_is_made_when_asked_for(database: Path) -> None:
    """Its owner has to change it."""
    told = accounts(database, "add", "a.silva", "--generate").text
    assert re.search(r"^Password [a-z0-9]{5}(-[a-z0-9]{5}){3}$", told, re.MULTILINE)
    assert "first password" in accounts(database, "list").text


@pytest.mark.parametrize(
    ("words", "given", "code", "told"),
    [
        (["add", "a.silva", "--password", "x"], b"", 2, "No such option"),
        (["add", "a.silva"], b"", 2, "standard input holds no password"),
        (["add", "a.silva"], b"short\n", 1, "fewer than 8 characters"),
        (["add", "a.silva"], b"password1\n", 1, "most common"),
        (["add", "two words"], PASSWORD, 1, "is not a valid account name"),
        (["disable", "nobody"], b"", 1, "there is no account nobody"),
        (["bind", "nobody", "https://idp.example 42"], b"", 1, "there is no account nobody"),
        (["unbind", "nobody"], b"", 1, "there is no account nobody"),
        (["record", "verify", "--known-end", "x"], b"", 2, "is not an end"),
    ],
)
def test_what_makes_no_sense_is_told(database: Path, words: list[str], given: bytes, code: int, told: str) -> None:
    """And no password stands in the text."""
    ended = run("accounts", *words, "--database", database, given=given)
    assert (ended.code, told in ended.err) == (code, True), ended.err
    assert given == b"" or given.decode().strip() not in ended.err


def test_disabled_enabled_and_reset(database: Path) -> None:
    """Each is in the list and in the record."""
    accounts(database, "add", "a.silva", given=PASSWORD)
    accounts(database, "disable", "a.silva")
    assert "disabled" in accounts(database, "list").text
    accounts(database, "enable", "a.silva")
    assert accounts(database, "reset", "a.silva", "--generate").text.startswith("Password ")
    exported = csv.DictReader(io.StringIO(accounts(database, "record", "export").text))
    rows = list(exported)
    assert [row["act"] for row in rows] == [*("ACCOUNT_ADDED", "ACCOUNT_DISABLED", "ACCOUNT_ENABLED", "ACCOUNT_RESET")]
    assert {json.loads(row["details"])["system_user"] for row in rows} == {user_of_this_process()}


def test_who_exported_the_audit_log_stands_in_it(database: Path) -> None:
    """With the name that the operating system knows, not one that the user says."""
    accounts(database, "record", "export")
    (row,) = csv.DictReader(io.StringIO(accounts(database, "record", "export").text))
    assert row["act"] == "ACCOUNTS_RECORD_DOWNLOADED_CSV"
    assert json.loads(row["details"]) == {"system_user": user_of_this_process()}


def test_bound_and_unbound(database: Path) -> None:
    """An account with an address as its name, whatever that begins with; both are in the record."""
    name, subject = "-O'Brien.Jürgen&Co/1@firm.example", "https://login.example/ 24828 9761001"
    accounts(database, "add", "--at-provider", "--", name)
    assert accounts(database, "bind", "--", name, subject).text == "Bound\n"
    again = run("accounts", "bind", "--database", database, "--", name, "https://login.example/ another")
    assert (again.code, "already bound" in again.err) == (1, True)
    assert accounts(database, "unbind", "--", name).text.startswith("Unbound.")
    again = run("accounts", "unbind", "--database", database, "--", name)
    assert (again.code, "is not bound to a subject" in again.err) == (1, True)
    exported = list(csv.DictReader(io.StringIO(accounts(database, "record", "export").text)))
    assert [row["act"] for row in exported] == ["ACCOUNT_ADDED", "PROVIDER_BOUND", "PROVIDER_UNBOUND"]
    assert {json.loads(row["details"])["system_user"] for row in exported} == {user_of_this_process()}
    assert all(json.loads(row["details"])["account"] == name.lower() for row in exported)
    assert [json.loads(row["details"]).get("subject") for row in exported] == [None, subject, subject]


def test_a_record_that_was_changed_is_found(database: Path) -> None:
    """Exit code 1; the end that was printed finds one that was written anew."""
    accounts(database, "add", "a.silva", given=PASSWORD)
    accounts(database, "add", "j.okafor", given=PASSWORD)
    told = accounts(database, "record", "verify").text
    end = re.search(r"End (2:[0-9a-f]{64})", told)
    assert end is not None
    checked = accounts(database, "record", "verify", "--known-end", end[1]).text
    assert "Not checked" in told.removeprefix(checked)
    assert "Not checked" not in checked
    with closing(sqlite3.connect(database.with_name("log.duckdb.accounts"))) as connection:
        connection.execute("DROP TRIGGER acts_stay")
        connection.execute("UPDATE acts SET account = 'x' WHERE number = 1")
        connection.commit()
    ended = run("accounts", "record", "verify", "--database", database)
    assert (ended.code, "entry 1" in ended.err) == (1, True)


def test_a_file_of_something_else_is_no_accounts(database: Path) -> None:
    """Nothing of it is touched."""
    other = database.with_name("log.duckdb.accounts")
    other.write_bytes(b"something else, " * 100)
    ended = run("accounts", "list", "--database", database)
    assert (ended.code, "cannot be used as the site's database" in ended.err) == (1, True)
    assert other.read_bytes() == b"something else, " * 100
