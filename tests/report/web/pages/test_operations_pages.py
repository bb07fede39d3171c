"""Health, metrics, and the pages for administrators."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from starlette.requests import Request

from matterlog.app.settings import Settings
from matterlog.report.errors import NotAllowed
from matterlog.report.web.figures.ports import IN_WORDS, Phase
from matterlog.report.web.health import may_read_metrics
from matterlog.report.web.identity.accounts import Role
from testbed.events import a_deletion, a_view
from tests.report.web.sites import NAME, PASSWORD, RunningSite, running_site

NOW = datetime(2026, 3, 1, tzinfo=UTC)
SCRIPT = "<script>alert(1)</script>"


def ready(site: RunningSite) -> tuple[int, list[str]]:
    """Whether it is, and why not."""
    answer = site.client().get("/health/ready")
    return answer.status_code, answer.json()["reasons"]


def test_ready_is_green_while_everything_works(site: RunningSite) -> None:
    """Live too."""
    assert ready(site) == (200, [])
    assert site.client().get("/health/live").status_code == 200


@pytest.mark.parametrize("phase", sorted(set(Phase) - {Phase.OFF, Phase.CONSUMING}))
def test_ready_is_red_while_the_consumer_does_not_consume(site: RunningSite, phase: Phase) -> None:
    """Or reads no views; with its words, and since when."""
    site.pipeline.set(phase=phase, reason="the position has expired", since=NOW)
    status, (reason,) = ready(site)
    assert status == 503
    assert reason == f"{IN_WORDS[phase]} Since 2026-03-01T00:00:00Z: the position has expired"
    assert site.client().get("/health/live").status_code == 200


def test_ready_is_red_while_kafka_does_not_answer(site: RunningSite) -> None:
    """The consumer itself waits in silence."""
    site.pipeline.set(broker_problem="no answer from Kafka")
    assert ready(site) == (503, ["no answer from Kafka"])


@pytest.mark.parametrize("phase", [Phase.VIEWS_WAITING, Phase.VIEWS_STOPPED])
def test_while_views_wait_it_is_told_that_kafka_does_not_answer_about_deletions(
    site: RunningSite, phase: Phase
) -> None:
    """Once, where both have one reason."""
    site.pipeline.set(phase=phase, reason="no such topic", broker_problem="no answer from Kafka")
    assert ready(site)[1][1:] == ["no answer from Kafka"]
    site.pipeline.set(broker_problem="no such topic")
    assert len(ready(site)[1]) == 1


def test_what_an_erasure_waits_for_is_told_and_keeps_nobody_from_working(site: RunningSite) -> None:
    """Ready is for who sends people here."""
    site.pipeline.set(tombstones_trouble="the broker refuses", erasure_trouble="3 times in a row: the disk is full")
    page = site.signed_in(role=Role.ADMINISTRATOR).get("/operations").text
    assert "Purged views cannot be erased from Kafka yet: the broker refuses" in page
    assert "erased from the database file yet: 3 times in a row: the disk is full" in page
    assert ready(site) == (200, [])


@pytest.mark.parametrize(("end", "status"), [(100, 200), (101, 503)])
def test_ready_is_red_while_the_log_is_too_far_behind(site: RunningSite, end: int, status: int) -> None:
    """By more than the limit."""
    site.pipeline.set(ends={("matter-views", 0): end})
    assert ready(site)[0] == status


def test_partitions_lag_together(site: RunningSite) -> None:
    """None of them is too far behind by itself."""
    site.pipeline.set(ends={("matter-views", partition): 60 for partition in range(2)})
    assert ready(site) == (503, ["The log is 120 records behind Kafka. The limit is 100."])


def test_a_database_that_is_down_is_told_by_every_page_and_takes_none_down(site: RunningSite) -> None:
    """And when it is back, so are they."""
    client = site.signed_in(role=Role.ADMINISTRATOR)
    site.store._connection.close()
    assert ready(site) == (503, ["The log cannot be read at the moment. Try again shortly."])
    answer = client.get("/operations")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert "cannot be read at the moment" in answer.text
    assert "matterlog_store_up 0.0" in site.client().get("/metrics").text
    assert client.get("/account").status_code == 200
    site.store.reopen()
    assert client.get("/operations").status_code == 200


def test_metrics_tell_figures_and_nothing_of_the_log(tmp_path: Path) -> None:
    """Of the pipeline, the log and the exports."""
    with running_site(tmp_path, a_view(), a_view(matter_id="m-7"), a_deletion(matter_id="m-7")) as site:
        site.pipeline.set(ends={("matter-views", 0): 5}, applied={"views": 2}, store_restarts=3, last_applied_at=NOW)
        with site.parts.metrics.export("csv"):
            pass
        with pytest.raises(ZeroDivisionError), site.parts.metrics.export("json"):
            raise ZeroDivisionError
        text = site.client().get("/metrics").text
        with site.store.reader() as connection:
            ((removed,),) = connection.execute("SELECT epoch(min(removed_at)) FROM removals").fetchall()
    deadline = re.search(r"^matterlog_erasure_deadline_timestamp_seconds (\S+)$", text, re.MULTILINE)
    assert deadline is not None
    assert float(deadline[1]) == pytest.approx(removed + 24 * 3600, abs=1e-3)
    for line in (
        'matterlog_exports_total{format="csv",outcome="done"} 1.0',
        'matterlog_exports_total{format="json",outcome="failed"} 1.0',
        'matterlog_export_seconds_count{format="csv"} 1.0',
        'matterlog_pipeline_phase{phase="consuming"} 1.0',
        "matterlog_applied_views_total 2.0",
        "matterlog_store_restarts_total 3.0",
        "matterlog_rows 1.0",
        "matterlog_purges 1.0",
        "matterlog_store_up 1.0",
        'matterlog_lag_records{partition="0",topic="matter-views"} 3.0',
        f"matterlog_last_applied_timestamp_seconds {NOW.timestamp():.9g}",
    ):
        assert line in text, line
    assert "m-7" not in text
    assert "m-42" not in text


def test_a_deletion_is_overdue_when_its_deadline_has_passed(tmp_path: Path) -> None:
    """Of all stages, those in the topic too: nobody sends tombstones here."""
    with running_site(tmp_path, a_view(matter_id="m-7"), a_deletion(matter_id="m-7")) as site:
        assert "matterlog_purges_overdue 0.0" in site.client().get("/metrics").text
        site.pipeline.set(erase_within=timedelta())
        assert "matterlog_purges_overdue 1.0" in site.client().get("/metrics").text


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "Via"])
def test_metrics_are_read_on_this_machine_alone(site: RunningSite, header: str) -> None:
    """Not through a proxy on it."""
    assert site.client().get("/metrics", headers={header: "192.0.2.1"}).status_code == 403


def from_elsewhere(address: str, authorization: str | None = None) -> Request:
    """A request of another machine's."""
    headers = [] if authorization is None else [(b"authorization", authorization.encode())]
    return Request({"type": "http", "headers": headers, "client": (address, 50_000)})


