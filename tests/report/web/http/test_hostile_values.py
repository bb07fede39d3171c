"""Values that no page sends, in every route's path, query, form and head: refused, and never an error of ours."""

import logging
import socket
from collections.abc import Iterator
from random import Random
from typing import Final
from urllib.parse import quote, urlsplit

import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from matterlog.report.web.http.forms import FIELD, SESSION_COOKIE, VISIT_COOKIE
from matterlog.report.web.identity.accounts import Role
from matterlog.report.web.identity.api_tokens import Scope
from matterlog.report.web.identity.audit_log import Actor
from matterlog.report.web.identity.rate_limits import RateLimit
from matterlog.report.web.reports.activity_choices import ActivityChoices
from matterlog.report.web.reports.engagement_choices import EngagementChoices
from matterlog.report.web.site import routers
from testbed.budget import budget
from tests.report.web.sites import NAME, RunningSite

ROUTES: Final = [
    (method, route)
    for router in routers()
    for route in router.routes
    if isinstance(route, APIRoute)
    for method in sorted(route.methods or set())
]
NUMBERS: Final = ("-1", "9" * 20, f"-{'9' * 20}", "9" * 5000, "1e400", "\u0661")
TEXTS: Final = ("", "\0", "a\r\nb: c", "\ud800", "x" * 9000, "%s{0}$1'\"`;--", "../../etc/passwd")
PLACES: Final = (f"a:0:{'9' * 20}", f"a:{'9' * 20}:0", "a:0:-1", "\0:0:0")
DAYS: Final = ("0001-01-01", "9999-12-31", "2026-02-30", "9999-12-31T23:59:59.999999Z", "99999d")
VALUES: Final = (*NUMBERS, *TEXTS, *PLACES, *DAYS)
# One request in so many is sent.
EVERY: Final = budget(7, 1)
FOR_CHOICES: Final = ("\0", "\ud800", "9" * 20, "9999-12-31")
# What the routes read out of the query and the form by themselves.
CHOICES: Final = (*ActivityChoices.fields(), *EngagementChoices.fields(), "add_matter", "find")
PLAIN: Final = {
    "account_id": "2", "token_id": "1", "analysis": "users", "subject": "users", "ending": "svg", "key": "x",
    "extract_id": "018f0000-0000-8000-8000-000000000000", "name": "x.y", "role": "analyst", "ask": "discard",
    "place": "a:0:0", "password": "x", "code": "1", "secret": "A" * 32, "label": "x", "days": "7", "scope": "status",
    "present": "x", "wanted": "y", "again": "z", "last": "", "from": "2026-01-01",
}  # fmt: skip


@pytest.fixture(scope="module")
def program(shared_site: RunningSite) -> dict[str, str]:
    """The header of a token for everything, without a limit."""
    object.__setattr__(shared_site.parts, "api_limit", RateLimit(10**9, 60))
    account = shared_site.account(NAME, Role.ADMINISTRATOR)
    made = shared_site.parts.api_tokens.make(account, "hostile", frozenset(Scope), 7, Actor())
    return {"Authorization": f"Bearer {made}"}


def requests_of(method: str, route: APIRoute, value: str) -> Iterator[tuple[str, dict[str, str], dict[str, str]]]:
    """The requests with this value at one place each: path, query, form."""
    dependants = tuple(_with_inner(route.dependant))
    parts, known, sent = (
        {field.alias: PLAIN.get(field.alias, "") for each in dependants for field in getattr(each, kind)}
        for kind in ("path_params", "query_params", "body_params")
    )
    asked = {name: text for name, text in known.items() if text}
    for name in parts:
        yield _path(route, parts | {name: value}), asked, sent
    is_page = route.path.startswith("/reports/")
    choices, dates = CHOICES if is_page and value in FOR_CHOICES else (), {"last": ""} if is_page else {}
    for name in dict.fromkeys((*known, *choices)):
        yield _path(route, parts), asked | dates | {name: value}, sent
    for name in dict.fromkeys((*sent, *choices)) if method == "POST" else ():
        yield _path(route, parts), asked, sent | dates | {name: value}


def _with_inner(dependant: Dependant) -> Iterator[Dependant]:
    yield dependant
    for each in dependant.dependencies:
        yield from _with_inner(each)


def _path(route: APIRoute, parts: dict[str, str]) -> str:
    path = route.path
    for name, text in parts.items():
        path = path.replace(f"{{{name}}}", quote(text.encode("utf-8", "surrogatepass"), safe=""))
    return path


def _encoded(fields: dict[str, str]) -> str:
    pairs = ((quote(name), quote(text.encode("utf-8", "surrogatepass"), safe="")) for name, text in fields.items())
    return "&".join(f"{name}={text}" for name, text in pairs)


