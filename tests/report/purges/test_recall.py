"""A deletion names the files that were handed out and held the matter: exactly those, with their rows."""

import csv
import io
import json
import random
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid4

import pytest

from matterlog.app.owner.registered_extracts import RegisteredExtracts, registered_extracts
from matterlog.consumers.database.store import Store
from matterlog.consumers.reading.decode import decode_records
from matterlog.report.engagement.engagement import EngagementRequest
from matterlog.report.engagement.engagement_files import EngagementFileRequest
from matterlog.report.errors import RegisterFailed
from matterlog.report.extracts.requests import ExtractRequest
from matterlog.report.handover.handing_out import Recipient, hand_out
from matterlog.report.handover.register import Channel, FileRegister, RegisterEntry
from matterlog.report.log.filters import Filter
from matterlog.report.purges.receipts import RecalledExtract, Receipt, read_receipts
from matterlog.report.purges.rehearsal import rehearse
from matterlog.schemas import MatterType, MatterViewed, Topics, UserType
from matterlog.schemas.storage.database_files import DatabaseFiles
from testbed.budget import budget
from testbed.events import NOON, a_deletion, a_view, record_of
from tests.report.logs import StoreSource, apply

MATTERS: Final = ("m-1", "m-2", "m-3", "m-4")
USERS: Final = ("u-1", "u-2", "u-3")
COMPANIES: Final = ("c-1", "c-2")


@pytest.fixture
def paths(tmp_path: Path) -> DatabaseFiles:
    """The files of a database that does not exist yet."""
    return DatabaseFiles(tmp_path / "log.duckdb")


def handed_out(store: Store, paths: DatabaseFiles, **request: Any) -> tuple[RegisterEntry, bytes]:
    """Hand out an extract as CSV; return its entry and its bytes."""
    file = io.BytesIO()
    with store.reader() as connection:
        [(log_id,)] = connection.execute("SELECT log_id FROM log").fetchall()
    asked = ExtractRequest.model_validate({"format": "csv", "columns": "full", "of_log": log_id} | request)
    recipient = Recipient(made_by="analyst", how=Channel.DOWNLOAD, name="activity-report.csv")
    _, entry = hand_out(StoreSource(store, FileRegister(paths.extracts)), asked, recipient, file)
    return entry, file.getvalue()


def table_of(store: Store, paths: DatabaseFiles, asked: EngagementRequest) -> tuple[UUID, bytes]:
    """Hand out an engagement table as JSON; return its ID and its bytes."""
    file, wanted = io.BytesIO(), EngagementFileRequest(engagement=asked, format="json")
    recipient = Recipient(made_by="analyst", how=Channel.DOWNLOAD, name="engagement.json")
    _, entry = hand_out(StoreSource(store, FileRegister(paths.extracts)), wanted, recipient, file)
    return entry.extract_id, file.getvalue()


def rows_of(content: bytes, matter: str) -> int:
    """How many rows of a matter stand in a file."""
    return sum(1 for row in csv.DictReader(io.StringIO(content.decode())) if row["matter_ID"] == matter)


def recalled(store: Store, matter: str) -> dict[UUID, int]:
    """The rows of each file in a matter's recall list, which must be complete."""
    receipt = receipt_of(store, matter)
    assert receipt.recall_complete
    return {each.extract_id: each.rows for each in receipt.recall}


def receipt_of(store: Store, matter: str) -> Receipt:
    """The receipt of a matter's deletion."""
    with store.reader() as connection:
        [receipt] = read_receipts(connection, matter)
    return receipt


def open_store(paths: DatabaseFiles) -> Store:
    """A store that knows the register beside it."""
    return Store(paths, extracts=registered_extracts(paths))


