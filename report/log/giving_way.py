"""Lower priority for the threads of readers, so that they do not slow down the thread that writes the log."""

import os
import sys
import threading
from typing import Final

# The lowest priority: a thread with the normal one gets nearly seventy times as much of a shared processor.
NICENESS: Final = 19


def give_way() -> None:
    """Give this thread, and the threads that it starts, the lowest priority for good.

    Only on Linux: elsewhere a priority belongs to the whole process, and nothing is changed.
    """
    if sys.platform == "linux":
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, max(NICENESS, os.getpriority(os.PRIO_PROCESS, thread)))
