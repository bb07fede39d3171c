"""The manifest says what an extract holds, and verify-extract finds what differs."""

import io
import json
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import pytest
from typer.testing import CliRunner

from matterlog.app.commands import app
from matterlog.consumers.database.store import Store
from matterlog.consumers.reading.decode import decode_records
from matterlog.consumers.reading.records import Gap
from matterlog.report.errors import BadManifest
from matterlog.report.extracts.extracts import write_extract
from matterlog.report.extracts.formats import FORMATS
from matterlog.report.extracts.requests import ExtractRequest
from matterlog.report.handover.handing_out import Recipient, hand_out
from matterlog.report.handover.manifest import KnownEnds, Manifest, bytes_of, manifest_of, manifest_path, read_manifest
from matterlog.report.handover.register import Channel, RegisterEntry
from matterlog.report.handover.verify_extract import verify_extract
from matterlog.report.log.reader import open_for_reading
from matterlog.schemas import Topics
from matterlog.schemas.storage.database_files import DatabaseFiles
from testbed.events import a_deletion, a_view, record_of
from tests.report.logs import a_big_log, a_log, apply

ASKED_AT: Final = datetime(2026, 11, 22, 14, 5, 9, tzinfo=UTC)


class QuietLog:
    """The file itself, with nobody who purges."""

    def __init__(self, paths: DatabaseFiles) -> None:
        self._paths = paths

    def extract(self, request: ExtractRequest, sink: Any, begun: RegisterEntry | None = None) -> Any:  # noqa: ARG002
        with open_for_reading(self._paths) as connection:
            return write_extract(connection, request, sink)

    def finish(self, entry: RegisterEntry, checked_arrival: int | None) -> tuple[str, ...]:  # noqa: ARG002
        return ()

    def complete(self, entry: RegisterEntry) -> None:
        """Nothing is begun."""


def exported(paths: DatabaseFiles, target: Path, ends: KnownEnds | None = None, **request: Any) -> Manifest:
    """Write an extract and its manifest; return the manifest as it was read back."""
    asked = ExtractRequest.model_validate(request)
    recipient = Recipient(made_by="analyst", how=Channel.EXPORT, name=str(target))
    file = io.BytesIO()
    extract, entry = hand_out(QuietLog(paths), asked, recipient, file)
    target.write_bytes(file.getvalue())
    told = manifest_of(extract, entry, asked, ends or KnownEnds(not_known_because="nobody asked"))
    manifest_path(target).write_bytes(bytes_of(told))
    assert read_manifest(manifest_path(target)) == told
    return told


def test_the_documented_schema_is_the_manifests() -> None:
    """Written again from the model: python -m matterlog.report.handover.manifest."""
    shipped = files("matterlog.report.handover").joinpath("manifest.schema.json").read_text(encoding="utf-8")
    assert json.loads(shipped) == Manifest.model_json_schema(mode="serialization")


def test_a_manifest_states_what_the_snapshot_knows(tmp_path: Path) -> None:
    """Rows, positions, what the log lacks; the filter in words and as data."""
    paths = a_log(tmp_path, a_view(matter_id="m-1"), a_view(matter_id="m-2"))
    with Store(paths) as store:
        apply(store, a_deletion(matter_id="m-2"))
        store.record_gaps([Gap(topic="matter-views", partition=0, first_missing=2, next_available=9)], [])
    ends = KnownEnds(asked_at=ASKED_AT, ends={("matter-views", 0): 12})
    told = exported(paths, tmp_path / "x.csv", ends, format="csv", filter={"matters": ["m-1"]}, excel=True)
    assert (told.file, told.rows, told.format, told.last_arrival) == ("x.csv", 1, "csv", 3)
    assert (told.filter.words, told.filter.data.matters) == ("All views of matter m-1.", ("m-1",))
    assert (told.options.formula_safe, told.options.byte_order_mark) == (True, True)
    assert [(p.topic, p.next_offset, p.end_offset, p.behind) for p in told.positions] == [
        ("matter-deletions", 1, None, None),
        ("matter-views", 2, 12, 10),
    ]
    assert (told.topic_ends.asked_at, told.topic_ends.not_known_because) == (ASKED_AT, None)
    assert [(gap.first_missing, gap.next_available) for gap in told.gaps] == [(2, 9)]
    assert (told.unresolved_dead_letters, told.purges, told.series) == (0, None, None)


def test_a_manifest_counts_what_nobody_has_understood_yet(tmp_path: Path) -> None:
    """Whether it is known of which matter it is or not."""
    paths = a_log(tmp_path, a_view())
    of_a_matter = record_of(a_view(), 0, 1)._replace(key=b"another")
    with Store(paths) as store:
        store.apply(decode_records([of_a_matter, of_a_matter._replace(offset=2, value=b"no event")], Topics()), ())
    assert exported(paths, tmp_path / "x.csv", format="csv").unresolved_dead_letters == 2


