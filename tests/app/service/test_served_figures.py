"""What a running service says of itself to monitors: each figure moves with what it counts, and red has its reason."""

import hashlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from matterlog.app.topics.topics_admin import TopicAdmin
from matterlog.schemas import Topics
from testbed.command import PATIENCE_SECONDS, done
from testbed.events import a_deletion, a_view
from testbed.served import serving, tokens_for
from tests.consumers.pipeline import Pipeline
from tests.topics_at_rest import cut

POISON = [(f"key-{number}", b"poison") for number in range(30)]


def pipeline_of(settings: dict[str, str], database: Path) -> Pipeline:
    """The way into the topics of a test."""
    topics = Topics(settings["MATTERLOG_TOPIC_PREFIX"])
    return Pipeline(settings["MATTERLOG_BOOTSTRAP_SERVERS"], topics, database)


def wait_until(fact: Callable[[], bool]) -> None:
    """Wait for what a thread of the service does."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not fact():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_every_figure_moves_with_what_it_counts(kafka_here: dict[str, str], tmp_path: Path) -> None:
    """Three views, one of a matter that is deleted, a poison message, and an extract by the command line."""
    database = tmp_path / "log.duckdb"
    with serving(database, settings=kafka_here) as served:
        served.wait_until(200)
        before = served.figures()
        pipeline = pipeline_of(kafka_here, database)
        pipeline.write(a_view(), a_view(), a_view(matter_id="m-7"))
        pipeline.put(pipeline.views, POISON[0])
        wait_until(lambda: served.figures()["matterlog_applied_records_total"] == 4)
        pipeline.write(a_deletion(matter_id="m-7"))
        wait_until(lambda: served.figures()["matterlog_applied_deletions_total"] == 1)
        done("export", "--output", tmp_path / "extract.csv", "--database", database)
        wait_until(lambda: 'matterlog_exports_total{format="csv",outcome="done"}' in served.figures())
        after = served.figures()
    moved = {name.removeprefix("matterlog_"): after[name] - before.get(name, 0) for name in after}
    counted = ("rows", "purges", "dead_letters", "removals", "applied_views_purged_total", "applied_dead_letters_total")
    assert [moved[name] for name in counted] == [2, 1, 1, 1, 1, 1]
    assert (moved["applied_views_total"], moved["applied_deletions_total"]) == (3, 1)
    assert moved["applied_batches_total"] >= 2
    assert moved['exports_total{format="csv",outcome="done"}'] == 1
    assert moved['export_seconds_count{format="csv"}'] == 1
    assert moved['export_seconds_sum{format="csv"}'] > 0
    assert "matterlog_erasure_deadline_timestamp_seconds" not in before
    assert after["matterlog_erasure_deadline_timestamp_seconds"] > after["matterlog_last_applied_timestamp_seconds"]
    assert after["matterlog_backup_due_timestamp_seconds"] > after["matterlog_last_applied_timestamp_seconds"]


def test_ready_is_red_while_the_log_is_behind_by_more_than_the_limit(
    kafka_here: dict[str, str], tmp_path: Path
) -> None:
    """And the lag is a figure; what keeps it there is told as well."""
    pipeline = pipeline_of(kafka_here, tmp_path / "log.duckdb")
    pipeline.put(pipeline.views, *POISON)
    with serving(pipeline.database, settings={**kafka_here, "MATTERLOG_MAX_LAG": "29"}) as served:
        served.wait_until(503, "The log is 30 records behind Kafka. The limit is 29.")
        served.wait_until(503, "30 of the last 30 records could not be read as events")
        assert "30 of the last 30 records could not be read as events" in served.ready()[1][0]
        assert served.figures()[f'matterlog_lag_records{{partition="0",topic="{pipeline.views}"}}'] == 30
    with serving(
        pipeline.database, "--max-dead-letters", "1", settings={**kafka_here, "MATTERLOG_MAX_LAG": "29"}
    ) as served:
        served.wait_until(200)


def test_deletions_are_applied_while_views_wait_for_an_operator(kafka_here: dict[str, str], tmp_path: Path) -> None:
    """Junk on the topic of views; readiness, a metric and the status say so, until the operator has them kept."""
    pipeline = pipeline_of(kafka_here, tmp_path / "log.duckdb")
    pipeline.write(*(a_view(matter_id="m-7") for _ in range(6)))
    with serving(pipeline.database, settings=kafka_here) as served:
        served.wait_until(200)
        wait_until(lambda: served.figures()["matterlog_rows"] == 6)
        pipeline.put(pipeline.views, *POISON[:14])
        served.wait_until(503, "No views arrive until an operator acts. Deletions are applied. Since 2")
        pipeline.write(a_deletion(matter_id="m-7"))
        wait_until(lambda: served.figures()["matterlog_purges"] == 1)
        assert "14 of the last 20 records could not be read as events" in served.ready()[1][0]
        assert served.figures()['matterlog_pipeline_phase{phase="views-stopped"}'] == 1
        assert "Trouble: views wait since 2" in done("status", "--database", pipeline.database).err
    with serving(pipeline.database, "--max-dead-letters", "1", settings=kafka_here) as served:
        served.wait_until(200)
        wait_until(lambda: served.figures()["matterlog_dead_letters"] == 14)


@pytest.mark.broker
def test_ready_is_red_while_a_position_has_expired(kafka: str, topic_prefix: str, tmp_path: Path) -> None:
    """Until somebody accepts the gap."""
    settings = {"MATTERLOG_BOOTSTRAP_SERVERS": kafka, "MATTERLOG_TOPIC_PREFIX": topic_prefix}
    TopicAdmin(kafka, {}).create(Topics(topic_prefix), 1, 1)
    pipeline = pipeline_of(settings, tmp_path / "log.duckdb")
    pipeline.write(a_view())
    pipeline.catch_up()
    pipeline.write(*(a_view() for _ in range(5)))
    cut(kafka, pipeline.views, before=4)
    with serving(pipeline.database, settings=settings) as served:
        served.wait_until(503, "offsets 1 to 3 expired from the topic before they were read")
    with serving(pipeline.database, "--accept-gaps", settings=settings) as served:
        served.wait_until(200)
        wait_until(lambda: (served.figures()["matterlog_gaps"], served.figures()["matterlog_rows"]) == (1, 3))


@pytest.mark.broker
def test_twenty_readers_export_while_the_consumer_writes(kafka: str, topic_prefix: str, tmp_path: Path) -> None:
    """No lock error, no torn file, and everything is committed: each file is what its manifest says."""
    settings = {"MATTERLOG_BOOTSTRAP_SERVERS": kafka, "MATTERLOG_TOPIC_PREFIX": topic_prefix}
    TopicAdmin(kafka, {}).create(Topics(topic_prefix), 1, 1)
    pipeline, views = pipeline_of(settings, tmp_path / "log.duckdb"), 4_000
    pipeline.write(*(a_view() for _ in range(views)))
    tokens = tokens_for(pipeline.database, 20)
    with serving(pipeline.database, settings={**settings, "MATTERLOG_BATCH_RECORDS": "100"}) as served:
        served.wait_until(200)
        with ThreadPoolExecutor(20) as readers:
            counts = list(readers.map(lambda token: rows_of_whole_extract(served.url, token), tokens))
        wait_until(lambda: served.figures()["matterlog_rows"] == views)
        figures = served.figures()
    assert all(count % 100 == 0 for count in counts)
    assert figures["matterlog_store_restarts_total"] == 0
    assert figures['matterlog_exports_total{format="ndjson",outcome="done"}'] == 20
    assert not [line for line in served.log if " ERROR " in line]


def rows_of_whole_extract(url: str, token: str) -> int:
    """Download an extract, hold it against its manifest, and return how many rows it has."""
    key = {"Authorization": f"Bearer {token}"}
    extract = httpx.get(f"{url}/api/v1/extracts/activity?format=ndjson", headers=key, timeout=PATIENCE_SECONDS)
    assert extract.status_code == 200, extract.text
    described = extract.headers["link"].partition(">")[0].removeprefix("<")
    manifest = httpx.get(f"{url}{described}", headers=key, timeout=PATIENCE_SECONDS).json()
    assert manifest["sha256"] == hashlib.sha256(extract.content).hexdigest()
    assert manifest["rows"] == len(extract.text.splitlines())
    return int(manifest["rows"])
