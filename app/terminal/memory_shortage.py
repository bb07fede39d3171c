"""Whether this process is short of memory, so that an error that comes of it says so.

Without memory a thread does not start, a library is not loaded, a file is not mapped. Whoever wanted that then reports
a broker that does not answer, or a file that cannot be opened. The system is asked instead.
"""

import logging
import resource
import threading
from pathlib import Path
from typing import Final

from matterlog.app.errors import TooFewAddresses

logger = logging.getLogger(__name__)

_MB: Final = 1_000_000
# A thread takes 8 MB of addresses for its stack, and its allocator up to 128 MB.
_LITTLE_LEFT_BYTES: Final = 136 * _MB
# Measured: with 500 MB Kafka's client waits for a thread of its own that could not start, without end.
_ADDRESSES_AT_LEAST_BYTES: Final = 1_000 * _MB
# Measured: what an idle consumer has, of which DuckDB takes nothing yet.
_ADDRESSES_NEEDED_BYTES: Final = 2_500 * _MB


def memory_shortage(error: BaseException | None = None) -> str | None:
    """Say that this process is short of memory, and what to do; None where it is not, and the error says nothing."""
    limit, used = _address_limit(), _addresses_used()
    if limit is not None and used is not None and limit - used < _LITTLE_LEFT_BYTES:
        return (
            f"this process is short of memory: it uses {used // _MB:,} of the {limit // _MB:,} MB of addresses that it "
            "may have (ulimit -v, prlimit --as). Raise that limit, or lift it and limit the container's memory"
        )
    if isinstance(error, MemoryError) or not _can_start_thread():
        return (
            "this process is short of memory or of threads. Check its limits (ulimit -v, ulimit -u, the container's "
            "memory and number of processes). Set memory_limit lower or the limits higher"
        )
    return None


def with_shortage(error: Exception) -> str:
    """Return an error's text, and behind it that memory is short, where it is."""
    return "; ".join(filter(None, (str(error), memory_shortage(error))))


def check_address_limit() -> None:
    """Warn whoever gives a service fewer addresses than it needs: a library may end the process without a word.

    Raises:
        TooFewAddresses: with as few, libraries would hang.
    """
    limit = _address_limit()
    if limit is not None and limit < _ADDRESSES_AT_LEAST_BYTES:
        raise TooFewAddresses(limit // _MB, _ADDRESSES_AT_LEAST_BYTES // _MB)
    if limit is not None and limit < _ADDRESSES_NEEDED_BYTES:
        logger.warning(
            "this process may have %s MB of addresses (ulimit -v, prlimit --as) and needs %s MB beside memory_limit: "
            "what fails now may fail for want of memory",
            *(f"{limit // _MB:,}", f"{_ADDRESSES_NEEDED_BYTES // _MB:,}"),
        )


def _address_limit() -> int | None:
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    return None if limit == resource.RLIM_INFINITY else limit


def _addresses_used() -> int | None:
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except OSError:  # not Linux
        return None
    return pages * resource.getpagesize()


def _can_start_thread() -> bool:
    thread = threading.Thread(target=int)
    try:
        thread.start()
    except RuntimeError:
        return False
    thread.join()
    return True
