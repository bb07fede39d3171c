"""The setting of a measurement, and its run in a separate process.

``python -m benchmarks.run NAME SETTING`` prints a JSON object. ``events`` is the number handled in ``seconds``.
Repeated actions have ``p50_ms`` and the like. ``peak_mb`` is the process's largest resident memory. Clocks start when
the first records arrive, so that imports and connecting do not count.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

Result = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """The place and the size of a measurement.

    Args:
        broker: the bootstrap servers of the topics.
        folder: the folder for databases and files.
        count: events in each topic.
        rows: rows in the existing table.
        emits: number of calls of ``emit()``.
        seconds: how long to emit for the time until events are visible.
    """

    broker: str
    folder: str
    count: int
    rows: int
    emits: int
    seconds: int

    @classmethod
    def of(cls, text: str) -> Self:
        """Return the setting that ``as_text`` encoded."""
        return cls(**json.loads(text))

    def as_text(self) -> str:
        """Return the setting as text for another process."""
        return json.dumps(asdict(self))

    def path(self, name: str) -> Path:
        """Return the path of a file in the folder."""
        return Path(self.folder, name)


def command(name: str, setting: Setting) -> Sequence[str]:
    """Return the command line of one measurement."""
    return [sys.executable, "-m", "benchmarks.run", name, setting.as_text()]


def measure(name: str, setting: Setting) -> Result:
    """Run one measurement in a separate process and return its result."""
    done = subprocess.run(command(name, setting), check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stderr}")
    result: Result = json.loads(done.stdout.splitlines()[-1])
    return result
