"""Rate limits: how often something may be done within a window of time, and pauses after failures, each per key.

Tries are counted in memory, because the site is one process. A restart forgets them, so an attacker would need one
restart after another. The number of keys is bounded, so that tries with many names do not fill the memory.
"""

import ipaddress
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

# Keys of different kinds begin with different words, so that they never meet.
Key = tuple[str, ...]
FIRST_PAUSE_SECONDS: Final = 10.0
LONGEST_PAUSE_SECONDS: Final = 15 * 60.0
FORGOTTEN_AFTER_SECONDS: Final = 60 * 60.0
_MAX_KEYS: Final = 10_000
_IPV6_NETWORK_BITS: Final = 64


@dataclass(frozen=True, slots=True)
class RateLimitState:
    """The state of a key after a try: whether it was allowed, how many are left, and the seconds until one is free."""

    allowed: bool
    limit: int
    left: int
    next_in_seconds: int

    def headers(self) -> dict[str, str]:
        """Return the headers that report the state to a program."""
        return {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(self.left),
            "RateLimit-Reset": str(self.next_in_seconds),
        }


class RateLimit:
    """A limit of ``tries`` per key within ``window_seconds``.

    Args:
        tries: the number of tries.
        window_seconds: the length of the window.
        clock: returns monotonic seconds.
    """

    def __init__(self, tries: int, window_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.window_seconds = window_seconds
        self._tries = tries
        self._clock = clock
        self._lock = threading.Lock()
        self._tried: OrderedDict[str, list[float]] = OrderedDict()

    def allows(self, key: str) -> bool:
        """Count a try if the limit allows it, and return whether it does."""
        return self.tried(key).allowed

    def tried(self, key: str) -> RateLimitState:
        """Count a try if the limit allows it, and return the state of the key."""
        now = self._clock()
        with self._lock:
            recent = [at for at in self._tried.pop(key, []) if at > now - self.window_seconds]
            allowed = len(recent) < self._tries
            if allowed:
                recent.append(now)
            self._tried[key] = recent
            if len(self._tried) > _MAX_KEYS:
                self._tried.popitem(last=False)
        next_in = math.ceil(recent[0] + self.window_seconds - now) if recent else 0
        return RateLimitState(allowed, self._tries, self._tries - len(recent), next_in)


class Pauses:
    """Growing pauses after failures. Only failures count: a try counts as one until ``take_back`` or ``forget``.

    Args:
        free: how many failures come before the first pause.
        clock: returns monotonic seconds.
    """

    def __init__(self, free: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._free = free
        self._clock = clock
        self._lock = threading.Lock()
        # Key -> the number of failures, the time of the last one, and the end of the pause behind it.
        self._failed: OrderedDict[Key, tuple[int, float, float]] = OrderedDict()

    def wait_seconds(self, key: Key) -> float:
        """Count a failure in advance, and return 0; in a pause, return the seconds that are left, and count nothing."""
        now = self._clock()
        with self._lock:
            failures, last, until = self._failed.pop(key, (0, now, now))
            if now < until:
                self._failed[key] = (failures, last, until)
                return until - now
            failures = 0 if now - last > FORGOTTEN_AFTER_SECONDS else failures
            doublings = min(failures + 1 - self._free, 10)  # more than the longest pause has; a float has an end
            pause = min(FIRST_PAUSE_SECONDS * 2.0**doublings, LONGEST_PAUSE_SECONDS)
            self._failed[key] = (failures + 1, now, now + pause if failures + 1 >= self._free else now)
            if len(self._failed) > _MAX_KEYS:
                self._failed.popitem(last=False)
        return 0.0

    def take_back(self, key: Key) -> None:
        """Take a failure back that was counted in advance: the try was right."""
        with self._lock:
            if key in self._failed:
                failures, last, _ = self._failed[key]
                self._failed[key] = (failures - 1, last, last)

    def forget(self, key: Key) -> None:
        """Forget a key's failures, after a successful sign-in."""
        with self._lock:
            self._failed.pop(key, None)


def network_of(address: str) -> str:
    """Return the network that one attacker controls: an IPv4 address, or the whole /64 of an IPv6 one."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((found, _IPV6_NETWORK_BITS), strict=False))
    return address
