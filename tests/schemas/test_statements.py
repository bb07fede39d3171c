"""Rows by their columns' names."""

import sqlite3
from contextlib import closing

import duckdb

from matterlog.schemas.statements import named_rows

QUERY = "SELECT 1 AS one, 'b' AS two UNION ALL SELECT 2, NULL ORDER BY one"
ROWS = [{"one": 1, "two": "b"}, {"one": 2, "two": None}]


def test_rows_of_both_databases_have_their_columns_names() -> None:
    """In the order of the statement; without a row there is none."""
    with closing(sqlite3.connect(":memory:")) as sqlite, closing(duckdb.connect()) as duck:
        assert named_rows(sqlite.execute(QUERY)) == named_rows(duck.execute(QUERY)) == ROWS
        assert named_rows(duck.execute("SELECT 1 AS one WHERE false")) == []
