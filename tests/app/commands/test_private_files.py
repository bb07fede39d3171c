"""What a command writes for a person holds names and addresses: its user alone may read it."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from matterlog.app.commands import app
from matterlog.schemas.storage.database_files import DatabaseFiles
from tests.report.charts.planted import planted_views
from tests.report.logs import a_log

PERIOD = ("--from", "2026-03-23", "--to", "2026-03-29")


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> DatabaseFiles:
    return a_log(tmp_path_factory.mktemp("planted"), *planted_views())


@pytest.fixture
def _everything_for_all() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def modes(folder: Path) -> dict[str, int]:
    """The names and modes of the visible files."""
    return {each.name: stat.S_IMODE(each.stat().st_mode) for each in folder.glob("[!.]*")}


@pytest.mark.usefixtures("_everything_for_all")
@pytest.mark.parametrize(
    ("command", "written"),
    [
        (("export", "--output", "x.csv"), {"x.csv", "x.csv.manifest.json"}),
        (("export", "--output", "x.xlsx", "--manifest", "y.json"), {"x.xlsx", "y.json"}),
        (("export", "--series", "x", "--directory", "."), {"x.0001.csv", "x.0001.csv.manifest.json"}),
        (("engagement", "users", *PERIOD, "--output", "x.csv"), {"x.csv", "x.csv.manifest.json"}),
        (("plot", "users", *PERIOD, "--output", "x.svg"), {"x.svg"}),
    ],
    ids=["export", "export with a manifest elsewhere", "series", "engagement", "plot"],
)
def test_a_file_and_its_manifest_are_the_users_alone_also_in_the_place_of_others(
    planted: DatabaseFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], written: set[str]
) -> None:
    """Whatever the umask is, and whoever could read what stood there."""
    monkeypatch.chdir(tmp_path)
    for name in written - {"x.0001.csv", "x.0001.csv.manifest.json"}:
        (tmp_path / name).touch(mode=0o666)
    ended = CliRunner().invoke(app, [*command, "--database", str(planted.database)])
    assert ended.exit_code == 0, ended.output
    assert modes(tmp_path) == dict.fromkeys(written, 0o600)
    assert all((tmp_path / name).stat().st_size for name in written)
