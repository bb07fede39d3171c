"""Damage to valid inputs: bytes that a fault of a disk, a client or an attacker leaves, and values that nobody expects.

All of it comes from one ``Random``, so that the same seed gives the same input again.
"""

import json
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Final, TypeVar

_T = TypeVar("_T")

# How deep a nested value is: deeper than the limits of the readers that are known (255, 1,000).
DEEP: Final = 3_000
_REPEATED_BYTES: Final = 4_096
_BYTES: Final = (
    b"\x00",
    b"\x7f",
    b"\x80",
    b"\xff",
    b"\x01",
    b"\xc3",
    b"\n",
    b"\r\n",
    b'"',
    b",",
    b"'",
    b"\\",
    b"{",
    b"[",
)
_PIECES: Final = (
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",  # the longest integer of Avro
    b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80",  # one that never ends
    b"\xff\xff\xff\xff\x0f",
    b"\xed\xa0\x80",  # half a surrogate pair
    b"\xc0\x80",  # NUL in too many bytes
    b"\xf4\x90\x80\x80",  # behind the end of Unicode
    b"\xef\xbb\xbf",
    b"\xe2\x80\xa8",
    b"\x00" * 8,
    b"-" * 40,
    b"9" * 5_000,
    b"1e999",
    b"NaN",
    b"\\ud800",
)

Damage = Callable[[bytes, Random], bytes]


def pick(values: Sequence[_T], dice: Random) -> _T:
    """Return one of these values; several times as fast as ``Random.choice``."""
    return values[int(dice.random() * len(values))]


def _place(data: bytes, dice: Random) -> int:
    return int(dice.random() * (len(data) + 1))


def _flip_a_bit(data: bytes, dice: Random) -> bytes:
    at = _place(data, dice)
    return data[:at] + bytes((data[at] ^ 1 << int(dice.random() * 8),)) + data[at + 1 :] if at < len(data) else data


def _set_a_byte(data: bytes, dice: Random) -> bytes:
    at = _place(data, dice)
    return data[:at] + pick(_BYTES, dice) + data[at + 1 :]


def _cut_the_end(data: bytes, dice: Random) -> bytes:
    return data[: _place(data, dice)]


def _cut_out(data: bytes, dice: Random) -> bytes:
    at = _place(data, dice)
    return data[:at] + data[at + 1 + int(dice.random() * 16) :]


def _put_in(data: bytes, dice: Random) -> bytes:
    at = _place(data, dice)
    return data[:at] + pick(_PIECES, dice) + data[at:]


def _repeat(data: bytes, dice: Random) -> bytes:
    at = _place(data, dice)
    block = data[at : at + 1 + int(dice.random() * 40)]
    return data[:at] + block * min(1 + int(dice.expovariate(0.2)), _REPEATED_BYTES) + data[at:]


def _swap(data: bytes, dice: Random) -> bytes:
    a, b, c = sorted(_place(data, dice) for _ in range(3))
    return data[:a] + data[b:c] + data[a:b] + data[c:]


_WAYS: Final[tuple[Damage, ...]] = (
    *(_flip_a_bit,) * 3, *(_set_a_byte,) * 3, _cut_the_end, _cut_out, _cut_out, _put_in, _put_in, _repeat, _swap
)  # fmt: skip


def damaged(data: bytes, dice: Random, others: Sequence[bytes] = ()) -> bytes:
    """Return data with one to four kinds of damage; sometimes with the end of one of the ``others``."""
    if others and dice.random() < 0.1:
        other = pick(others, dice)
        data = data[: _place(data, dice)] + other[_place(other, dice) :]
    for _ in range(1 + int(dice.random() ** 3 * 4)):
        data = pick(_WAYS, dice)(data, dice)
    return data


def _deep(dice: Random) -> Any:
    value: Any = None
    for _ in range(1 + int(dice.random() * 60)):
        value = [value] if dice.random() < 0.5 else {"a": value}
    return value


