"""Extracts of the API: asked for now and fetched later, stopped when nobody waits, never in the way of others."""

import gc
import socket
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from matterlog.app.service import connections
from matterlog.report.errors import LogUnavailable
from matterlog.report.extracts import workbook
from matterlog.report.handover.register import FileRegister, RegisterEntry
from matterlog.report.web import api
from matterlog.report.web.extracts.kept_manifests import KeptManifests
from matterlog.report.web.extracts.turns import SMALL_ROWS
from matterlog.report.web.identity.accounts import Role
from matterlog.report.web.identity.api_tokens import Scope
from matterlog.report.web.identity.audit_log import Actor
from matterlog.report.web.identity.rate_limits import RateLimit
from matterlog.report.web.reports import handing_over
from matterlog.schemas.storage.database_files import DatabaseFiles
from testbed.command import PATIENCE_SECONDS
from testbed.events import a_view
from tests.report.logs import MANY_ROWS
from tests.report.web.sites import NAME, RunningSite, running_site

EXTRACT = "/api/v1/extracts/activity"
LATER = {"Prefer": "respond-async"}
MANY = 100_000


@pytest.fixture
def site(tmp_path: Path) -> Iterator[RunningSite]:
    """A site over two views."""
    with running_site(tmp_path, a_view(matter_id="m-1"), a_view(matter_id="m-2")) as running:
        running.account()
        yield running


@pytest.fixture
def full(tmp_path: Path) -> Iterator[RunningSite]:
    """A site over many views, whose extract is more than sockets hold."""
    with running_site(tmp_path) as running:
        running.store._connection.execute(MANY_ROWS, {"rows": MANY})
        running.account()
        yield running


def key(site: RunningSite, *scopes: Scope, name: str = NAME) -> dict[str, str]:
    """The header of a token of an account's."""
    account = site.parts.accounts.named(name)
    made = site.parts.api_tokens.make(account, "A test", frozenset(scopes or Scope), 7, Actor())
    return {"Authorization": f"Bearer {made}"}


def ask(site: RunningSite, path: str, headers: dict[str, str]) -> httpx.Response:
    """Ask with these headers."""
    return site.client().get(path, headers=headers)


def until(is_so: Callable[[], object]) -> None:
    """Wait for another thread."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def begun(site: RunningSite, path: str, headers: dict[str, str], form: str = "") -> socket.socket:
    """A request that was sent, whose answer nobody takes yet."""
    where = urlsplit(site.url)
    raw = socket.create_connection((where.hostname or "", where.port or 0), 30)
    lines = [f"{'POST' if form else 'GET'} {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(form)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    raw.sendall(("\r\n".join([*lines, "", ""]) + form).encode())
    return raw


def registered(site: RunningSite) -> list[RegisterEntry]:
    """The extracts that count as handed over."""
    return FileRegister(DatabaseFiles(site.folder / "log.duckdb").extracts).extracts()


def test_an_extract_is_asked_for_and_fetched_later(site: RunningSite) -> None:
    """With the answer that it would have had at once; as often as its account likes, for an hour."""
    token = key(site)
    with site.parts.maker.turns.turn(0, 0):
        asked = ask(site, f"{EXTRACT}?format=json", token | LATER)
        place = asked.headers["location"]
        waiting = ask(site, place, token)
    assert [(each.status_code, each.headers["retry-after"]) for each in (asked, waiting)] == [(202, "5")] * 2
    assert waiting.headers["location"] == place
    until(lambda: ask(site, place, token).status_code == 200)
    later, now = ask(site, place, token), ask(site, f"{EXTRACT}?format=json", token)
    assert (later.json(), later.headers["etag"]) == (now.json(), now.headers["etag"])
    manifest = later.headers["link"].partition(">")[0].removeprefix("<")
    assert ask(site, manifest, token).json()["rows"] == 2
    assert site.acts()[-3:] == ["REPORTS_ACTIVITY_DOWNLOADED_JSON"] * 3


def test_what_is_fetched_later_is_for_its_account_and_for_the_api(
    site: RunningSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token does not open what the account asked for on a page: it may have other scopes."""
    place = ask(site, EXTRACT, key(site) | LATER).headers["location"]
    site.account("j.okafor")
    assert ask(site, place, key(site, name="j.okafor")).status_code == 410
    assert ask(site, place, key(site, Scope.STATUS)).status_code == 403
    monkeypatch.setattr(handing_over, "ANSWERED_AT_ONCE_SECONDS", 0)
    client = site.client()
    client.sign_in()
    shown = client.post("/reports/users/download", "/account", format="csv").headers["location"]
    assert ask(site, f"/api/v1/extracts/kept/{shown.rpartition('/')[2]}", key(site)).status_code == 410


