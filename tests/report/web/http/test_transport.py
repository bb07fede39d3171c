"""Between the browser and the site: TLS, the one proxy that is trusted, and the end."""

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from fastapi import APIRouter
from starlette.responses import StreamingResponse

from matterlog.app.service import service
from matterlog.app.settings import Settings
from matterlog.report.web import site as site_module
from tests.report.web.sites import running_site

FORWARDED = {"X-Forwarded-For": "198.51.100.7", "X-Forwarded-Proto": "https"}


@pytest.mark.parametrize(
    ("proxy", "address"), [(None, "127.0.0.1"), ("127.0.0.1", "198.51.100.7"), ("192.0.2.1", "127.0.0.1")]
)
def test_what_is_forwarded_holds_from_the_trusted_proxy_alone(tmp_path: Path, proxy: str | None, address: str) -> None:
    """Or anybody could say to be anywhere."""
    with running_site(tmp_path, settings=Settings.model_validate({"port": 0, "trusted_proxy": proxy})) as site:
        client = site.client()
        answer = client.request("GET", "/sign-in", headers=FORWARDED)
        client.request("POST", "/sign-in", data={}, headers=FORWARDED)
        token = client.token()
        form = {"form_token": token, "name": "nobody", "password": "x"}
        client.request("POST", "/sign-in", data=form, headers=FORWARDED)
        assert site.parts.audit_log.newest(1)[0].address == address
        assert ("strict-transport-security" in answer.headers) is (address != "127.0.0.1")


def test_over_tls_the_browser_is_told_to_come_so_for_a_year(tmp_path: Path) -> None:
    """With a certificate of our own."""
    certificate, key = tmp_path / "site.pem", tmp_path / "site.key"
    _make_certificate(certificate, key)
    settings = Settings(port=0, tls_certificate=certificate, tls_key=key)
    with running_site(tmp_path, settings=settings) as site:
        assert site.url.startswith("https://")
        trusted = ssl.create_default_context(cafile=str(certificate))
        answer = httpx.get(f"{site.url.replace('127.0.0.1', 'localhost')}/sign-in", verify=trusted)
        assert answer.headers["strict-transport-security"] == "max-age=31536000; includeSubDomains"


def test_no_suite_with_cbc_is_offered(tmp_path: Path) -> None:
    """Nor one without forward secrecy; others of TLS 1.2 are."""
    certificate, key = tmp_path / "site.pem", tmp_path / "site.key"
    _make_certificate(certificate, key)
    with running_site(tmp_path, settings=Settings(port=0, tls_certificate=certificate, tls_key=key)) as site:
        assert _suite(site.url, certificate, "ECDHE+AESGCM") is not None
        for weak in ("ECDHE-ECDSA-AES256-SHA384", "ECDHE-ECDSA-AES128-SHA256", "ECDHE-ECDSA-AES256-SHA", "aNULL:RSA"):
            with pytest.raises(ssl.SSLError):
                _suite(site.url, certificate, weak)


def _suite(url: str, certificate: Path, suites: str) -> object:
    trusted, where = ssl.create_default_context(cafile=str(certificate)), urlsplit(url)
    trusted.maximum_version = ssl.TLSVersion.TLSv1_2
    trusted.set_ciphers(f"{suites}:@SECLEVEL=0")
    with (
        socket.create_connection((where.hostname or "", where.port or 0)) as raw,
        trusted.wrap_socket(raw, server_hostname="localhost", do_handshake_on_connect=False) as secured,
    ):
        secured.do_handshake()
        return secured.cipher()


def _make_certificate(certificate: Path, key: Path) -> None:
    private, name = ec.generate_private_key(ec.SECP256R1()), x509.Name.from_rfc4514_string("CN=localhost")
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, private.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(private, hashes.SHA256())
    )
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    key.write_bytes(private.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))


def _site_that_streams(monkeypatch: pytest.MonkeyPatch, until: threading.Event, ends: str) -> None:
    router = APIRouter()

    @router.get("/api/stream")
    def stream() -> StreamingResponse:
        def parts() -> Iterator[bytes]:
            yield b"first,"
            until.wait(30)
            if ends == "fails":
                raise ValueError
            yield b"last"

        return StreamingResponse(parts())

    monkeypatch.setattr(site_module, "ROUTERS", (*site_module.ROUTERS, router))


def test_a_download_under_way_is_finished_when_told_to_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within the time that it gets."""
    go_on = threading.Event()
    _site_that_streams(monkeypatch, go_on, "well")
    with running_site(tmp_path) as site, httpx.stream("GET", f"{site.url}/api/stream") as answer:
        parts = answer.iter_raw()
        assert next(parts) == b"first,"
        site.stop.set()
        threading.Timer(1.0, go_on.set).start()
        assert b"".join(parts) == b"last"


def test_a_download_that_does_not_end_does_not_keep_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It breaks off, so that nobody takes it for whole."""
    monkeypatch.setattr(service, "DOWNLOADS_END_SECONDS", 1)
    go_on = threading.Event()
    _site_that_streams(monkeypatch, go_on, "well")
    with running_site(tmp_path) as site, httpx.stream("GET", f"{site.url}/api/stream") as answer:
        parts = answer.iter_raw()
        assert next(parts) == b"first,"
        began = time.monotonic()
        site.stop.set()
        site.thread.join(10)
        assert not site.thread.is_alive(), time.monotonic() - began
        go_on.set()
        with pytest.raises(httpx.RemoteProtocolError):
            list(parts)


def test_a_download_that_fails_breaks_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error inside a file that was answered 200 must not look like its end."""
    go_on = threading.Event()
    _site_that_streams(monkeypatch, go_on, "fails")
    with running_site(tmp_path) as site, httpx.stream("GET", f"{site.url}/api/stream") as answer:
        parts = answer.iter_raw()
        assert next(parts) == b"first,"
        go_on.set()
        with pytest.raises(httpx.RemoteProtocolError):
            list(parts)
