"""A deletion reaches the topic of a real broker: its files hold nothing of the matter, and all of the others."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from confluent_kafka.admin import AclBinding, AclOperation, AclPermissionType, ResourcePatternType, ResourceType  # type: ignore[attr-defined]  # documented there

from matterlog.app.topics.topics_admin import TopicAdmin
from matterlog.consumers.database.store import Store
from matterlog.consumers.erasure import tombstones
from matterlog.consumers.erasure.tombstones import CLOSING_KEY, TombstoneSender
from matterlog.producers import tombstone_producer as producing
from matterlog.producers.errors import InvalidSettings
from matterlog.producers.tombstone_producer import TombstoneProducer
from matterlog.schemas import MatterViewed, Topics, encode
from matterlog.schemas.storage.database_files import DatabaseFiles
from testbed.apache_kafka import LocalKafka
from testbed.events import a_deletion, a_view
from testbed.feed import ReadViews
from tests.consumers.pipeline import Pipeline
from tests.topics_at_rest import add_partitions, admin_of, make_topics, messages_of

pytestmark = pytest.mark.broker

NOBODY: Final = "127.0.0.1:1"
# A broker closes files and compacts this long after a record came, instead of hours.
LAG_SECONDS: Final = 2.0
COMPACTION: Final = {"max_compaction_lag_ms": str(int(LAG_SECONDS * 1000)), "file_delete_delay_ms": "0"}
PATIENCE_SECONDS: Final = 120.0
WITH_RIGHTS: Final = {
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "allow.everyone.if.no.acl.found": "true",
}
TABLE: Final = "SELECT * EXCLUDE (kafka_offset, arrival) FROM activity"


def pipeline_on(servers: str, tmp_path: Path, prefix: str = "", **settings: str) -> Pipeline:
    """A pipeline with topics of one partition each, and ``settings`` in their configuration."""
    pipeline = Pipeline(servers, Topics(prefix), tmp_path / "log.duckdb")
    make_topics(pipeline.servers, pipeline.topics, partitions=1, **COMPACTION | settings)
    return pipeline


@contextmanager
def sending(pipeline: Pipeline) -> Iterator[TombstoneSender]:
    """A sender that was not started, on the pipeline's database."""
    with Store(DatabaseFiles(pipeline.database)) as store:
        writer = TombstoneProducer(pipeline.servers)
        yield TombstoneSender(
            store, pipeline.topics, writer.write, closes_after_seconds=LAG_SECONDS + 0.5, reading=ReadViews()
        )


def send(pipeline: Pipeline) -> str | None:
    """Send what waits once; return what was in the way."""
    with sending(pipeline) as sender:
        sender.send()
        return sender.trouble


def wait_until(fact: Callable[[], object]) -> None:
    """Return when it is so."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not fact():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def erased(pipeline: Pipeline) -> bool:
    """Send what is due, and say whether the receipts say that the topic is rid of everything."""
    assert send(pipeline) is None
    return pipeline.rows("SELECT count(*) FROM purges WHERE topic_erased_at IS NULL") == [0]


def at_rest(pipeline: Pipeline) -> list[tuple[int, str, bool]]:
    """The records of the topic of views: partition, key, and whether it has a value."""
    return [
        (each.partition() or 0, (each.key() or b"").decode(), each.value() is not None)
        for each in messages_of(pipeline.servers, pipeline.views)
    ]


def with_value(pipeline: Pipeline) -> list[str]:
    """The keys of the views in the topic."""
    return sorted(key for _, key, has_value in at_rest(pipeline) if has_value)


def keys_of(*views: MatterViewed) -> list[str]:
    """The views' keys in order."""
    return sorted(str(view.event_id) for view in views)


def view_of(matter: str, name: str, **changes: Any) -> MatterViewed:
    """A view whose texts all hold a name that can be looked for in files."""
    texts = {"user_id": f"u-{name}", "user_name": name, "user_email": f"{name}@example.com", "matter_name": name}
    return a_view(matter_id=matter, **texts | changes)


