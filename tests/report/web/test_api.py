"""The API: the files of the page, for programs with a token."""

import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import httpx
import pytest
import schemathesis
from fastapi.routing import APIRoute
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.specs.openapi.checks import content_type_conformance, status_code_conformance

from matterlog.report.handover.register import FileRegister
from matterlog.report.web.api import router
from matterlog.report.web.identity.api_tokens import Scope
from matterlog.report.web.identity.audit_log import Actor
from matterlog.report.web.identity.rate_limits import RateLimit
from matterlog.schemas.storage.database_files import DatabaseFiles
from testbed.command import PATIENCE_SECONDS
from testbed.events import a_deletion, a_view
from tests.report.logs import apply
from tests.report.web.sites import NAME, RunningSite, running_site

EXTRACT = "/api/v1/extracts/activity"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[RunningSite]:
    """A site over two views."""
    with running_site(tmp_path, a_view(matter_id="m-1"), a_view(matter_id="m-2")) as running:
        running.account()
        yield running


def token(site: RunningSite, *scopes: Scope) -> str:
    """A token of the account's."""
    return site.parts.api_tokens.make(site.parts.accounts.named(NAME), "A test", frozenset(scopes), 7, Actor())


def ask(site: RunningSite, path: str, *scopes: Scope, headers: dict[str, str] | None = None) -> httpx.Response:
    """Ask with a token for these scopes."""
    said = {"Authorization": f"Bearer {token(site, *scopes or Scope)}", **(headers or {})}
    return site.client().get(path, headers=said)


@pytest.mark.parametrize("kind", ["csv", "json", "ndjson", "parquet", "xlsx"])
def test_an_extract_comes_whole_with_its_hash_and_its_manifest(site: RunningSite, kind: str) -> None:
    """In each format; recorded and registered."""
    answer = ask(site, f"{EXTRACT}?format={kind}")
    assert answer.status_code == 200
    manifest = ask(site, answer.headers["link"].partition(">")[0].removeprefix("<")).json()
    assert manifest["sha256"] == hashlib.sha256(answer.content).hexdigest()
    assert (manifest["rows"], manifest["format"]) == (2, kind)
    assert f"REPORTS_ACTIVITY_DOWNLOADED_{kind.upper()}" in site.acts()


def test_parameters_say_which_rows_come(site: RunningSite) -> None:
    """As the options of the command line do."""
    rows = ask(site, f"{EXTRACT}?format=json&matter=m-2&from=2026-03-01&to=2026-03-01").json()
    assert [row["matter_ID"] for row in rows] == ["m-2"]


def test_who_asks_again_gets_304_until_the_log_changes(site: RunningSite) -> None:
    """A deletion changes it too."""
    etag = ask(site, EXTRACT).headers["etag"]
    assert ask(site, EXTRACT, headers={"If-None-Match": etag}).status_code == 304
    assert ask(site, f"{EXTRACT}?format=json", headers={"If-None-Match": etag}).status_code == 200
    apply(site.store, a_deletion(matter_id="m-1"))
    assert ask(site, EXTRACT, headers={"If-None-Match": etag}).status_code == 200


def test_the_last_days_are_what_was_read_until_the_day_ends(site: RunningSite) -> None:
    """They are whole days of the time zone."""
    site.clock.now = datetime(2026, 3, 30, 1, tzinfo=UTC)
    asked = f"{EXTRACT}?last=30d&timezone=Europe/London"
    answer = ask(site, asked)
    assert len(answer.text.splitlines()) == 3
    site.clock.advance(timedelta(hours=21, minutes=59))
    again = ask(site, asked, headers={"If-None-Match": f'"another", {answer.headers["etag"].removeprefix("W/")}'})
    assert (again.status_code, again.headers["etag"]) == (304, answer.headers["etag"])
    site.clock.advance(timedelta(minutes=1))
    again = ask(site, asked, headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, len(again.text.splitlines())) == (200, 1)
    assert ask(site, EXTRACT).headers["etag"] not in {answer.headers["etag"], again.headers["etag"]}


def test_without_a_period_the_api_gives_what_the_page_gives(site: RunningSite) -> None:
    """All time of the Activity report, the last 30 days of engagement; the description says so."""
    assert len(ask(site, EXTRACT).text.splitlines()) == 3
    assert "<strong>2</strong>" in site.signed_in("j.okafor").get("/reports/activity").text
    path = "/api/v1/engagement/matters"
    assert [row["visits"] for row in ask(site, path).json()] == [0, 0]
    assert [row["visits"] for row in ask(site, f"{path}?last=all").json()] == [1, 1]
    paths = json.loads(site.client().get("/api/v1/openapi.json").text)["paths"]
    told = {
        default: [each["description"] for each in paths[path]["get"]["parameters"] if each["name"] == "last"]
        for path, default in ((EXTRACT, "all"), ("/api/v1/engagement/{analysis}", "30d"))
    }
    assert all(text.endswith(f"it is {default}.") for default, (text,) in told.items())


