"""What every answer says and every request must, whatever page it is."""

import re
import socket
from urllib.parse import urlsplit

import httpx
import pytest
from fastapi.routing import APIRoute

from matterlog.report.web.http.forms import FIELD, SESSION_COOKIE, VISIT_COOKIE
from matterlog.report.web.identity.accounts import Role
from matterlog.report.web.site import routers
from tests.report.web.sites import PASSWORD, RunningSite

ROUTES = [
    (route.path, route.methods or set())
    for router in routers()
    for route in router.routes
    if isinstance(route, APIRoute)
]
POSTS = sorted(path for path, methods in ROUTES if "POST" in methods)
PAGES = sorted(path for path, methods in ROUTES if "GET" in methods and "{" not in path)
OPEN_TO_ALL = {"/sign-in", "/sign-in/code", "/sign-in/provider/answer", "/health/live", "/health/ready", "/metrics"}
FOR_ADMINISTRATORS = {"/operations", "/accounts", "/record"}
EVERYWHERE = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "cache-control": "no-store",
}


def test_every_answer_has_every_header(site: RunningSite) -> None:
    """Pages, refusals, redirects, what is missing, what was sent wrongly."""
    client = site.signed_in(role=Role.ADMINISTRATOR)
    answers = [client.get(path) for path in (*PAGES, "/nowhere", "/static/nowhere.css")]
    answers += [client.request("POST", "/sign-out"), client.request("DELETE", "/"), client.get("/record?before=x")]
    assert {answer.status_code for answer in answers} >= {200, 303, 403, 404, 405, 422}
    for answer in answers:
        assert {name: answer.headers.get(name) for name in EVERYWHERE} == EVERYWHERE, answer.url
        assert "server" not in answer.headers


def test_no_page_has_script_or_style_of_its_own(site: RunningSite) -> None:
    """The policy would refuse them anyway."""
    client = site.signed_in(role=Role.ADMINISTRATOR)
    for path in PAGES:
        page = client.get(path).text
        assert not re.search(r"<style|<script(?! src=)|\son\w+=|\sstyle=|javascript:", page), path


def test_a_static_file_may_be_kept_and_its_address_changes_with_it(site: RunningSite) -> None:
    """Its address holds a hash."""
    address = re.search(r'href="(/static/site\.css\?v=[0-9a-f]{12})"', site.client().get("/sign-in").text)
    assert address is not None
    assert site.client().get(address[1]).headers["cache-control"] == "public, max-age=31536000, immutable"


def test_static_files_alone_are_compressed(site: RunningSite) -> None:
    """A compressed page would tell by its size of the secrets in it."""
    client = site.signed_in()
    answers = {path: client.get(path).headers for path in ("/static/vendor/vega/vega.min.js", "/", "/account")}
    assert [headers.get("content-encoding") for headers in answers.values()] == ["gzip", None, None]
    assert int(answers["/static/vendor/vega/vega.min.js"].get("content-length", "0")) < 200_000


@pytest.mark.parametrize(
    "path", ["/static/../site.py", "/static/%2e%2e/site.py", "/static//etc/passwd", "/static/..%2fsite.py"]
)
def test_no_path_leads_out_of_the_static_files(shared_site: RunningSite, path: str) -> None:
    """Sent as it is: a client would tidy it up."""
    where = urlsplit(shared_site.url)
    with socket.create_connection((where.hostname or "", where.port or 0)) as raw:
        raw.sendall(f"GET /static{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        assert raw.makefile("rb").readline().split()[1] == b"404"


@pytest.mark.parametrize("name", [SESSION_COOKIE, VISIT_COOKIE])
def test_a_cookie_is_for_this_host_over_tls_and_for_no_script(site: RunningSite, name: str) -> None:
    """Without a domain and with the path /, as its name's beginning demands."""
    site.account()
    client = site.client()
    answer = client.get("/sign-in") if name == VISIT_COOKIE else client.sign_in()
    (cookie,) = [
        line for line in answer.headers.get_list("set-cookie") if line.startswith(f"{name}=") and "Max-Age" not in line
    ]
    assert {part.strip().lower() for part in cookie.split(";")[1:]} == {"path=/", "secure", "httponly", "samesite=lax"}


@pytest.mark.parametrize("path", POSTS)
def test_a_form_without_its_own_token_is_refused(shared_site: RunningSite, path: str) -> None:
    """Whichever form it is, without one, with a wrong one, with that of another visitor; nothing is done."""
    client = shared_site.known(Role.ADMINISTRATOR)
    before = shared_site.acts()
    there = path.replace("{account_id}", "1").replace("{token_id}", "1")
    complete = {"name": "x.y", "password": PASSWORD, "role": "analyst", "ask": "retry", "place": "a:0:0", "code": "1"}
    complete |= {"present": PASSWORD, "wanted": "x", "again": "x", "label": "x", "days": "7", "secret": "A" * 32}
    sent: tuple[dict[str, str], ...] = ({}, {FIELD: "0" * 64}, {FIELD: shared_site.client().token()})
    assert [client.request("POST", there, data=complete | token).status_code for token in sent] == [403, 403, 403]
    assert all(client.request("POST", there, data=token).status_code in {403, 422} for token in sent)
    assert shared_site.acts() == before


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://elsewhere.example"},
        {"Origin": "null"},
    ],
)
def test_a_form_from_another_site_is_refused_even_with_its_token(
    shared_site: RunningSite, headers: dict[str, str]
) -> None:
    """The browser says where it comes from."""
    client = shared_site.known()
    answer = client.request("POST", "/sign-out", data={FIELD: client.token("/account")}, headers=headers)
    assert answer.status_code == 403
    assert client.get("/account").status_code == 200


