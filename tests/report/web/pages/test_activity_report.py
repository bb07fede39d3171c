"""The Activity report's page: what is chosen is what comes, whole or not at all, registered and recorded."""

import errno
import hashlib
import json
import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from starlette.requests import Request

from matterlog.report.errors import ExtractFailed
from matterlog.report.extracts import workbook
from matterlog.report.handover.register import FileRegister
from matterlog.report.purges.receipts import read_receipts
from matterlog.report.web.extracts import extract_maker, kept_extracts
from matterlog.report.web.extracts.kept_extracts import MAX_KEPT_BY_ONE
from matterlog.report.web.extracts.site_extract import KEPT_FOR, SiteExtract
from matterlog.report.web.http.forms import FIELD
from matterlog.report.web.pages import activity_report
from matterlog.report.web.reports import handing_over
from matterlog.schemas import MatterType, UserType
from matterlog.schemas.storage.database_files import DatabaseFiles
from testbed.events import a_deletion, a_view
from tests.report.logs import MANY_ROWS, apply, extract_of
from tests.report.web.sites import Client, RunningSite, running_site, token_in

HERE = "/reports/activity"
SCRIPT = "<script>alert(1)</script>"
EVENTS = (
    a_view(matter_id="m-1", matter_viewed_at=datetime(2026, 3, 1, tzinfo=UTC)),
    a_view(matter_id="m-2", matter_viewed_at=datetime(2026, 3, 31, 23, 59, 59, tzinfo=UTC), user_type=UserType.GUEST),
    a_view(matter_id="m-3", matter_viewed_at=datetime(2026, 4, 1, tzinfo=UTC), matter_type=MatterType.DEMO),
)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[RunningSite]:
    """A site over three views."""
    with running_site(tmp_path, *EVENTS) as running:
        yield running


def download(client: Client, **choices: Any) -> httpx.Response:
    """Send the form as its page does."""
    return client.post(f"{HERE}/download", HERE, **{"last": "all"} | choices)


def matters_in(answer: httpx.Response) -> list[str]:
    """The matters of a JSON extract."""
    assert answer.status_code == 200
    return [row["matter_ID"] for row in answer.json()]


@pytest.mark.parametrize("kind", ["csv", "json", "ndjson"])
def test_a_download_is_what_an_export_writes(site: RunningSite, tmp_path: Path, kind: str) -> None:
    """Byte for byte."""
    answer = download(site.signed_in(), format=kind)
    site.closing.close()
    site.stop.set()
    site.thread.join()
    site.store.close()
    assert answer.content == extract_of(DatabaseFiles(tmp_path / "log.duckdb"), format=kind)


@pytest.mark.parametrize(
    ("choices", "matters"),
    [
        ({}, ["m-1", "m-2", "m-3"]),
        ({"last": "", "from": "2026-03-31", "to": "2026-03-31"}, ["m-2"]),
        ({"last": "", "to": "2026-03-01"}, ["m-1"]),
        ({"matter": "m-3\r\n m-1 \r\n"}, ["m-1", "m-3"]),
        ({"user_type": "Guest"}, ["m-2"]),
        ({"matter_type": ["live", "demo"]}, ["m-1", "m-2", "m-3"]),
        ({"matter_type": "demo"}, ["m-3"]),
        ({"company": "nobody"}, []),
    ],
)
def test_the_choices_say_which_rows_come(site: RunningSite, choices: dict[str, Any], matters: list[str]) -> None:
    """The last day is included; fields of one kind mean any of them."""
    client = site.signed_in()
    assert matters_in(download(client, format="json", **choices)) == matters
    shown = client.post(HERE, HERE, **{"last": "all"} | choices)
    page = client.get(shown.headers["location"]).text
    assert f"<strong>{len(matters)}</strong>" in page
    assert re.findall(r"<bdi>(m-\d)</bdi>", page) == matters


def test_the_last_days_count_back_from_today(site: RunningSite) -> None:
    """By the site's clock, in whole days of the time zone."""
    site.clock.now = datetime(2026, 4, 30, 3, tzinfo=UTC)
    client = site.signed_in()
    assert matters_in(download(client, last="30d", format="json")) == ["m-3"]
    zone = {"timezone": "America/New_York"}
    assert matters_in(download(client, last="30d", format="json", **zone)) == ["m-2", "m-3"]
    assert matters_in(download(client, format="json", to="2026-02-28", last="", **zone)) == ["m-1"]
    assert matters_in(download(client, last="90d", format="json")) == ["m-1", "m-2", "m-3"]


