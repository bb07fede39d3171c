"""Alarms and dashboard ask for what a running site gives: by name against its metrics, and by a real Prometheus."""

import json
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from testbed.command import PATIENCE_SECONDS
from testbed.events import a_deletion, a_view
from tests.monitoring.queries import DASHBOARD, RULES, alarms, dashboard_queries, label_names, panels, selectors
from tests.report.web.sites import RunningSite, running_site

PROMETHEUS: Final = shutil.which("prometheus")
QUERIES: Final = [alarm.query for alarm in alarms()] + dashboard_queries()
LEGENDS: Final = [target["legendFormat"] for panel in panels() for target in panel["targets"]]
# Grafana's types, and the units that this dashboard uses.
TYPES: Final = {"stat", "timeseries"}
UNITS: Final = {"none", "short", "s", "cps"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSite]:
    """A site that has something of everything to tell."""
    events = (a_view(), a_view(matter_id="m-7"), a_deletion(matter_id="m-7"))
    with running_site(tmp_path_factory.mktemp("site"), *events) as running:
        running.pipeline.set(
            ends={("matter-views", 0): 2}, applied={"records": 3, "batches": 1}, last_applied_at=datetime.now(UTC)
        )
        with running.parts.metrics.export("csv"):
            pass
        with pytest.raises(ZeroDivisionError), running.parts.metrics.export("csv"):
            raise ZeroDivisionError
        yield running


def samples(site: RunningSite) -> list[tuple[str, dict[str, str]]]:
    """The names and labels of the metrics."""
    text = site.client().get("/metrics").text
    return [(each.name, each.labels) for family in text_string_to_metric_families(text) for each in family.samples]


def test_each_metric_and_label_of_a_query_is_there(site: RunningSite) -> None:
    """With the label's value, such as a phase."""
    given = samples(site)
    for query in QUERIES:
        for name, labels in selectors(query):
            fits = [
                values
                for given_name, values in given
                if given_name == name and all(of.fullmatch(values.get(label, "")) for label, of in labels.items())
            ]
            assert fits, (query, name, labels)


def test_each_label_by_which_a_query_groups_or_a_legend_names_is_there(site: RunningSite) -> None:
    """Prometheus would take one that is not there for an empty one."""
    given = {label for _, labels in samples(site) for label in labels}
    assert {label for text in (*QUERIES, *LEGENDS) for label in label_names(text)} <= given


def test_each_metric_is_on_the_dashboard(site: RunningSite) -> None:
    """Those that are made by hand: neither the times of creation nor the parts of a histogram are looked for."""
    shown = {name for query in dashboard_queries() for name, _ in selectors(query)}
    told = {name for name, _ in samples(site) if not re.search(r"_(created|sum|count)$", name)}
    assert told - shown == {"matterlog_purges", "matterlog_applied_batches_total"}


def test_the_panels_of_the_dashboard_stand_beside_one_another_and_say_what_they_show() -> None:
    """Each with a number of its own, a title, a description and the chosen data source."""
    every = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    assert len({panel["id"] for panel in every}) == len(every)
    fields = [
        (x, y)
        for panel in every
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(set(fields)) == len(fields)
    assert max(x for x, _ in fields) < 24
    for panel in panels():
        assert panel["type"] in TYPES
        assert panel["title"]
        assert panel["description"].endswith(".")
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
        for target in panel["targets"]:
            assert target["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


@contextmanager
def prometheus(site: RunningSite, folder: Path) -> Iterator[httpx.Client]:
    """A Prometheus with our rules that reads the site's metrics."""
    assert PROMETHEUS is not None
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    reads = {"job_name": "matterlog", "static_configs": [{"targets": [site.url.removeprefix("http://")]}]}
    every = {"scrape_interval": "2s", "scrape_timeout": "2s", "evaluation_interval": "1s"}
    settings = {"global": every, "scrape_configs": [reads], "rule_files": [str(RULES)]}
    (folder / "prometheus.yml").write_text(json.dumps(settings), encoding="utf-8")
    command = [
        PROMETHEUS,
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={address}",
        "--log.level=error",
    ]
    with (
        subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process,
        httpx.Client(base_url=f"http://{address}/api/v1/", timeout=PATIENCE_SECONDS) as client,
    ):
        try:
            yield client
        finally:
            process.kill()


def asked(client: httpx.Client, path: str, **query: str) -> Any:
    """What Prometheus answers; None while it starts."""
    try:
        answer = client.get(path, params=query)
    except httpx.TransportError:
        return None
    assert answer.status_code in {200, 503}, answer.text
    return answer.json()["data"] if answer.status_code == 200 else None


# Nobody sends the tombstone of the site's purge.
ALARMED: Final = {"MatterlogTombstonesWait": "pending"}


@pytest.mark.process
@pytest.mark.skipif(PROMETHEUS is None, reason="no Prometheus: `apt-get install prometheus`")
def test_a_real_prometheus_answers_each_panel_and_evaluates_each_alarm(site: RunningSite, tmp_path: Path) -> None:
    """No panel is empty. One alarm counts its time."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    waiting = set(dashboard_queries())
    with prometheus(site, tmp_path) as client:
        while waiting or {rule["health"] for rule in rules_of(client)} != {"ok"} or active(client) != ALARMED:
            waiting = {query for query in waiting if not (asked(client, "query", query=query) or {}).get("result")}
            assert time.monotonic() < deadline, (waiting, active(client))
            time.sleep(0.2)
        assert [rule["name"] for rule in rules_of(client)] == [alarm.name for alarm in alarms()]


def active(client: httpx.Client) -> dict[str, str]:
    """The alarms that fire or count their time, each with its state."""
    return {rule["name"]: rule["state"] for rule in rules_of(client) if rule["state"] != "inactive"}


def rules_of(client: httpx.Client) -> list[dict[str, Any]]:
    """The alarms as Prometheus has them."""
    return [rule for group in (asked(client, "rules") or {"groups": []})["groups"] for rule in group["rules"]]
