"""Undoing a formula-safe extract's guard: exactly what was put in front is taken away, and nothing else ever."""

import re

import duckdb
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from matterlog.schemas.formula_guard import (
    FORMULA_STARTS,
    guarded,
    unguarded,
    with_formula_guard,
    without_formula_guard,
)

SEPARATORS = ",;\t\r\n"
TEXT = st.text(st.one_of(st.sampled_from(["'", '"', *SEPARATORS, *FORMULA_STARTS]), st.characters()))


@pytest.mark.parametrize("start", FORMULA_STARTS)
@pytest.mark.parametrize("quotes", ["'", "''", "'''"])
def test_one_quote_is_taken_from_in_front_of_what_begins_like_a_formula(start: str, quotes: str) -> None:
    """Behind any number of quotes that were there before."""
    assert without_formula_guard(f"{quotes}{start}1") == f"{quotes[1:]}{start}1"
    assert without_formula_guard(f"{quotes}{start}") == f"{quotes[1:]}{start}"


@pytest.mark.parametrize("text", ["", "'", "''", "'twas", "''x=1", "x", "=1", " '=1", "x'=1", "' =1"])
def test_what_carries_no_guard_stays_as_it_is(text: str) -> None:
    """A name may begin with a quote of its own."""
    assert without_formula_guard(text) == text


def test_these_are_the_characters_that_begin_a_formula() -> None:
    """OWASP's list, with the full-width twins."""
    assert FORMULA_STARTS == ("=", "+", "-", "@", "\t", "\r", "\n", "\0", "＝", "＋", "－", "＠")  # noqa: RUF001


@given(TEXT)
def test_undoing_the_guard_gives_back_any_text(text: str) -> None:
    """Guarded or not, once or several times."""
    assert without_formula_guard(with_formula_guard(text)) == text
    assert without_formula_guard(without_formula_guard(with_formula_guard(with_formula_guard(text)))) == text


@pytest.mark.parametrize("separator", SEPARATORS)
@pytest.mark.parametrize("quotes", ["", "'", '"', "''\"", "\"'"])
def test_what_stands_behind_a_separator_is_guarded_like_the_beginning(separator: str, quotes: str) -> None:
    """Behind any number of quotes of either kind: a spreadsheet may begin a cell there."""
    text = f"A{separator}{quotes}=1"
    assert with_formula_guard(text) == f"A{separator}'{quotes}=1"
    assert without_formula_guard(with_formula_guard(text)) == text


@given(TEXT)
def test_what_is_guarded_never_begins_like_a_formula(text: str) -> None:
    """Which is what the guard is for."""
    assert not with_formula_guard(text).startswith(FORMULA_STARTS)


def said_in_other_words(text: str) -> str:
    """The rule, once more."""
    parts = re.split(rf"(?<=[{SEPARATORS}])", text)
    signs = set(FORMULA_STARTS) - set(SEPARATORS)
    inside = "".join(f"'{part}" if part.lstrip("'\"")[:1] in signs else part for part in parts[1:])
    return f"'{parts[0]}{inside}" if text.lstrip("'\"")[:1] in FORMULA_STARTS else parts[0] + inside


@given(
    st.lists(
        st.text(
            st.one_of(st.sampled_from(["'", '"', ";", "\t", *FORMULA_STARTS]), st.characters(codec="utf-8")), max_size=6
        )
    )
)
@example(["'=1", "''=1", "'x", "=1", "\uff1d1", "x", "1", "", "A;=1", "A;\"'=1", "A,\uff1d1", "\t=\0;\0", "=;="])
def test_sql_and_python_say_what_the_rule_says(texts: list[str]) -> None:
    """Setting the guard and undoing it, for any text."""
    statement = f"SELECT {guarded('t')}, {unguarded('t')} FROM (SELECT unnest($texts::VARCHAR[]) AS t)"  # noqa: S608 - our own
    found = duckdb.execute(statement, {"texts": texts}).fetchall()
    assert found == [(said_in_other_words(text), without_formula_guard(text)) for text in texts]
    assert [with_formula_guard(text) for text in texts] == [safe for safe, _ in found]


def test_no_value_stays_no_value() -> None:
    """The guard is for text."""
    statement = f"SELECT {guarded('t')}, {unguarded('t')} FROM (SELECT NULL::VARCHAR AS t)"  # noqa: S608 - our own
    assert duckdb.execute(statement).fetchall() == [(None, None)]
