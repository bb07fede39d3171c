"""What counts as the same output of a command that a document shows."""

from typing import Final

import pytest

from tests.consoles import Shown, consoles, in_columns, same_output, with_outputs

DOCUMENT: Final = """# Title

```console
$ matterlog backup
20261201T122457.640783Z
$ echo '{"matter_ID": \\
  "M-1"}' | matterlog emit deletions -
1 events sent
```

```console
$ matterlog backup
20261201T122458.640783Z
```
"""


def test_commands_are_found_with_their_outputs() -> None:
    emit = 'echo \'{"matter_ID": \\\n  "M-1"}\' | matterlog emit deletions -'
    backups = [Shown("matterlog backup", f"20261201T12245{second}.640783Z\n") for second in (7, 8)]
    assert consoles(DOCUMENT) == [backups[0], Shown(emit, "1 events sent\n"), backups[1]]


@pytest.mark.parametrize(
    ("shown", "real"),
    [
        ("due at 2026-12-02T12:14:55Z", "due at 2027-01-02T00:00:00Z"),
        (
            "rewritten in 8.3 s, from 2,371,584 to 1,847,296 bytes",
            "rewritten in 0.1 s, from 1,371,584 to 847,296 bytes",
        ),
        ("┏━━━┳━━┓\n│ a │ 1 │", "┏━━━━━━┳━━┓\n│ a     │ 1   │"),
        ("begins\n...\nends", "begins\nmore\nand more\nends"),
        ("begins\n...", "begins"),
    ],
)
def test_outputs_are_the_same_that_differ_in_what_each_run_has_of_its_own(shown: str, real: str) -> None:
    assert same_output(shown, real)


@pytest.mark.parametrize(
    ("shown", "real"),
    [
        ("3 views stored", "4 views stored"),
        ("due at 2026-12-02T12:14:55Z", "due by 2026-12-02T12:14:55Z"),
        ("│ matter │ due at │", "│ matter │ views │ due at │"),
        ("begins\n...\nends", "begins\nmore"),
        ("begins", "begins\nmore"),
        ("", "something"),
    ],
)
def test_outputs_differ_in_words_counts_columns_and_lines(shown: str, real: str) -> None:
    assert not same_output(shown, real)


def test_only_outputs_that_differ_are_written_anew() -> None:
    """The same command may stand in a document more than once."""
    outputs = iter(["20270101T000000.000000Z\n", "2 events sent\n", "no backup\n"])
    changed = DOCUMENT.replace("1 events", "2 events").replace("20261201T122458.640783Z", "no backup")
    assert with_outputs(DOCUMENT, outputs) == changed


def test_a_table_fits_its_cells_again() -> None:
    long = "before\n┏━━━━━━━┳━━━┓\n┃ where ┃ n ┃\n┡━━━━━━━╇━━━┩\n│ a │ 1 │\n└───────┴───┘\nafter\n"
    assert in_columns(long) == long.replace("│ a │ 1 │", "│ a     │ 1 │")
    assert in_columns(long.replace("where", "w")) == (
        "before\n┏━━━┳━━━┓\n┃ w ┃ n ┃\n┡━━━╇━━━┩\n│ a │ 1 │\n└───┴───┘\nafter\n"
    )
