"""Where a lake is."""

from pathlib import Path

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
