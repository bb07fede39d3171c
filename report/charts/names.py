"""Names as labels: shortened to a width, isolated by text direction, distinct, and always read as text.

Labels are only data of a chart: no title, expression or sort order of a specification contains a name.
"""

import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import Final

# Unicode's first-strong isolate and its end (UAX #9): a right-to-left name does not change the order of the text
# around it.
_ISOLATE: Final = "\u2068"
_END_OF_ISOLATE: Final = "\u2069"
# Controls, surrogates and unassigned code points: XML forbids some, and fonts draw boxes for the others.
_NEVER_DRAWN: Final = frozenset({"Cc", "Cs", "Cn"})
# Characters that change the direction of the text around them. Our own isolate does that once, and ends.
_DIRECTION_CONTROLS: Final = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")
_NO_NAME: Final = "(no name)"
_ELLIPSIS: Final = "…"


def plain(name: str) -> str:
    """Return a name on one line, without characters that no font draws or that change the text direction."""
    kept = (" " if unicodedata.category(character) in _NEVER_DRAWN else character for character in name)
    text = " ".join("".join(kept).translate(dict.fromkeys(map(ord, _DIRECTION_CONTROLS))).split())
    return text if _width(text) else _NO_NAME


def labels(named: Sequence[tuple[str, str]], width: int) -> list[str]:
    """Return the labels of (name, ID) pairs, isolated by direction and at most as wide as ``width`` Latin characters.

    Labels that would look the same are followed by their ID.
    """
    cut = [_cut(plain(name), width) for name, _ in named]
    times = Counter(cut)
    return [
        _isolated(text)
        if times[text] == 1
        else f"{_isolated(_cut(text, width - min(len(identity), width // 2) - 3))} ({_isolated(plain(identity))})"
        for text, (_, identity) in zip(cut, named, strict=True)
    ]


def _isolated(text: str) -> str:
    return f"{_ISOLATE}{text}{_END_OF_ISOLATE}"


def _cut(text: str, width: int) -> str:
    """Shorten a text between visible characters, so that no accent is separated from its letter."""
    if _width(text) <= width:
        return text
    kept, used = 0, 0
    for index, character in enumerate(text):
        used += _width(character)
        if used >= width:
            break
        if index + 1 == len(text) or _width(text[index + 1]):
            kept = index + 1
    return text[:kept].rstrip() + _ELLIPSIS


def _width(text: str) -> int:
    """Return the width of a text: East Asian characters count two, marks and joiners none (UAX #11)."""
    return sum(
        0
        if unicodedata.category(character) in {"Mn", "Me", "Cf"}
        else 1 + (unicodedata.east_asian_width(character) in "WF")
        for character in text
    )
