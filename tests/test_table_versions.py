"""Tables at rest: what a version means never changes, and files of every version become what a new file is."""

import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from matterlog.consumers.database.store import Store
from matterlog.consumers.recovery.upgrade import open_upgraded
from matterlog.report.handover.register import FileRegister
from matterlog.report.web.identity.site_database import SiteDatabase
from testbed.feed import files_in
from tests.versions.copies import (
    TABLES,
    copy_of,
    log_rows,
    log_shape,
    sqlite_rows,
    sqlite_shape,
    statements_hash,
    versions_of,
    write_log,
    write_sqlite,
)

ROOT: Final = Path(__file__).parents[1]
# The statements of each version that was ever written to a file. A line is added, never changed.
PINNED: Final = {
    "log": {
        1: "a1a49e3d9afb690b42802213f863045c37db98c63a3b3fbdd26eca815d54946c",
        2: "a4044a85125fc54a586c6281c51babd5631443844e8a120ba11be7eb2e016b03",
    },
    "site": {
        1: "f609ae333dd8e54c3b802899f30c6da18d33549e5e3a12118f942861111a96bd",
        2: "ca339316b9d771673ecc1630e35c32593b02bee9a7dc6a416af5e9930295da5c",
    },
    "register": {1: "56fe07334d1c7e77f564cc951f8289e781c26784fb78ae72c5efe53b08a3f1f0"},
}
WHAT_TO_DO: Final = (
    "tables.sql of the {name} changed, and files of version {version} exist: raise the version of its Tables, write "
    "migrations/{next}.sql beside tables.sql, copy tables.sql to tests/versions/{name}/{next}.sql with rows in "
    "{next}.rows.sql, and pin {next}: {found!r} (docs/changing.md)"
)
each_file = pytest.mark.parametrize("name", TABLES)
each_log = pytest.mark.parametrize("version", versions_of("log"))
each_sqlite_file = pytest.mark.parametrize(
    ("name", "version", "user_version"),
    [
        (name, version, written)
        for name in ("site", "register")
        for version in versions_of(name)
        for written in {version, 0 if version == 1 else version}
    ],
)


@each_file
def test_the_tables_are_those_of_their_version(name: str) -> None:
    tables = TABLES[name]
    found = statements_hash(tables.script())
    assert found == PINNED[name].get(tables.version), WHAT_TO_DO.format(
        name=name, version=tables.version, next=tables.version + 1, found=found
    )


@each_file
def test_every_version_has_its_copy_and_a_way_to_this_one(name: str) -> None:
    tables = TABLES[name]
    assert versions_of(name) == list(PINNED[name]) == list(range(1, tables.version + 1))
    for version, pinned in PINNED[name].items():
        assert statements_hash(copy_of(name, version)) == pinned, f"tests/versions/{name}/{version}.sql was changed"
        assert tables.way_from(version) is not None, f"{tables.folder}/migrations/{version + 1}.sql is missing"


def test_layout_and_comments_are_not_the_statements() -> None:
    assert statements_hash("CREATE TABLE a (\n    b TEXT -- why\n);") == statements_hash(
        "-- A\nCREATE TABLE a (b TEXT);"
    )
    assert statements_hash("CREATE TABLE a (b TEXT, c TEXT);") != statements_hash("CREATE TABLE a (b TEXT);")


@each_log
def test_a_log_of_each_version_keeps_every_row_and_becomes_what_a_new_one_is(tmp_path: Path, version: int) -> None:
    paths = files_in(tmp_path)
    write_log(paths.database, version)
    before = log_rows(paths.database)
    assert all(rows for _, rows in before.values())
    with open_upgraded(lambda: Store(paths), paths):
        pass
    assert log_rows(paths.database, before) == before
    (tmp_path / "new").mkdir()
    with Store(files_in(tmp_path / "new")):
        pass
    assert log_shape(paths.database) == log_shape(files_in(tmp_path / "new").database)


@each_sqlite_file
def test_an_sqlite_file_of_each_version_keeps_every_row_and_becomes_what_a_new_one_is(
    tmp_path: Path, name: str, version: int, user_version: int
) -> None:
    """Also one from before the version was written into it."""
    old, new = tmp_path / "old", tmp_path / "new"
    write_sqlite(old, name, version, user_version)
    before = sqlite_rows(old)
    assert all(rows for _, rows in before.values())
    for file in (old, new):
        use(name, file)
        with closing(sqlite3.connect(file)) as connection:
            assert connection.execute("PRAGMA user_version").fetchone() == (TABLES[name].version,)
    assert sqlite_rows(old, before) == before
    assert sqlite_shape(old) == sqlite_shape(new)


def use(name: str, file: Path) -> None:
    """Open a file as the product does."""
    if name == "site":
        SiteDatabase(file)
        return
    file.touch(mode=0o600)  # a register that nobody wrote to is not made by looking
    assert len(FileRegister(file).extracts()) in {0, 2}


def test_no_statement_on_an_sqlite_file_counts_columns() -> None:
    """It would fail, or write into the wrong one, once a migration has added a column."""
    scripts = [path for path in (ROOT / "report").rglob("*.sql") if "INSERT" in path.read_text(encoding="utf-8")]
    assert len(scripts) > 5
    counting = re.compile(r"INSERT INTO \w+\s+(VALUES|SELECT)")
    assert not [path for path in scripts if counting.search(path.read_text(encoding="utf-8"))]
