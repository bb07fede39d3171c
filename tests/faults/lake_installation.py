"""An installation whose log is on a lake: a PostgreSQL that can be killed, and an S3 storage that fails on request."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import psycopg

from matterlog.consumers.lake.lake_erasure import LakeEraser
from matterlog.consumers.lake.lake_store import LakeStore
from matterlog.schemas.storage.lake import Lake
from testbed.feed import rows
from tests.consumers.histories import Outcome, outcome_of, tables
from tests.faults.installation import INCONSISTENT, Installation

_SNAPSHOT: Final = "SELECT max(snapshot_id) FROM ducklake_snapshot"
_STANDS: Final = "SELECT coalesce(sum(next_offset), 0) FROM positions"


@dataclass(frozen=True, slots=True)
class LakeInstallation(Installation):
    """Its lake is ``lake``; the process's environment says how the storage is reached."""

    lake: Lake

    def _environment(self) -> dict[str, str]:
        return Installation._environment(self) | {
            "MATTERLOG_LAKE_CATALOGUE": self.lake.catalogue,
            "MATTERLOG_LAKE_DATA": self.lake.data,
        }

    def snapshot(self) -> int:
        """The number of the last commit; -1 while nobody answers."""
        with suppress(psycopg.Error), psycopg.connect(self.lake.catalogue, autocommit=True) as session:
            ((number,),) = session.execute(_SNAPSHOT).fetchall()
            return int(number)
        return -1

    def outcome(self) -> Outcome:
        """What the tables hold."""
        with LakeStore(self.lake) as store:
            return outcome_of(*tables(store))

    def stands(self) -> int:
        """How many offsets the positions have passed."""
        with LakeStore(self.lake) as store:
            return int(rows(store, _STANDS)[0][0])

    def inconsistencies(self) -> Sequence[object]:
        """What must never be seen, at whatever moment."""
        with LakeStore(self.lake) as store:
            return rows(store, INCONSISTENT)

    def erase(self) -> None:
        """Erase in this process, without patience for readers."""
        with LakeStore(self.lake) as store:
            LakeEraser(store).run(patience_seconds=0)

    def orphans(self) -> set[str]:
        """The files in the storage that the last snapshot does not name."""
        with LakeStore(self.lake) as store:
            names = rows(store, "SELECT table_name FROM duckdb_tables() WHERE database_name = 'log'")
            named = {
                str(file)
                for (table,) in names
                for files in rows(store, f"SELECT data_file, delete_file FROM ducklake_list_files('log', '{table}')")  # noqa: S608 - our names
                for file in files
                if file is not None
            }
            return {str(file) for (file,) in rows(store, f"FROM glob('{self.lake.data}**')")} - named