@pytest.mark.parametrize(
    ("query", "parameters", "detail"),
    [
        ("last=never", ["last"], "last 'never' is not a period: write a number of days, such as 30d or 90d, or all"),
        ("last=30d&to=2026-11-22", ["last", "from", "to"], "last cannot be combined with from or to"),
        ("from=yesterday", ["from"], "from 'yesterday' is not a date: write a day like 2026-11-22, or an instant"),
        ("from=2026-11-23&to=2026-11-22", ["from", "to"], "from 2026-11-23 is after to 2026-11-22"),
        ("format=json&excel=true", ["excel", "format"], "excel is for CSV only and cannot be combined with format"),
        ("timezone=Mars", ["timezone"], "'Mars' is not a time zone: use an IANA name like Europe/London"),
        ("format=exe", ["format"], "The request is incomplete, or a value is not allowed. format: 'exe' is not one of"),
        (
            "user_type=guest",
            ["user_type"],
            "The request is incomplete, or a value is not allowed. user_type: input should",
        ),
        ("user_type=Robot&by=x", ["by"], "'by' is not a parameter here. The parameters are: columns, company, excel,"),
        ("matters=M-1", ["matters"], "'matters' is not a parameter here. Did you mean 'matter'?"),
        ("matter_id=m-1&fro=2026-03-01", ["matter_id", "fro"], "'matter_id' is not a parameter here. Did you mean 'ma"),
        ("last=30d&last=90d", ["last"], "'last' can be given only once."),
    ],
)
def test_a_problem_names_the_parameters_that_make_no_sense(
    site: RunningSite, query: str, parameters: list[str], detail: str
) -> None:
    """As the API has them, without the command line's dashes."""
    problem = ask(site, f"{EXTRACT}?{query}").json()
    assert (problem["parameters"], problem["detail"][: len(detail)]) == (parameters, detail)
    assert "--" not in problem["detail"]


@pytest.mark.parametrize(
    ("path", "scopes", "status"),
    [
        (EXTRACT, (Scope.STATUS,), 403),
        ("/api/v1/status", (Scope.EXTRACTS,), 403),
        ("/api/v1/engagement/users", (Scope.EXTRACTS,), 403),
        (f"{EXTRACT}?last=never", (), 400),
        (f"{EXTRACT}?timezone=Nowhere/None", (), 400),
        (f"{EXTRACT}?format=exe", (), 422),
        (f"{EXTRACT}?format=json&excel=true", (), 400),
        ("/api/v1/extracts/no-uuid/manifest", (), 422),
        ("/api/v1/extracts/018f0000-0000-8000-8000-000000000000/manifest", (), 404),
        ("/api/v1/nothing", (), 404),
    ],
)
def test_what_is_refused_is_a_problem(site: RunningSite, path: str, scopes: tuple[Scope, ...], status: int) -> None:
    """In the form of RFC 9457."""
    answer = ask(site, path, *scopes)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert answer.json()["status"] == status


@pytest.mark.parametrize(
    "route", [route for route in router.routes if isinstance(route, APIRoute)], ids=lambda r: r.path
)
def test_no_route_ignores_a_parameter(site: RunningSite, route: APIRoute) -> None:
    """A misspelt filter would hand out all rows."""
    path = route.path.format(key="x", extract_id=UUID(int=1), analysis="users")
    problem = ask(site, f"{path}?matters=m-1").json()
    assert (problem["status"], problem["parameters"]) == (400, ["matters"])


def test_the_values_that_a_parameter_takes_are_listed(site: RunningSite) -> None:
    """In their own spelling."""
    assert "user_type: input should be 'Guest' or 'Member'" in ask(site, f"{EXTRACT}?user_type=guest").json()["detail"]


def test_an_engagement_table_is_written_as_an_extract_is(site: RunningSite) -> None:
    """With formulas as they are and a byte-order mark, for programs that join the two."""
    apply(site.store, a_view(matter_name="=1+1"))
    path = "/api/v1/engagement/matters?from=2026-03-01&to=2026-03-01&format=csv"
    assert ",'=1+1," in ask(site, path).text
    answer = ask(site, f"{path}&raw_csv=true&excel=true")
    assert (answer.content[:3], ",=1+1," in answer.text) == (b"\xef\xbb\xbf", True)


def test_a_cookie_is_no_token(site: RunningSite) -> None:
    """What a browser sends by itself opens nothing."""
    answer = site.signed_in("j.okafor").get(EXTRACT)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")


