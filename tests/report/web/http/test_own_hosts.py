"""Under which names the site answers, to whom it says why it is not ready, and what a proxy may forward."""

from pathlib import Path
from typing import Final

import httpx
import pytest

from matterlog.app.settings import Settings
from matterlog.report.web.figures.ports import Phase
from tests.report.web.sites import RunningSite, running_site

TOKEN: Final = "a token of the metrics"  # noqa: S105 - of a site that lives for one test
SETTINGS: Final = Settings.model_validate(
    {"port": 0, "public_url": "https://Matterlog.firm.example/", "metrics_token": TOKEN}
)
OPEN: Final = ("/sign-in", "/static/site.css", "/api/v1/openapi.json", "/metrics")


def asked(site: RunningSite, path: str, host: str, **headers: str) -> int:
    """The status of an answer to this name."""
    return httpx.get(site.url + path, headers={"Host": host, **headers}).status_code


@pytest.mark.parametrize(
    "host", ["matterlog.firm.example", "MATTERLOG.firm.example.:443", "localhost:1", "127.0.0.1", "[::1]:80"]
)
def test_the_site_answers_to_its_names_and_to_addresses(tmp_path: Path, host: str) -> None:
    """Whatever the port, and however it is written."""
    with running_site(tmp_path, settings=SETTINGS) as site:
        assert [asked(site, path, host) for path in OPEN] == [200] * len(OPEN)


@pytest.mark.parametrize("host", ["evil.example", "matterlog.firm.example.evil.example", "localhost.evil.example"])
def test_the_site_does_not_answer_to_another_name(tmp_path: Path, host: str) -> None:
    """A page of that name could read the answers; metrics are told it only with their token."""
    with running_site(tmp_path, settings=SETTINGS) as site:
        assert [asked(site, path, host) for path in OPEN] == [421, 421, 421, 403]
        assert asked(site, "/metrics", host, Authorization=f"Bearer {TOKEN}") == 200
        assert [asked(site, f"/health/{path}", host) for path in ("live", "ready")] == [200, 200]


@pytest.mark.parametrize("host", ["", "a b", "[", "[::1%1]", "a@b", "a/b"])
def test_a_malformed_name_is_refused(shared_site: RunningSite, host: str) -> None:
    """Before anything reads it, on every path."""
    assert [asked(shared_site, path, host) for path in ("/sign-in", "/health/live")] == [400, 400]


@pytest.mark.parametrize(
    ("headers", "is_told"),
    [
        ({}, True),
        ({"Authorization": f"Bearer {TOKEN}", "Host": "prometheus.example"}, True),
        ({"Authorization": "Bearer another"}, True),
        ({"X-Forwarded-For": "198.51.100.7"}, False),
        ({"X-Forwarded-For": "198.51.100.7", "Authorization": "Bearer another"}, False),
        ({"Host": "evil.example"}, False),
    ],
)
def test_only_this_machine_and_the_token_are_told_why_it_is_not_ready(
    tmp_path: Path, headers: dict[str, str], is_told: object
) -> None:
    """The reasons name topics, brokers and offsets."""
    with running_site(tmp_path, settings=SETTINGS) as site:
        site.pipeline.set(phase=Phase.STOPPED, reason="the topic was cut")
        answer = httpx.get(f"{site.url}/health/ready", headers=headers)
        assert (answer.status_code, "the topic was cut" in answer.text) == (503, is_told)
        assert answer.json()["ready"] is False


@pytest.mark.parametrize(
    ("said", "address"),
    [
        ("198.51.100.7", "198.51.100.7"),
        ("anything, 198.51.100.7", "198.51.100.7"),
        ("198.51.100.7:4711", "198.51.100.7"),
        ("[2001:DB8::0:7]:4711", "2001:db8::7"),
        ("::ffff:198.51.100.7", "198.51.100.7"),
        *((said, "127.0.0.1") for said in ("anything", "", "=1+1", "fe80::1%anything", "198.51.100.7.evil.example")),
    ],
)
def test_only_an_address_is_taken_for_one(tmp_path: Path, said: str, address: str) -> None:
    """It stands in the audit log, and keys the limits; anything else is the proxy's own."""
    settings = Settings.model_validate({"port": 0, "trusted_proxy": "127.0.0.1"})
    with running_site(tmp_path, settings=settings) as site:
        client, headers = site.client(), {"X-Forwarded-For": said}
        form = {"form_token": client.token(), "name": "nobody", "password": "x"}
        client.request("POST", "/sign-in", data=form, headers=headers)
        assert site.parts.audit_log.newest(1)[0].address == address
