"""Looking for a deleted matter in a file: wherever its ID stands, it is found."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Final

import duckdb
import pytest

from matterlog.consumers.database import copies
from matterlog.consumers.database.erase_steps import CLONE
from matterlog.consumers.database.store import Store
from matterlog.consumers.erasure import verify_steps
from matterlog.consumers.erasure.verify_purge import Search, look_in_files, look_in_others
from matterlog.consumers.erasure.verify_steps import look
from matterlog.report.extracts.formats import FORMATS
from matterlog.schemas.storage.table_versions import LOG_TABLES
from testbed.command import environment
from testbed.events import a_view
from tests.report.logs import a_log, extract_of
from tests.versions.copies import write_log

# Of the pieces that the test reads.
PIECE_BYTES: Final = 4096


@pytest.mark.parametrize("begins", range(PIECE_BYTES - 16, PIECE_BYTES + 4))
def test_an_id_that_lies_across_two_pieces_of_a_file_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, begins: int
) -> None:
    """A file is read piece by piece."""
    write_log(tmp_path / CLONE, LOG_TABLES.version)
    monkeypatch.setattr(verify_steps, "_CHUNK_BYTES", PIECE_BYTES)
    (tmp_path / "log.duckdb.copy").write_bytes(b"." * begins + b"m-never-held" + b"." * PIECE_BYTES)
    found = look(str(tmp_path), str(tmp_path / "log.duckdb"), "m-never-held")
    assert found == {"found": ["log.duckdb.copy: the ID"], "unseen": [], "files": 2}


def test_neither_the_matter_nor_its_names_stand_in_the_arguments_of_a_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every user of the machine can read those."""
    seen: list[str] = []
    outcome = copies._outcome

    def looked_at(process: "subprocess.Popen[str]", stop: threading.Event) -> tuple[str, str]:
        # Empty while the program is just beginning.
        while not (arguments := Path(f"/proc/{process.pid}/cmdline").read_text()) and process.poll() is None:
            time.sleep(0.001)
        seen.append(arguments)
        return outcome(process, stop)

    monkeypatch.setattr(copies, "_outcome", looked_at)
    monkeypatch.setattr(copies, "subprocess", subprocess)  # a fork would have this process's arguments
    with Store(a_log(tmp_path, a_view(matter_id="m-77"))) as store:
        found = look_in_files(store, Search(matter="m-77", texts=("Project Heron",)))
    assert [each for each in found["found"] if "1 rows" in each]
    assert any("look" in each for each in seen)
    assert not any("m-77" in each or "Heron" in each for each in seen)


def test_what_lies_where_a_link_leads_is_looked_into_unless_others_may_have_put_it_there(tmp_path: Path) -> None:
    """The operator's backups may be on another disk."""
    write_log(tmp_path / CLONE, LOG_TABLES.version)
    (tmp_path / "disk" / "deeper").mkdir(parents=True)
    (tmp_path / "disk" / "deeper" / "one").write_bytes(b"m-never-held")
    (tmp_path / "log.duckdb.backups").symlink_to("disk")
    assert look(str(tmp_path), str(tmp_path / "log.duckdb"), "m-never-held")["found"] == ["one: the ID"]
    tmp_path.chmod(0o777)
    looked = look(str(tmp_path), str(tmp_path / "log.duckdb"), "m-never-held")
    assert "log.duckdb.backups: it is no file, or a link in a folder that others can write" in looked["unseen"]


def test_what_is_no_file_keeps_no_search_waiting(tmp_path: Path) -> None:
    """A name in the register may be that of a pipe; it was not looked at."""
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "good.csv").write_text("m-1")
    names = [str(tmp_path / name) for name in ("pipe.csv", "gone.csv", "good.csv")]
    looked = look_in_others(Search(matter="m-1"), names, tmp_path)
    assert looked == {
        "found": ["good.csv: the ID"],
        "unseen": ["pipe.csv: it is no file, or a link in a folder that others can write"],
        "files": 1,
    }


# Searches a file and prints the most memory that this took, in KiB.
SEARCH: Final = """
import sys
from pathlib import Path
from matterlog.consumers.erasure import verify_steps
from matterlog.consumers.erasure.verify_steps import FileSearch

verify_steps._MEMORY_LIMIT = "150MB"
FileSearch(Path(sys.argv[1]), "m-1", ()).others([Path(sys.argv[2])])
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""
# Characters that one format or another writes otherwise.
NAMES: Final = ("Smith & Sons <Heron>", "O'Brien \\ Co", 'the "Heron"', "Zoë\t案件", 'Heron;-Smith,"=x"')


@pytest.mark.parametrize("written", FORMATS)
@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_found_in_an_extract_however_its_format_writes_it(tmp_path: Path, written: str, name: str) -> None:
    """The operator types it as people do."""
    file = tmp_path / f"extract.{written}"
    file.write_bytes(extract_of(a_log(tmp_path, a_view(matter_id="m-1", matter_name=name)), format=written))
    for text, found in {name: 1, "nobody's": 0}.items():
        looked = look_in_others(Search(matter="m-2", texts=(text,)), [str(file)], tmp_path)
        assert (len(looked["found"]), looked["unseen"]) == (found, [])


def test_a_large_extract_is_searched_in_little_memory(tmp_path: Path) -> None:
    """An operator searches beside the consumer, on the same machine."""
    file, rows = tmp_path / "extract.parquet", 4_000_000
    with duckdb.connect() as connection:
        content = connection.sql("SELECT 'matter ' || i AS text FROM range($rows) r(i)", params={"rows": rows})
        content.write_parquet(str(file))
    used = subprocess.run(
        [sys.executable, "-c", SEARCH, tmp_path, file], capture_output=True, text=True, check=True, env=environment()
    ).stdout
    assert int(used.split()[-1]) * 1024 < 100 * rows  # a slow machine sees a progress bar first
