"""The budget of randomised tests: small for every change, large for ``make faults``."""

import os
from typing import Final

# Read at import, before the tests hide the environment.
_IS_LARGE: Final = os.environ.get("MATTERLOG_TEST_BUDGET") == "large"


def budget(small: int, large: int) -> int:
    """Return the number of random trials in this run."""
    return large if _IS_LARGE else small