def test_who_is_signed_in_sends_the_sessions_token(site: RunningSite) -> None:
    """That of a visit is known to whoever planted the visit's cookie."""
    client, stranger = site.signed_in(), site.client()
    token = stranger.token()
    client.cookies |= stranger.cookies
    assert client.request("POST", "/sign-out", data={FIELD: token}).status_code == 403
    assert client.get("/account").status_code == 200


@pytest.mark.parametrize("path", sorted(path for path in PAGES if path.startswith("/api/")))
def test_a_program_without_a_token_is_told_so(shared_site: RunningSite, path: str) -> None:
    """Only the API's description is for everybody."""
    assert shared_site.client().get(path).status_code == (200 if path.endswith("/openapi.json") else 401)


@pytest.mark.parametrize("path", sorted(path for path in set(PAGES) - OPEN_TO_ALL if not path.startswith("/api/")))
def test_who_is_not_signed_in_is_sent_to_sign_in(shared_site: RunningSite, path: str) -> None:
    """And back to where they wanted to go."""
    answer = shared_site.client().get(path)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/sign-in?next={path.replace('/', '%2F')}")


@pytest.mark.parametrize("path", sorted(FOR_ADMINISTRATORS))
def test_an_analyst_is_refused_what_is_for_administrators(shared_site: RunningSite, path: str) -> None:
    """And is not shown the way."""
    client = shared_site.known()
    assert client.get(path).status_code == 403
    assert f'href="{path}"' not in client.get("/account").text


@pytest.mark.parametrize("path", [path for path in POSTS if path.split("/")[1] in {"operations", "accounts", "record"}])
def test_an_analyst_can_do_nothing_that_is_for_administrators(shared_site: RunningSite, path: str) -> None:
    """With a form's token that holds."""
    client = shared_site.known()
    form = {FIELD: client.token("/account"), "name": "x.y", "role": "administrator", "ask": "discard", "place": "a:0:0"}
    before = changes(shared_site)
    assert client.request("POST", path.replace("{account_id}", "1"), data=form).status_code == 403
    assert changes(shared_site) == before


def changes(site: RunningSite) -> list[str]:
    """What was recorded, but for what was refused."""
    return [act for act in site.acts() if act != "PAGE_REFUSED"]


@pytest.mark.parametrize(
    ("wanted", "goes_to"),
    [
        ("/operations", "/operations"),
        ("/record?before=7", "/record?before=7"),
        *((elsewhere, "/") for elsewhere in ("//evil.example", "/\\evil.example", "https://evil.example", "", "x")),
        *((elsewhere, "/") for elsewhere in ("/a\r\nSet-Cookie: x=1", "/\t/evil.example", "javascript:alert(1)")),
    ],
)
def test_signing_in_leads_to_pages_of_this_site_alone(site: RunningSite, wanted: str, goes_to: str) -> None:
    """And no header is smuggled into the answer."""
    site.account()
    answer = site.client().sign_in(next=wanted)
    assert answer.headers["location"] == goes_to
    assert "x" not in [cookie.partition("=")[0] for cookie in answer.headers.get_list("set-cookie")]


@pytest.mark.parametrize("path", ["/sign-in", "/account/tokens", "/reports/activity/find", "/api/v1/status"])
def test_a_body_larger_than_any_form_is_refused(shared_site: RunningSite, path: str) -> None:
    """Before anything reads it whole, whether its length is known or it comes in pieces."""
    client, body, kind = shared_site.known(), b"name=" + b"x" * 300_000, "application/x-www-form-urlencoded"
    for content in (body, iter([body[:150_000], body[150_000:]])):
        answer = client.request("POST", path, content=content, headers={"Content-Type": kind})
        assert answer.status_code == (405 if path.startswith("/api/") else 413)


def test_a_page_that_fails_says_nothing_of_why(site: RunningSite, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its error's text may hold personal data."""
    client = site.signed_in()
    monkeypatch.setattr("matterlog.report.web.pages.account.page", lambda *_, **__: 1 / 0)
    answer = client.get("/account")
    assert answer.status_code == 500
    assert "division" not in answer.text
    assert "Something went wrong on our side" in answer.text
    assert answer.headers["content-security-policy"] == EVERYWHERE["content-security-policy"]


def test_a_request_that_is_no_http_ends_nothing(site: RunningSite) -> None:
    """The next one is answered."""
    where = urlsplit(site.url)
    with socket.create_connection((where.hostname or "", where.port or 0)) as raw:
        raw.sendall(b"\x00\xff\r\n\r\n")
    assert httpx.get(f"{site.url}/health/live").json() == {"live": True}
