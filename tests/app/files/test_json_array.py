"""A JSON array read piece by piece is what JSON says, wherever a piece ends and however its lines break."""

import io
import json
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matterlog.app.errors import BadRecord
from matterlog.app.files import json_array
from matterlog.app.files.json_array import array_values

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(values=st.lists(VALUES, max_size=6), piece=st.integers(1, 40), indent=st.none() | st.integers(0, 3))
def test_the_values_are_those_of_the_array(values: list[object], piece: int, indent: int | None) -> None:
    """Pieces of one character are the worst."""
    text = json.dumps(values, indent=indent)
    with patch.object(json_array, "_PIECE_CHARACTERS", piece):
        assert [value for _, value in array_values(io.StringIO(text))] == values


@pytest.mark.parametrize("piece", [1, 5, 64])
def test_a_value_is_named_by_the_line_on_which_it_begins(piece: int) -> None:
    """Lines are counted in values too."""
    text = '\n[\n {"a":\n 1}\n,\n\n {"b": 2}, {"c": [\n]}]\n'
    with patch.object(json_array, "_PIECE_CHARACTERS", piece):
        assert [line for line, _ in array_values(io.StringIO(text))] == [3, 7, 7]


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("", 1, r"\[ is missing"),
        ("{}", 1, r"\[ is missing"),
        ("[", 1, "not JSON"),
        ("[1,\n2", 2, ", is missing"),
        ("[1\n2]", 2, ", is missing"),
        ("[1,\n]", 2, "must follow a comma"),
        ("[1]\n[2]", 2, "text after the array"),
        ("[{'a': 1}]", 1, "not JSON"),
        ("[" * 100_000, 1, "not JSON"),
        ('["' + "x" * 2_000_000 + '"]', 1, "not JSON"),
    ],
)
def test_an_array_that_is_broken_says_where(text: str, line: int, reason: str) -> None:
    """What stands before is read."""
    with pytest.raises(BadRecord, match=reason) as raised:
        list(array_values(io.StringIO(text)))
    assert raised.value.line == line
