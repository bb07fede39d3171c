"""The consoles that documents show: commands behind a ``$``, and what they print.

A console is a block of the language ``console``. In it a line ``...`` stands for any lines. Two outputs are the same if
they differ in what is of its own at every run: instants, times taken, sizes, hashes, IDs, process IDs and the widths of
tables.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

_CONSOLE: Final = re.compile(r"^```console\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_PROMPT: Final = "$ "
_ANY_LINES: Final = "..."
_OF_EACH_RUN: Final = (
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?(\.\d+)?(Z|\+00:00)?|\d{8}T\d{6}\.\d{6}Z"), "INSTANT"),
    (re.compile(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"), "UUID"),
    (re.compile(r"\b[0-9a-f]{8,64}\b"), "HASH"),
    (re.compile(r"\b[\d,]+ bytes\b"), "SIZE"),
    (re.compile(r"\b\d+\.\d+ (s|ms)\b"), "TIME TAKEN"),
    (re.compile(r"127\.0\.0\.1:\d+|\bkafka:9092\b"), "BROKER"),
    (re.compile(r"\b(process|pid) \d+"), r"\1 ID"),
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
