"""The audit log: append-only, and whatever was done to it behind its back is found."""

import csv
import hmac
import io
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from matterlog.report.errors import AuditLogBroken, SignInRefused, TooManyTries
from matterlog.report.web.identity.accounts import Role
from matterlog.report.web.identity.api_tokens import Scope
from matterlog.report.web.identity.audit_log import COLUMNS, Act, Actor, AuditLog, End, Entry
from matterlog.report.web.identity.sign_in import FREE_BY_NETWORK, Way
from matterlog.schemas.formula_guard import without_formula_guard
from testbed.events import a_view
from tests.report.web.sites import NAME, RunningSite, running_site


def tamper(site: RunningSite, *statements: str) -> None:
    """Change the file as somebody who has it can."""
    with closing(sqlite3.connect(site.folder / "log.duckdb.accounts")) as connection:
        connection.execute("DROP TRIGGER acts_stay")
        connection.execute("DROP TRIGGER acts_remain")
        for statement in statements:
            connection.execute(statement)
        connection.commit()


@pytest.fixture(autouse=True)
def _five_acts(site: RunningSite) -> None:
    for number in range(5):
        site.parts.audit_log.add(
            Act.SIGNED_IN, Actor(account=f"account-{number}", address="192.0.2.1"), {"number": number}
        )


def test_a_record_that_nobody_touched_is_whole(site: RunningSite) -> None:
    """Its end is the last entry's number and hash."""
    (last,) = site.parts.audit_log.newest(1)
    assert site.parts.audit_log.verify() == End(5, last.hash)


@pytest.mark.parametrize("statement", ["UPDATE acts SET account = 'x'", "DELETE FROM acts"])
def test_an_entry_cannot_be_changed_or_removed_by_mistake(site: RunningSite, statement: str) -> None:
    """The file itself refuses."""
    with site.parts.database.transaction() as connection, pytest.raises(sqlite3.IntegrityError, match="append-only"):
        connection.execute(statement)


@pytest.mark.parametrize(
    ("statements", "told"),
    [
        *((f"UPDATE acts SET {name} = 'x' WHERE number = 3", "entry 3 .* is not what") for name in COLUMNS[1:]),  # noqa: S608 - our columns
        ("DELETE FROM acts WHERE number = 3", "entry 3 .* is missing"),
        ("DELETE FROM acts WHERE number = 1", "entry 1 .* is missing"),
        ("DELETE FROM acts WHERE number = 5", "ends at entry 4"),
        ("DELETE FROM acts", "ends at entry 0"),
        ("3 and 4 change places", "entry 3"),
    ],
)
def test_an_entry_that_was_changed_or_removed_is_found(site: RunningSite, statements: str, told: str) -> None:
    """And named."""
    if statements == "3 and 4 change places":
        moves = ("UPDATE acts SET number = 99 WHERE number = 3", "UPDATE acts SET number = 3 WHERE number = 4")
        tamper(site, *moves, "UPDATE acts SET number = 4 WHERE number = 99")
    else:
        tamper(site, statements)
    with pytest.raises(AuditLogBroken, match=told):
        site.parts.audit_log.verify()


def test_an_entry_that_was_changed_together_with_its_own_hash_is_found_at_the_next_one(site: RunningSite) -> None:
    """Which holds the hash that it had."""
    third = next(entry for entry in site.parts.audit_log.newest(5) if entry.number == 3)
    forged = replace(third, account="somebody else")
    tamper(site, f"UPDATE acts SET account = 'somebody else', hash = '{forged.own_hash()}' WHERE number = 3")  # noqa: S608 - a hash of ours
    with pytest.raises(AuditLogBroken, match="entry 4"):
        site.parts.audit_log.verify()


def test_a_forged_entry_is_found_though_the_next_ones_link_was_forged_too(site: RunningSite) -> None:
    """Each hash covers the link: forging one forges all that follow."""
    third = next(entry for entry in site.parts.audit_log.newest(5) if entry.number == 3)
    new = replace(third, account="somebody else").own_hash()
    forged = f"UPDATE acts SET account = 'somebody else', hash = '{new}' WHERE number = 3"  # noqa: S608 - a hash of ours
    tamper(site, forged, f"UPDATE acts SET previous_hash = '{new}' WHERE number = 4")  # noqa: S608 - as above
    with pytest.raises(AuditLogBroken, match="entry 4"):
        site.parts.audit_log.verify()


def test_a_record_that_was_written_anew_is_found_by_an_end_that_was_kept_elsewhere(site: RunningSite) -> None:
    """Its chain holds, but it is another one."""
    known = site.parts.audit_log.verify()
    tamper(site, "DELETE FROM acts", "UPDATE acts_end SET number = 0, hash = ''")
    for _ in range(6):
        site.parts.audit_log.add(Act.SIGNED_OUT, Actor(account="somebody"))
    site.parts.audit_log.verify()
    with pytest.raises(AuditLogBroken, match="entry 5"):
        site.parts.audit_log.verify(known)