def test_too_many_requests_are_refused_until_one_is_free_again(site: RunningSite) -> None:
    """By token; each answer says how many are left, and a refusal in how many seconds it is worth trying."""
    seconds = [0.0]
    site.parts.api_limit = RateLimit(2, 60, lambda: seconds[0])
    key = {"Authorization": f"Bearer {token(site, Scope.STATUS)}"}
    found = []
    for seconds[0] in (0.0, 20.5, 21.0, 60.0):
        answer = site.client().get("/api/v1/status", headers=key)
        told = [answer.headers.get(name) for name in ("ratelimit-limit", "ratelimit-remaining", "ratelimit-reset")]
        found.append((answer.status_code, answer.headers.get("retry-after"), *told))
    assert found == [
        (200, None, "2", "1", "60"),
        (200, None, "2", "0", "40"),
        (429, "39", "2", "0", "39"),
        (200, None, "2", "0", "21"),
    ]
    assert ask(site, "/api/v1/status").status_code == 200


def test_status_and_engagement_answer(site: RunningSite) -> None:
    """Engagement in the formats of an extract, with an ETag of its content."""
    assert ask(site, "/api/v1/status").json()["rows"] == 2
    path = "/api/v1/engagement/matters?from=2026-03-01&to=2026-03-01"
    answer = ask(site, path)
    assert {row["matter_ID"] for row in answer.json()} == {"m-1", "m-2"}
    assert ask(site, f"{path}&format=csv").text.startswith("matter_ID,")
    assert "REPORTS_MATTER_ENGAGEMENT_DOWNLOADED_CSV" in site.acts()
    assert ask(site, "/api/v1/engagement/activity").status_code == 200
    assert site.acts()[-1] == "REPORTS_ENGAGEMENT_DOWNLOADED"


def test_an_engagement_table_has_a_manifest_and_a_place_in_the_register(site: RunningSite) -> None:
    """Unless nobody gets it, because it is there already."""
    path = "/api/v1/engagement/matters?from=2026-03-01&to=2026-03-01"
    answer = ask(site, path)
    manifest = ask(site, answer.headers["link"].partition(">")[0].removeprefix("<")).json()
    assert (manifest["sha256"], manifest["engagement"]["analysis"]) == (
        hashlib.sha256(answer.content).hexdigest(),
        "matters",
    )
    register = FileRegister(DatabaseFiles(site.folder / "log.duckdb").extracts)
    assert [(entry.how, entry.analysis, entry.rows) for entry in register.extracts()] == [("api", "matters", 2)]
    assert ask(site, path, headers={"If-None-Match": answer.headers["etag"]}).status_code == 304
    assert len(register.extracts()) == 1


def test_the_api_is_what_its_description_says(site: RunningSite) -> None:
    """Whatever is asked: no failure of the server, no status and no type that is not described."""
    site.parts.api_limit = RateLimit(10**9, 60)
    schema = schemathesis.openapi.from_url(f"{site.url}/api/v1/openapi.json")
    key = {"Authorization": f"Bearer {token(site, *Scope)}"}
    checks = [schemathesis.checks.not_a_server_error, status_code_conformance, content_type_conformance]
    for found in schema.get_all_operations():
        operation = cast("Any", found).ok()

        @settings(max_examples=20, deadline=None, database=None, phases=[Phase.generate],
                  suppress_health_check=list(HealthCheck))  # fmt: skip
        @given(case=operation.as_strategy())
        def try_it(case: Any) -> None:
            case.call_and_validate(headers=key, checks=checks, timeout=PATIENCE_SECONDS)

        try_it()


def test_the_description_names_every_route(site: RunningSite) -> None:
    """And the way to send a token; anybody may read it."""
    described = json.loads(site.client().get("/api/v1/openapi.json").text)
    assert set(described["paths"]) == {
        EXTRACT, "/api/v1/extracts/kept/{key}", "/api/v1/extracts/{extract_id}/manifest",
        "/api/v1/engagement/{analysis}", "/api/v1/status",
    }  # fmt: skip
    assert described["components"]["securitySchemes"] == {"token": {"type": "http", "scheme": "bearer"}}


def test_who_waits_for_a_turn_is_told_when_the_site_is_stopped(site: RunningSite) -> None:
    """The extract under way goes on; nobody else keeps the process from ending."""
    maker, key = site.parts.maker, {"Authorization": f"Bearer {token(site, *Scope)}"}
    with maker.turns.turn(0, 0), ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(site.client().get, EXTRACT, headers=key)
        maker.stop()
        answer = waiting.result(30)
    assert (answer.status_code, "shutting down" in answer.json()["detail"]) == (503, True)
