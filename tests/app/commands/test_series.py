"""`export --series` and `series show` as cron runs them."""

from pathlib import Path

from testbed.command import done, owned, run
from testbed.events import a_deletion, a_view
from tests.report.logs import a_log, apply


def test_a_series_grows_by_what_arrived_and_shows_its_parts(tmp_path: Path) -> None:
    """In a new folder, without an owner, then with one; each file agrees with its manifest."""
    paths, folder = a_log(tmp_path, a_view(matter_id="m-1"), a_view(matter_id="m-2")), tmp_path / "reports" / "daily"
    command = ("export", "--database", paths.database, "--series", "activity", "--directory", folder)
    first = done(*command)
    with owned(paths) as store:
        apply(store, a_view(matter_id="m-2"), a_deletion(matter_id="m-1"))
        second = done(*command)
    shown = done("series", "show", "activity", "--directory", folder, settings={"COLUMNS": "200"})
    assert first.err == f"part 1 of activity, full: 2 rows, to {folder / 'activity.0001.csv'}\n"
    assert second.err.startswith("part 2 of activity, delta: 1 rows that arrived since part 1, 1 matters purged since")
    assert "activity.0001.csv" in shown.text
    assert "activity.0002.csv" in shown.text
    done("verify-extract", folder / "activity.0002.csv")


def test_a_part_that_was_changed_is_shown_and_ends_with_1(tmp_path: Path) -> None:
    """So does a series that has no part."""
    paths = a_log(tmp_path, a_view())
    done("export", "--database", paths.database, "--series", "a", "--directory", tmp_path, "--format", "ndjson")
    (tmp_path / "a.0001.ndjson").write_bytes(b"{}\n")
    changed = run("series", "show", "a", "--directory", tmp_path)
    missing = run("series", "show", "b", "--directory", tmp_path)
    assert (changed.code, missing.code) == (1, 1)
    assert "part 1: the file has 3 bytes, the manifest says" in changed.text
    assert missing.err == f"The series b in {tmp_path} has 0 parts, 0 problems.\n"


def test_a_folder_that_cannot_be_made_is_an_error_that_names_it(tmp_path: Path) -> None:
    """Nothing is written."""
    paths, folder = a_log(tmp_path, a_view()), tmp_path / "file" / "reports"
    folder.parent.touch()
    ended = run("export", "--database", paths.database, "--series", "a", "--directory", folder)
    assert ended.code == 1
    assert f"{folder} cannot be written to (Not a directory)" in ended.err
