"""An extract on its way to standard output: where it is gathered, and what a full disk means."""

import resource
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path

import pytest

from matterlog.app.files.exporting import EngagementTables, LogExtracts, export_to
from matterlog.app.owner.access import open_log
from matterlog.report.engagement.engagement import EngagementRequest
from matterlog.report.engagement.engagement_files import EngagementFileRequest
from matterlog.report.errors import ExtractFailed
from matterlog.report.extracts.requests import ExtractRequest
from matterlog.report.handover.manifest import KnownEnds
from matterlog.schemas.storage.database_files import DatabaseFiles
from testbed.command import owned
from testbed.events import a_view
from tests.report.logs import a_log


def ends() -> KnownEnds:
    """Nobody asked Kafka."""
    return KnownEnds(not_known_because="there is none")


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Let this process write no file that is larger, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("owner", [owned, nullcontext], ids=["through the owner", "from the file"])
def test_no_room_for_an_extract_is_one_sentence_and_sends_nothing(
    tmp_path: Path, owner: Callable[[DatabaseFiles], AbstractContextManager[object]]
) -> None:
    """The folder that is full is named."""
    files, sent = a_log(tmp_path, *(a_view() for _ in range(4000))), list[bytes]()
    with (
        owner(files),
        open_log(files) as log,
        files_of_at_most(1 << 17),  # the register of extracts is smaller
        pytest.raises(ExtractFailed, match="nothing went to standard output") as raised,
    ):
        export_to(sent.append, LogExtracts(log), ExtractRequest(format="csv"), ends, None, folder=files.spill)
    assert str(files.spill) in str(raised.value)
    assert sent == []


def test_an_extract_is_gathered_beside_the_database(tmp_path: Path) -> None:
    """Not in a folder that may be as small as memory; it leaves nothing there."""
    files, seen = a_log(tmp_path, a_view()), list[str]()

    def sink(_: bytes) -> None:
        seen.extend(str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.is_symlink())

    with open_log(files) as log:
        export_to(sink, LogExtracts(log), ExtractRequest(format="csv"), ends, None, folder=files.spill)
    assert any(path.startswith(f"{files.spill}/") for path in seen)
    assert list(files.spill.iterdir()) == []


def test_no_room_for_an_engagement_table_is_one_sentence_too(tmp_path: Path) -> None:
    """DuckDB writes its file, and raises its own error."""
    files, sent = a_log(tmp_path, *(a_view(user_id=f"u-{number}") for number in range(400))), list[bytes]()
    asked = EngagementRequest(analysis="users", now=datetime.now(UTC))
    request = EngagementFileRequest(engagement=asked, format="parquet")
    with open_log(files) as log, files_of_at_most(512), pytest.raises(ExtractFailed, match="no file was left"):
        export_to(sent.append, EngagementTables(log, files.spill), request, ends, None, folder=files.spill)
    assert sent == []
