"""One broker for all processes of a test run: each one that runs costs processor time, even when nobody asks it.

1. A process that uses the broker holds a shared lock on a file, which the system releases however the process ends.
2. The first one starts the holder, ``python -m testbed.apache_kafka.shared FOLDER``. The holder starts the broker,
   writes its address into a file, and waits for the lock for itself alone. When it has that, nobody uses the broker
   any more: the holder stops it and ends.
"""

import contextlib
import fcntl
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from testbed.apache_kafka.broker import BrokerFailed
from testbed.apache_kafka.choice import any_kafka
from testbed.apache_kafka.jars import KafkaUnavailable

_ROOT: Final = Path(__file__).parents[2]
_PAUSE_SECONDS: Final = 0.05
# In the folder that the processes share.
_USERS: Final = "kafka.users"
_STARTING: Final = "kafka.starting"
_ADDRESS: Final = "kafka.json"
_LOG: Final = "kafka.log"


@contextlib.contextmanager
def shared_kafka(folder: Path, report: Callable[[str], None]) -> Iterator[str]:
    """Yield the bootstrap servers of the broker that all processes with this folder share.

    Args:
        folder: an empty folder at first.
        report: called with a line for each broker, skipped or in use, by the process that has it started.

    Raises:
        KafkaUnavailable: this machine cannot run one.
        BrokerFailed: it does not start.
    """
    with (folder / _USERS).open("w") as users:
        with (folder / _STARTING).open("w") as starting:
            fcntl.flock(starting, fcntl.LOCK_EX)
            fcntl.flock(users, fcntl.LOCK_SH)
            if not (folder / _ADDRESS).exists():
                _start_holder(folder)
                for line in _told(folder)["story"]:
                    report(line)
        told = _told(folder)
        if told["servers"] is None:
            raise KafkaUnavailable(told["unavailable"])
        yield told["servers"]


def _told(folder: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((folder / _ADDRESS).read_text("utf-8"))
    return told


def _start_holder(folder: Path) -> None:
    command = [sys.executable, "-m", "testbed.apache_kafka.shared", str(folder)]
    with (folder / _LOG).open("ab") as log:
        # In a new session: Ctrl-C in a terminal ends its users, and then the holder ends too.
        holder = subprocess.Popen(
            command, cwd=_ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    while not (folder / _ADDRESS).exists():
        if holder.poll() is not None:
            raise BrokerFailed(f"the shared broker did not start:\n{(folder / _LOG).read_text('utf-8')}")
        time.sleep(_PAUSE_SECONDS)
    holder.returncode = 0  # it outlives this process if another still uses the broker: nobody waits for it


def _hold(folder: Path) -> None:
    """Start a broker and stop it when nobody uses it any more."""
    address, story = folder / _ADDRESS, list[str]()
    with (folder / _USERS).open("w") as users, contextlib.ExitStack() as stack:
        told: dict[str, Any] = {"servers": None, "story": story}
        try:
            told["servers"] = stack.enter_context(any_kafka(None, folder / "kafka", story.append))
        except KafkaUnavailable as error:
            told["unavailable"] = error.reason
        unfinished = address.with_suffix(".new")
        unfinished.write_text(json.dumps(told), "utf-8")
        unfinished.rename(address)
        fcntl.flock(users, fcntl.LOCK_EX)
        address.unlink()  # whoever comes now waits for the lock, and starts another


if __name__ == "__main__":
    _hold(Path(sys.argv[1]))
