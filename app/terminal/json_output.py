"""A JSON array printed value by value, so that only one of them is in memory."""

import json
from collections.abc import Iterable
from typing import Any

import typer


def print_array(values: Iterable[Any]) -> None:
    """Print a JSON array as ``json.dumps(..., indent=2)`` writes it."""
    before = "["
    for value in values:
        typer.echo(before + "\n  " + json.dumps(value, indent=2).replace("\n", "\n  "), nl=False)
        before = ","
    typer.echo("[]" if before == "[" else "\n]")
