"""A JSON array that is printed value by value reads as one that was printed at once."""

import json
from typing import Any

import pytest

from matterlog.app.terminal.tables import print_array


@pytest.mark.parametrize("values", [[], [1], [{"a": [1, "é\n"]}, {}]])
def test_an_array_printed_value_by_value_is_the_array(values: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    print_array(iter(values))
    printed = capsys.readouterr().out
    assert json.loads(printed) == values
    assert printed == json.dumps(values, indent=2) + "\n"
