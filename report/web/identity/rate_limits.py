"""Rate limits: how often something may be tried, by key, within a window of time.

Counted in memory: one process is the site, and a restart forgets, which costs who attacks a restart each time. The keys
are bounded too, so that asking under many names fills no memory.
"""

import ipaddress
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

_MAX_KEYS: Final = 10_000
_IPV6_NETWORK_BITS: Final = 64


@dataclass(frozen=True, slots=True)
class RateLimitState:
    """How a key stands after a try: whether it was allowed, how many are left, and in how many seconds one is free."""

    allowed: bool
    limit: int
    left: int
    next_in_seconds: int

    def headers(self) -> dict[str, str]:
        """Return what a program is told with each answer."""
        return {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(self.left),
            "RateLimit-Reset": str(self.next_in_seconds),
        }


class RateLimit:
    """At most ``tries`` by one key within ``window_seconds``.

    Args:
        tries: how many.
        window_seconds: within how long.
        clock: gives seconds that rise.
    """

    def __init__(self, tries: int, window_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.window_seconds = window_seconds
        self._tries = tries
        self._clock = clock
        self._lock = threading.Lock()
        self._tried: OrderedDict[str, list[float]] = OrderedDict()

    def allows(self, key: str) -> bool:
        """Count one try, unless there were too many; say whether it may go on."""
        return self.tried(key).allowed

    def tried(self, key: str) -> RateLimitState:
        """Count one try, unless there were too many; say how the key stands then."""
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

    def forget(self, key: str) -> None:
        """Start again for a key: somebody proved to be who they are."""
        with self._lock:
            self._tried.pop(key, None)


def network_of(address: str) -> str:
    """Return what one attacker has of addresses: one of IPv4, the whole /64 of IPv6."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((found, _IPV6_NETWORK_BITS), strict=False))
    return address