def test_who_waits_for_an_extract_holds_no_thread(site: RunningSite) -> None:
    """Pages are answered, however many programs wait."""
    site.account("j.okafor")
    tokens, told = [key(site), key(site, name="j.okafor")], httpx.Timeout(PATIENCE_SECONDS)
    with ExitStack() as turn, ThreadPoolExecutor(44) as threads:
        turn.enter_context(site.parts.maker.turns.turn(0, 0))
        found = [
            threads.submit(httpx.get, site.url + EXTRACT, headers=tokens[number % 2], timeout=told)
            for number in range(44)
        ]
        until(lambda: len(site.parts.extracts._kept) == 44)
        assert site.client().get("/sign-in").status_code == 200
        turn.close()
        assert {each.result().status_code for each in found} == {200}


def test_an_extract_whose_client_is_gone_gives_its_turn_away(site: RunningSite) -> None:
    """And is recorded as abandoned: nobody downloaded it."""
    with site.parts.maker.turns.turn(0, 0):
        raw = begun(site, EXTRACT, key(site))
        until(lambda: site.parts.maker.turns._waiting)
        raw.close()
        until(lambda: not site.parts.maker.turns._waiting)
    until(lambda: site.acts()[-1] == "REPORTS_ACTIVITY_ABANDONED_CSV")
    assert "REPORTS_ACTIVITY_DOWNLOADED_CSV" not in site.acts()
    assert registered(site) == []


@pytest.mark.parametrize("what", [f"{EXTRACT}?format=xlsx", f"{EXTRACT}?format=csv", "/api/v1/engagement/users"])
def test_an_extract_that_is_being_made_is_stopped_when_its_client_is_gone(full: RunningSite, what: str) -> None:
    """Whatever step it is at; the next one need not wait for it."""
    full.store._connection.execute(MANY_ROWS.replace("range(", "range(100000, 100000 + "), {"rows": 900_000})
    turns = full.parts.maker.turns
    raw = begun(full, what, key(full))
    until(lambda: turns._running)
    raw.close()
    until(lambda: not turns._running)
    until(lambda: "ABANDONED" in full.acts()[-1])
    assert not any("DOWNLOADED" in act for act in full.acts())
    until(lambda: not registered(full))


