"""An installation whose log is on a lake: a PostgreSQL that can be killed, and an S3 storage that fails on request."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psycopg

from matterlog.consumers.lake.lake_erasure import LakeEraser
from matterlog.consumers.lake.lake_store import LakeStore
from matterlog.schemas.storage.lake import Lake
from testbed.feed import rows
from tests.consumers.histories import Outcome, outcome_of, tables
from tests.faults.installation import INCONSISTENT, Installation

_NAMED_FILES: Final = "SELECT path FROM ducklake_data_file UNION SELECT path FROM ducklake_delete_file"
_SNAPSHOT: Final = "SELECT max(snapshot_id) FROM ducklake_snapshot"
_STANDS: Final = "SELECT coalesce(sum(next_offset), 0) FROM positions"


@dataclass(frozen=True, slots=True)
class LakeInstallation(Installation):
    """Its lake is ``lake``; the process's environment says how the storage is reached."""

    lake: Lake

    def settings(self) -> dict[str, str]:
        """The settings by their variables."""
        return Installation.settings(self) | {
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
        """The files in the storage that no snapshot names."""
        with psycopg.connect(self.lake.catalogue, autocommit=True) as session:
            named = {Path(path).name for (path,) in session.execute(_NAMED_FILES).fetchall()}
        with LakeStore(self.lake) as store:
            found = [str(file) for (file,) in rows(store, f"FROM glob('{self.lake.data}**')")]
        return {file for file in found if Path(file).name not in named}
