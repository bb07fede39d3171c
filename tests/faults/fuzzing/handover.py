"""The doors for files that come back: manifests, series, extracts that are verified or compared, backups to restore.

Each of them is what it was, or is refused in words.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final

from matterlog.consumers.errors import BackupUnusable, DatabaseUnusable
from matterlog.consumers.recovery.backups import Description, back_up_file, find_backup, list_backups
from matterlog.consumers.recovery.recovery import put_together
from matterlog.report.errors import BadManifest, BadSeries, ExtractUnreadable
from matterlog.report.extracts.formats import FORMATS
from matterlog.report.handover.differences import ExtractFile, Purge, compare
from matterlog.report.handover.manifest import Manifest, manifest_path, read_manifest
from matterlog.report.handover.series import Series
from matterlog.report.handover.verify_extract import verify_extract
from matterlog.schemas.columns import ColumnSet
from matterlog.schemas.storage.database_files import DatabaseFiles
from testbed.events import a_deletion, a_view
from tests.faults.fuzzing.damage import changed_json, damaged, odd_value, pick
from tests.faults.fuzzing.doors import Try
from tests.report.handover.test_manifest import exported
from tests.report.logs import a_log

COMPARED: Final = tuple(name for name, spec in FORMATS.items() if spec.read_back is not None)


def _a_log(folder: Path) -> DatabaseFiles:
    views = [a_view(matter_id=f"m-{number}", user_name="=1+1 \u00eb,\n") for number in range(20)]
    return a_log(folder, *views, a_deletion(matter_id="m-3"))


def _manifest(folder: Path) -> dict[str, Any]:
    """Return a manifest with something in every field, as JSON."""
    exported(
        _a_log(folder), folder / "x.csv", format="csv", filter={"matters": ["m-1"], "since": "2026-01-01T00:00:00Z"}
    )
    found: dict[str, Any] = json.loads(manifest_path(folder / "x.csv").read_bytes())
    found["series"] = {"name": "s", "part": 1, "kind": "full", "arrived_after": None, "previous_manifest_sha256": None}
    found["series"]["begins_because"] = "it is the first part of the series"
    found["purges"] = [{"matter_id": "m-3", "purged_at": "2026-03-02T00:00:00Z", "views_purged": 1, "arrival": 2}]
    found["gaps"] = [
        {"topic": "v", "partition": 0, "first_missing": 1, "next_available": 4, "found_at": "2026-03-02T00:00:00Z"}
    ]
    Manifest.model_validate(found)
    return found


@contextmanager
def manifests(folder: Path) -> Iterator[Try]:
    """A manifest alone, and as a part of a series."""
    good = _manifest(folder)
    path = folder / "s.0001.csv.manifest.json"

    def try_once(dice: Random) -> int:
        path.write_bytes(changed_json(good, dice))
        try:
            read_manifest(path)
            Series(folder, "s").parts()
        except (BadManifest, BadSeries):
            pass
        return 1

    yield try_once


@dataclass(frozen=True, slots=True)
class _Extracts:
    """Extracts of one log by format, each with its bytes and its manifest as JSON."""

    folder: Path
    files: dict[str, bytes]
    manifests: dict[str, dict[str, Any]]

    def verify(self, dice: Random) -> int:
        """Verify an extract that is damaged, sometimes with a manifest that says its bytes are right."""
        kind = pick(tuple(self.files), dice)
        path, data = self.folder / f"y.{kind}", damaged(self.files[kind], dice)
        path.write_bytes(data)
        said = self.manifests[kind]
        if dice.random() < 0.5:
            said = said | {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        manifest_path(path).write_text(json.dumps(said))
        try:
            found = verify_extract(path, manifest_path(path))
            assert found or said["sha256"] == hashlib.sha256(data).hexdigest(), "a changed file passes"
        except BadManifest as error:
            assert "None" not in str(error), error  # noqa: PT017 - an error without a reason
        return 1

    def compare(self, dice: Random) -> int:
        """Compare two extracts: one of them damaged, or with a manifest of odd values."""
        kinds = [pick(COMPARED, dice), pick(COMPARED, dice)]
        broken = int(dice.random() * 2)
        described = [self._described(kind, f"{side}.{kind}", dice, side == broken) for side, kind in enumerate(kinds)]
        try:
            files = [
                ExtractFile(path=path, format=said.format, filter=said.filter.data, taken_at=said.taken_at)
                for path, said in described
                if FORMATS[said.format].read_back is not None
            ]
            if len(files) == len(kinds):
                purges = [Purge(purge.matter_id, purge.purged_at) for purge in described[1][1].purges or ()]
                with compare(files[0], files[1], "1GB") as comparison:
                    comparison.explain(purges)
                    list(comparison.rows())
        except (BadManifest, ExtractUnreadable):
            pass
        return 1

    def _described(self, kind: str, name: str, dice: Random, broken: bool) -> tuple[Path, Manifest]:  # noqa: FBT001
        path, data, said = self.folder / name, self.files[kind], self.manifests[kind]
        if broken and dice.random() < 0.5:
            data = damaged(data, dice)
        elif broken:
            said = _odd_facts(said, dice)
        path.write_bytes(data)
        try:
            return path, Manifest.model_validate_json(json.dumps(said))
        except ValueError:
            return path, Manifest.model_validate(self.manifests[kind])


INSTANTS: Final = (
    "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59.999999-14:00", "0001-01-01T00:00:00Z", "9999-12-31T00:00:00Z",
    "1969-12-31T23:59:59Z", "2026-03-01T12:00:00.678901Z",
)  # fmt: skip


def _odd_facts(said: dict[str, Any], dice: Random) -> dict[str, Any]:
    """Return a manifest in which the facts that a comparison uses are odd."""
    data = dict(said["filter"]["data"])
    name = pick((*data, "taken_at", "purges", "purges"), dice)
    value = odd_value(dice)
    if name in {"since", "until", "taken_at"} and dice.random() < 0.8:
        value = pick(INSTANTS, dice)
    if name == "purges":
        value = [
            {
                "matter_id": pick(("m-1", "\0", "x" * 9_000), dice),
                "purged_at": pick(INSTANTS, dice),
                "views_purged": 1,
                "arrival": 2,
            }
        ]
    elif name in {"matters", "users", "companies"}:
        value = [pick(("m-1", "\0", "\ufeff", "x" * 9_000), dice)] * pick((1, 2_000), dice)
    if name in data:
        return said | {"filter": said["filter"] | {"data": data | {name: value}}}
    return said | {name: value}


def _extracts(folder: Path) -> _Extracts:
    paths = _a_log(folder)
    files, said = {}, {}
    for kind in FORMATS:
        path = folder / f"x.{kind}"
        exported(paths, path, format=kind, columns=ColumnSet.FULL, with_event_id=True)
        files[kind] = path.read_bytes()
        said[kind] = json.loads(manifest_path(path).read_bytes()) | {"series": None}
    return _Extracts(folder, files, said)


@contextmanager
def verified(folder: Path) -> Iterator[Try]:
    """Extracts of every format."""
    yield _extracts(folder).verify


@contextmanager
def compared(folder: Path) -> Iterator[Try]:
    """Extracts of every format that can be compared."""
    yield _extracts(folder).compare


@dataclass(slots=True)
class _Backups:
    """A log with one backup, whose description, name or bytes are damaged."""

    paths: DatabaseFiles
    copy: bytes
    description: dict[str, Any]

    def describe(self, dice: Random) -> int:
        """A backup is found whole, or not at all."""
        name = pick(("20261122T140509.000000Z", "99991231T235959.999999Z", "00010101T000000.000000Z", "x"), dice)
        path = self.paths.backups / f"{name}.duckdb"
        copy = damaged(b"a copy", dice) if dice.random() < 0.5 else b"a copy"
        path.write_bytes(copy)
        good = self.description | {"sha256": hashlib.sha256(b"a copy").hexdigest()}
        path.with_suffix(".json").write_bytes(changed_json(good, dice))
        try:
            backup = find_backup(self.paths, pick((None, name), dice))
            assert hashlib.sha256(copy).hexdigest() == backup.description.sha256
        except BackupUnusable:
            pass
        list_backups(self.paths)
        for each in (path, path.with_suffix(".json")):
            each.unlink()
        return 1

    def restore(self, dice: Random) -> int:
        """Restore a damaged copy whose description says that it is right: DuckDB takes it, or it is refused."""
        path = self.paths.backups / "20261122T140509.000000Z.duckdb"
        copy = bytearray(self.copy)
        for _ in range(1 + int(dice.random() * 3)):
            copy[int(dice.random() * len(copy))] ^= 1 << int(dice.random() * 8)
        path.write_bytes(copy if dice.random() < 0.8 else copy[: int(dice.random() * len(copy))])
        said = self.description | {"sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
        path.with_suffix(".json").write_text(json.dumps(said))
        before = hashlib.sha256(self.paths.database.read_bytes()).hexdigest()
        try:
            put_together(self.paths, find_backup(self.paths, None))
        except (BackupUnusable, DatabaseUnusable):
            assert hashlib.sha256(self.paths.database.read_bytes()).hexdigest() == before
        for aside in self.paths.quarantined:
            aside.unlink()
        return 1


def _backups(folder: Path) -> _Backups:
    paths = _a_log(folder)
    with paths.owned():
        taken = back_up_file(paths)
    found = _Backups(paths, taken.path.read_bytes(), json.loads(taken.description.model_dump_json()))
    Description.model_validate(found.description)
    taken.shred()
    return found


@contextmanager
def described(folder: Path) -> Iterator[Try]:
    """Descriptions of backups."""
    yield _backups(folder).describe


@contextmanager
def restored(folder: Path) -> Iterator[Try]:
    """Copies of a database."""
    yield _backups(folder).restore
