"""Tables for people to read, and JSON for programs."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import typer
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
    # No one can widen a pipe, so nothing is cut there.
    Console(width=None if sys.stdout.isatty() else 10_000).print(table)


def print_array(values: Iterable[Any]) -> None:
    """Print a JSON array as ``json.dumps(..., indent=2)`` writes it, with one value at a time in memory."""
    before = "["
    for value in values:
        typer.echo(before + "\n  " + json.dumps(value, indent=2).replace("\n", "\n  "), nl=False)
        before = ","
    typer.echo("[]" if before == "[" else "\n]")