def test_an_end_that_is_not_reached_any_more_is_found(site: RunningSite) -> None:
    """The file was put back to an earlier state."""
    end = site.parts.audit_log.verify()
    with pytest.raises(AuditLogBroken, match="later ones are missing"):
        site.parts.audit_log.verify(End(end.number + 1, "0" * 64))


def test_the_record_is_downloaded_as_csv_with_the_download_in_it(site: RunningSite) -> None:
    """Many entries come in several parts; nothing in it runs in a spreadsheet."""
    client = site.signed_in(role=Role.ADMINISTRATOR)
    site.parts.audit_log.add(Act.SIGNED_IN, Actor(account="=cmd|' /C calc'!A0"))
    answer = client.post("/record/download", "/record")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert answer.headers["content-disposition"] == 'attachment; filename="audit-log.csv"'
    assert [row["number"] for row in rows] == [str(number + 1) for number in range(len(rows))]
    assert rows[-1]["act"] == "ACCOUNTS_RECORD_DOWNLOADED_CSV"
    assert rows[-2]["account"] == "'=cmd|' /C calc'!A0"


def test_the_records_csv_has_the_guard_of_an_extract(site: RunningSite) -> None:
    """It looks behind quotes too, so that no two names look alike and each comes back as it was."""
    names = ["=1", "'=1", "''=1", "'x", "\uff1d1", "\t1"]
    for name in names:
        site.parts.audit_log.add(Act.SIGNED_IN, Actor(account=name))
    text = b"".join(site.parts.audit_log.as_csv()).decode()
    found = [row["account"] for row in csv.DictReader(io.StringIO(text, newline=""))][-len(names) :]
    assert found == ["'=1", "''=1", "'''=1", "'x", "'\uff1d1", "'\t1"]
    assert [without_formula_guard(name) for name in found] == names


def test_the_page_says_whether_the_record_is_whole(site: RunningSite) -> None:
    """And leads to its older entries."""
    for _ in range(60):
        site.parts.audit_log.add(Act.SIGNED_OUT, Actor(account=NAME))
    client = site.signed_in(role=Role.ADMINISTRATOR)
    newest = client.get("/record").text
    assert "Complete and unchanged: 67 entries" in newest
    assert '<a href="/record?before=18">Older entries</a>' in newest
    assert "account-4" in client.get("/record?before=18").text
    tamper(site, "UPDATE acts SET account = 'x' WHERE number = 3")
    assert "Entry 3 of the audit log is not what was recorded" in client.get("/record").text


