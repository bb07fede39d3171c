"""Where a lake is."""

import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from matterlog.schemas.storage.lake import Lake, LakeUnusable


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://somebody:hunter2@db.example/lake",
        "postgresql://db.example/lake?password=hunter2",
        "postgresql://db.example/lake?user=somebody&sslpassword=hunter2",
    ],
)
def test_a_password_in_the_address_of_a_catalogue_is_refused_and_not_repeated(address: str) -> None:
    """The list of processes and DuckDB's errors would show it."""
    with pytest.raises(LakeUnusable, match="PGPASSFILE") as refusal:
        Lake(catalogue=address, data="s3://bucket/log", spill=Path())
    assert "hunter2" not in str(refusal.value)


SIGNATURES: Final = """
from pathlib import Path
from matterlog.schemas.storage.lake import _EXTENSIONS, _path_of, Lake
instance = Lake(catalogue="postgresql://h/n", data="d/", spill=Path())._instance(None)
print(*instance.execute("SELECT current_setting('allow_unsigned_extensions')").fetchone())
for extension in _EXTENSIONS:
    instance.execute(f"LOAD '{_path_of(extension)}'")
"""


@pytest.mark.postgresql
def test_extensions_are_loaded_only_with_duckdbs_signature() -> None:
    """In a process of its own: the lakes of most tests leave the check out, because it takes long."""
    told = subprocess.run([sys.executable, "-c", SIGNATURES], capture_output=True, text=True, check=True)
    assert told.stdout == "False\n"
