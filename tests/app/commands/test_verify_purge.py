"""`matterlog verify-purge`: a copy planted anywhere turns it red; what was not looked at is never called clean."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import pytest

from matterlog.app.owner.registered_extracts import registered_extracts
from matterlog.consumers.database.store import Store
from matterlog.schemas import Topics
from matterlog.schemas.storage.database_files import DatabaseFiles
from testbed.command import Ended, done, owned, run
from testbed.events import a_deletion, a_view
from testbed.feed import Feed
from tests.consumers.pipeline import Pipeline
from tests.report.logs import a_log, apply

NAME: Final = "Project Heron"
VIEW: Final = a_view()


def verified(paths: DatabaseFiles, settings: Mapping[str, str], *options: str) -> Ended:
    """What looking for the deleted matter says."""
    return run("verify-purge", "m-42", *options, "--database", paths.database, settings=settings)


@pytest.fixture
def paths(tmp_path: Path) -> DatabaseFiles:
    """A log that held the matter, purged it, and was rewritten."""
    paths = a_log(tmp_path, VIEW, a_view(matter_id="m-2", matter_name="Project Larch"), a_deletion())
    done("erase", "--now", "--database", paths.database)
    return paths


def test_a_purged_matter_is_found_nowhere(paths: DatabaseFiles, kafka_here: dict[str, str]) -> None:
    """By its ID and by its name, without an owner and through one."""
    for _ in range(2):
        ended = verified(paths, kafka_here, "--text", NAME)
        assert (ended.code, ended.err) == (0, "")
        assert ended.text.startswith("0 places hold matter m-42. Searched 1 files and both topics")
    with owned(paths):
        assert verified(paths, kafka_here).code == 0
    assert not paths.verifying.exists()


def test_topics_that_could_not_be_read_are_never_called_clean(paths: DatabaseFiles) -> None:
    """Exit code 3."""
    ended = verified(paths, {})
    assert (ended.code, ended.err) == (3, "NOT LOOKED AT  the topics: no broker is set\n")
    assert "0 places hold matter m-42. Searched 1 files. 1 places could not be searched" in ended.text


def test_rows_that_were_removed_and_not_yet_erased_are_found_by_an_older_header(tmp_path: Path) -> None:
    """What a purge without a rewrite leaves."""
    paths = DatabaseFiles(tmp_path / "log.duckdb")
    with Store(paths) as store:
        feed = Feed(store)
        feed.apply(*(a_view() for _ in range(3_000)))
        with store.standstill():  # so that the rows are in the file itself
            pass
        feed.apply(a_deletion())
    ended = verified(paths, {})
    assert ended.code == 1
    assert "FOUND  log.duckdb, with an older header restored: 3000 rows of the activity table" in ended.text


def plant_in_table(paths: DatabaseFiles) -> None:
    with Store(paths) as store:
        store._connection.execute("UPDATE activity SET matter_id = 'm-42'")


def plant_dead_letters(paths: DatabaseFiles) -> None:
    with Store(paths) as store:
        feed = Feed(store, begins=100)
        store._connection.execute("UPDATE positions SET next_offset = 100")
        feed.apply(*(feed.poison(b"\xc3\x01 a broken view of m-42") for _ in range(2)))


def plant_text(paths: DatabaseFiles) -> None:
    with Store(paths) as store:
        store._connection.execute("UPDATE activity SET matter_name = ?", [NAME])


def plant_beside(ending: str) -> Callable[[DatabaseFiles], None]:
    def plant(paths: DatabaseFiles) -> None:
        file = Path(f"{paths.database}{ending}")
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"xx m-42 xx")

    return plant


def plant_backup(paths: DatabaseFiles) -> None:
    """A whole database, whose receipts may name the matter, and whose rows may not."""
    folder = paths.database.with_name(f"{paths.database.name}.backups")
    folder.mkdir()
    shutil.copyfile(a_log(folder, VIEW).database, folder / "one.duckdb")


def plant_extract(kind: str) -> Callable[[DatabaseFiles], None]:
    def plant(paths: DatabaseFiles) -> None:
        before = a_log(paths.database.parent / "before", VIEW)
        file = paths.database.parent / f"report.{kind}"
        done("export", "--format", kind, "--output", file, "--database", before.database)
        before.extracts.rename(paths.extracts)

    return plant


PLANTS: Final[Mapping[str, Callable[[DatabaseFiles], None]]] = {
    "log.duckdb: 1 rows of the activity table": plant_in_table,
    "log.duckdb: 2 dead letters, the first matter-views:0:100": plant_dead_letters,
    "log.duckdb: a text": plant_text,
    "log.duckdb.wal.quarantined-1: the ID": plant_beside(".wal.quarantined-1"),
    "one.duckdb: 1 rows of the activity table": plant_backup,
    "report.csv: the ID": plant_extract("csv"),
    "report.parquet: a row": plant_extract("parquet"),
    "report.xlsx: the ID": plant_extract("xlsx"),
}


@pytest.mark.parametrize("place", PLANTS)
def test_a_copy_planted_anywhere_is_found(paths: DatabaseFiles, place: str) -> None:
    """Exit code 1, and the place."""
    if "report" in place:
        (paths.database.parent / "before").mkdir()
    PLANTS[place](paths)
    ended = verified(paths, {}, "--text", NAME)
    assert ended.code == 1, ended.err
    assert f"FOUND  {place}\n" in ended.text


def test_a_copy_in_a_spill_file_is_found_while_the_owner_runs(paths: DatabaseFiles) -> None:
    """When the owner starts it sweeps them."""
    with owned(paths):
        plant_beside(".tmp/duckdb_temp_storage-0.tmp")(paths)
        ended = verified(paths, {})
    assert ended.code == 1
    assert "FOUND  duckdb_temp_storage-0.tmp: the ID\n" in ended.text


def test_records_in_a_topic_are_found_and_counted_by_partition(
    paths: DatabaseFiles, kafka_here: dict[str, str]
) -> None:
    """With the first and the last place; another matter's are not. Each one on demand."""
    topics = Topics(kafka_here["MATTERLOG_TOPIC_PREFIX"])
    pipeline, views = (
        Pipeline(kafka_here["MATTERLOG_BOOTSTRAP_SERVERS"], topics, paths.database),
        topics.matter_views.name,
    )
    pipeline.write(*(a_view(matter_id="m-423" if number % 2 else "m-42") for number in range(2_500)), partition=1)
    pipeline.write(a_view(), a_view(matter_id="m-423"), partition=2)
    for options, each in (((), []), (("--all",), [f"FOUND  {views} [1] @ {number}" for number in range(0, 2_500, 2)])):
        ended = verified(paths, kafka_here, *options)
        assert ended.code == 1
        *lines, last = ended.text.splitlines()
        grouped = [
            f"FOUND  {views} [1]: 1,250 records, offsets 0 to 2,498",
            f"FOUND  {views} [2]: 1 records, offsets 0 to 0",
        ]
        assert [line for line in lines if f"{views} [1] @" in line] == each
        assert [line for line in lines if "@" not in line] == grouped
        assert last.startswith("2 places hold matter m-42. Searched 1 files and both topics")


