"""Event IDs: version-7 UUIDs (RFC 9562, section 5.7), so that IDs made about the same time lie together.

1. IDs are unique: beside the millisecond they have 74 bits, 62 of them random.
2. The IDs of one process increase, also within one millisecond (RFC 9562, section 6.2, method 1: a 12-bit counter
   behind the timestamp, which borrows from the next millisecond when it is used up).
3. The random bits come from the operating system, many at a time: each call releases the interpreter's lock, which
   another thread may then hold for milliseconds.
4. A forked child draws its own random bits and shares no state with its parent.
"""

import os
import threading
import time
from collections.abc import Iterator
from struct import Struct
from typing import Final
from uuid import UUID, SafeUUID

from matterlog.schemas.forks import process_mark

_COUNTER_BITS: Final = 12
_COUNTER_MASK: Final = (1 << _COUNTER_BITS) - 1
_VERSION_AND_VARIANT: Final = 0x7 << 76 | 0b10 << 62
_MILLISECOND_NS: Final = 1_000_000
_RANDOM: Final = Struct("<Q")
_DRAWN_AT_ONCE: Final = 512
# How an ID is put together, as UUID's constructor does it, which first spends a microsecond on how it was called.
_new: Final = object.__new__
_set_int: Final = vars(UUID)["int"].__set__
_set_is_safe: Final = vars(UUID)["is_safe"].__set__
_UNKNOWN: Final = SafeUUID.unknown


class _Clock:
    """The last (millisecond, counter) given out, as one rising number, and random bits that nobody has had."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.last = 0
        self._random: Iterator[tuple[int]] = iter(())
        self.mark = process_mark()

    def number(self) -> int:
        """Return the 128 bits of the next ID."""
        if not self.mark[0]:
            self.begin_again()
        with self.lock:
            now = (time.time_ns() // _MILLISECOND_NS) << _COUNTER_BITS
            self.last = tick = now if now > self.last else self.last + 1
            drawn = next(self._random, None)
            if drawn is None:
                self._random = _RANDOM.iter_unpack(os.urandom(_RANDOM.size * _DRAWN_AT_ONCE))
                drawn = next(self._random)
        return tick >> _COUNTER_BITS << 80 | (tick & _COUNTER_MASK) << 64 | drawn[0] >> 2 | _VERSION_AND_VARIANT

    def begin_again(self) -> None:
        """In a forked child: another thread may have held the lock, and the parent goes on with its random bits."""
        self.lock = threading.Lock()
        self._random = iter(())
        self.mark = process_mark()


_clock = _Clock()


def new_event_id() -> UUID:
    """Return a new version-7 UUID, greater than every one that this process made before."""
    made = _new(UUID)
    _set_int(made, _clock.number())
    _set_is_safe(made, _UNKNOWN)
    return made


def text_of(event_id: UUID) -> str:
    """Return ``str(event_id)``, in half its time."""
    # In fours, of which the first two belong together and the last three.
    digits = event_id.int.to_bytes(16).hex("-", 2)
    return f"{digits[:4]}{digits[5:29]}{digits[30:34]}{digits[35:]}"
