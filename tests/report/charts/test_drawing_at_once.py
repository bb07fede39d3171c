"""Several threads draw at once, as those of a site do."""

import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[3]
# A function of the collector's own, as libraries set one, lets another thread go on in the middle of a conversion.
DRAW: Final = """
import gc, sys, threading
from matterlog.report.charts import PictureFormat, render, vega_of
from tests.report.charts.test_charts import NOTHING, a_picture
from tests.report.engagement.answers import a_user

sys.setswitchinterval(1e-6)
gc.callbacks.append(lambda *_: sum(range(50)))
gc.set_threshold(20)
picture, drawn = a_picture("users", {**NOTHING, "users": [a_user(number, 3) for number in range(60)]}), []

def draw():
    for _ in range(20):
        drawn.append(vega_of(picture))
    drawn.append(render(picture, PictureFormat.SVG))

threads = [threading.Thread(target=draw) for _ in range(3)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(len(drawn))
"""


@pytest.mark.process
def test_threads_that_draw_at_once_all_end() -> None:
    """Each waits for its turn outside the converter, which would keep everybody waiting for ever."""
    done = subprocess.run(
        [sys.executable, "-c", DRAW], cwd=ROOT, capture_output=True, text=True, timeout=99, check=False
    )
    assert done.stdout == "63\n", done.stderr
