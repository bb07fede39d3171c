"""Whether this process is still the one that made something. Not every fork runs Python's hooks: uWSGI's does not.

On Linux a page of memory that the kernel wipes in every child tells it for a tenth of what asking for the process ID
costs, which ``emit()`` would pay twice.
"""

import mmap
import os
import sys
from typing import Final

# Linux's name, which the module mmap does not have; since 4.14.
_MADV_WIPEONFORK: Final = 18


class _ProcessID:
    """The mark of systems that wipe no page."""

    def __init__(self) -> None:
        self._made_by = os.getpid()

    def __getitem__(self, _index: int, /) -> int:
        return self._made_by == os.getpid()


# What shows whether a process was forked since it was made.
ProcessMark = mmap.mmap | _ProcessID


def process_mark() -> ProcessMark:
    """Mark the process that runs: ``mark[0]`` is true in it, and false in every child that is forked from it."""
    try:
        if sys.platform != "linux":
            return _ProcessID()
        page = mmap.mmap(-1, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        page.madvise(_MADV_WIPEONFORK)
    except OSError:
        # A kernel that is older, or that a sandbox stands in for.
        return _ProcessID()
    page[0] = 1
    return page
