"""``matterlog diff``: two extracts explained at the command line."""

import json
from pathlib import Path
from typing import Any

import pytest

from matterlog.consumers.database.store import Store
from matterlog.schemas.storage.database_files import DatabaseFiles
from testbed.command import done, owned, run
from testbed.events import a_deletion, a_view
from tests.report.logs import a_log, apply


@pytest.fixture
def log(tmp_path: Path) -> DatabaseFiles:
    """A log of two matters, of which an extract was taken before one was deleted and another came."""
    paths = DatabaseFiles(tmp_path / "log.duckdb")
    with Store(paths) as store:
        apply(store, a_view(), a_view(), a_view(matter_id="m-2"))
        store.reopen()
    done("export", "--database", paths.database, "--output", tmp_path / "old.csv")
    with Store(paths) as store:
        apply(store, a_view(matter_id="m-3"), a_deletion(matter_id="m-2"))
    return paths


def told(log: DatabaseFiles, old: str, new: str, *more: str | Path) -> tuple[int, dict[str, Any]]:
    """The exit code, and what the command says as JSON."""
    folder = log.database.parent
    ended = run("diff", folder / old, folder / new, "--database", log.database, "--json", *more)
    return ended.code, json.loads(ended.out)


def test_a_later_extract_in_another_format_is_explained_through_the_owner(log: DatabaseFiles, tmp_path: Path) -> None:
    with owned(log):
        done("export", "--database", log.database, "--output", tmp_path / "new.parquet")
        code, found = told(log, "old.csv", "new.parquet", "--rows", tmp_path / "rows.ndjson")
    assert code == 0
    assert (found["new"], found["purged"], found["changed"], found["unexplained"]) == (1, 1, 0, 0)
    assert [(purged["matter_id"], purged["rows"]) for purged in found["purged_matters"]] == [("m-2", 1)]
    rows = [json.loads(line) for line in (tmp_path / "rows.ndjson").read_text().splitlines()]
    assert [(row["difference"], row["matter_ID"]) for row in rows] == [("new", "m-3"), ("purged", "m-2")]


def test_a_filter_in_the_manifest_explains_what_is_left_out(log: DatabaseFiles, tmp_path: Path) -> None:
    done("export", "--database", log.database, "--matter", "m-3", "--output", tmp_path / "new.csv")
    code, found = told(log, "old.csv", "new.csv")
    assert (code, found["left_out"], found["purged"], found["unexplained"]) == (0, 2, 1, 0)


def test_a_row_that_was_taken_out_is_unexplained_and_the_exit_code_says_so(log: DatabaseFiles, tmp_path: Path) -> None:
    done("export", "--database", log.database, "--output", tmp_path / "new.csv")
    lines = (tmp_path / "new.csv").read_bytes().splitlines(keepends=True)
    (tmp_path / "new.csv").write_bytes(b"".join(line for line in lines if b"m-42" not in line))
    code, found = told(log, "old.csv", "new.csv")
    assert (code, found["unexplained"]) == (1, 2)
    printed = run("diff", tmp_path / "old.csv", tmp_path / "new.csv", "--database", log.database)
    assert printed.code == 1
    assert "Not every difference is explained" in printed.text
    assert "m-2" in printed.text


def test_a_raw_file_is_read_without_a_guard(tmp_path: Path) -> None:
    """As its manifest says."""
    paths = a_log(tmp_path, a_view(user_name="'=x"), a_view(user_name="=x"))
    for name, more in (("old.csv", ()), ("new.csv", ("--raw-csv",))):
        done("export", "--database", paths.database, "--output", tmp_path / name, *more)
    code, found = told(paths, "old.csv", "new.csv")
    assert (code, found["new"], found["unexplained"]) == (0, 0, 0)


def test_a_row_that_survived_its_matter_is_unexplained(log: DatabaseFiles, tmp_path: Path) -> None:
    """The manifest says when the new extract was taken: after the purge."""
    done("export", "--database", log.database, "--output", tmp_path / "new.csv")
    (tmp_path / "new.csv").write_bytes((tmp_path / "old.csv").read_bytes())
    code, found = told(log, "old.csv", "new.csv")
    assert (code, found["unexplained"]) == (1, 1)


def test_without_a_log_and_manifests_purges_are_not_known_and_that_is_told(log: DatabaseFiles, tmp_path: Path) -> None:
    done("export", "--database", log.database, "--output", tmp_path / "new.csv")
    for manifest in tmp_path.glob("*.manifest.json"):
        manifest.unlink()
    ended = run("diff", tmp_path / "old.csv", tmp_path / "new.csv", "--database", tmp_path / "none.duckdb", "--json")
    assert (ended.code, json.loads(ended.out)["unexplained"]) == (1, 1)
    assert "old.csv has no manifest" in ended.err
    assert "The purges of the log are unknown" in ended.err


@pytest.mark.parametrize(("name", "code", "words"), [("none.csv", 2, "there is no file"), ("a.xlsx", 2, "is xlsx")])
def test_what_cannot_be_compared_is_wrong_use(tmp_path: Path, name: str, code: int, words: str) -> None:
    (tmp_path / "a.xlsx").write_bytes(b"PK")
    ended = run("diff", tmp_path / name, tmp_path / name, "--database", tmp_path / "none.duckdb")
    assert ended.code == code
    assert words in ended.err
