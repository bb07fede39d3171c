"""The progress bar: rows and time left, after a moment, whoever answers."""

import io
import threading
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Final

import pytest
from rich.console import Console

from matterlog.app.owner.access import open_log
from matterlog.app.terminal.shown_extracts import ShownExtracts
from matterlog.report.extracts.requests import ExtractRequest
from testbed.command import PATIENCE_SECONDS, owned
from tests.report.logs import a_big_log, extract_of

ROWS: Final = 3_000
NEVER: Final = 3_600.0


def shown(folder: Path, written: str, after_seconds: float, *, owner: bool) -> str:
    """What the console showed of an extract, each of whose chunks waits for the bar if one is to come."""
    paths, text = a_big_log(folder, ROWS), io.StringIO()
    chunks: list[bytes] = []
    deadline = time.monotonic() + PATIENCE_SECONDS

    def take(data: bytes) -> None:
        while after_seconds < NEVER and not text.getvalue() and time.monotonic() < deadline:
            time.sleep(0.01)
        chunks.append(data)

    request = ExtractRequest.model_validate({"format": written})
    with owned(paths) if owner else nullcontext(), open_log(paths) as log:
        ShownExtracts(log, Console(file=text, force_terminal=True, width=100), after_seconds).extract(request, take)
    if written != "xlsx":  # which holds the moment that it was made
        assert b"".join(chunks) == extract_of(paths, format=written)
    return text.getvalue()


@pytest.mark.parametrize("owner", [False, True])
@pytest.mark.parametrize("written", ["csv", "json", "ndjson", "parquet", "xlsx"])
def test_the_bar_tells_how_many_rows_there_are(tmp_path: Path, written: str, owner: bool) -> None:  # noqa: FBT001
    """And the extract is what it is without one."""
    assert f"/{ROWS}" in shown(tmp_path, written, 0.0, owner=owner)


def test_an_extract_that_is_quick_shows_nothing(tmp_path: Path) -> None:
    """Not even a blank, and no thread waits on."""
    assert shown(tmp_path, "csv", NEVER, owner=False) == ""
    assert not [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)]
