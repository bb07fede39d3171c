"""Statements in ``.sql`` files, the lists of columns that are put into them, and rows by their columns' names."""

import sqlite3
from contextlib import closing

import duckdb
import pytest

from matterlog.schemas.storage.statements import load_statements, named_rows

QUERY = "SELECT 1 AS one, 'b' AS two UNION ALL SELECT 2, NULL ORDER BY one"
ROWS = [{"one": 1, "two": "b"}, {"one": 2, "two": None}]


def test_a_list_is_put_in_wherever_its_placeholder_stands_and_nowhere_else() -> None:
    lists = {"incoming_content": "i.a, i.b", "stored_content": "a.a, a.b"}
    plain = load_statements("matterlog.consumers.database", "apply.sql")
    filled = load_statements("matterlog.consumers.database", "apply.sql", **lists)
    assert {name for name in plain if plain[name] != filled[name]} == {"known_views", "repeated_views"}
    assert "(i.a, i.b) IS DISTINCT FROM (a.a, a.b)" in filled["known_views"]


def test_a_list_that_has_no_place_is_refused() -> None:
    with pytest.raises(ValueError, match=r"apply\.sql: there is no \{columns\}"):
        load_statements("matterlog.consumers.database", "apply.sql", columns="a, b")


def test_rows_of_both_databases_have_their_columns_names() -> None:
    """In the order of the statement; without a row there is none."""
    with closing(sqlite3.connect(":memory:")) as sqlite, closing(duckdb.connect()) as duck:
        assert named_rows(sqlite.execute(QUERY)) == named_rows(duck.execute(QUERY)) == ROWS
        assert named_rows(duck.execute("SELECT 1 AS one WHERE false")) == []
