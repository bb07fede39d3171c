"""The consoles that documents show: commands behind a ``$``, and what they print.

A console is a block of the language ``console``. In it a line ``...`` stands for any lines. Two outputs are the same if
they differ only in what every run has of its own: instants, times taken, sizes, hashes, IDs, passwords, processes,
addresses, versions, and the widths of tables.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

_CONSOLE: Final = re.compile(r"^```console\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_PROMPT: Final = "$ "
_ANY_LINES: Final = "..."
_OF_EACH_RUN: Final = (
    (
        re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d([.,]\d+)?)?(Z|\+00:00)?|\d{8}T\d{6}\.\d{6}Z|\b1\d{12}\b"),
        "INSTANT",
    ),
    (re.compile(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"), "ID"),
    (re.compile(r"\b[0-9a-f]{32,64}\b"), "HASH"),
    (re.compile(r"\b[a-z0-9]{5}(-[a-z0-9]{5}){3}\b"), "PASSWORD"),
    (re.compile(r"\b\d{1,3}(,\d{3})+\b|\b\d+(?= bytes\b)"), "SIZE"),
    (re.compile(r"\b\d+\.\d+ (s|ms)\b"), "TIME TAKEN"),
    (re.compile(r"127\.0\.0\.1:\d+|\bkafka:9092\b"), "ADDRESS"),
    (re.compile(r"\bprocess (\d+|\[\d+\])"), "PROCESS"),
    (re.compile(r"\b(PostgreSQL|DuckDB) [\d.]+"), r"\1 VERSION"),
    (re.compile(r"[─━]+"), "─"),
    (re.compile(r" +"), " "),
)


@dataclass(frozen=True, slots=True)
class Shown:
    """A command of a document, and the output that is shown below it."""

    command: str
    output: str


def consoles(document: str) -> list[Shown]:
    """Return the commands of a document's consoles in their order."""
    return [shown for console in _CONSOLE.findall(document) for shown in _commands(console)]


def _commands(console: str) -> Iterator[Shown]:
    before, *commands = re.split(rf"^{re.escape(_PROMPT)}", console, flags=re.MULTILINE)
    assert not before, f"a console begins with a command, not with {before}"
    for each in commands:
        # A command goes on behind a backslash at the end of its line.
        lines = each.splitlines(keepends=True)
        ends = next(number for number, line in enumerate(lines, 1) if not line.endswith("\\\n"))
        yield Shown("".join(lines[:ends]).strip(), "".join(lines[ends:]))


def same_output(shown: str, real: str) -> bool:
    """Return whether a command prints what a document shows."""
    return _fits(_lines(shown), _lines(real))


def _lines(output: str) -> list[str]:
    for of_each_run, name in _OF_EACH_RUN:
        output = of_each_run.sub(name, output)
    return [line.strip() for line in output.strip().splitlines()]


def _fits(shown: Sequence[str], real: Sequence[str]) -> bool:
    if not shown or not real:
        return all(line == _ANY_LINES for line in shown) and not real
    if shown[0] == _ANY_LINES:
        return _fits(shown[1:], real) or _fits(shown, real[1:])
    return shown[0] == real[0] and _fits(shown[1:], real[1:])


def with_outputs(document: str, outputs: Iterator[str]) -> str:
    """Return a document whose commands have these outputs, in their order. What is the same stays as it is."""

    def written(console: re.Match[str]) -> str:
        lines = [f"{_PROMPT}{shown.command}\n{_newer(shown.output, next(outputs))}" for shown in _commands(console[1])]
        return f"```console\n{''.join(lines)}```"

    return _CONSOLE.sub(written, document)


def _newer(shown: str, real: str) -> str:
    return shown if same_output(shown, real) else real


def in_columns(output: str) -> str:
    """Return an output whose tables fit their cells, in which something was replaced."""
    tables = re.compile(r"(?:^[┏┃┡│└].*\n)+", re.MULTILINE)
    return tables.sub(lambda table: _in_columns(table[0].splitlines()), output)


def _in_columns(lines: Sequence[str]) -> str:
    rows = {number: re.split("[│┃]", line)[1:-1] for number, line in enumerate(lines) if line[0] in "│┃"}
    widths = [max(len(cell.strip()) for cell in column) + 2 for column in zip(*rows.values(), strict=True)]
    written = []
    for number, line in enumerate(lines):
        edge, filler = (line[0], " ") if number in rows else ("", line[1])
        cells = [f" {cell.strip()}" for cell in rows[number]] if number in rows else ["" for _ in widths]
        filled = [cell.ljust(width, filler) for cell, width in zip(cells, widths, strict=True)]
        corners = re.sub(r"[^┏┳┓┡╇┩└┴┘]", "", line)
        written.append(edge + edge.join(filled) + edge if edge else _joined(corners, filled))
    return "".join(f"{line}\n" for line in written)


def _joined(corners: str, filled: Sequence[str]) -> str:
    return "".join(corner + each for corner, each in zip(corners, [*filled, ""], strict=True))
