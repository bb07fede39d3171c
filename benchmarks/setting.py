"""What a measurement is told, and how it is run: each in a process of its own.

``python -m benchmarks.run NAME SETTING`` prints a JSON object: ``events`` were handled in ``seconds``, and ``p50_ms``
or the like of what was repeated; ``peak_mb`` is the process's largest resident memory. Clocks start when the first
records are there, so that neither imports nor connecting count.
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
    """Where and how much.

    Args:
        broker: of the topics.
        folder: for databases and files.
        count: events in each topic.
        rows: rows of the table that is there already.
        emits: calls of ``emit()``.
        seconds: how long events are emitted to see when they are visible.
    """

    broker: str
    folder: str
    count: int
    rows: int
    emits: int
    seconds: int

    @classmethod
    def of(cls, text: str) -> Self:
        """Read what ``as_text`` wrote."""
        return cls(**json.loads(text))

    def as_text(self) -> str:
        """Write it for another process."""
        return json.dumps(asdict(self))

    def path(self, name: str) -> Path:
        """Return the path of a file in the folder."""
        return Path(self.folder, name)


def command(name: str, setting: Setting) -> Sequence[str]:
    """Return the command that runs one measurement."""
    return [sys.executable, "-m", "benchmarks.run", name, setting.as_text()]


def measure(name: str, setting: Setting) -> Result:
    """Run one measurement in a process of its own."""
    done = subprocess.run(command(name, setting), check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stderr}")
    result: Result = json.loads(done.stdout.splitlines()[-1])
    return result