def purged(pipeline: Pipeline, *, partitions: int = 1) -> tuple[MatterViewed, ...]:
    """A log with a matter that is deleted (``Halcyon``) and one that lives (``Kestrel``), whose views are returned.

    The deleted one has a view, a repeated one, a dead letter, and a view that came too late.
    """
    alive = tuple(view_of("m-alive", "Kestrel") for _ in range(3))
    gone = view_of("m-gone", "Halcyon")
    pipeline.emit(*alive, gone, gone, view_of("m-gone", "Halcyon"))
    pipeline.put(pipeline.views, ("another key", encode(view_of("m-gone", "Halcyon"))))
    pipeline.catch_up(max_dead_letters=1.0)
    if partitions > 1:
        add_partitions(pipeline.servers, pipeline.views, partitions)
        pipeline.write(gone, partition=partitions - 1)
    pipeline.emit(a_deletion(matter_id="m-gone"))
    pipeline.catch_up()
    pipeline.emit(view_of("m-gone", "Halcyon"))
    pipeline.catch_up()
    return alive


@pytest.mark.parametrize("compression", ["uncompressed", "zstd"])
def test_nothing_of_a_deleted_matter_is_left_in_the_topic(
    local_kafka: LocalKafka, tmp_path: Path, compression: str
) -> None:
    """No byte of it in the files of the partition, and no record; nobody writes to the topic meanwhile.

    In compressed files bytes prove nothing, so there the records are read through.
    """
    pipeline = pipeline_on(local_kafka.bootstrap_servers, tmp_path, compression_type=compression)
    alive = purged(pipeline)
    files = local_kafka.log_dir / f"{pipeline.views}-0"

    def found(name: bytes) -> bool:
        return any(name in file.read_bytes() for file in files.iterdir() if file.is_file())

    assert found(b"Halcyon") or compression == "zstd"
    assert set(with_value(pipeline)) > set(keys_of(*alive))
    wait_until(lambda: erased(pipeline))
    wait_until(lambda: with_value(pipeline) == keys_of(*alive))
    if compression == "uncompressed":
        wait_until(lambda: not found(b"Halcyon"))
        assert found(b"Kestrel")


def test_a_rebuild_from_a_compacted_topic_gives_the_same_table(local_kafka: LocalKafka, tmp_path: Path) -> None:
    """Repeated views in other partitions, a conflict over an event ID, and a living matter in a deleted one's place."""
    pipeline = pipeline_on(local_kafka.bootstrap_servers, tmp_path)
    alive = purged(pipeline, partitions=2)
    conflict = view_of("m-other", "Osprey", event_id=alive[0].event_id)
    fallen, risen = view_of("m-fallen", "Halcyon"), view_of("m-risen", "Merlin")
    risen = risen.model_copy(update={"event_id": fallen.event_id})
    pipeline.write(conflict, fallen, risen)
    pipeline.write(alive[1], partition=1)
    pipeline.catch_up(max_dead_letters=1.0)
    pipeline.write(a_deletion(matter_id="m-fallen"))
    pipeline.catch_up()
    before = pipeline.rows(TABLE)
    assert sorted(row[6] for row in before) == ["m-alive"] * 3 + ["m-risen"]
    wait_until(lambda: erased(pipeline))
    wait_until(lambda: with_value(pipeline) == keys_of(*alive, risen))
    rebuilt = Pipeline(pipeline.servers, pipeline.topics, tmp_path / "rebuilt.duckdb")
    rebuilt.catch_up()
    assert rebuilt.rows(TABLE) == before
    assert rebuilt.dead_letters() == []
    assert rebuilt.rows("SELECT count(*) FROM tombstones") == [0]


def test_tombstones_go_to_the_partition_of_the_record(kafka: str, topic_prefix: str, tmp_path: Path) -> None:
    """Although its key belongs into another one since there are more."""
    pipeline = pipeline_on(kafka, tmp_path, topic_prefix)
    add_partitions(kafka, pipeline.views, 4)
    views = [a_view(matter_id="m-1") for _ in range(8)]
    for index, view in enumerate(views):
        pipeline.write(view, partition=index % 4)
    pipeline.write(a_deletion(matter_id="m-1"))
    pipeline.catch_up()
    assert send(pipeline) is None
    tombs = [(partition, key) for partition, key, has_value in at_rest(pipeline) if not has_value]
    assert sorted(tombs) == sorted((index % 4, str(view.event_id)) for index, view in enumerate(views))
    assert pipeline.catch_up().tombstones == 8


