"""docs/promises.md, made from the table of promises, the files of tests and the planted faults."""

import re
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import Final

from tests.mutants.mutants import Mutant, read_mutants
from tests.promises.promises import FAULTS, PROMISES, ROOT, Promise, files_of_tests, promise_of

DOCUMENT: Final = ROOT / "docs" / "promises.md"
_LINE_CHARACTERS: Final = 120
_TEST: Final = re.compile(r"^ *(?:async )?def test_", re.MULTILINE)
_HEAD: Final = """\
# What is promised, and what holds it

`python -m tests.promises` writes this page from `tests/promises/promises.py`, the tests and the planted faults.

A *planted fault* breaks one fact in a copy of the code, and a test must fail then (`make mutants`). *Tests with faults*
kill real processes, or the things that they need, at random moments (`make faults`).
"""


_COLUMNS: Final = """\
| promise | tests | of them with faults | planted faults |
| --- | --- | --- | --- |"""


def document() -> str:
    """Return the whole page."""
    files, mutants = files_of_tests(), read_mutants()
    rows = [_row(promise, files, mutants) for promise in PROMISES]
    parts = [_part(promise, files) for promise in PROMISES]
    return "\n".join([_HEAD, _COLUMNS, *rows, "", *parts, _end(files, mutants)])


def fault_belongs_to(mutant: Mutant) -> Promise | None:
    """Return the promise that a planted fault breaks: that of its first test."""
    return promise_of(mutant.test.partition("::")[0])


def _row(promise: Promise, files: Iterable[str], mutants: Iterable[Mutant]) -> str:
    own = [file for file in files if promise_of(file) is promise]
    faults = _tests_in(file for file in own if file.startswith(FAULTS))
    planted = sum(fault_belongs_to(mutant) is promise for mutant in mutants)
    anchor = promise.title.lower().replace(",", "").replace(" ", "-")
    return f"| [{promise.title}](#{anchor}) | {_tests_in(own)} | {faults} | {planted} |"


def _tests_in(files: Iterable[str]) -> int:
    return sum(len(_TEST.findall((ROOT / file).read_text(encoding="utf-8"))) for file in files)


def _part(promise: Promise, files: Iterable[str]) -> str:
    own = [file for file in files if promise_of(file) is promise]
    lines = [f"## {promise.title}", "", *_wrapped(promise.says), "", "Held by:", ""]
    lines += [line for folder, names in _by_folder(own) for line in _wrapped(f"- `{folder}/`: {names}", "  ")]
    lines += [line for text in promise.beside for line in _wrapped(f"- {text}", "  ")]
    lines += ["", "Assumed, or not shown:", ""]
    return "\n".join([*lines, *(line for text in promise.not_shown for line in _wrapped(f"- {text}", "  ")), ""])


def _by_folder(files: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Return each folder with the short names of its files."""
    paths = [PurePosixPath(file) for file in files]
    for folder in dict.fromkeys(path.parent for path in paths):
        names = [path.stem.removeprefix("test_").replace("_", " ") for path in paths if path.parent == folder]
        yield str(folder), ", ".join(names)


def _wrapped(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(
        text, _LINE_CHARACTERS, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def _end(files: Iterable[str], mutants: Iterable[Mutant]) -> str:
    kept = [file for file in files if promise_of(file) is None]
    planted = sum(fault_belongs_to(mutant) is None for mutant in mutants)
    said = (
        f"How the project is built and kept (the order of its parts, its documents, its demo) has "
        f"{_tests_in(kept)} more tests. Planted faults there: {planted}."
    )
    return "\n".join(["## The rest", "", *_wrapped(said), ""])