@pytest.mark.parametrize("written", FORMATS)
@pytest.mark.parametrize("rows", [0, 1, 3_000])
def test_an_extract_as_it_was_written_agrees_with_its_manifest(tmp_path: Path, written: str, rows: int) -> None:
    """In every format: nothing, one row with line breaks in a name, many."""
    one = [a_view(matter_name="a\r\n{b\n\t{c <row ")][:rows]
    paths = a_big_log(tmp_path, rows) if rows > 1 else a_log(tmp_path, *one)
    target = tmp_path / f"x.{written}"
    told = exported(paths, target, format=written)
    assert told.rows == rows
    assert verify_extract(target, manifest_path(target)) == ()


@pytest.mark.parametrize("written", FORMATS)
@pytest.mark.parametrize("place", [0, 0.5, 1])
def test_one_changed_byte_is_found(tmp_path: Path, written: str, place: float) -> None:
    """The first, one in the middle, the last."""
    target = tmp_path / f"x.{written}"
    exported(a_log(tmp_path, a_view(), a_view()), target, format=written)
    data = bytearray(target.read_bytes())
    data[round(place * (len(data) - 1))] ^= 1
    target.write_bytes(data)
    differences = verify_extract(target, manifest_path(target))
    assert differences[0].startswith("the file's SHA-256 is ")


@pytest.mark.parametrize("written", ["xlsx", "parquet"])
def test_a_file_whose_middle_is_damaged_cannot_be_read(tmp_path: Path, written: str) -> None:
    """Whatever zipfile, zlib and pyarrow make of it: a sentence, and no error without a reason."""
    target = tmp_path / f"x.{written}"
    exported(a_log(tmp_path, a_view(), a_view()), target, format=written)
    good = target.read_bytes()
    for place in range(0, len(good), max(1, len(good) // 60)):
        target.write_bytes(good[:place] + b"\xff" * 20 + good[place + 20 :])
        assert verify_extract(target, manifest_path(target))[0].startswith("the file's ") or place + 20 > len(good)


def test_a_file_that_was_cut_differs_in_bytes_hash_and_rows(tmp_path: Path) -> None:
    """Each is told with both figures."""
    target = tmp_path / "x.csv"
    told = exported(a_log(tmp_path, a_view(), a_view()), target, format="csv")
    lines = target.read_bytes().splitlines(keepends=True)
    target.write_bytes(b"".join(lines[:2]))
    size, digest, rows = verify_extract(target, manifest_path(target))
    assert size == f"the file has {len(b''.join(lines[:2])):,} bytes, the manifest says {told.bytes:,}"
    assert told.sha256 in digest
    assert rows == "the file has 1 rows, the manifest says 2"


def test_a_manifest_whose_rows_were_changed_is_found(tmp_path: Path) -> None:
    """The file is counted, not believed."""
    target = tmp_path / "x.parquet"
    exported(a_log(tmp_path, a_view()), target, format="parquet")
    changed = json.loads(manifest_path(target).read_bytes()) | {"rows": 2}
    manifest_path(target).write_text(json.dumps(changed))
    assert verify_extract(target, manifest_path(target)) == ("the file has 1 rows, the manifest says 2",)


@pytest.mark.parametrize(
    ("manifest", "told"),
    [
        (None, r"x\.csv\.manifest\.json cannot be read \(No such file or directory\)"),
        (b"\xff", "is not a manifest"),
        (b"{}", "is not a manifest: extract_id: Field required"),
    ],
)
def test_what_is_no_manifest_is_told_as_such(tmp_path: Path, manifest: bytes | None, told: str) -> None:
    """With its name and the first thing that is wrong."""
    target = tmp_path / "x.csv"
    target.write_bytes(b"")
    if manifest is not None:
        manifest_path(target).write_bytes(manifest)
    with pytest.raises(BadManifest, match=told):
        verify_extract(target, manifest_path(target))


def test_the_command_ends_with_1_where_something_differs(tmp_path: Path) -> None:
    """And says so on standard output; with 0 where nothing does."""
    target = tmp_path / "x.json"
    exported(a_log(tmp_path, a_view()), target, format="json")
    good = CliRunner().invoke(app, ["verify-extract", str(target)])
    target.write_bytes(target.read_bytes() + b" ")
    bad = CliRunner().invoke(app, ["verify-extract", str(target)])
    assert (good.exit_code, bad.exit_code) == (0, 1)
    assert good.output == f"{target} matches {target}.manifest.json\n"
    assert f"{target}: the file has " in bad.output
