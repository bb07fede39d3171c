"""What fails for want of memory says so, whoever reports it."""

import resource
import subprocess
import threading
from pathlib import Path

import pytest

from matterlog.app.terminal import memory_shortage as module
from matterlog.app.terminal.memory_shortage import memory_shortage, with_shortage
from matterlog.consumers.errors import BrokerUnavailable
from testbed.command import MATTERLOG, environment

MB = 1_000_000


def test_a_process_with_enough_memory_says_nothing_of_it() -> None:
    """Its errors are what they are."""
    assert memory_shortage() is None
    assert with_shortage(BrokerUnavailable("no answer")) == "no answer"


def test_few_addresses_left_are_told_behind_any_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """With what is used of the limit."""
    monkeypatch.setattr(module, "_addresses_used", lambda: 1_150 * MB)
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1_200 * MB, 1_200 * MB))
    told = with_shortage(BrokerUnavailable("no answer"))
    assert told.startswith("no answer; this process is short of memory: it uses 1,150 of the 1,200 MB")


def test_a_process_that_can_start_no_thread_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be a limit on processes as well."""

    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    assert "short of memory or of threads" in (memory_shortage() or "")


@pytest.mark.parametrize("megabytes", [500, 900, 1100, 1500])
def test_a_consumer_with_little_memory_names_it(kafka_here: dict[str, str], tmp_path: Path, megabytes: int) -> None:
    """Whatever fails first; where it suffices, it consumes. A library may end the process by itself, naming memory."""
    command = [str(MATTERLOG), "consume", "--until-caught-up", "--database", str(tmp_path / "log.duckdb")]
    limited = ["sh", "-c", f'ulimit -v {megabytes * MB // 1024} && exec "$@"', "sh", *command]
    settings = {**kafka_here, "MATTERLOG_BROKER_TIMEOUT_SECONDS": "2"}
    ended = subprocess.run(limited, env=environment(settings), capture_output=True, text=True, timeout=100, check=False)
    last = ended.stderr.strip().splitlines()[-1]
    assert ended.returncode <= 0 or "short of memory" in last or "cannot allocate memory" in last, ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.returncode or "0 records" in ended.stdout