@pytest.mark.parametrize(
    ("choices", "text"),
    [
        ({"last": ""}, "Choose a first day"),
        ({"last": "", "from": "31/03/2026"}, "is not a date"),
        ({"last": "", "from": "2026-04-01", "to": "2026-03-01"}, "The last day is before the first day"),
        ({"matter": "\n".join(map(str, range(1001)))}, "at most 1,000"),
    ],
)
def test_choices_that_make_no_sense_are_told_on_the_page(site: RunningSite, choices: dict[str, Any], text: str) -> None:
    """With what was typed still there; nothing is handed out."""
    answer = download(site.signed_in(), **choices)
    assert answer.status_code == 422
    assert text in answer.text
    assert choices.get("from", "") in answer.text
    assert "REPORTS_ACTIVITY_DOWNLOADED_CSV" not in site.acts()


def test_fields_that_the_page_does_not_have_are_refused(site: RunningSite) -> None:
    """In its address and in its form; those of before are among them."""
    client = site.signed_in()
    for path in (HERE, f"{HERE}/seen", "/reports/users", "/reports/users/picture.svg"):
        answer = client.get(f"{path}?matters=m-1")
        assert (
            answer.status_code,
            "&#39;matters&#39; is not a parameter here. Did you mean &#39;matter" in answer.text,
        ) == (400, True)
    assert client.get(f"{HERE}?last=30d&last=all").status_code == 400
    assert download(client, matters="m-1").status_code == 400
    assert client.post("/reports/users/download", HERE, users="u-1").status_code == 400
    assert not [act for act in site.acts() if "DOWNLOADED" in act]


@pytest.mark.parametrize("choices", [{"format": "exe"}, {"last": "../../etc/passwd"}, {"user_type": "Robot"}])
def test_what_the_page_does_not_offer_is_refused(site: RunningSite, choices: dict[str, Any]) -> None:
    """A forged form."""
    assert download(site.signed_in(), **choices).status_code == 400


