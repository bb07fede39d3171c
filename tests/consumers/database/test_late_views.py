"""A view of a deleted matter never reaches the database's files."""

from dataclasses import replace

from matterlog.consumers.database.store import Store
from matterlog.consumers.reading.records import Move, Position
from matterlog.schemas.storage.database_files import DatabaseFiles
from testbed.events import a_deletion, a_view
from testbed.feed import VIEWS, Feed, decode
from tests.consumers.processes import run_python


def test_a_view_of_a_deleted_matter_never_reaches_the_file(paths: DatabaseFiles) -> None:
    """Not even as a row that is rolled back, or deleted at once: both stay readable in DuckDB's files."""
    secret, kept = "Xyzzy Plugh the Late", "Kept Name the Control"
    with Store(paths) as store:
        feed = Feed(store)
        feed.apply(a_deletion(matter_id="m-1"), a_view(matter_id="m-1", user_name=secret), a_view(user_name=kept))
        wrong_key = feed.record(a_view(matter_id="m-1", user_name=secret))._replace(key=b"another key")
        feed.apply(a_view(matter_id="m-1", user_name=secret), wrong_key)
        assert (files_with(secret, paths), files_with(kept, paths)) == (0, 1)
    assert (files_with(secret, paths), files_with(kept, paths)) == (0, 1)


def test_rows_of_a_deleted_matter_are_not_even_written_ahead_of_a_commit(feed: Feed, paths: DatabaseFiles) -> None:
    """What exceeds a row group, 122,880 rows, DuckDB writes into the file before the COMMIT, and leaves there."""
    late_name = "Xyzzy Plugh the Late"
    feed.apply(a_deletion())
    one = decode([feed.record(a_view(user_name=late_name))])
    many = replace(one, records=150_000, views=one.views.take([0] * 150_000))
    move = Move(topic=VIEWS, partition=0, began=None, ends=Position(next_offset=1))
    assert feed.store.apply(many, [move], decode).refused == 150_000
    assert files_with(late_name, paths) == 0


COUNT_FILES_WITH = """
import sys
from pathlib import Path

print(sum(sys.argv[2].encode() in file.read_bytes() for file in Path(sys.argv[1]).glob("log.duckdb*")))
"""


def files_with(text: str, paths: DatabaseFiles) -> int:
    """Say in how many of the database's files the text stands; another process looks, for its owner must not."""
    return int(run_python(COUNT_FILES_WITH, paths.database.parent, text))
