"""Connections of clients that send half a request, or take an answer slowly: they cost others nothing."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import httpx
import pytest
from fastapi import APIRouter
from starlette.responses import Response

from matterlog.app.service import connections
from matterlog.app.settings import Settings
from matterlog.report.web import site as site_module
from tests.report.web.sites import RunningSite, running_site

HALF_A_HEAD: Final = b"GET /sign-in HTTP/1.1\r\nHost: localhost\r\n"
HALF_A_BODY: Final = (
    b"POST /sign-in HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    b"Content-Length: 100000\r\n\r\nname=x"
)
WHOLE: Final = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[RunningSite]:
    """A site over an empty log."""
    with running_site(tmp_path) as running:
        yield running


def connected(site: RunningSite, address: str = "127.0.0.1") -> socket.socket:
    """A connection from an address of this machine."""
    where = urlsplit(site.url)
    return socket.create_connection((where.hostname or "", where.port or 0), 30, (address, 0))


def is_ended(connection: socket.socket) -> bool:
    """Whether the site ends it, with or without an answer before."""
    try:
        while connection.recv(65536):
            pass
    except ConnectionError:
        pass
    except TimeoutError:
        return False
    return True


@pytest.mark.parametrize("said", [b"", HALF_A_HEAD, HALF_A_BODY])
@pytest.mark.parametrize("addresses", [1, 40])
def test_half_requests_keep_nobody_out(site: RunningSite, said: bytes, addresses: int) -> None:
    """From one address or from many, 256 or more: a whole request is answered, and so is health."""
    with ExitStack() as held:
        for number in range(connections.MAX_CONNECTIONS + 40):
            half = held.enter_context(connected(site, f"127.0.1.{number % addresses + 1}"))
            half.sendall(said)
        for path in ("/health/ready", "/health/live", "/sign-in"):
            assert httpx.get(site.url + path, timeout=30).status_code == 200
        with connected(site, "127.0.1.1") as own:
            own.sendall(WHOLE)
            assert own.recv(100).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("said", [b"", HALF_A_HEAD, HALF_A_BODY, WHOLE, WHOLE + HALF_A_HEAD])
def test_who_sends_no_whole_request_is_cut_off(site: RunningSite, monkeypatch: pytest.MonkeyPatch, said: bytes) -> None:
    """Also on a connection that had an answer, and one that goes on byte by byte."""
    monkeypatch.setattr(connections, "DEADLINES_SECONDS", {"head": 1.0, "body": 1.0, "answer": 30.0})
    with connected(site) as slow:
        slow.sendall(said)
        stop = threading.Event()

        def drip() -> None:
            while not stop.wait(0.2) and said:
                try:
                    slow.sendall(b"x")
                except OSError:
                    return

        dripping = threading.Thread(target=drip)
        dripping.start()
        try:
            assert is_ended(slow)
        finally:
            stop.set()
            dripping.join()


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[RunningSite]:
    """A site with an answer of 64 MB."""
    router = APIRouter()

    @router.get("/large")
    def large() -> Response:
        return Response(b"x" * 64_000_000)

    monkeypatch.setattr(site_module, "ROUTERS", (*site_module.ROUTERS, router))
    with running_site(tmp_path) as running:
        yield running


def test_who_takes_nothing_of_an_answer_is_cut_off(large: RunningSite, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer is not kept for ever."""
    monkeypatch.setattr(connections, "DEADLINES_SECONDS", {"head": 30.0, "body": 30.0, "answer": 1.0})
    with connected(large) as slow:
        slow.sendall(b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n")
        time.sleep(5)
        taken = 0
        while chunk := slow.recv(1_000_000):
            taken += len(chunk)
        assert taken < 64_000_000


def test_who_takes_an_answer_slowly_gets_all_of_it(large: RunningSite, monkeypatch: pytest.MonkeyPatch) -> None:
    """Longer than the deadline: it is for a part, not for the whole."""
    monkeypatch.setattr(connections, "DEADLINES_SECONDS", {"head": 30.0, "body": 30.0, "answer": 2.0})
    with connected(large) as slow:
        slow.sendall(b"GET /large HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        taken, began = 0, time.monotonic()
        while chunk := slow.recv(1_000_000):
            taken += len(chunk)
            time.sleep(0.1)
        assert taken > 64_000_000
        assert time.monotonic() - began > 2.0


def test_where_every_connection_is_busy_health_is_answered(site: RunningSite, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others are told to try again."""
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", -1)
    assert httpx.get(f"{site.url}/health/ready").status_code == 200
    answer = httpx.get(f"{site.url}/sign-in")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")


def test_the_trusted_proxy_may_have_more_connections_than_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everybody comes through it."""
    monkeypatch.setattr(connections, "MAX_CONNECTIONS_OF_ONE", 3)
    settings = Settings.model_validate({"port": 0, "trusted_proxy": "127.0.0.1"})
    with running_site(tmp_path, settings=settings) as site, ExitStack() as held:
        kept = [held.enter_context(connected(site)) for _ in range(9)]
        strangers = [held.enter_context(connected(site, "127.0.0.2")) for _ in range(9)]
        for each in kept:
            each.sendall(WHOLE)
            assert each.recv(100).startswith(b"HTTP/1.1 200")
        assert [is_ended(each) for each in strangers[:6]] == [True] * 6
