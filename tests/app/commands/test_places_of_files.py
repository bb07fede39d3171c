"""A command writes beside the database, or where it is told to, and nowhere else."""

from pathlib import Path

import pytest

from matterlog.schemas.storage.database_files import DatabaseFiles
from testbed.command import end_of, start
from tests.report.charts.planted import planted_views
from tests.report.logs import a_log

PERIOD = ("--from", "2026-03-23", "--to", "2026-03-29")
COMMANDS = {
    "status": ("status",),
    "export": ("export", "--output", "x.xlsx"),
    "export to standard output": ("export", "--format", "parquet", "--output", "-"),
    "engagement": ("engagement", "users", *PERIOD, "--output", "x.xlsx"),
    "engagement to standard output": ("engagement", "users", *PERIOD, "--format", "parquet"),
    "plot as png": ("plot", "users", *PERIOD, "--output", "x.png"),
    "plot as html": ("plot", "users", *PERIOD, "--output", "x.html"),
    "diff": ("diff", "old.csv", "old.csv", "--rows", "x.ndjson"),
    "purges": ("purges", "list"),
    "backup": ("backup",),
    "erase": ("erase", "--now"),
    "verify-purge": ("verify-purge", "m-9"),
    "accounts": ("accounts", "list"),
}


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> DatabaseFiles:
    paths = a_log(tmp_path_factory.mktemp("planted"), *planted_views())
    made = end_of(start("export", "--database", paths.database, "--output", paths.database.with_name("old.csv")))
    assert made.code == 0, made.err
    return paths


@pytest.mark.parametrize("name", COMMANDS)
def test_no_home_and_no_folder_of_temporary_files_is_needed_or_written_to(
    planted: DatabaseFiles, tmp_path: Path, name: str
) -> None:
    """A user of a container has no home, and what is written to a shared folder others may find."""
    home, temporary, work = (tmp_path / each for each in ("home", "temporary", "work"))
    temporary.mkdir()
    work.mkdir()
    (work / "old.csv").write_bytes(planted.database.with_name("old.csv").read_bytes())
    settings = {
        "HOME": str(home),
        "XDG_CACHE_HOME": str(home / "cache"),
        "XDG_CONFIG_HOME": str(home / "config"),
        "TMPDIR": str(temporary),
        "MATTERLOG_DATABASE": str(planted.database),
    }
    ended = end_of(start(*COMMANDS[name], cwd=work, settings=settings))
    assert ended.code in ({3} if name == "verify-purge" else {0}), ended.err  # no broker is set, which it says
    assert not home.exists()
    assert list(temporary.iterdir()) == []
    assert not [each for each in (*work.iterdir(), *planted.database.parent.iterdir()) if each.name.startswith(".")]