def test_metrics_are_not_read_from_another_machine(site: RunningSite) -> None:
    """Although the site may listen to all; without a token none is the right one."""
    for request in (from_elsewhere("192.0.2.1"), from_elsewhere("::2"), from_elsewhere("::2", "Bearer None")):
        with pytest.raises(NotAllowed):
            may_read_metrics(request, site.parts)


def test_the_metrics_token_opens_them_to_other_machines(tmp_path: Path) -> None:
    """Through a proxy too, and no other token does, from whichever machine."""
    token = "a-token-of-prometheus"  # noqa: S105 - of a site that lives for one test
    with running_site(tmp_path, settings=Settings(port=0, metrics_token=token)) as site:
        may_read_metrics(from_elsewhere("192.0.2.1", f"Bearer {token}"), site.parts)
        for wrong in (f"Bearer {token}x", "Bearer ", f"Basic {token}", token):
            with pytest.raises(NotAllowed):
                may_read_metrics(from_elsewhere("192.0.2.1", wrong), site.parts)
        client, forwarded = site.client(), {"X-Forwarded-For": "192.0.2.1"}
        assert client.get("/metrics", headers=forwarded | {"Authorization": f"Bearer {token}"}).status_code == 200
        assert client.get("/metrics", headers={"Authorization": "Bearer another-token"}).status_code == 403
        assert client.get("/metrics").status_code == 200


