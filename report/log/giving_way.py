"""Threads of readers give way to the one that fills the log."""

import os
import sys
import threading
from typing import Final

# The lowest: of two threads that want one processor, a usual one gets nearly seventy times as much.
NICENESS: Final = 19


def give_way() -> None:
    """Let this thread, and those that it starts, take what the others leave of the processors: on Linux, for good.

    Elsewhere a priority belongs to the whole process, and nothing is changed.
    """
    if sys.platform == "linux":
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, max(NICENESS, os.getpriority(os.PRIO_PROCESS, thread)))
