"""Event IDs: version-7 UUIDs (RFC 9562, section 5.7), so that IDs made about the same time lie together.

1. An ID is never made twice: 74 bits beside the millisecond, 62 of them random.
2. IDs of one process rise, also within one millisecond (RFC 9562, section 6.2, method 1: a 12-bit counter
   behind the timestamp, which borrows from the next millisecond when it is used up).
3. A forked child shares no state worth having: its 62 random bits come from the operating system.
"""

import os
import threading
import time
from uuid import UUID

_COUNTER_BITS = 12


class _Clock:
    """The last (millisecond, counter) given out, as one rising number."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.last = 0

    def tick(self) -> int:
        with self.lock:
            now = (time.time_ns() // 1_000_000) << _COUNTER_BITS
            self.last = max(now, self.last + 1)
            return self.last


_clock = _Clock()
# A lock that another thread held at the moment of the fork would stay locked in the child for ever.
os.register_at_fork(after_in_child=lambda: setattr(_clock, "lock", threading.Lock()))


def new_event_id() -> UUID:
    """Return a new version-7 UUID, greater than every one that this process made before."""
    tick = _clock.tick()
    millisecond, counter = tick >> _COUNTER_BITS, tick & ((1 << _COUNTER_BITS) - 1)
    tail = int.from_bytes(os.urandom(8)) >> 2
    return UUID(int=millisecond << 80 | 0x7 << 76 | counter << 64 | 0b10 << 62 | tail)