def test_what_the_log_holds_is_text_on_every_page(tmp_path: Path) -> None:
    """A matter's ID may be anything."""
    with running_site(tmp_path, a_view(matter_id=SCRIPT), a_deletion(matter_id=SCRIPT)) as site:
        page = site.signed_in(role=Role.ADMINISTRATOR).get("/operations").text
    assert SCRIPT not in page
    assert page.count("<td>pending</td>") == 2
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_dead_letters_are_retried_and_discarded_by_administrators(site: RunningSite) -> None:
    """Those that were chosen; how many is recorded, and not what they say."""
    client = site.signed_in(role=Role.ADMINISTRATOR)
    client.post("/operations/dead-letters", "/account", ask="discard", place=["matter-views:0:1", "matter-views:0:2"])
    client.post("/operations/dead-letters", "/account", ask="retry", place="matter-views:0:3")
    assert site.pipeline.asked == [
        ("discard", ("matter-views:0:1", "matter-views:0:2")),
        ("retry", ("matter-views:0:3",)),
    ]
    retried, discarded = site.parts.audit_log.newest(2)
    assert (retried.act, discarded.act) == ("DEAD_LETTERS_RETRIED", "DEAD_LETTERS_DISCARDED")
    assert discarded.details == '{"chosen": 2, "discarded": 2}'


def test_an_administrator_adds_resets_disables_and_enables_accounts(site: RunningSite) -> None:
    """A password that was made is shown once."""
    client = site.signed_in(role=Role.ADMINISTRATOR)
    page = client.post("/accounts", "/accounts", name="J.Okafor", role="analyst").text
    first = re.search(r"<output>([a-z0-9-]{23})</output>", page)
    assert first is not None
    assert site.client().sign_in("j.okafor", first[1]).status_code == 303
    number = str(site.parts.accounts.named("j.okafor").account_id)
    again = re.search(r"<output>([a-z0-9-]{23})</output>", client.post(f"/accounts/{number}/reset", "/accounts").text)
    assert again is not None
    assert site.client().sign_in("j.okafor", first[1]).status_code == 403
    assert site.client().sign_in("j.okafor", again[1]).status_code == 303
    client.post(f"/accounts/{number}/disable", "/accounts")
    assert "disabled" in client.get("/accounts").text
    client.post(f"/accounts/{number}/enable", "/accounts")
    client.post(f"/accounts/{number}/role", "/accounts", role="administrator")
    assert site.parts.accounts.named("j.okafor").is_administrator
    by = {entry.account for entry in site.parts.audit_log.newest(5)}
    assert by == {NAME, "j.okafor"}


@pytest.mark.parametrize("name", ["x", "", "two words", "<script>", "=cmd()", "a;silva", "a\tb", "x" * 101, NAME])
def test_a_bad_account_name_is_refused_with_the_reason(site: RunningSite, name: str) -> None:
    """Also one that is taken; what was typed comes back as text."""
    client = site.signed_in(role=Role.ADMINISTRATOR)
    answer = client.post("/accounts", "/accounts", name=name, role="analyst")
    assert answer.status_code == 422
    assert "<script>" not in answer.text
    assert len(site.parts.accounts.all()) == 1


def test_an_account_that_is_not_there_is_told(site: RunningSite) -> None:
    """Somebody typed an address."""
    client = site.signed_in(role=Role.ADMINISTRATOR)
    assert "There is no such account" in client.post("/accounts/99/disable", "/accounts").text


def test_the_last_administrator_stays(site: RunningSite) -> None:
    """The page says why."""
    client = site.signed_in(role=Role.ADMINISTRATOR)
    assert "is the only administrator" in client.post("/accounts/1/disable", "/accounts").text
    assert "is the only administrator" in client.post("/accounts/1/role", "/accounts", role="analyst").text
    assert site.client().sign_in(password=PASSWORD).status_code == 303