def test_tombstones_wait_for_a_broker_that_is_away(
    local_kafka: LocalKafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of the table is lost, and they are sent when it is back."""
    monkeypatch.setattr(producing, "DEFAULTS", dict(producing.DEFAULTS) | {"delivery.timeout.ms": "1500"})
    pipeline = pipeline_on(local_kafka.bootstrap_servers, tmp_path)
    alive = purged(pipeline)
    waiting = pipeline.rows("SELECT kafka_partition, key FROM tombstones")
    local_kafka.kill()
    assert "tombstones do not reach matter-views" in (send(pipeline) or "")
    assert pipeline.rows("SELECT kafka_partition, key FROM tombstones") == waiting
    assert pipeline.rows("SELECT topic_tombstoned_at FROM purges") == [None]
    local_kafka.start()
    assert send(pipeline) is None
    assert pipeline.rows("SELECT count(*) FROM tombstones") == [0]
    wait_until(lambda: erased(pipeline))
    wait_until(lambda: with_value(pipeline) == keys_of(*alive))


def test_a_sender_that_is_left_does_not_wait_for_the_broker(
    kafka: str, topic_prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waits is in the table, for the next start."""
    monkeypatch.setattr(tombstones, "LOOK_EVERY_SECONDS", 0.01)
    pipeline = pipeline_on(kafka, tmp_path, topic_prefix)
    pipeline.write(a_view(), a_deletion())
    pipeline.catch_up()
    with Store(DatabaseFiles(pipeline.database)) as store:
        asked = threading.Event()
        writer = TombstoneProducer(NOBODY)

        def write(*question: Any) -> str | None:
            asked.set()
            return writer.write(*question)

        with TombstoneSender(store, pipeline.topics, write, closes_after_seconds=0, reading=ReadViews()):
            assert asked.wait(PATIENCE_SECONDS)
    assert pipeline.rows("SELECT count(*) FROM tombstones") == [1]


@pytest.mark.usefixtures("kafka_jars")
def test_a_broker_that_refuses_tombstones_is_told_by_the_sender_and_by_the_check(tmp_path: Path) -> None:
    """Who consumes needs the right to write to the topic of views, and to that one alone."""
    with LocalKafka(tmp_path / "kafka", properties=WITH_RIGHTS) as guarded:
        pipeline = pipeline_on(guarded.bootstrap_servers, tmp_path)
        pipeline.write(a_view(), a_deletion())
        forbid_writing(guarded.bootstrap_servers, pipeline.deletions)
        pipeline.catch_up()
        admin = TopicAdmin(guarded.bootstrap_servers, {})
        assert admin.settings(pipeline.topics).may_write_views
        forbid_writing(guarded.bootstrap_servers, pipeline.views)
        wait_until(lambda: not admin.settings(pipeline.topics).may_write_views)
        trouble = send(pipeline) or ""
        assert f"needs Write on topic {pipeline.views}" in trouble
        assert pipeline.rows("SELECT count(*) FROM tombstones") == [1]


def forbid_writing(servers: str, topic: str) -> None:
    """Deny everybody the right to write to a topic; all else stays allowed."""
    everybody = ("User:*", "*", AclOperation.ALL, AclPermissionType.ALLOW)
    nobody = ("User:*", "*", AclOperation.WRITE, AclPermissionType.DENY)
    bindings = [
        AclBinding(ResourceType.TOPIC, topic, ResourcePatternType.LITERAL, *each) for each in (everybody, nobody)
    ]
    admin = admin_of(servers)
    for future in admin.create_acls(bindings).values():
        future.result(PATIENCE_SECONDS)


def test_a_setting_that_would_lose_tombstones_is_refused() -> None:
    """And so is one that Kafka does not know."""
    with pytest.raises(InvalidSettings, match="acks must stay all"):
        TombstoneProducer(NOBODY, {"acks": "1"})
    with pytest.raises(InvalidSettings, match=r"no\.such\.setting"):
        TombstoneProducer(NOBODY, {"no.such.setting": "1"})


def test_a_tombstone_that_nobody_acknowledges_is_not_written() -> None:
    """Who waits is told what is in the way."""
    writer = TombstoneProducer(NOBODY, {"delivery.timeout.ms": "50"})
    reason = writer.write("matter-views", [(0, b"key", None)], threading.Event())
    assert "tombstones do not reach matter-views" in (reason or "")


def test_the_closing_key_is_no_events_key() -> None:
    """An event's ID is a UUID: no view can have it."""
    assert len(CLOSING_KEY) < 32
