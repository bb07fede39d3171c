"""The page "Audit log": what happened in sentences, and its details folded."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from matterlog.report.errors import SignInRefused
from matterlog.report.web.identity.accounts import Role
from matterlog.report.web.identity.api_tokens import Scope
from matterlog.report.web.identity.audit_log import Act, Actor, Entry
from matterlog.report.web.identity.sign_in import Way
from matterlog.report.web.pages.audit_sentences import SENTENCES, sentence_of
from testbed.events import a_view
from tests.report.web.sites import NAME, PASSWORD, RunningSite, running_site
from tests.report.web.visits import signed_in

OTHER = "j.okafor"
BY = Actor(account="boss")


def sentences(site: RunningSite) -> list[str]:
    """All that the log says, oldest first."""
    entries = reversed(site.parts.audit_log.newest(1000))
    return [sentence_of(entry) for entry in entries]


def entry(act: str, account: str | None, details: str) -> Entry:
    """An entry of the log."""
    return Entry(number=1, at="", act=act, account=account, address=None, details=details, previous_hash="", hash="")


def test_every_act_has_a_sentence() -> None:
    """An act that somebody adds must have one."""
    downloads = [
        f"REPORTS_{report}_{verb}_CSV" for report in ("ACTIVITY", "USERS") for verb in ("DOWNLOADED", "ABANDONED")
    ]
    assert SENTENCES.keys() == set(Act)
    assert [act for act in (*Act, *downloads) if act in sentence_of(entry(act, "ana", "{}"))] == []


def test_what_was_really_done_is_told_without_a_gap(tmp_path: Path) -> None:
    """The details that acts write are those that the sentences name."""
    lately = datetime.now(UTC) - timedelta(days=2)
    with running_site(tmp_path, a_view(matter_viewed_at=lately), a_view(matter_viewed_at=lately)) as site:
        client, accounts = site.signed_in(NAME, Role.ADMINISTRATOR), site.parts.accounts
        other = accounts.add(OTHER, Role.ANALYST, PASSWORD, BY, chosen_by_owner=True)
        accounts.set_role(other, Role.ADMINISTRATOR, BY)
        accounts.disable(other, BY)
        accounts.enable(other, BY)
        accounts.bind(other, "https://idp.example 42", BY)
        accounts.unbind(accounts.named(OTHER), BY)
        accounts.shut_out(other, BY)
        accounts.reset(other, None, BY)
        site.parts.api_tokens.make(accounts.named(OTHER), "Power BI", frozenset({Scope.STATUS}), 7, BY)
        with pytest.raises(SignInRefused):
            site.parts.sign_in.with_password(NAME, "wrong", Way(address="192.0.2.7"))
        for path in ("/reports/activity", "/reports/users"):
            client.get(path)
        client.post("/reports/activity/found", "/reports/activity", find="Larch")
        client.post("/reports/activity/download", "/reports/activity", format="parquet", last="30d", matter="M-1")
        client.post("/reports/users/download", "/reports/users", format="csv", last="all", timezone="UTC")
        client.post("/record/download", "/record")
        client.post("/sign-out", "/")
        said = sentences(site)
    assert [each for each in said if "?" in each or "_" in each] == []
    told = "\n".join(said)
    for fact in (
        "Somebody added the account a.silva (administrator)",
        "a.silva signed in (password)",
        "boss changed the role of the account j.okafor to administrator",
        "boss ended all sessions and removed all API tokens of the account j.okafor",
        "boss made an API token for 7 days",
        "a.silva did not manage to sign in (password)",
        "a.silva saw names on the page /reports/users: 1 row\n",
        "a.silva downloaded the audit log",
        "a.silva signed out",
    ):
        assert fact in told
    assert re.search(
        r"a\.silva downloaded the report activity as parquet: 0 rows, matters: 1, from \S+ to the end of \S+ ", told
    )
    assert re.search(r"a\.silva downloaded the report user engagement as csv: 1 row, .*to the end of ", told)


@pytest.mark.parametrize(
    ("act", "account", "details", "sentence"),
    [
        (Act.BACKUP_TAKEN, None, '{"system_user": "0"}', "System user 0 took a backup"),
        (Act.BACKUP_TAKEN, None, '{"failed": "StoreFailed"}', "Somebody took a backup: failed (StoreFailed)"),
        (Act.DEAD_LETTERS_RETRIED, "ana", '{"chosen": 1200, "rejected": 3}',
         "ana tried dead letters again: 1,200 chosen, 3 rejected"),
        (Act.SIGN_IN_FAILED, None, '{"how": "identity provider", "reason": "answer refused"}',
         "Somebody did not manage to sign in (identity provider: answer refused)"),
        ("AN_ACT_OF_A_LATER_VERSION", "ana", "{}", "ana AN_ACT_OF_A_LATER_VERSION"),
    ],
)  # fmt: skip
def test_who_acted_and_whether_it_failed_is_said(act: str, account: str | None, details: str, sentence: str) -> None:
    """A command's user stands for an account; what nobody knows yet is shown as it is."""
    assert sentence_of(entry(act, account, details)) == sentence


def test_hostile_text_stays_text(site: RunningSite) -> None:
    """Names of accounts, addresses and what was typed."""
    client = site.signed_in(NAME, Role.ADMINISTRATOR)
    site.parts.audit_log.add(Act.ACCOUNT_ADDED, Actor(account="<b>x"), {"account": "<script>{how}", "role": "%s"})
    page = client.get("/record").text
    assert "&lt;b&gt;x added the account &lt;script&gt;{how} (%s)" in page
    assert "<script>{how}" not in page


def test_on_a_phone_an_entry_is_a_sentence_whose_details_are_folded(chromium: Browser, site: RunningSite) -> None:
    """Nothing is wider than the window."""
    long = {"account": "y" * 90, "role": "analyst"}
    site.parts.audit_log.add(Act.ACCOUNT_ADDED, Actor(account="w" * 90, address="2001:db8::1"), long)
    with signed_in(chromium, site, role=Role.ADMINISTRATOR) as visit:
        visit.page.set_viewport_size({"width": 390, "height": 844})
        visit.open("/record")
        expect(visit.page.get_by_text(long["account"]).last).to_be_hidden()
        visit.page.locator("summary", has_text="2001:db8::1").click()
        expect(visit.page.get_by_text('"role": "analyst"')).to_be_visible()
        assert visit.page.evaluate("document.documentElement.scrollWidth") == 390
        assert visit.complaints == []
