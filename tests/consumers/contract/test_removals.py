"""What leaves the tables is remembered until the file has been rewritten without its bytes."""

from matterlog.schemas import encode
from testbed.events import a_deletion, a_view
from testbed.feed import Feed, decode, letters, rows

REMOVALS = "SELECT matter_id, arrival FROM removals ORDER BY ALL"
ERASED = "SELECT count(file_erased_at) FROM purges"
BACKUPS_ERASED = "SELECT count(snapshots_erased_at) FROM purges"


def set_file_erased(feed: Feed) -> None:
    """As a rewrite of the file does."""
    with feed.store._writer() as connection:
        connection.execute("UPDATE purges SET file_erased_at = now(), snapshots_erased_at = now()")


def test_each_newly_deleted_matter_is_remembered_with_its_transaction(feed: Feed) -> None:
    feed.apply(a_view())
    feed.apply(a_deletion(), a_deletion(), a_deletion(matter_id="m-2"))
    feed.apply(a_deletion())
    assert rows(feed.store, REMOVALS) == [("m-2", 2), ("m-42", 2)]


def test_a_refused_view_never_reached_the_file_and_is_not_remembered(feed: Feed) -> None:
    feed.apply(a_deletion())
    set_file_erased(feed)
    feed.apply(a_view())
    assert (rows(feed.store, REMOVALS), rows(feed.store, ERASED)) == ([("m-42", 1)], [(1,)])


def test_a_dead_letter_that_turns_out_to_be_of_a_deleted_matter_was_in_the_file(feed: Feed) -> None:
    """So the matter's bytes are there again, whatever its receipt said."""
    broken = feed.record(a_view())._replace(value=b"not yet understood")
    feed.apply(a_deletion(), broken)
    set_file_erased(feed)
    understood = encode(a_view())
    feed.store.retry(None, lambda records: decode([record._replace(value=understood) for record in records]))
    assert letters(feed.store) == []
    assert (rows(feed.store, ERASED), rows(feed.store, BACKUPS_ERASED)) == ([(0,)], [(0,)])
    assert rows(feed.store, REMOVALS) == [("m-42", 1), ("m-42", 2)]


def test_discarded_dead_letters_are_remembered_though_nobody_knows_whose_they_were(feed: Feed) -> None:
    feed.apply(feed.poison())
    feed.store.discard(None)
    assert rows(feed.store, REMOVALS) == [(None, 2)]