def test_a_receipt_names_the_files_that_held_the_matter(paths: DatabaseFiles) -> None:
    """Not those of other matters, nor of a time before the first view, nor those without rows."""
    with open_store(paths) as store:
        apply(store, a_view(matter_id="m-2"))
        early, _ = handed_out(store, paths)
        apply(store, a_view(matter_id="m-1"), a_view(matter_id="m-1", user_id="u-9"))
        whole, content = handed_out(store, paths)
        one_user, _ = handed_out(store, paths, filter=Filter(users=("u-9",)))
        handed_out(store, paths, filter=Filter(matters=("m-2",)))
        increment, _ = handed_out(store, paths, arrived_after=early.last_arrival)
        handed_out(store, paths, arrived_after=increment.last_arrival)
        apply(store, a_deletion(matter_id="m-1"))
        assert recalled(store, "m-1") == {whole.extract_id: 2, one_user.extract_id: 1, increment.extract_id: 2}
        [found] = [each for each in receipt_of(store, "m-1").recall if each.extract_id == whole.extract_id]
    assert rows_of(content, "m-1") == 2
    assert found == RecalledExtract(
        extract_id=whole.extract_id,
        made_at=whole.made_at,
        made_by="analyst",
        how="download",
        name="activity-report.csv",
        sha256=whole.sha256,
        rows=2,
    )


def test_a_file_is_named_by_each_matter_that_it_held(paths: DatabaseFiles) -> None:
    with open_store(paths) as store:
        apply(store, *(a_view(matter_id=matter) for matter in ("m-1", "m-2", "m-2", "m-3")))
        entry, _ = handed_out(store, paths)
        apply(store, a_deletion(matter_id="m-1"), a_deletion(matter_id="m-2"))
        apply(store, a_deletion(matter_id="m-3"))
        assert [recalled(store, matter) for matter in MATTERS[:3]] == [{entry.extract_id: n} for n in (1, 2, 1)]


def any_view(dice: random.Random) -> MatterViewed:
    """A view of anybody, of any matter, at any time of a hundred hours."""
    return a_view(
        matter_id=dice.choice(MATTERS),
        user_id=dice.choice(USERS),
        user_type=dice.choice(list(UserType)),
        matter_type=dice.choice(list(MatterType)),
        matter_viewed_at=NOON + timedelta(hours=dice.randrange(100)),
        user_company_id=dice.choice((*COMPANIES, None)),
    )


