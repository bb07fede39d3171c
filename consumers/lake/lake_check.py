"""The check of a lake: whether what it stands on fits matterlog, and whether a purged name could live on somewhere.

What is *found* needs the operator. What *could not be asked* is not known to be well.
"""

import statistics
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import duckdb
import psycopg

from matterlog.consumers.lake.lake_files import any_object, changed_files
from matterlog.consumers.lake.pooler import is_pooled
from matterlog.consumers.lake.rights import missing_rights
from matterlog.schemas.instants import CLOCKS_DIFFER
from matterlog.schemas.storage.lake import Lake, LakeUnusable, check_tables
from matterlog.schemas.storage.statements import load_statements, quoted

SQL: Final = load_statements(__package__, "lake_check.sql")
_OLDEST_SERVER: Final = 150_000  # its version 15
_LAYOUT: Final = "1.0"
_ROUND_TRIPS: Final = 7
# A commit takes about 40 round trips.
_SLOW_SECONDS: Final = 0.05


@dataclass(slots=True)
class LakeFindings:
    """What a check found, could not ask, and measured, in words."""

    found: list[str] = field(default_factory=list)
    not_asked: list[str] = field(default_factory=list)
    facts: list[str] = field(default_factory=list)


def check_lake(lake: Lake) -> LakeFindings:
    """Check a lake with the rights of this role."""
    findings = LakeFindings()
    try:
        with psycopg.connect(lake.sessions, autocommit=True) as session:
            if is_pooled(lake.sessions):
                findings.found.append("a connection pooler in transaction mode: connect past it, or pool by session")
            check = _LakeCheck(lake, session, findings)
            for ask in (check.versions, check.rights, check.network, check.settings, check.replicas):
                check.attempt(ask)
    except psycopg.Error as error:
        findings.found.append(f"PostgreSQL does not answer or refuses this role ({type(error).__name__})")
    else:
        check.storage()
    return findings


@dataclass(frozen=True, slots=True)
class _LakeCheck:
    lake: Lake
    session: psycopg.Connection
    findings: LakeFindings

    def attempt(self, ask: Callable[[], None]) -> None:
        """Ask PostgreSQL something; note it where it does not answer that."""
        try:
            ask()
        except psycopg.Error as error:
            self.findings.not_asked.append(f"{ask.__name__} ({type(error).__name__})")

    def versions(self) -> None:
        """PostgreSQL, DuckLake's layout of its tables, and whether files are encrypted."""
        ((name, number, layout, encrypted),) = self.session.execute(SQL["server"]).fetchall()
        self.findings.facts.append(f"PostgreSQL {name}, DuckDB {duckdb.__version__}, DuckLake's tables {layout}")
        if encrypted != "true":
            self.findings.facts.append("the files are not encrypted: not every changed byte is detected")
        if number < _OLDEST_SERVER:
            self.findings.found.append(f"PostgreSQL {name}: 15 is the oldest version that matterlog is tested with")
        if layout != _LAYOUT:
            self.findings.found.append(
                f"DuckLake's tables have version {layout}, this matterlog is tested with {_LAYOUT}"
            )

    def rights(self) -> None:
        """What this role may do, and which rights it lacks for that."""
        ((changes, records),) = self.session.execute(SQL["may_change"]).fetchall()
        role = self.session.info.user
        self.findings.facts.append(f"role {role} may {'change the lake' if changes else 'only read the lake'}")
        if not records:
            self.findings.found.append(
                f"role {role} may not record extracts: the owner runs lake init --reader-role {role}"
            )
        if changes and (missing := missing_rights(self.session)):
            self.findings.found.append(f"role {role} may not erase. It needs: {'; '.join(missing)}")

    def network(self) -> None:
        """Latency, and how far the clocks differ."""
        times, ahead = [], []
        for _ in range(_ROUND_TRIPS):
            began, at = time.monotonic(), datetime.now(UTC)
            ((there,),) = self.session.execute(SQL["clock"]).fetchall()
            times.append(time.monotonic() - began)
            ahead.append((there - at).total_seconds() - times[-1] / 2)
        latency, differs = statistics.median(times), statistics.median(ahead)
        self.findings.facts.append(f"a round trip takes {latency * 1000:.1f} ms. Clocks differ by {abs(differs):.1f} s")
        if latency > _SLOW_SECONDS:
            self.findings.found.append(f"a round trip takes {latency * 1000:.0f} ms, and a commit about 40 of them")
        if abs(differs) > CLOCKS_DIFFER.total_seconds():
            self.findings.found.append(f"PostgreSQL's clock and this machine's differ by {differs:.0f} seconds")

    def settings(self) -> None:
        """Settings under which a purged name may live on."""
        for name, value, why in self.session.execute(SQL["settings"]).fetchall():
            if value is None:
                self.findings.not_asked.append(f"setting {name} of PostgreSQL")
            else:
                self.findings.found.append(f"{name} = {value}: {why}")

    def replicas(self) -> None:
        """Standbys and replication slots."""
        ((slots, standbys),) = self.session.execute(SQL["replicas"]).fetchall()
        if slots or standbys:
            self.findings.found.append(
                f"{slots} replication slots and {standbys} standbys: an erasure waits for them, and reaches none"
            )

    def storage(self) -> None:
        """Whether the lake opens, its storage has each file in its size, and whether a bucket keeps versions."""
        try:
            with closing(self.lake.connect(read_only=True)) as connection:
                check_tables(connection)
                self.findings.found += changed_files(connection, self.lake.data)
                self._objects(connection)
        except LakeUnusable as error:
            self.findings.found.append(str(error))
        except duckdb.Error as error:
            self.findings.found.append(f"{self.lake.data} cannot be listed or read ({type(error).__name__})")

    def _objects(self, connection: duckdb.DuckDBPyConnection) -> None:
        path = any_object(connection, self.lake.data)
        if "://" not in self.lake.data:
            return
        if path is None:
            self.findings.not_asked.append("whether the bucket keeps versions: there is no object yet")
            return
        connection.execute(SQL["watch_requests"])
        connection.execute(SQL["read_object"].format(place=quoted(path))).fetchall()
        if connection.execute(SQL["object_versions"]).fetchall():
            self.findings.found.append("the bucket keeps versions of objects: let old ones expire by the deadline")