@pytest.mark.parametrize(
    ("file", "ending", "kind"),
    [("csv", "csv", "text/csv; charset=utf-8"), ("csv-excel", "csv", "text/csv; charset=utf-8"),
     ("xlsx", "xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
     ("parquet", "parquet", "application/vnd.apache.parquet")],
)  # fmt: skip
def test_the_answers_headers_say_what_it_is(site: RunningSite, file: str, ending: str, kind: str) -> None:
    """Its whole length, its hash, its type, and a name in which nothing was chosen by anybody."""
    answer = download(site.signed_in(), format=file, matter='m-1\r\nX-Evil: "1"')
    said = answer.headers
    assert re.fullmatch(
        rf'attachment; filename="activity-report-\d{{8}}T\d{{6}}Z\.{ending}"', said["content-disposition"]
    )
    assert (said["content-type"], said["cache-control"]) == (kind, "no-store")
    assert int(said["content-length"]) == len(answer.content)
    assert "x-evil" not in said
    assert answer.content.startswith(b"\xef\xbb\xbf") == (file == "csv-excel")


def test_a_download_is_registered_and_recorded(site: RunningSite) -> None:
    """Who, what, how many rows, the hash; in the record no ID that was filtered by."""
    answer = download(site.signed_in(), matter="m-1")
    (entry,) = FileRegister(DatabaseFiles(site.folder / "log.duckdb").extracts).extracts()
    assert (entry.made_by, entry.how, entry.rows) == ("a.silva", "download", 1)
    assert entry.sha256 == hashlib.sha256(answer.content).hexdigest()
    recorded = site.parts.audit_log.newest(1)[0]
    assert recorded.act == "REPORTS_ACTIVITY_DOWNLOADED_CSV"
    details = json.loads(recorded.details)
    assert (details["rows"], details["sha256"], details["filter"]) == (1, entry.sha256, {"matters": 1})
    assert "m-1" not in recorded.details


def test_the_manifest_is_a_second_download_for_who_had_the_first(site: RunningSite) -> None:
    """And for nobody else."""
    client = site.signed_in()
    answer = download(client, format="json")
    (address,) = re.findall(rf'"({HERE}/manifests/[0-9a-f-]+)"', client.get(HERE).text)
    manifest = client.get(address).json()
    assert manifest["sha256"] == hashlib.sha256(answer.content).hexdigest()
    assert manifest["rows"] == 3
    assert site.signed_in("j.okafor").get(address).status_code == 404


@pytest.mark.parametrize("path", ["../../../etc/passwd", "..%2f..%2fetc%2fpasswd", "%00", "x" * 300, "m-1.csv"])
def test_a_path_trick_finds_nothing(site: RunningSite, path: str) -> None:
    """Files have no names to guess."""
    client = site.signed_in()
    for place in (f"{HERE}/manifests/{path}", f"{HERE}/extracts/{path}", f"/static/{path}"):
        answer = client.get(place)
        assert answer.status_code in {303, 404, 410, 422}
        assert b"root:" not in answer.content


def test_nobody_downloads_without_signing_in_or_without_the_forms_token(site: RunningSite) -> None:
    """Neither by POST nor by GET."""
    assert site.client().request("POST", f"{HERE}/download", data={"last": "all"}).status_code == 403
    assert site.client().get(HERE).headers["location"].startswith("/sign-in")
    client = site.signed_in()
    assert client.request("POST", f"{HERE}/download", data={"last": "all"}).status_code == 403
    assert client.get(f"{HERE}/download").status_code == 405


def test_more_rows_than_a_workbook_holds_are_told_on_the_page(
    site: RunningSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How many there are, with what was chosen still there; no other file is refused."""
    monkeypatch.setattr(workbook, "MAX_ROWS", 2)
    client, choices = site.signed_in(), {"last": "all", "timezone": "America/New_York"}
    answer = download(client, format="xlsx", **choices)
    assert answer.status_code == 422
    assert "3 rows are more than the 2 of an Excel worksheet" in answer.text
    assert 'value="America/New_York"' in answer.text
    assert len(matters_in(download(client, format="json", **choices))) == 3


def test_an_extract_that_fails_is_an_error_and_no_file(site: RunningSite, monkeypatch: pytest.MonkeyPatch) -> None:
    """Never an answer of 200 that ends early."""

    def break_off(_connection: Any, _request: Any, sink: Any, _on_snapshot: Any) -> None:
        sink(b"half a ")
        raise ExtractFailed("the extract broke off; nothing was left")

    monkeypatch.setattr(extract_maker, "write_extract", break_off)
    answer = download(site.signed_in())
    assert answer.status_code == 503
    assert "The extract broke off" in answer.text
    assert "half a" not in answer.text
    assert "REPORTS_ACTIVITY_DOWNLOADED_CSV" not in site.acts()


def test_a_full_disk_is_told_to_who_downloads_and_to_the_log(
    site: RunningSite, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """In a sentence without anything of the rows."""

    def no_room(_connection: Any, _request: Any, _sink: Any, _on_snapshot: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "/secret")

    monkeypatch.setattr(extract_maker, "write_extract", no_room)
    answer = download(site.signed_in())
    assert answer.status_code == 503
    assert "The server cannot write the extract (No space left on device). No file was left." in answer.text
    assert "an extract cannot be written beside the database (No space left on device)" in caplog.text
    assert "/secret" not in caplog.text + answer.text


def test_names_are_shown_as_text(tmp_path: Path) -> None:
    """Stored script does nothing."""
    with running_site(tmp_path, a_view(user_name=SCRIPT, matter_name=SCRIPT)) as site:
        page = site.signed_in().get(f"{HERE}?last=all").text
        assert SCRIPT not in page
        assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") == 2


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """No extract is quick enough to be answered at once."""
    monkeypatch.setattr(handing_over, "ANSWERED_AT_ONCE_SECONDS", 0)


def kept(site: RunningSite, client: Client) -> str:
    """Where an extract is kept that took long."""
    place = download(client, format="json").headers["location"]
    assert site.parts.extracts._kept[place.rpartition("/")[2]].wait(30)
    return str(place)


@pytest.mark.usefixtures("slow")
def test_a_long_extract_is_made_beside_the_page_and_kept(site: RunningSite) -> None:
    """Its page says when it is there; only who asked for it gets it, as often as they like."""
    client = site.signed_in()
    place = kept(site, client)
    assert client.get(f"{place}/progress").json() == {"finished": True, "percent": 100}
    for _ in range(2):
        assert matters_in(client.post(place, place)) == ["m-1", "m-2", "m-3"]
    assert site.acts().count("REPORTS_ACTIVITY_DOWNLOADED_JSON") == 2
    assert site.signed_in("j.okafor").get(place).status_code == 410


@pytest.mark.usefixtures("slow")
def test_a_kept_extract_is_made_again_when_a_matter_in_it_is_deleted(site: RunningSite) -> None:
    """Its bytes are gone at once, and what comes next has the other matters."""
    client = site.signed_in()
    place = kept(site, client)
    kept_extract = site.parts.extracts._kept[place.rpartition("/")[2]]
    made = kept_extract.made
    apply(site.store, a_deletion(matter_id="m-2"))
    again = client.post(place, place)
    assert made is not None
    assert made.file.closed
    if again.status_code == 303:
        assert again.headers["location"] == place
        assert kept_extract.wait(30)
        again = client.post(place, place)
    assert matters_in(again) == ["m-1", "m-3"]


@pytest.mark.usefixtures("slow")
def test_an_extract_that_is_made_again_can_be_waited_for_and_is_given_as_it_is_made(
    site: RunningSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While matters are deleted all the time, each look would find one that was deleted since."""
    client = site.signed_in()
    place = kept(site, client)
    page = client.get(place).text
    assert "Download when ready" not in page
    token = token_in(page)
    apply(site.store, a_deletion(matter_id="m-1"))
    assert "Download when ready" in client.get(place).text
    wait = handing_over.until_made

    async def deleted_as_it_is_made(request: Request, extract: SiteExtract) -> bool:
        is_made = await wait(request, extract)
        apply(site.store, a_deletion(matter_id="m-2"))
        return is_made

    monkeypatch.setattr(activity_report, "until_made", deleted_as_it_is_made)
    answer = client.request("POST", f"{place}/awaited", data={FIELD: token})
    assert matters_in(answer) == ["m-2", "m-3"]
    extract_id = UUID(answer.headers["Matterlog-Extract-Id"])
    with site.store.reader() as connection:
        (receipt,) = read_receipts(connection, "m-2")
    assert [each.rows for each in receipt.recall if each.extract_id == extract_id] == [1]


@pytest.mark.usefixtures("slow")
def test_a_kept_extract_stays_when_another_matter_is_deleted(site: RunningSite) -> None:
    """Its filter would allow the matter; its file does not hold it."""
    client = site.signed_in()
    place = download(client, format="json", last="", to="2026-03-01").headers["location"]
    kept_extract = site.parts.extracts._kept[place.rpartition("/")[2]]
    assert kept_extract.wait(30)
    made = kept_extract.made
    apply(site.store, a_deletion(matter_id="m-2"))
    assert matters_in(client.post(place, place)) == ["m-1"]
    assert kept_extract.made is made


@pytest.mark.usefixtures("slow")
def test_a_kept_extract_is_made_again_without_anybody_asking(
    site: RunningSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deletion reaches its bytes."""
    monkeypatch.setattr(kept_extracts, "LOOK_FOR_PURGES_SECONDS", 0.05)
    place = kept(site, site.signed_in())
    kept_extract = site.parts.extracts._kept[place.rpartition("/")[2]]
    made = kept_extract.made
    apply(site.store, a_deletion(matter_id="m-2"))
    deadline = time.monotonic() + 30
    while kept_extract.made is made or not kept_extract.wait(30):
        assert time.monotonic() < deadline
    assert kept_extract.made is not None
    assert kept_extract.made.extract.rows == 2


@pytest.mark.usefixtures("slow")
def test_a_kept_extract_expires(site: RunningSite) -> None:
    """After an hour."""
    client = site.signed_in()
    place = kept(site, client)
    site.clock.advance(KEPT_FOR + timedelta(seconds=1))
    client.cookies.clear()
    client.sign_in()
    assert client.get(place).status_code == 410


@pytest.mark.usefixtures("slow")
def test_nobody_fills_the_disk(site: RunningSite) -> None:
    """One more than an account may have kept is refused for now."""
    client = site.signed_in()
    for _ in range(MAX_KEPT_BY_ONE):
        kept(site, client)
    answer = download(client)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")


def test_twenty_readers_export_while_the_pipeline_writes(tmp_path: Path) -> None:
    """No file is torn and none is refused: each holds whole batches of one committed state."""
    rows_before, views_a_batch = 2_000, 10
    with running_site(tmp_path) as site:
        site.store._connection.execute(MANY_ROWS, {"rows": rows_before})
        client, written = site.signed_in(), threading.Event()
        token = client.token(HERE)

        def read(_: int) -> int:
            answer = client.request(
                "POST", f"{HERE}/download", data={"form_token": token, "last": "all", "format": "ndjson"}
            )
            assert answer.status_code == 200, answer.text
            return len([json.loads(line) for line in answer.text.splitlines()])

        def write() -> int:
            batches = 0
            while not written.is_set():
                apply(site.store, *(a_view() for _ in range(views_a_batch)))
                batches += 1
            return batches

        with ThreadPoolExecutor(21) as threads:
            writing = threads.submit(write)
            try:
                counts = list(threads.map(read, range(20)))
            finally:
                written.set()
        batches = writing.result()
    assert batches > 1
    assert all((count - rows_before) % views_a_batch == 0 for count in counts)
    assert rows_before <= min(counts) <= max(counts) <= rows_before + batches * views_a_batch
