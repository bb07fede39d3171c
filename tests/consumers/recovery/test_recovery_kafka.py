"""A log that is put together again is exactly the log that it was, and never shows a matter that was deleted."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from matterlog.consumers.database.store import Store
from matterlog.consumers.errors import BeingRecovered
from matterlog.consumers.reading.kafka import KafkaSource
from matterlog.consumers.recovery.backups import take_backup
from matterlog.consumers.recovery.recovery import put_together
from matterlog.schemas import Topics
from matterlog.schemas.storage.database_files import DatabaseFiles
from testbed.events import a_deletion, a_view
from tests.consumers.pipeline import Pipeline
from tests.topics_at_rest import make_topics

pytestmark = pytest.mark.broker

TABLE = "SELECT * EXCLUDE (arrival) FROM activity"
RECEIPTS = "SELECT matter_id, event_id, kafka_partition, kafka_offset FROM purges"


@pytest.fixture
def pipeline(kafka: str, topic_prefix: str, tmp_path: Path) -> Pipeline:
    """A pipeline with topics of one partition each."""
    made = Pipeline(kafka, Topics(topic_prefix), tmp_path / "log.duckdb")
    make_topics(made.servers, made.topics)
    return made


@pytest.fixture(params=["backup", "nothing"])
def before(pipeline: Pipeline, request: pytest.FixtureRequest) -> Sequence[Any]:
    """A log put together again, and what it held before: a matter was deleted behind the backup."""
    paths = DatabaseFiles(pipeline.database)
    pipeline.emit(a_view(), a_view(), a_view(matter_id="m-2"), a_view(matter_id="m-3"), a_deletion(matter_id="m-3"))
    pipeline.catch_up()
    with Store(paths) as store:
        backup = take_backup(store, kept=1)
    pipeline.emit(a_view(matter_id="m-2"), a_deletion(), a_view(matter_id="m-4"), a_view())
    pipeline.catch_up()
    held = [pipeline.rows(TABLE), pipeline.rows(RECEIPTS)]
    with paths.owned():
        put_together(paths, backup if request.param == "backup" else None)
    return held


def test_replaying_gives_the_same_log(pipeline: Pipeline, before: Sequence[Any]) -> None:
    applied = pipeline.catch_up()
    assert applied.dead_letters == 0
    assert [pipeline.rows(TABLE), pipeline.rows(RECEIPTS)] == before
    assert len(before[0]) == 3


@pytest.mark.usefixtures("before")
def test_a_reader_never_sees_what_was_deleted_meanwhile(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """It asks before each fetch: first it is refused, and then no deleted matter is there any more."""
    seen: list[set[str] | None] = []
    stores: list[Store] = []

    def opened(paths: DatabaseFiles) -> Store:
        stores.append(Store(paths))
        return stores[0]

    def look(*arguments: Any) -> Any:
        try:
            with stores[0].served() as reader:
                seen.append({matter for (matter,) in reader.execute("SELECT matter_id FROM activity").fetchall()})
        except BeingRecovered:
            seen.append(None)
        return fetch(*arguments)

    fetch = KafkaSource.fetch
    monkeypatch.setattr(KafkaSource, "fetch", look)
    pipeline.catch_up(opened)
    assert seen[0] is None
    shown = [matters for matters in seen if matters is not None]
    assert shown
    assert all(matters <= {"m-2", "m-4"} for matters in shown)


@pytest.mark.usefixtures("before")
def test_a_stop_while_deletions_are_read_leaves_the_log_unserved(pipeline: Pipeline) -> None:
    class Stopped:
        """Set from the start."""

        def is_set(self) -> bool:
            return True

    pipeline.run(Stopped())  # type: ignore[arg-type]  # what the loop asks of a signal
    with Store(DatabaseFiles(Path(pipeline.database))) as store:
        assert store.recovering
