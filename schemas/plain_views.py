"""The fast path of ``emit()``, which checks and encodes plain views in one step.

1. *Plain* is narrower than valid: printable text of a usual length and a time in UTC. Nearly every view is plain.
2. Every plain view is valid, and its bytes are the same as fastavro's. All other views are left to the models and to
   fastavro, which alone decide what is valid and report what is wrong.
3. A text may be of a subclass of ``str``: its characters are used, and none of its methods is called.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final

from matterlog.schemas.columns import EVENT_ORDER, ColumnKind
from matterlog.schemas.events import (
    EARLIEST,
    MAX_EMAIL_CHARACTERS,
    MAX_ID_CHARACTERS,
    MAX_NAME_CHARACTERS,
    MatterType,
    UserType,
)

# events.py defines addresses. These patterns accept the letters and digits that Python's tables know.
_ATOM: Final = r"[\w!#$%&'*+/=?^`{|}~-]++"
_LABEL: Final = r"[^\W_]++(?:-++[^\W_]++)*+"
_is_email: Final = re.compile(rf'(?:{_ATOM}(?:\.{_ATOM})*+|"[^"\\]++")@{_LABEL}(?:\.{_LABEL})++').fullmatch
_is_country: Final = re.compile(b"[A-Z]{2}").fullmatch

_MICROSECOND: Final = timedelta(microseconds=1)
# Numbers that take eight bytes with seven bits in each. As instants they are the years 1978 to 3111.
_EIGHT_BYTES: Final = range(1 << 49, 1 << 56)
_ANOTHER_BYTE_FOLLOWS: Final = 0x0080808080808080


def _length(count: int) -> bytes:
    """Return a small number in Avro's encoding: zigzag, then seven bits to a byte, the lowest first."""
    number = count << 1
    return bytes([number]) if number < 1 << 7 else bytes([number & 0x7F | 0x80, number >> 7])


# The prefix of a text: its length in bytes. A text of more bytes than a name may have characters is not plain.
_LENGTHS: Final = tuple(map(_length, range(MAX_NAME_CHARACTERS + 1)))
_EVENT_ID_LENGTH: Final = _LENGTHS[36]
_USER_TYPES: Final[Mapping[str, bytes]] = {word: _length(index) for index, word in enumerate(UserType)}
_MATTER_TYPES: Final[Mapping[str, bytes]] = {word: _length(index) for index, word in enumerate(MatterType)}
_utf8: Final = str.encode
_NULL: Final = b"\x00"
_NOT_NULL: Final = b"\x02"


def plain_body(  # noqa: PLR0917 - positional, in the schema's order: keywords would cost each emit() half a microsecond
    event_id: str,
    user_id: Any,
    user_name: Any,
    user_email: Any,
    user_type: Any,
    viewed_at: Any,
    matter_id: Any,
    matter_name: Any,
    matter_type: Any,
    *,
    optional: tuple[Any, ...],
) -> bytes | None:
    """Return a plain view as Avro in the newest schema version, or None if the view is not plain.

    Args:
        event_id: a UUID as text.
        optional: one value for each of OPTIONAL_FIELDS.

    All values are in the schema's order and may be of any type: they are the caller's own.
    """
    try:
        texts = "".join((user_id, user_name, user_email, matter_id, matter_name))
        if _is_email(user_email) is None or not texts.isprintable():
            return None
        user, name, email = _utf8(user_id), _utf8(user_name), _utf8(user_email)
        matter, title = _utf8(matter_id), _utf8(matter_name)
        instant = _instant(viewed_at)
        rest = _optional_fields(*optional)
        if not (instant and rest and _is_id(user) and _is_id(matter) and len(email) <= MAX_EMAIL_CHARACTERS):
            return None
        parts = (
            _EVENT_ID_LENGTH, _utf8(event_id),
            _LENGTHS[len(user)], user, _LENGTHS[len(name)], name, _LENGTHS[len(email)], email, _USER_TYPES[user_type],
            instant,
            _LENGTHS[len(matter)], matter, _LENGTHS[len(title)], title, _MATTER_TYPES[matter_type],
            rest,
        )  # fmt: skip
        return b"".join(parts)
    except (TypeError, LookupError):  # not text, not a known word, or too long
        return None


def _is_id(text: bytes) -> bool:
    return 0 < len(text) <= MAX_ID_CHARACTERS and text.strip() == text


def _instant(given: Any) -> bytes | None:
    if type(given) is not datetime or given.tzinfo is not UTC:
        return None
    bits = (given - EARLIEST) // _MICROSECOND << 1
    if bits not in _EIGHT_BYTES:
        return None
    # Spread to seven bits a byte, the lowest first: split into halves, then quarters, then bytes.
    bits = bits & 0xFFFFFFF | (bits & 0xFFFFFFF0000000) << 4
    bits = bits & 0x00003FFF00003FFF | (bits & 0x0FFFC0000FFFC000) << 2
    bits = bits & 0x007F007F007F007F | (bits & 0x3F803F803F803F80) << 1
    return (bits | _ANOTHER_BYTE_FOLLOWS).to_bytes(8, "little")


# Cached, since companies and offices are few and no personal data. The cache compares types too, so that an object that
# only equals a text is not used for it.
@lru_cache(maxsize=1024, typed=True)
def _optional_fields(*values: str | None) -> bytes | None:
    if not "".join(value for value in values if value is not None).isprintable():
        return None
    texts = [None if value is None else _utf8(value) for value in values]
    if not all(text is None or is_plain(text) for text, is_plain in zip(texts, _OPTIONAL, strict=True)):
        return None
    return b"".join(_NULL if text is None else b"".join((_NOT_NULL, _LENGTHS[len(text)], text)) for text in texts)


# Whether a text is plain, by the kind of its optional column. A name only has to fit the table of lengths.
_IS_PLAIN: Final[Mapping[ColumnKind, Callable[[bytes], object]]] = {
    ColumnKind.IDENTIFIER: _is_id,
    ColumnKind.NAME: lambda _: True,
    ColumnKind.COUNTRY_CODE: _is_country,
}
_OPTIONAL: Final = tuple(_IS_PLAIN[column.kind] for column in EVENT_ORDER if column.is_optional)
