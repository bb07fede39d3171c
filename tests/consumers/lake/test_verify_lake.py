"""Looking for a deleted matter in a lake: copies are found; what was not looked at is never called clean."""

import shutil
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import duckdb
import psycopg
import pytest

from matterlog.consumers.erasure.verify_purge import Search
from matterlog.consumers.lake.lake_erasure import LakeEraser
from matterlog.consumers.lake.lake_store import LakeStore
from matterlog.consumers.lake.verify_lake import look_in_lake
from matterlog.report.handover.lake_register import make_register
from matterlog.schemas.storage.lake import Lake
from testbed.events import a_deletion, a_view
from testbed.feed import Feed
from tests.consumers.contract.stores import Lakes

pytestmark = pytest.mark.postgresql


@pytest.fixture
def name() -> str:
    """The deleted matter's name, which nothing else in PostgreSQL's files holds."""
    return f"Heron {uuid4().hex}"


@pytest.fixture
def lake(lakes: Lakes, name: str) -> Lake:
    """A lake that held the matter m-42, purged it, and was rewritten."""
    lake = lakes.new(encrypted=False)
    make_register(lake)
    with LakeStore(lake) as store:
        feed = Feed(store)
        feed.apply(a_view(matter_name=name), a_view(matter_id="m-423", matter_name="Larch"), feed.poison())
        feed.apply(a_deletion())
        LakeEraser(store).run(patience_seconds=30)
    return lake


def looked(lake: Lake, name: str) -> dict[str, list[str]]:
    """What looking for the matter says."""
    found = look_in_lake(lake, Search(matter="m-42", texts=(name,)), ())
    assert found.pop("files") > 3
    return found


def plant(source: Path, changed: str, target: Path) -> None:
    """Copy a Parquet file with a changed column."""
    with closing(duckdb.connect()) as other:
        other.read_parquet(str(source)).project(f"* REPLACE ({changed})").write_parquet(str(target))


def planted(lake: Lake, statement: str, *values: object) -> None:
    """Change something in the catalogue behind the lake's back."""
    with psycopg.connect(lake.catalogue, autocommit=True) as session:
        session.execute(statement, values)


def test_a_purged_matter_is_found_nowhere(lake: Lake, name: str) -> None:
    """Its ID stands in receipts alone, and begins another matter's."""
    assert looked(lake, name) == {"found": [], "unseen": []}


def test_a_copy_planted_anywhere_is_found(lake: Lake, name: str) -> None:
    """In the storage, the catalogue's tables, PostgreSQL's statistics, files and write-ahead log."""
    data = Path(lake.data)
    (activity,) = (data / "main" / "activity").glob("*.parquet")
    plant(activity, "'m-42' AS matter_id", data / "orphan.parquet")
    plant(activity, f"'{name}' AS user_name", data / "main" / "named.parquet")
    (data / ".hidden").mkdir()
    (data / ".hidden" / "copy.tmp").write_bytes(b"xx m-42 xx")
    (letters,) = (data / "main" / "dead_letters").glob("*.parquet")
    plant(letters, "'of m-42'::BLOB AS payload", data / "letter.parquet")
    planted(lake, "UPDATE ducklake_table_column_stats SET min_value = 'm-42' WHERE min_value = 'm-423'")
    planted(lake, "UPDATE ducklake_file_column_stats SET max_value = %s WHERE min_value = 'Larch'", name)
    planted(lake, "INSERT INTO ducklake_inlined_data_2_1 (user_name) VALUES (%s)", name.encode())
    planted(lake, "CREATE TABLE matterlog.notes (note text)")
    planted(lake, "INSERT INTO matterlog.notes VALUES (%s)", f"about {name}")
    planted(lake, "INSERT INTO matterlog.notes SELECT %s FROM generate_series(1, 9)", name)
    planted(lake, "ANALYZE matterlog.notes")
    planted(lake, "DELETE FROM matterlog.notes WHERE note = %s", name)
    found = "\n".join(looked(lake, name)["found"])
    for place in (
        "orphan.parquet: 1 rows",
        "orphan.parquet: the statistics in its footer",
        "main/named.parquet: 1 rows",
        "main/named.parquet: a text",
        ".hidden/copy.tmp: the ID",
        "letter.parquet: a dead letter",
        "public.ducklake_table_column_stats.min_value: 1 rows",
        "public.ducklake_file_column_stats.max_value: 1 rows",
        "public.ducklake_inlined_data_2_1.user_name: 1 rows",
        "matterlog.notes.note: 1 rows",
        "PostgreSQL's statistics: matterlog.notes.note",
        "notes: a text",
        "PostgreSQL's file of pg_statistic: a text",
        "write-ahead log 0000000",
    ):
        assert place in found, found


def test_what_a_role_may_not_read_is_never_called_clean(lakes: Lakes, lake: Lake, name: str) -> None:
    """Nor are PostgreSQL's files where the ID alone is known."""
    role = f"reader_{uuid4().hex}"
    planted(lake, f"CREATE ROLE {role} LOGIN")
    planted(lake, f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}")
    address = lakes.server.address(lake.catalogue.rpartition("/")[2], role)
    found = looked(replace(lake, catalogue=address), name)
    assert found["found"] == []
    assert "matterlog.extracts.name: it cannot be read (InsufficientPrivilege)" in found["unseen"]
    (files,) = (place for place in found["unseen"] if place.startswith("PostgreSQL's files and write-ahead log"))
    assert "may not read them" in files
    (unseen,) = look_in_lake(lake, Search(matter="m-42"), ())["unseen"]
    assert "give --text" in unseen


def test_encrypted_files_are_read_with_the_catalogues_keys(lakes: Lakes) -> None:
    """One that the catalogue does not know was not looked at."""
    lake = lakes.new()
    make_register(lake)
    with LakeStore(lake) as store:
        Feed(store).apply(a_view())
    (file,) = Path(lake.data).rglob("activity/*.parquet")
    shutil.copyfile(file, file.with_name("unknown.parquet"))
    found = look_in_lake(lake, Search(matter="m-42"), ())
    assert f"main/activity/{file.name}: 1 rows" in found["found"]
    unknown = "main/activity/unknown.parquet: it is encrypted, and the catalogue has no key of it"
    assert unknown in found["unseen"]
