"""How long tests with chance in them go on: briefly with every change, for long with ``make faults``."""

import os
from typing import Final

# Read once, before tests are cut off from the environment.
_IS_LARGE: Final = os.environ.get("MATTERLOG_TEST_BUDGET") == "large"


def budget(small: int, large: int) -> int:
    """Return how many times a test tries its luck in this run."""
    return large if _IS_LARGE else small
