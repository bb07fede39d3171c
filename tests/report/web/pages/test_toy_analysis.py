"""An analysis that is declared and registered has a page, a picture, downloads and a place in the API."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from matterlog.report.charts import PICTURES
from matterlog.report.engagement.analyses import ANALYSES
from matterlog.report.web import api
from matterlog.report.web.identity.api_tokens import Scope
from matterlog.report.web.identity.audit_log import Actor
from testbed.events import a_view
from tests.report.engagement.toy import TOY, draw_toy
from tests.report.web.sites import NAME, RunningSite, running_site


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningSite]:
    """A site of a house with the toy, over one view of the day before."""
    monkeypatch.setitem(ANALYSES, TOY.name, TOY)
    monkeypatch.setitem(PICTURES, TOY.name, draw_toy)
    monkeypatch.setattr(api, "_description", api._description.__wrapped__)  # not what is known already
    with running_site(tmp_path, a_view()) as running:
        running.clock.now = datetime(2026, 3, 2, tzinfo=UTC)
        yield running


def test_its_page_stands_in_the_sidebar_with_its_picture_and_its_table(site: RunningSite) -> None:
    """Before the Activity report; the row leads nowhere."""
    client = site.signed_in()
    page = client.get("/reports/toy").text
    assert page.index('href="/reports/toy"') < page.index('href="/reports/activity"')
    assert all(said in page for said in ("<h1>Toy analysis</h1>", "What is played with.", "Kinds: 1", "1 kinds."))
    assert '<th scope="row"><bdi>live</bdi></th><td class="figure"><bdi>1</bdi></td>' in page
    assert ">1 kinds<" in client.get("/reports/toy/picture.svg").text


def test_its_file_is_called_by_its_title_and_has_a_manifest(site: RunningSite) -> None:
    """And is listed by its title among what somebody downloaded."""
    client = site.signed_in()
    answer = client.post("/reports/toy/download", "/reports/toy", format="csv")
    assert answer.headers["content-disposition"] == 'attachment; filename="toy-analysis-20260302T000000Z.csv"'
    assert answer.content == b"kind,views,visits\r\nlive,1,1\r\n"
    assert json.loads(site.parts.audit_log.newest(1)[0].details)["analysis"] == "toy"
    assert "<td>Toy analysis</td>" in client.get("/reports/activity").text


def test_the_api_has_it_by_its_name(site: RunningSite) -> None:
    """Its description offers it; the manifest is its own."""
    site.account()
    token = site.parts.api_tokens.make(site.parts.accounts.named(NAME), "A test", frozenset(Scope), 7, Actor())
    key = {"Authorization": f"Bearer {token}"}
    answer = site.client().get("/api/v1/engagement/toy?from=2026-03-01&to=2026-03-01", headers=key)
    assert answer.json() == [{"kind": "live", "views": 1, "visits": 1}]
    manifest = answer.headers["link"].partition(">")[0].removeprefix("<")
    assert site.client().get(manifest, headers=key).json()["engagement"]["analysis"] == "toy"
    described = site.client().get("/api/v1/openapi.json").json()
    assert described["components"]["schemas"]["Analysis"]["enum"][-1] == "toy"