def test_what_was_checked_before_is_compared_whole_and_not_entry_by_entry(
    site: RunningSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only what is new is checked as if for the first time."""
    checked: list[int] = []
    own_hash = Entry.own_hash
    audit_log = site.parts.audit_log
    assert audit_log.verify_again() == audit_log.verify()
    audit_log.add(Act.SIGNED_OUT, Actor(account=NAME))

    def noted(entry: Entry) -> str:
        checked.append(entry.number)
        return own_hash(entry)

    monkeypatch.setattr(Entry, "own_hash", noted)
    assert audit_log.verify_again().number == 6
    assert checked == [6]


@pytest.mark.parametrize("name", [*COLUMNS[1:], "number"])
def test_a_change_to_what_was_checked_before_is_found(site: RunningSite, name: str) -> None:
    """Each time, whatever it is; and it is no longer found once it is undone."""
    audit_log = site.parts.audit_log
    end = audit_log.verify_again()
    ((old,),) = [(getattr(entry, name),) for entry in audit_log.newest(5) if entry.number == 3]
    new = 99 if name == "number" else "x"
    tamper(site, f"UPDATE acts SET {name} = '{new}' WHERE number = 3")  # noqa: S608 - our columns
    for _ in range(2):
        with pytest.raises(AuditLogBroken, match="entry 3 of the audit log is"):
            audit_log.verify_again()
    with closing(sqlite3.connect(site.folder / "log.duckdb.accounts")) as connection:
        connection.execute(f"UPDATE acts SET {name} = ? WHERE {name} = ?", (old, new))  # noqa: S608 - our columns
        connection.commit()
    assert audit_log.verify_again() == end


def test_a_tail_that_was_cut_is_found_by_the_site_that_saw_it(site: RunningSite) -> None:
    """The chain of what is left is whole, so a process that has seen nothing cannot know it."""
    (fourth,) = site.parts.audit_log.newest(1, 5)
    tamper(site, "DELETE FROM acts WHERE number = 5", f"UPDATE acts_end SET number = 4, hash = '{fourth.hash}'")  # noqa: S608 - a hash of ours
    assert AuditLog(site.parts.database).verify_again().number == 4
    for _ in range(2):
        with pytest.raises(AuditLogBroken, match="ends at entry 4"):
            site.parts.audit_log.verify_again()


def test_a_tail_with_an_act_in_it_is_missed_too(site: RunningSite) -> None:
    """Its entry was written in the act's transaction. An entry that took its number meanwhile is another."""
    site.account()
    (sixth, fifth) = site.parts.audit_log.newest(2)
    assert sixth.act == "ACCOUNT_ADDED"
    tamper(site, "DELETE FROM acts WHERE number = 6", f"UPDATE acts_end SET number = 5, hash = '{fifth.hash}'")  # noqa: S608 - a hash of ours
    site.parts.audit_log.add(Act.SIGNED_OUT, Actor())
    with pytest.raises(AuditLogBroken, match=r"entry 6 .* is not the one that was known"):
        site.parts.audit_log.verify_again()


def test_a_tail_that_was_replaced_is_found_by_the_site_that_saw_it(site: RunningSite) -> None:
    site.parts.audit_log.verify_again()
    (fourth,) = site.parts.audit_log.newest(1, 5)
    tamper(site, "DELETE FROM acts WHERE number = 5", f"UPDATE acts_end SET number = 4, hash = '{fourth.hash}'")  # noqa: S608 - a hash of ours
    AuditLog(site.parts.database).add(Act.SIGNED_OUT, Actor())
    with pytest.raises(AuditLogBroken, match=r"entry 5 .* is not the one that was known"):
        site.parts.audit_log.verify_again()


def test_the_process_tells_the_end_every_hour_and_every_thousand_entries(
    site: RunningSite, caplog: pytest.LogCaptureFixture
) -> None:
    """Signed with the site's secret, so that nobody who writes into the process's log can make one up."""
    secret = "0123456789" * 4
    audit_log = AuditLog(site.parts.database, secret, tells_ends=True)
    with caplog.at_level("INFO"):
        for _ in range(2):
            audit_log.add(Act.SIGNED_OUT, Actor())
        site.clock.advance(timedelta(hours=1))
        end = audit_log.add(Act.SIGNED_OUT, Actor())
        for _ in range(992):
            audit_log.add(Act.SIGNED_OUT, Actor())
    told = [record.getMessage() for record in caplog.records if " MAC " in record.getMessage()]
    assert [message.split()[5].partition(":")[0] for message in told] == ["6", "8", "1000"]
    mac = hmac.digest(secret.encode(), f"audit log 8:{end.hash}".encode(), "sha256").hex()
    assert told[1] == f"the audit log ends at 8:{end.hash} MAC {mac}"


def test_a_flood_of_refusals_is_one_entry_each(site: RunningSite) -> None:
    """Pages that an analyst may not see, tokens that are none or lack the scope, sign-ins with ever other names."""
    client = site.signed_in()
    token = site.parts.api_tokens.make(
        site.parts.accounts.named(NAME), "Power BI", frozenset({Scope.STATUS}), 7, Actor()
    )
    for number in range(5):
        client.get("/accounts")
        client.get("/api/v1/extracts/activity", headers={"Authorization": f"Bearer {number}"})
        client.get("/api/v1/extracts/activity", headers={"Authorization": f"Bearer {token}"})
    refused = [entry for entry in site.parts.audit_log.newest(100) if entry.act.endswith("_REFUSED")]
    assert [(entry.act, entry.account, entry.details) for entry in reversed(refused)] == [
        ("PAGE_REFUSED", NAME, '{"page": "/accounts"}'),
        ("API_TOKEN_REFUSED", None, "{}"),
        ("API_TOKEN_REFUSED", NAME, '{"scope": "extracts", "token": 1}'),
    ]


def test_many_names_from_one_network_write_few_entries(site: RunningSite) -> None:
    for number in range(150):
        with pytest.raises((SignInRefused, TooManyTries)):
            site.parts.sign_in.with_password(f"name-{number}", "wrong", Way(address="192.0.2.7"))
    tried = [act for act in site.acts() if act.startswith("SIGN_IN")]
    assert (tried.count("SIGN_IN_LIMITED"), len(tried)) == (1, FREE_BY_NETWORK + 1)


def test_pages_that_show_names_are_recorded_by_kind_and_count(tmp_path: Path) -> None:
    """Once in a while for each person and page, and nothing of what was shown or typed."""
    (folder := tmp_path / "names").mkdir()
    lately = datetime.now(UTC) - timedelta(days=2)
    with running_site(folder, a_view(matter_name="Larch", matter_viewed_at=lately)) as site:
        client = site.signed_in()
        for _ in range(2):
            for path in ("/", "/reports/activity", "/reports/users"):
                assert client.get(path).status_code == 200
            client.post("/reports/activity/found", "/reports/activity", find="Larch")
        seen = [entry for entry in reversed(site.parts.audit_log.newest(50)) if entry.act.startswith("NAMES_")]
    assert [(entry.act, entry.account, entry.details) for entry in seen] == [
        ("NAMES_SHOWN", NAME, '{"page": "/", "rows": 1}'),
        ("NAMES_SHOWN", NAME, '{"page": "/reports/activity", "rows": 1}'),
        ("NAMES_SHOWN", NAME, '{"page": "/reports/users", "rows": 1}'),
        ("NAMES_SEARCHED", NAME, '{"page": "/reports/activity", "rows": 1}'),
    ]
