"""Tables for people to read."""

from collections.abc import Iterable, Mapping, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table
from rich.text import Text


def print_table(columns: Sequence[Column | str], rows: Iterable[Sequence[str | Text]]) -> None:
    """Print rows under the titles of their columns. A text is printed as it is, whatever looks like markup in it."""
    _print(Table(*columns), rows)


def print_facts(facts: Mapping[str, str | Text]) -> None:
    """Print what is known of one thing, by name."""
    _print(Table(show_header=False, box=None), facts.items())


def _print(table: Table, rows: Iterable[Sequence[str | Text]]) -> None:
    for row in rows:
        table.add_row(*(escape(cell) if isinstance(cell, str) else cell for cell in row))
    Console().print(table)
