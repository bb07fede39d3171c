"""Undoing a formula-safe extract's guard: exactly what was put in front is taken away, and nothing else ever."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matterlog.schemas.columns import FORMULA_STARTS, without_formula_guard

TEXT = st.text(st.one_of(st.sampled_from(["'", *FORMULA_STARTS]), st.characters()))


def guarded(text: str) -> str:
    """The guard as the extract's statement sets it."""
    return f"'{text}" if text.lstrip("'").startswith(FORMULA_STARTS) else text


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
    assert without_formula_guard(guarded(text)) == text
    assert without_formula_guard(without_formula_guard(guarded(guarded(text)))) == text


@given(TEXT)
def test_what_is_guarded_never_begins_like_a_formula(text: str) -> None:
    """Which is what the guard is for."""
    assert not guarded(text).startswith(FORMULA_STARTS)
