"""The mark of a process: true in it, false in each of its children."""

import ctypes
import os
from collections.abc import Callable

import pytest

from matterlog.schemas import forks


@pytest.mark.parametrize("fork", [os.fork, ctypes.PyDLL(None).fork], ids=["os.fork", "bare"])
@pytest.mark.parametrize("mark", [forks.process_mark, forks._ProcessID])
def test_a_mark_is_true_in_its_own_process_alone(
    mark: Callable[[], forks.ProcessMark], fork: Callable[[], int]
) -> None:
    """However the child is forked, and whether the system can wipe a page or not."""
    made = mark()
    if not (child := fork()):
        os._exit(made[0])
    assert os.waitpid(child, 0)[1] == 0
    assert made[0]
