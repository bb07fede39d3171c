"""An engagement table as a file: whole or an error, recorded, registered, recalled."""

import csv
import hashlib
import io
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from matterlog.app.owner.registered_extracts import registered_extracts
from matterlog.report.errors import ExtractFailed
from matterlog.report.handover.register import FileRegister
from matterlog.report.purges.receipts import read_receipts
from matterlog.report.web.extracts import extract_maker
from matterlog.report.web.reports import handing_over
from matterlog.schemas import UserType
from matterlog.schemas.storage.database_files import DatabaseFiles
from testbed.events import a_deletion, a_view
from tests.report.logs import apply
from tests.report.web.sites import Client, RunningSite, running_site

PAGES = {"users": "user-engagement", "matters": "matter-engagement", "clients": "client-analysis"}
FORMULA = '=HYPERLINK("https://evil.example")'


@pytest.fixture
def site(tmp_path: Path) -> Iterator[RunningSite]:
    """A site after a member's view and a guest's, whose name is a formula."""
    guest = a_view(user_id="gus", user_name=FORMULA, user_type=UserType.GUEST, user_email="g@client.example")
    with running_site(tmp_path, a_view(matter_id="m-1"), guest) as running:
        running.clock.now = datetime(2026, 3, 2, tzinfo=UTC)
        yield running


def download(client: Client, page: str, **choices: Any) -> httpx.Response:
    """Send the form as its page does."""
    return client.post(f"/reports/{page}/download", f"/reports/{page}", **choices)


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("file", ["csv", "csv-excel", "json", "ndjson", "parquet", "xlsx"])
def test_a_file_is_whole_registered_and_recorded(site: RunningSite, page: str, file: str) -> None:
    """Under a name that nobody chose, with its length, and its hash in the register, the record and the manifest."""
    client, kind = site.signed_in(), file.removesuffix("-excel")
    answer = download(client, page, format=file)
    assert answer.status_code == 200, answer.text
    said = answer.headers["content-disposition"]
    assert re.fullmatch(rf'attachment; filename="{PAGES[page]}-\d{{8}}T\d{{6}}Z\.{kind}"', said)
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert answer.content.startswith(b"\xef\xbb\xbf") == (file == "csv-excel")
    recorded = site.parts.audit_log.newest(1)[0]
    assert recorded.act == f"REPORTS_{PAGES[page].upper().replace('-', '_')}_DOWNLOADED_{kind.upper()}"
    (entry,) = FileRegister(DatabaseFiles(site.folder / "log.duckdb").extracts).extracts()
    (address,) = re.findall(r'"(/reports/activity/manifests/[0-9a-f-]+)"', client.get("/reports/activity").text)
    manifest = client.get(address).json()
    sha256 = hashlib.sha256(answer.content).hexdigest()
    assert [sha256] * 3 == [entry.sha256, json.loads(recorded.details)["sha256"], manifest["sha256"]]
    assert (entry.analysis, manifest["engagement"]["analysis"], manifest["format"]) == (page, page, kind)


def test_a_file_holds_what_the_address_chose_and_no_formula(site: RunningSite) -> None:
    """All columns of the analysis, a quote in front of what a spreadsheet would run."""
    answer = download(site.signed_in(), "users", user_type="Guest", raw_views="true")
    (row,) = csv.DictReader(io.StringIO(answer.content.decode(), newline=""))
    assert (row["user_ID"], row["user_name"], row["visits"]) == ("gus", "'" + FORMULA, "1")


def test_the_record_holds_nothing_of_the_log(site: RunningSite) -> None:
    """Figures, and how much was filtered by."""
    download(site.signed_in(), "matters")
    details = site.parts.audit_log.newest(1)[0].details
    assert json.loads(details)["analysis"] == "matters"
    assert not [text for text in ("m-1", "m-42", "Heron", "gus", "zoe") if text in details]


def test_a_deletion_recalls_the_files_whose_views_were_the_matters(tmp_path: Path) -> None:
    """A table of users too, though it names no matter; not one of guests whom the matter never saw."""
    with running_site(tmp_path, a_view(matter_id="m-1"), a_view(matter_id="m-1", user_id="u-2"), a_view()) as site:
        site.store._extracts = registered_extracts(DatabaseFiles(tmp_path / "log.duckdb"))
        site.clock.now = datetime(2026, 3, 2, tzinfo=UTC)
        client = site.signed_in()
        for choices in ({}, {"user_type": "Guest"}, {"matter_type": "demo"}, {"last": "", "to": "2026-02-28"}):
            assert download(client, "users", format="json", **choices).status_code == 200
        apply(site.store, a_deletion(matter_id="m-1"))
        with site.store.reader() as connection:
            (receipt,) = read_receipts(connection, "m-1")
    assert [(each.how, each.rows) for each in receipt.recall] == [("download", 2)]
    assert receipt.recall[0].name.startswith("user-engagement-")


@pytest.mark.parametrize("fields", [{"last": ""}, {"timezone": "Mars"}, {"user_type": "Robot"}])
def test_choices_that_make_no_sense_are_told_and_nothing_is_handed_out(
    site: RunningSite, fields: dict[str, str]
) -> None:
    """On the page, at the field."""
    answer = download(site.signed_in(), "users", **fields)
    assert answer.status_code == 422
    assert 'class="complaint"' in answer.text
    assert not [act for act in site.acts() if "DOWNLOADED" in act]


@pytest.mark.parametrize(
    ("page", "file", "status"), [("users", "exe", 400), ("passwords", "csv", 422), ("..%2f", "csv", 404)]
)
def test_what_the_page_does_not_offer_is_refused(site: RunningSite, page: str, file: str, status: int) -> None:
    """A forged form."""
    client = site.signed_in()
    assert client.post(f"/reports/{page}/download", "/reports/users", format=file).status_code == status


def test_nobody_downloads_without_signing_in_or_without_the_forms_token(site: RunningSite) -> None:
    """Neither by POST nor by GET."""
    there = "/reports/users/download"
    assert site.client().request("POST", there, data={"format": "csv"}).status_code == 403
    client = site.signed_in()
    assert client.request("POST", there, data={"format": "csv"}).status_code == 403
    assert client.get(there).status_code == 405


def test_a_table_that_fails_is_an_error_and_no_file(site: RunningSite, monkeypatch: pytest.MonkeyPatch) -> None:
    """Never an answer of 200 that ends early; nothing is recorded."""

    def break_off(_answer: Any, _request: Any, sink: Any, _folder: Any) -> None:
        sink(b"half a ")
        raise ExtractFailed("the table broke off; nothing was left")

    monkeypatch.setattr(extract_maker, "write_engagement", break_off)
    answer = download(site.signed_in(), "users")
    assert (answer.status_code, "half a" in answer.text) == (503, False)
    assert not [act for act in site.acts() if "DOWNLOADED" in act]


def test_a_table_that_takes_long_is_made_beside_the_page(site: RunningSite, monkeypatch: pytest.MonkeyPatch) -> None:
    """And made again when a matter that it is based on is deleted."""
    monkeypatch.setattr(handing_over, "ANSWERED_AT_ONCE_SECONDS", 0)
    client = site.signed_in()
    place = download(client, "matters", format="json").headers["location"]
    kept = site.parts.extracts._kept[place.rpartition("/")[2]]
    assert kept.wait(30)
    assert {row["matter_ID"] for row in client.post(place, place).json()} == {"m-1", "m-42"}
    apply(site.store, a_deletion(matter_id="m-1"))
    client.get(place)
    assert kept.wait(30)
    assert {row["matter_ID"] for row in client.post(place, place).json()} == {"m-42"}
