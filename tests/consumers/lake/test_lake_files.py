"""Files of a lake that the storage changed or lost: what finds them, and what nothing does."""

import random
import secrets
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import duckdb
import pytest

from matterlog.consumers.errors import ErasureFailed
from matterlog.consumers.lake.lake_check import check_lake
from matterlog.consumers.lake.lake_erasure import LakeEraser
from matterlog.consumers.lake.lake_store import LakeStore
from matterlog.consumers.lake.lake_tables import make_tables
from matterlog.report.log.reader import open_lake_for_reading
from matterlog.schemas.storage.lake import Lake, LakeUnreachable
from testbed.events import a_deletion, a_view
from testbed.feed import Feed, rows
from tests.consumers.contract.stores import Lakes

pytestmark = pytest.mark.postgresql

ROWS = "SELECT * FROM activity ORDER BY ALL"


def files_of(lake: Lake) -> list[Path]:
    """The files with rows of the activity table, and those that say which were removed."""
    return sorted(Path(lake.data).rglob("activity/*.parquet"))


def fill(store: LakeStore) -> None:
    """Write one file of each kind."""
    feed = Feed(store)
    feed.apply(*(a_view(matter_id=f"m-{number % 3}") for number in range(60)))
    feed.apply(a_deletion(matter_id="m-1"))


def cut(path: Path) -> str:
    """Lose the end of a file."""
    data = path.read_bytes()
    path.write_bytes(data[:-10])
    return f"{path} has {len(data) - 10:,} bytes, {len(data):,} were written"


def remove(path: Path) -> str:
    """Lose a file."""
    path.unlink()
    return f"{path} is missing"


@pytest.mark.parametrize("lose", [cut, remove])
def test_a_check_finds_files_that_are_missing_or_cut_and_an_erasure_writes_nothing_again(
    store: LakeStore, lake: Lake, lose: Callable[[Path], str]
) -> None:
    """Those that say which rows were removed, too."""
    fill(store)
    files = files_of(lake)
    assert [each for each in check_lake(lake).found if lake.data in each] == []
    lost = [lose(path) for path in files]
    assert [each for each in check_lake(lake).found if lake.data in each] == lost
    with pytest.raises(ErasureFailed, match="files of the lake are not as they were written: ") as refused:
        LakeEraser(store).run(patience_seconds=0)
    assert "; ".join(lost) in str(refused.value)
    assert rows(store, "SELECT file_erased_at FROM purges") == [(None,)]


def test_a_lake_without_a_file_has_lost_none(store: LakeStore, lake: Lake) -> None:
    Path(lake.data).mkdir(exist_ok=True)
    assert [each for each in check_lake(lake).found if lake.data in each] == []
    LakeEraser(store).run(patience_seconds=0)


@pytest.fixture
def encrypted(lakes: Lakes) -> Lake:
    """A lake made as usual, whose files are encrypted, with some rows."""
    name = f"lake_{uuid4().hex}"
    catalogue = lakes.server.make_database(name)
    made = Lake(catalogue=catalogue, data=f"{lakes.folder}/{name}/", spill=lakes.folder)
    with closing(made.connect(create=True)) as connection:
        make_tables(connection)
    with LakeStore(made) as store:
        fill(store)
    return made


def flip(path: Path, place: int, bit: int = 2) -> bytes:
    """Flip a bit of a file, and return what it held."""
    data = path.read_bytes()
    path.write_bytes(data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :])
    return data


def test_no_flipped_bit_of_an_encrypted_lake_is_read_as_a_row(encrypted: Lake) -> None:
    """Each read fails, or gives what was written."""
    seed, told = secrets.randbelow(10**6), 0
    at = random.Random(seed)  # noqa: S311 - places of a test
    reader = encrypted.connect(read_only=True)
    reader.execute("SET enable_external_file_cache = false")
    written = reader.execute(ROWS).fetchall()
    for path in files_of(encrypted) * 15:
        good = flip(path, at.randrange(path.stat().st_size), at.randrange(8))
        try:
            assert reader.execute(ROWS).fetchall() == written, seed
        except duckdb.InternalException:  # the instance has ended
            told += 1
            reader.close()
            reader = encrypted.connect(read_only=True)
            reader.execute("SET enable_external_file_cache = false")
        except duckdb.Error:
            told += 1
        path.write_bytes(good)
    assert reader.execute(ROWS).fetchall() == written
    assert told > 20, seed
    reader.close()


def test_an_erasure_writes_no_row_of_a_damaged_encrypted_file(encrypted: Lake) -> None:
    """Readers and the consumer are told what it is."""
    path = files_of(encrypted)[0]
    good = flip(path, path.stat().st_size - 100)  # in the footer, which is read first
    with (
        pytest.raises(LakeUnreachable, match="while it was read \\(a file of the lake is damaged\\)"),
        open_lake_for_reading(encrypted) as reader,
    ):
        reader.execute(ROWS)
    with (
        LakeStore(encrypted) as store,
        pytest.raises(ErasureFailed, match=r"rewritten: the lake failed \(a file of the lake"),
    ):
        LakeEraser(store).run(patience_seconds=0)
    path.write_bytes(good)
    with LakeStore(encrypted) as store:
        LakeEraser(store).run(patience_seconds=0)
        assert rows(store, "SELECT count(*) FROM activity") == [(40,)]
