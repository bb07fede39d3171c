"""Records as a client of another language may write them: whatever their fields hold costs no other record anything."""

from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from matterlog.consumers.database.batch import BatchResult
from matterlog.consumers.erasure.verify_purge import Search, look_in_topics
from matterlog.consumers.reading.messages import UNREADABLE_HEADERS
from matterlog.schemas import Topics, encode
from matterlog.schemas.topics import key_of
from testbed.apache_kafka.raw_records import write_raw
from testbed.events import a_deletion, a_view
from tests.consumers.pipeline import Pipeline
from tests.topics_at_rest import make_topics

pytestmark = pytest.mark.broker

NO_UTF_8: Final = ((b"ce_id", b"1"), (b"trace\xff", b"Project Heron"))
HEADERS: Final = {
    "no UTF-8": NO_UTF_8,
    "half a letter": ((b"\xc3", None),),
    "a surrogate": ((b"\xed\xa0\x80", b""),),
    "a NUL": ((b"a\x00b", b"\x00"),),
    "no name": ((b"", b"v"),),
    "a long name": ((b"n" * 30_000, b"v"),),
    "many": ((b"n", None),) * 20_000,
}


@pytest.fixture
def pipeline(kafka: str, topic_prefix: str, tmp_path: Path) -> Pipeline:
    """A pipeline whose topics keep the timestamps that clients write."""
    made = Pipeline(kafka, Topics(topic_prefix), tmp_path / "log.duckdb")
    make_topics(made.servers, made.topics, message_timestamp_type="CreateTime")
    return made


def look(pipeline: Pipeline, matter: str, *texts: str) -> tuple[list[str], list[str]]:
    """Where a matter is found in the topics, and what could not be looked at."""
    with closing(pipeline.source()) as source:
        return look_in_topics(source, Search(matter=matter, texts=texts, views_topic=pipeline.views))


@pytest.mark.parametrize("headers", HEADERS.values(), ids=HEADERS.keys())
def test_a_view_is_stored_whatever_its_headers(
    pipeline: Pipeline, headers: tuple[tuple[bytes, bytes | None], ...]
) -> None:
    """Also the last of its batch; beside it a deletion, a dead letter, a tombstone and a conflict with the same."""
    view, other = a_view(), a_view()
    conflict = view.model_copy(update={"user_name": "Another"})
    for key, value in ((key_of(view), encode(view)), (key_of(view), encode(conflict)), ("k", b"poison"), ("k", None)):
        write_raw(pipeline.servers, pipeline.views, key.encode(), value, headers=headers)
    deletion = a_deletion(matter_id="m-1")
    write_raw(pipeline.servers, pipeline.deletions, key_of(deletion).encode(), encode(deletion), headers=headers)
    write_raw(pipeline.servers, pipeline.views, key_of(other).encode(), encode(other), headers=headers)
    applied = pipeline.catch_up(max_dead_letters=1.0)
    assert (applied.views, applied.dead_letters, applied.tombstones, applied.deletions) == (2, 2, 1, 1)
    assert pipeline.catch_up() == BatchResult()
    look(pipeline, "m-1")


def test_headers_that_the_client_cannot_read_are_told_as_such(pipeline: Pipeline) -> None:
    """The dead letter is kept without them; a search for a purged matter did not look there."""
    write_raw(pipeline.servers, pipeline.views, b"k", b"poison", headers=NO_UTF_8)
    pipeline.catch_up()
    assert pipeline.rows("SELECT headers[1].name FROM dead_letters") == [UNREADABLE_HEADERS]
    found, unseen = look(pipeline, "m-1", "Project Heron")
    assert (found, unseen) == ([], [f"{pipeline.views} [0]: 1 records, offsets 0 to 0: a header's name is not UTF-8"])


def test_a_matter_is_found_in_every_field_of_a_record(pipeline: Pipeline) -> None:
    """Value, key, a header's name and value; a tombstone too. A deletion names its matter by right."""
    for key, value, headers in (
        (b"k", b"of m-1", ()),
        (b"m-1", b"v", ()),
        (b"k", b"v", ((b"x-m-1", b""),)),
        (b"k", b"v", ((b"x", b"m-1"),)),
        (b"m-1", None, ()),
    ):
        write_raw(pipeline.servers, pipeline.views, key, value, headers=headers)
    pipeline.write(a_deletion(matter_id="m-1"))
    assert look(pipeline, "m-1") == ([f"{pipeline.views} [0]: 5 records, offsets 0 to 4"], [])


@pytest.mark.parametrize("timestamp_ms", [1, 2**31, -2, -(2**62)])
def test_a_view_is_stored_whatever_its_timestamp(pipeline: Pipeline, timestamp_ms: int) -> None:
    """And the next start knows its topic again."""
    view = a_view()
    pipeline.write(a_view())
    write_raw(pipeline.servers, pipeline.views, key_of(view).encode(), encode(view), timestamp_ms=timestamp_ms)
    assert pipeline.catch_up().views == 2
    pipeline.write(a_view())
    assert pipeline.catch_up() == BatchResult(records=1, views=1)