@pytest.mark.faults
@pytest.mark.parametrize(("method", "route"), ROUTES, ids=[f"{method}:{route.path}" for method, route in ROUTES])
def test_no_value_is_an_error_of_ours(
    shared_site: RunningSite, program: dict[str, str], caplog: pytest.LogCaptureFixture, method: str, route: APIRoute
) -> None:
    """At any place of any route; whoever sends it is told that it is wrong, and no operator is."""
    client, failed = shared_site.known(Role.ADMINISTRATOR), []
    token = client.token("/account") if method == "POST" else ""
    requests = [request for value in VALUES for request in requests_of(method, route, value)]
    chance = Random(route.path)  # noqa: S311 - the same requests in each run
    for path, asked, sent in chance.sample(requests, -(-len(requests) // EVERY)):
        address = f"{path}?{_encoded(asked)}"
        if len(address) > 15_000:
            continue
        form = _encoded(sent | {FIELD: token}).encode() if method == "POST" else None
        headers = {"Content-Type": "application/x-www-form-urlencoded"} if form else {}
        answer = client.request(method, address, content=form, headers=headers | program)
        if answer.status_code >= 500:
            failed.append((answer.status_code, address[:200], (form or b"")[-200:]))
    assert failed == []
    assert [each.getMessage() for each in caplog.records if each.levelno >= logging.ERROR] == []


FORM: Final = "POST /sign-in HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
HEADS: Final = [
    "GET /sign-in HTTP/1.1\r\nHost: [\r\n\r\n",
    "POST /health/live HTTP/1.1\r\nHost: [\r\nContent-Length: 0\r\n\r\n",
    "GET /sign-in HTTP/1.1\r\nHost: a b\r\n\r\n",
    "GET /nowhere HTTP/1.1\r\nHost: [::1%eth0]\r\n\r\n",
    "GET /nowhere HTTP/1.1\r\nHost: a@b:c\r\n\r\n",
    "GET /nowhere HTTP/1.1\r\nHost: localhost:99999999\r\n\r\n",
    "GET [x HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "GET x HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "GET http://[/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "GET /%ff%fe HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "GET /static/%00 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "GET /static/" + "a/" * 4000 + " HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "GET /?a=%ff&b=%zz&&=& HTTP/1.1\r\nHost: localhost\r\n\r\n",
    f"GET / HTTP/1.1\r\nHost: localhost\r\nCookie: {SESSION_COOKIE}=\xff\x80; {VISIT_COOKIE}=\xff\r\n\r\n",
    "GET /api/v1/status HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer \xff\xfe\r\n\r\n",
    "GET /metrics HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer \xff\xfe\r\n\r\n",
    "POST /sign-in HTTP/1.1\r\nHost: localhost\r\nOrigin: http://[\r\nContent-Length: 0\r\n\r\n",
    "POST /sign-in HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data\r\nContent-Length: 1\r\n\r\nx",
    f"{FORM}multipart/form-data; boundary=x\r\nContent-Length: 9\r\n\r\n--x\r\n\0\xff\r\n",
    f"{FORM}application/x-www-form-urlencoded; charset=no\r\nContent-Length: 3\r\n\r\na=b",
    "POST /sign-in HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffffff\r\n",
]


@pytest.mark.parametrize("head", HEADS, ids=[head.partition("\r\n\r\n")[0][:60] for head in HEADS])
def test_no_head_is_an_error_of_ours(shared_site: RunningSite, head: str) -> None:
    """Sent as it is: a client would tidy it up."""
    where = urlsplit(shared_site.url)
    with socket.create_connection((where.hostname or "", where.port or 0), 30) as raw:
        raw.sendall(head.encode("latin-1"))
        assert 200 <= int(raw.makefile("rb").readline().split()[1]) < 500


@pytest.mark.parametrize("charset", ["punycode", "idna", "undefined", "unicode_escape", "utf-8"])
def test_a_form_in_parts_is_refused_unread(shared_site: RunningSite, charset: str) -> None:
    """Its sender names the character set, and 256 KB of some of them hold the site up for 14 seconds."""
    body = b'--x\r\nContent-Disposition: form-data; name="name"\r\n\r\n' + b"a" * 9_000 + b"\r\n--x--\r\n"
    kind = f"Multipart/form-data; boundary=x; charset={charset}"
    answer = shared_site.client().request("POST", "/sign-in", content=body, headers={"Content-Type": kind})
    assert answer.status_code == 415


def test_a_request_that_breaks_while_it_is_answered_is_no_error_of_ours(
    shared_site: RunningSite, caplog: pytest.LogCaptureFixture
) -> None:
    """Its host is refused before its body is read, and its body is no HTTP."""
    where = urlsplit(shared_site.url)
    head = b"POST /sign-in HTTP/1.1\r\nHost: lo\xe2\x80\xa8st\r\nTransfer-Encoding: chunked\r\n\r\n"
    with socket.create_connection((where.hostname or "", where.port or 0), 30) as raw:
        raw.sendall(head + b"f" * 40 + b"\r\n")
        assert raw.makefile("rb").readline().startswith(b"HTTP/1.1 400 ")
    assert shared_site.client().get("/health/live").status_code == 200
    assert [each.getMessage() for each in caplog.records if each.levelno >= logging.ERROR] == []
