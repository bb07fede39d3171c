"""A JSON array of any length, value by value: however its lines are broken, one piece of it is in memory."""

import json
import re
from collections.abc import Iterator
from typing import IO, Any, Final

from matterlog.app.errors import BadRecord

_PIECE_CHARACTERS: Final = 64 * 1024
_MAX_VALUE_CHARACTERS: Final = 1024 * 1024
# RFC 8259, section 2.
_NO_SPACE: Final = re.compile(r"[^ \t\r\n]")
_AFTER_A_NUMBER: Final = frozenset(" \t\r\n,]")
# Stands for an object with a name twice: which of the two values would count?
DOUBLED: Final = object()


def object_of(pairs: list[tuple[str, Any]]) -> Any:
    """Return the object of these names and values, or ``DOUBLED``."""
    values = dict(pairs)
    return values if len(values) == len(pairs) else DOUBLED


_decode: Final = json.JSONDecoder(object_pairs_hook=object_of).raw_decode


def array_values(text: IO[str]) -> Iterator[tuple[int, Any]]:
    """Read the values of one array, each with the line on which it begins.

    Raises:
        BadRecord: it is no array, is cut short, or holds a value of more than 1 Mi characters.
    """
    array = _ArrayText(text)
    array.step("[")
    while array.next() != "]":
        yield array.line, array.value()
        if array.next() != "]":
            array.step(",")
            if array.next() == "]":
                raise BadRecord(array.line, "a value must follow a comma")
    array.step("]")
    if array.next():
        raise BadRecord(array.line, "text after the array")


class _ArrayText:
    """The text, read piece by piece; ``line`` is the line of what comes next."""

    def __init__(self, text: IO[str]) -> None:
        self._text = text
        self._piece, self._at = "", 0
        self.line = 1

    def next(self) -> str:
        """Step over white space and return the character after it; empty at the end."""
        while True:
            found = _NO_SPACE.search(self._piece, self._at)
            self._step_to(found.start() if found else len(self._piece))
            if found or not self._read():
                return found[0] if found else ""

    def step(self, mark: str) -> None:
        """Step over this character."""
        if self.next() != mark:
            raise BadRecord(self.line, f"not a JSON array: {mark} is missing")
        self._at += 1

    def value(self) -> Any:
        """Read a value."""
        while True:
            try:
                value, end = _decode(self._piece, self._at)
            except (ValueError, RecursionError):
                if len(self._piece) - self._at > _MAX_VALUE_CHARACTERS or not self._read():
                    raise BadRecord(self.line, "not JSON") from None
                continue
            # A number may go on in the next piece: 1.5e is cut off before its exponent.
            if not isinstance(value, int | float) or self._piece[end : end + 1] in _AFTER_A_NUMBER or not self._read():
                self._step_to(end)
                return value

    def _step_to(self, end: int) -> None:
        self.line += self._piece.count("\n", self._at, end)
        self._at = end

    def _read(self) -> bool:
        more = self._text.read(_PIECE_CHARACTERS)
        self._piece, self._at = self._piece[self._at :] + more, 0
        return bool(more)