def any_filter(dice: random.Random) -> Filter:
    """A filter with none, one or several of its fields."""

    def some(values: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(dice.sample(list(values), dice.randint(1, len(values) - 1))) if dice.random() < 0.3 else ()

    since = NOON + timedelta(hours=dice.randrange(100))
    return Filter(
        since=since if dice.random() < 0.4 else None,
        until=since + timedelta(hours=dice.randrange(1, 100)) if dice.random() < 0.4 else None,
        matters=some(MATTERS),
        users=some(USERS),
        user_types=some(list(UserType)),
        matter_types=some(list(MatterType)),
        companies=some(COMPANIES),
    )


@pytest.mark.faults
@pytest.mark.parametrize("seed", range(budget(2, 40)))
def test_the_recall_list_is_what_the_files_hold(paths: DatabaseFiles, seed: int) -> None:
    """Whatever the filters and positions: each file's own rows are counted."""
    dice = random.Random(seed)  # noqa: S311 - a test that can be repeated
    files: dict[UUID, bytes] = {}
    with open_store(paths) as store:
        for _ in range(6):
            apply(store, *(any_view(dice) for _ in range(dice.randrange(1, 15))))
            for _ in range(4):
                after = dice.choice((None, None, dice.randrange(6)))
                entry, content = handed_out(store, paths, filter=any_filter(dice), arrived_after=after)
                files[entry.extract_id] = content
        apply(store, *(a_deletion(matter_id=matter) for matter in MATTERS[:3]))
        for matter in MATTERS[:3]:
            held = {extract: rows for extract, content in files.items() if (rows := rows_of(content, matter))}
            assert recalled(store, matter) == held
        assert not held or len(held) < len(files)


@pytest.mark.faults
@pytest.mark.parametrize("seed", range(budget(2, 40)))
def test_an_engagement_table_is_recalled_with_the_views_that_it_counts(paths: DatabaseFiles, seed: int) -> None:
    """Of all time, so that the period leaves none of them out."""
    dice = random.Random(seed)  # noqa: S311 - a test that can be repeated
    counted: dict[UUID, dict[str, int]] = {}
    with open_store(paths) as store:
        apply(store, *(any_view(dice) for _ in range(60)))
        for _ in range(8):
            asked = EngagementRequest(
                analysis="matters",
                now=NOON + timedelta(hours=dice.randrange(1, 100)),
                filter=any_filter(dice).model_copy(update={"since": None}),
                include_demo=dice.random() < 0.5,
            )
            table, content = table_of(store, paths, asked)
            counted[table] = {row["matter_ID"]: row["views"] for row in json.loads(content)}
        apply(store, *(a_deletion(matter_id=matter) for matter in MATTERS))
        for matter in MATTERS:
            held = {extract: views[matter] for extract, views in counted.items() if matter in views}
            assert recalled(store, matter) == held
    assert any(counted.values())


def test_a_table_of_a_period_is_recalled_with_the_views_before_it(paths: DatabaseFiles) -> None:
    """They say who is known, and what the period before was."""
    with open_store(paths) as store:
        apply(store, a_view(matter_viewed_at=NOON - timedelta(days=40)))
        asked = EngagementRequest(analysis="users", now=NOON, filter=Filter(since=NOON - timedelta(days=30)))
        table, _ = table_of(store, paths, asked)
        apply(store, a_deletion())
        assert recalled(store, "m-42") == {table: 1}


def test_a_table_of_clients_is_not_recalled_with_views_of_members(paths: DatabaseFiles) -> None:
    """It rests on those of guests alone."""
    with open_store(paths) as store:
        apply(store, a_view(user_type="Guest"), a_view(user_type="Member", user_id="u-9", matter_id="m-2"))
        table, _ = table_of(store, paths, EngagementRequest(analysis="clients", now=NOON + timedelta(hours=1)))
        apply(store, a_deletion(), a_deletion(matter_id="m-2"))
        assert [recalled(store, matter) for matter in ("m-42", "m-2")] == [{table: 1}, {}]


class Meddled(RegisteredExtracts):
    """A register to which an extract is added just after it was read for the first time."""

    entry: RegisterEntry | None = None

    def recorded(self) -> dict[str, RegisterEntry]:
        """Read, then record."""
        found = super().recorded()
        entry, type(self).entry = type(self).entry, None
        if entry is not None:
            self.register.record(entry)
        return found


def test_an_extract_that_is_recorded_while_the_deletion_commits_is_named(paths: DatabaseFiles) -> None:
    """It asked what was purged before the commit, so it appears; the second reading of the register meets it."""
    register = FileRegister(paths.extracts)
    with Store(paths, extracts=Meddled(register)) as store:
        apply(store, a_view(), a_view(matter_id="m-2"))
        first, _ = handed_out(store, paths)
        Meddled.entry = first.model_copy(update={"extract_id": uuid4()})
        late = Meddled.entry.extract_id
        apply(store, a_deletion())
        assert recalled(store, "m-42") == {first.extract_id: 1, late: 1}


def test_an_extract_of_the_state_after_the_deletion_is_not_named(paths: DatabaseFiles) -> None:
    """It may be recorded before the register is read once more."""
    with Store(paths, extracts=Meddled(FileRegister(paths.extracts))) as store:
        apply(store, a_view(), a_view(matter_id="m-2"))
        first, _ = handed_out(store, paths)
        purged_by = first.last_arrival + 1
        Meddled.entry = first.model_copy(update={"extract_id": uuid4(), "last_arrival": purged_by})
        apply(store, a_deletion())
        assert recalled(store, "m-42") == {first.extract_id: 1}


def test_the_first_instant_of_a_filter_is_inside_and_the_last_one_outside(paths: DatabaseFiles) -> None:
    """As in the extract itself."""
    hour = timedelta(hours=1)
    with open_store(paths) as store:
        apply(store, a_view(), a_view(matter_id="m-2", matter_viewed_at=NOON - hour))
        handed_out(store, paths, filter=Filter(until=NOON))
        inside, _ = handed_out(store, paths, filter=Filter(since=NOON))
        apply(store, a_deletion())
        assert recalled(store, "m-42") == {inside.extract_id: 1}


def test_a_register_that_cannot_be_read_stops_no_deletion(
    paths: DatabaseFiles, caplog: pytest.LogCaptureFixture
) -> None:
    """The receipt says for ever that its list is not complete."""
    with open_store(paths) as store:
        apply(store, a_view(), a_view(matter_id="m-2"))
        paths.extracts.write_bytes(b"no SQLite file" * 1000)
        apply(store, a_deletion())
        receipt = receipt_of(store, "m-42")
        apply(store, a_view(matter_id="m-2"))
    assert (receipt.views_purged, receipt.recall_complete, receipt.recall) == (1, False, ())
    assert "NOT complete" in caplog.text


def test_a_register_that_was_removed_leaves_the_list_incomplete(paths: DatabaseFiles) -> None:
    """One that is made anew knows nothing of what was handed out before."""
    with open_store(paths) as store:
        apply(store, a_view(), a_view(matter_id="m-2"))
        handed_out(store, paths)
        apply(store, a_deletion())
        assert receipt_of(store, "m-42").recall_complete
        paths.extracts.unlink()
        handed_out(store, paths)
        apply(store, a_deletion(matter_id="m-2"))
        assert not receipt_of(store, "m-2").recall_complete


def test_a_register_that_breaks_in_between_leaves_the_list_incomplete(paths: DatabaseFiles) -> None:
    """What was found before is in it all the same."""

    class Breaking(RegisteredExtracts):
        asked = 0

        def recorded(self) -> dict[str, RegisterEntry]:
            type(self).asked += 1
            if type(self).asked > 1:
                raise RegisterFailed
            return super().recorded()

    with Store(paths, extracts=Breaking(FileRegister(paths.extracts))) as store:
        apply(store, a_view())
        entry, _ = handed_out(store, paths)
        apply(store, a_deletion())
        receipt = receipt_of(store, "m-42")
        apply(store, a_view())
    assert (receipt.recall_complete, [each.extract_id for each in receipt.recall]) == (False, [entry.extract_id])


def test_files_of_another_database_are_counted_apart(paths: DatabaseFiles) -> None:
    """Its positions say nothing about this one, so whether they held the matter is not known."""
    with open_store(paths) as store:
        apply(store, a_view(), a_view(matter_id="m-2"))
        handed_out(store, paths)
        handed_out(store, paths, filter=Filter(matters=("m-2",)))
    paths.database.unlink()
    with open_store(paths) as store:
        apply(store, a_view())
        entry, _ = handed_out(store, paths)
        apply(store, a_deletion(), a_deletion(matter_id="m-2"))
        assert recalled(store, "m-42") == {entry.extract_id: 1}
        assert [receipt_of(store, matter).foreign_extracts for matter in ("m-42", "m-2")] == [1, 2]


def test_a_rehearsal_says_what_a_deletion_would_do_and_does_nothing(paths: DatabaseFiles) -> None:
    """The same files with the same rows as the deletion's own receipt."""
    with open_store(paths) as store:
        apply(store, a_view(), a_view(), a_view(matter_id="m-2"))
        wrong = record_of(a_view(), 1, 0)._replace(key=b"another")
        store.apply(decode_records([wrong, wrong._replace(offset=1, value=b"no event")], Topics()), ())
        entry, _ = handed_out(store, paths)
        with store.reader() as connection:
            found = rehearse(connection, FileRegister(paths.extracts), "m-42")
        counts = (found.views, found.dead_letters, found.dead_letters_of_nobody, found.tombstones)
        assert (counts, found.purged_at, found.foreign_extracts) == ((2, 1, 1, 3), None, 0)
        assert {each.extract_id: each.rows for each in found.recall} == {entry.extract_id: 2}
        apply(store, a_deletion())
        receipt = receipt_of(store, "m-42")
        with store.reader() as connection:
            again = rehearse(connection, FileRegister(paths.extracts), "m-42")
    assert (receipt.views_purged, receipt.dead_letters_purged, receipt.tombstones_waiting) == (2, 1, 3)
    assert receipt.recall == found.recall
    assert (again.views, again.dead_letters, again.recall, again.purged_at) == (0, 0, (), receipt.stages.table)


def test_without_deletions_the_register_is_never_asked(paths: DatabaseFiles) -> None:
    """The hot path does not pay for it."""

    class Unasked(RegisteredExtracts):
        def recorded(self) -> dict[str, RegisterEntry]:
            raise AssertionError

    with Store(paths, extracts=Unasked(FileRegister(paths.extracts))) as store:
        apply(store, a_view())
        apply(store, a_view())
