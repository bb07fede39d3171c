"""DuckLake's extensions without DuckDB's check of their signatures, half a second at each opening of a lake.

tests/schemas/test_lake.py holds that matterlog itself leaves the check on and that the extensions pass it.
"""

from collections.abc import Mapping
from typing import Any

import duckdb

from matterlog.schemas.storage import lake


class _Trusting:
    """What a lake takes from DuckDB, with instances that check no signature."""

    def __getattr__(self, name: str) -> Any:
        return getattr(duckdb, name)

    def connect(self, database: str, *, config: Mapping[str, Any]) -> duckdb.DuckDBPyConnection:
        """Make an instance."""
        return duckdb.connect(database, config={**config, "allow_unsigned_extensions": "true"})


def trust_extensions() -> None:
    """Leave the check out in this process, until it ends, and in those that it forks."""
    lake.duckdb = _Trusting()  # type: ignore[assignment, attr-defined] # stands for the module