def test_an_extract_that_was_complete_when_its_client_was_found_gone_is_not_registered(
    site: RunningSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody got it, so nobody has to be told when a matter in it is deleted."""
    complete, found_gone, makers = threading.Event(), threading.Event(), list[threading.Thread]()

    def keep(*_: object) -> None:
        makers.append(threading.current_thread())
        complete.set()
        assert found_gone.wait(PATIENCE_SECONDS)

    monkeypatch.setattr(KeptManifests, "keep", keep)
    raw = begun(site, EXTRACT, key(site))
    assert complete.wait(PATIENCE_SECONDS)
    assert len(registered(site)) == 1
    raw.close()
    until(lambda: site.acts()[-1] == "REPORTS_ACTIVITY_ABANDONED_CSV")
    found_gone.set()
    makers[0].join(PATIENCE_SECONDS)
    assert registered(site) == []


def test_a_small_extract_of_another_account_is_not_held_up(full: RunningSite) -> None:
    """By as many large ones as one account may ask for."""
    full.account("j.okafor", Role.ANALYST)
    one, other = key(full), key(full, name="j.okafor")
    for _ in range(20):
        assert ask(full, f"{EXTRACT}?format=xlsx", one | LATER).status_code == 202
    assert MANY > SMALL_ROWS
    assert ask(full, f"{EXTRACT}?last=1d", other).status_code == 200
    assert full.parts.maker.turns._waiting
    for each in list(full.parts.extracts._kept.values()):
        each.drop()


def deleted_files(site: RunningSite) -> list[str]:
    """The files without a name that this process still holds open for the site."""
    found = []
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            target = str(descriptor.readlink())
        except OSError:
            continue
        if str(site.folder) in target and "log.duckdb.tmp" in target and target.endswith("(deleted)"):
            found.append(target)
    return found


@pytest.fixture
def _no_collector() -> Iterator[None]:
    """The garbage collector does not help."""
    gc.disable()
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.enable()
        gc.collect()


def break_off(site: RunningSite) -> None:
    """Somebody takes a little of an extract, and goes."""
    raw = begun(site, f"{EXTRACT}?format=json", key(site))
    assert raw.recv(1000).startswith(b"HTTP/1.1 200")
    raw.close()


def stall(site: RunningSite) -> None:
    """Somebody takes nothing more of it."""
    raw = begun(site, f"{EXTRACT}?format=json", key(site))
    assert raw.recv(1000).startswith(b"HTTP/1.1 200")
    until(lambda: not deleted_files(site))
    raw.close()


def break_off_a_download_of_a_page(site: RunningSite) -> None:
    """The same, where the page sends a form."""
    client = site.client()
    client.sign_in()
    cookies = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    form = f"form_token={client.token('/account')}&last=all&format=json"
    headers = {"Cookie": cookies, "Content-Type": "application/x-www-form-urlencoded"}
    raw = begun(site, "/reports/activity/download", headers, form)
    assert raw.recv(1000).startswith(b"HTTP/1.1 200")
    raw.close()


def fail_before_the_answer(site: RunningSite) -> None:
    """The audit log cannot be written: nothing is handed out."""

    def fail(*_: object, **__: object) -> None:
        raise LogUnavailable

    token = key(site)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(site.parts.audit_log, "add", fail)
        assert ask(site, EXTRACT, token).status_code == 503


def fail_with_the_etag(site: RunningSite) -> None:
    """The log cannot be read in the moment in which the extract is there."""

    def fail(*_: object) -> str:
        raise LogUnavailable

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(api, "etag_of", fail)
        assert ask(site, EXTRACT, key(site)).status_code == 503


@pytest.mark.usefixtures("_no_collector")
@pytest.mark.parametrize(
    "ends", [break_off, stall, break_off_a_download_of_a_page, fail_before_the_answer, fail_with_the_etag]
)
def test_the_bytes_of_a_download_leave_the_disk_with_its_answer(
    full: RunningSite, monkeypatch: pytest.MonkeyPatch, ends: Callable[[RunningSite], None]
) -> None:
    """However the answer ends; the purge of a matter would not reach them."""
    monkeypatch.setattr(connections, "DEADLINES_SECONDS", {"head": 30.0, "body": 30.0, "answer": 2.0})
    ends(full)
    until(lambda: not deleted_files(full))


@pytest.mark.parametrize("blanks", [" ", "  ", "   \t "])
@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_requests_are_counted_by_token_however_the_header_is_written(
    site: RunningSite, blanks: str, scheme: str
) -> None:
    """More blanks make no other client."""
    object.__setattr__(site.parts, "api_limit", RateLimit(1, 60))
    said = key(site)["Authorization"]
    assert ask(site, "/api/v1/status", {"Authorization": said}).status_code == 200
    written = said.replace("Bearer ", scheme + blanks)
    assert ask(site, "/api/v1/status", {"Authorization": written}).status_code == 429


def test_tokens_that_are_not_valid_are_counted_by_network(site: RunningSite) -> None:
    """Another guess is no other client; and a valid token does not share their count."""
    object.__setattr__(site.parts, "api_limit", RateLimit(2, 60))
    guesses = [ask(site, "/api/v1/status", {"Authorization": f"Bearer mlog_{guess}"}) for guess in range(4)]
    assert [each.status_code for each in guesses] == [401, 401, 429, 429]
    assert ask(site, "/api/v1/status", key(site)).status_code == 200


def test_more_rows_than_a_workbook_holds_are_refused_with_their_number(
    full: RunningSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To ask again would not help, so it is no 503."""
    monkeypatch.setattr(workbook, "MAX_ROWS", 2)
    answer = ask(full, f"{EXTRACT}?format=xlsx&last=all", key(full))
    assert (answer.status_code, answer.json()["parameters"]) == (422, ["format"])
    assert "rows are more than the 2 of an Excel worksheet" in answer.json()["detail"]


def test_a_table_of_too_many_rows_is_refused_with_their_number(full: RunningSite) -> None:
    """A row for each of 13 matters and each day since 1970 is a table for nobody; larger steps are one."""
    path, token = "/api/v1/engagement/matter-activity?from=1970-01-01&to=2026-03-31", key(full)
    answer = ask(full, path, token)
    days = (date(2026, 3, 31) - date(1970, 1, 1)).days + 1
    assert (answer.status_code, answer.json()["parameters"]) == (422, ["by", "from", "matter"])
    assert f"the table would have {13 * days:,} rows, at most 200,000 are allowed" in answer.json()["detail"]
    assert len(ask(full, f"{path}&by=month", token).json()) == 13 * 675
