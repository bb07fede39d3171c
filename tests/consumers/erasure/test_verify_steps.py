"""Looking for a deleted matter in a file: wherever its ID stands, it is found."""

import json
from pathlib import Path
from typing import Final

import pytest

from matterlog.consumers.database.erase_steps import CLONE
from matterlog.consumers.erasure import verify_steps
from matterlog.consumers.erasure.verify_steps import look
from matterlog.schemas.storage.table_versions import LOG_TABLES
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
    (tmp_path / "copy.txt").write_bytes(b"." * begins + b"m-never-held" + b"." * PIECE_BYTES)
    also = json.dumps([str(tmp_path / "copy.txt")])
    found = look(str(tmp_path), str(tmp_path / "log.duckdb"), "m-never-held", "[]", also)
    assert found == {"found": ["copy.txt: the ID"], "unseen": [], "files": 2}