_TEXTS: Final = (
    "", " ",
    "\0", "a\0b", "\ud800", "\ufeff", "\u202e", "\u2028", "e\u0301", "\uff1d1+1", "=1+1", "'", "''=", '"', "\r\n",
    "x" * 129, "x" * 1_001, "x" * 70_000, "\U0001f6a2" * 200, "../../etc/passwd", "%00", "%s{0}$1`;--", "null", "None",
    "Guest", "live", "zoe@example.com", "@", "a@b", '"' * 50 + "@a.b", "a." * 160 + "@b.c",
    "2026-11-22T14:05:09.123456Z", "2026-11-22", "0001-01-01", "9999-12-31", "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59.999999-14:00", "0000-00-00T00:00:00Z", "2026-02-30", "2026-11-22T24:00:00Z", "-0001-01-01",
    "\u0661\u0662\u0663\u0664-01-01", "99999d", "30d", "all", "0d", "-1", "1e400", "0x10", "1_000", "9" * 20,
    "9" * 5_000,
    "018f0000-0000-8000-8000-000000000000", "{018F0000-0000-8000-8000-000000000000}", "Europe/London", "Etc/GMT-14",
    "UTC0", "posixrules", "\u0130stanbul", "a:0:0", "a:0:" + "9" * 25, ":::", "http://[", "tcp://1.2.3.4:5", "postgres://",
)  # fmt: skip
_NUMBERS: Final = (
    0, 1, -1, 2, 7, 255, 2**31 - 1, 2**31, 2**32, 2**53 + 1, 2**63 - 1, 2**63, -(2**63), 2**64, 10**25, 10**4_200,
    0.0, -0.0, 0.5, 1e-9, 1e15, 1e300, float("inf"), float("-inf"), float("nan"),
)  # fmt: skip


def odd_text(dice: Random) -> str:
    """Return a text that is a value somewhere, or nowhere."""
    if dice.random() < 0.15:
        return "".join(chr(_code_point(dice)) for _ in range(int(dice.random() * 12)))
    return pick(_TEXTS, dice)


def _code_point(dice: Random) -> int:
    return int(dice.random() * pick((0x80, 0x800, 0x10000, 0x110000), dice))


def odd_value(dice: Random) -> Any:
    """Return a value of any type that JSON has."""
    kind = dice.random()
    if kind < 0.5:
        return odd_text(dice)
    if kind < 0.8:
        return pick(_NUMBERS, dice)
    return pick((None, True, False, [], {}, [None], _deep(dice), [odd_text(dice)] * 3, {odd_text(dice): None}), dice)


def changed(value: Any, dice: Random) -> Any:
    """Return a JSON value with one change somewhere in it: a value or a name replaced, left out, added or swapped."""
    if not isinstance(value, dict | list) or not value or dice.random() < 0.1:
        return odd_value(dice)
    names = list(value) if isinstance(value, dict) else list(range(len(value)))
    name, way = pick(names, dice), dice.random()
    if way < 0.5:
        return _with(value, name, changed(value[name], dice))
    if way < 0.65:
        return _without(value, name)
    if way < 0.8:
        other = pick(names, dice)
        return _with(_with(value, name, value[other]), other, value[name])
    if isinstance(value, list):
        return value * pick((2, 5), dice)
    return _without(value, name) | {odd_text(dice): value[name]}


def _with(value: Any, name: Any, inner: Any) -> Any:
    if isinstance(value, dict):
        return value | {name: inner}
    return [*value[:name], inner, *value[name + 1 :]]


def _without(value: Any, name: Any) -> Any:
    if isinstance(value, dict):
        return {other: inner for other, inner in value.items() if other != name}
    return [*value[:name], *value[name + 1 :]]


def changed_json(value: Any, dice: Random) -> bytes:
    """Return a JSON value as bytes: with a few changes to its values, or to its bytes, or nested beyond all limits."""
    for _ in range(int(dice.random() ** 2 * 4)):
        value = changed(value, dice)
    text = json.dumps(value, ensure_ascii=dice.random() < 0.5).encode("utf-8", "surrogatepass")
    way = dice.random()
    if way < 0.02:
        at = _place(text, dice)
        return text[:at] + pick((b"[", b'{"a":', b"[{"), dice) * DEEP + text[at:]
    return damaged(text, dice) if way < 0.4 else text
