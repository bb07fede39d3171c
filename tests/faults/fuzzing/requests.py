"""The doors of the site: its pages' forms, its API, and what stands in a request's head. Each gets an answer below 500.

The site runs in this process, with its real server, over a small log.
"""

import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Final
from unittest.mock import patch
from urllib.parse import quote, urlsplit

from argon2 import PasswordHasher
from fastapi.routing import APIRoute

from matterlog.report.web.http.forms import FIELD
from matterlog.report.web.identity import passwords
from matterlog.report.web.identity.accounts import Role
from matterlog.report.web.identity.api_tokens import Scope
from matterlog.report.web.identity.audit_log import Actor
from matterlog.report.web.identity.rate_limits import RateLimit
from matterlog.report.web.reports import handing_over
from testbed.command import PATIENCE_SECONDS
from testbed.events import a_view
from tests.faults.fuzzing.damage import damaged, odd_text, pick
from tests.faults.fuzzing.doors import Try
from tests.report.web.http.test_hostile_values import CHOICES, HEADS, PLAIN, ROUTES, _path, _with_inner
from tests.report.web.sites import NAME, Client, RunningSite, running_site

CHEAP: Final = PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1)
# Routes that draw pictures cost ten times as much as all others.
DRAWING: Final = ("/pictures", "chart")
CHARSETS: Final = (
    "utf-8", "latin-1", "utf-16", "utf-7", "idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined",
    "zlib", "rot13", "mbcs", "", "\0", "x" * 200,
)  # fmt: skip
TYPES: Final = (
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=b",
    "application/json",
    "",
    "a/b;c=",
)
HEADERS: Final = (
    "If-None-Match", "Prefer", "Cookie", "Origin", "Referer", "Sec-Fetch-Site", "Accept", "Range", "X-Forwarded-For",
    "X-Forwarded-Proto", "Accept-Encoding", "Authorization", "HX-Request", "Content-Type", "Accept-Language", "Expect",
)  # fmt: skip
STATUS_LIMIT: Final = 500


def _quoted(text: str) -> str:
    return quote(text.encode("utf-8", "surrogatepass"), safe="")


class _Errors(logging.Handler):
    """Keeps what the site reports as an error: an answer below 500 beside a trace is no good answer."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.found.append(record.getMessage())


class _Requests:
    """Requests to one site, by an administrator's browser or by a program with all scopes."""

    def __init__(self, site: RunningSite, errors: _Errors) -> None:
        object.__setattr__(site.parts, "api_limit", RateLimit(10**9, 60))
        account = site.account(NAME, Role.ADMINISTRATOR)
        made = site.parts.api_tokens.make(account, "fuzz", frozenset(Scope), 7, Actor())
        self._program = {"Authorization": f"Bearer {made}"}
        self._site = site
        self._errors = errors
        self._client = site.known(Role.ADMINISTRATOR)
        self._token = self._client.token("/account")

    def try_once(self, dice: Random) -> int:
        """Send a request that a client makes of odd values, or the bytes of a damaged one."""
        status = self._send_raw(dice) if dice.random() < 0.2 else self._send(dice)
        assert status < STATUS_LIMIT, f"status {status}"
        assert not self._errors.found, self._errors.found
        return 1

    def _send(self, dice: Random) -> int:
        method, route = self._route(dice)
        dependants = tuple(_with_inner(route.dependant))
        parts, asked, sent = (
            {field.alias: _value(field.alias, dice) for each in dependants for field in getattr(each, kind)}
            for kind in ("path_params", "query_params", "body_params")
        )
        if route.path.startswith("/reports/"):
            chosen = asked if method == "GET" else sent
            chosen |= {name: _value(name, dice) for name in CHOICES if dice.random() < 0.1}
        query = "&".join(f"{_quoted(name)}={_quoted(text)}" for name, text in asked.items() if text)[:12_000]
        headers: dict[str, str | bytes] = dict(self._program) if dice.random() < 0.8 else {}
        for _ in range(int(dice.random() ** 2 * 3)):
            headers[pick(HEADERS, dice)] = _in_a_head(odd_text(dice)).encode("latin-1")
        body = None
        if method == "POST":
            body, kind = _form(sent | {FIELD: self._token}, dice)
            headers.setdefault("Content-Type", kind.encode("latin-1"))
        client = self._client if dice.random() < 0.8 else self._site.client()
        return self._answered(client, method, f"{_path(route, parts)}?{query}", body, headers)

    def _answered(
        self, client: Client, method: str, address: str, body: bytes | None, headers: dict[str, str | bytes]
    ) -> int:
        cookies = dict(client.cookies)
        status = client.request(method, address, content=body, headers=headers).status_code
        if client is self._client:
            # A request may sign the browser out, and the others shall come further than the sign-in page.
            client.cookies = cookies
        return int(status)

    def _route(self, dice: Random) -> tuple[str, APIRoute]:
        while True:
            method, route = pick(ROUTES, dice)
            draws = any(part in route.path for part in DRAWING)
            # Whoever signs out or changes the account ends what all other requests need.
            ends = route.path.startswith(("/sign-out", "/account")) and method == "POST"
            if not ends and (not draws or dice.random() < 0.05):
                return method, route

    def _send_raw(self, dice: Random) -> int:
        head = pick(HEADS, dice).encode("latin-1")
        where = urlsplit(self._site.url)
        with socket.create_connection((where.hostname or "", where.port or 0), PATIENCE_SECONDS) as raw:
            raw.sendall(damaged(head, dice)[:60_000])
            raw.shutdown(socket.SHUT_WR)
            line = raw.makefile("rb").readline(100)
        # A server that closes the connection without a word has refused it too.
        return int(line.split()[1]) if line.startswith(b"HTTP/") else 400


def _value(name: str, dice: Random) -> str:
    return PLAIN.get(name, "") if dice.random() < 0.6 else odd_text(dice)[:3_000]


def _in_a_head(text: str) -> str:
    """Return a text that a client can write into a head."""
    return "".join(character for character in text if 31 < ord(character) < 256 and ord(character) != 127)[
        :3_000
    ].strip()


def _form(fields: dict[str, str], dice: Random) -> tuple[bytes, str]:
    """Return a form's bytes and their type: as a browser sends it, in parts with any charset, or with damage."""
    way = dice.random()
    if way < 0.6:
        body = "&".join(f"{_quoted(name)}={_quoted(text)}" for name, text in fields.items()).encode()
        return body, TYPES[0]
    parts = (
        f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}\r\n'.encode("utf-8", "surrogatepass")
        for name, text in fields.items()
    )
    body, kind = b"".join(parts) + b"--b--\r\n", f"{TYPES[1]}; charset={_in_a_head(pick(CHARSETS, dice))}"
    if way < 0.75:
        return body, kind
    return damaged(body, dice)[:200_000], kind if way < 0.9 else pick(TYPES, dice)


@contextmanager
def opened(folder: Path) -> Iterator[Try]:
    """A site with one view, whose passwords cost little."""
    errors = _Errors()
    with (
        patch.object(passwords, "_HASHER", CHEAP),
        patch.object(handing_over, "ANSWERED_AT_ONCE_SECONDS", PATIENCE_SECONDS),
        running_site(folder, a_view()) as site,
    ):
        logging.getLogger().addHandler(errors)
        try:
            yield _Requests(site, errors).try_once
        finally:
            logging.getLogger().removeHandler(errors)