def test_a_file_that_cannot_be_read_is_never_called_clean(paths: DatabaseFiles, kafka_here: dict[str, str]) -> None:
    """A database that DuckDB refuses may hold anything."""
    broken = paths.database.with_name("log.duckdb.backups")
    broken.mkdir()
    (broken / "one.duckdb").write_bytes(b"12345678DUCK" + bytes(100_000))
    ended = verified(paths, kafka_here)
    assert ended.code == 3
    assert "NOT LOOKED AT  one.duckdb: it cannot be opened (" in ended.err


def test_an_engagement_table_that_counted_its_views_is_found_until_it_is_removed(tmp_path: Path) -> None:
    """Though the matter does not stand in it; not one that counted others, nor one that was written anew since."""
    paths = a_log(tmp_path, VIEW, a_view(matter_id="m-2"))
    for name, matter in (("all", ()), ("others", ("--matter", "m-2")), ("anew", ())):
        out = tmp_path / f"{name}.csv"
        done("engagement", "users", "--all", *matter, "--output", out, "--database", paths.database)
    with Store(paths, extracts=registered_extracts(paths)) as store:
        apply(store, a_deletion())
    done("erase", "--now", "--database", paths.database)
    (tmp_path / "anew.csv").write_text("nothing of the matter")
    assert [line for line in verified(paths, {}).text.splitlines() if line.startswith("FOUND")] == [
        f"FOUND  {tmp_path / 'all.csv'}: an engagement table that counted views of the matter"
    ]
    (tmp_path / "all.csv").unlink()
    assert "FOUND" not in verified(paths, {}).text
